"""Tables of results written in Markdown, LaTeX and HTML."""

import re

from markupsafe import Markup

from midas_dfer.report.pages.page import clean_text, page_environment
from midas_dfer.report.tables.table_data import Cell, TableData

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~&$])")
_LATEX = {c: f"\\{c}" for c in "{}$&#_%"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\u2212": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "α": r"$\alpha$",
    "λ": r"$\lambda$",
    "–": "--",
    "…": r"\dots{}",
    "\u00a0": "~",
    "\u202f": r"\,",
}


def markdown_table(table: TableData) -> str:
    """Write a table in Markdown, as GitHub reads it: the best of a column in bold, the second best in italics."""
    lines = [f"**{_markdown(table.title)}**", ""]
    lines.append("| " + " | ".join(map(_markdown, table.columns)) + " |")
    lines.append("|" + "|".join(" --- " if table.is_text(n) else " ---: " for n in range(len(table.columns))) + "|")
    for title, rows in table.parts():
        if title:
            lines.append(f"| **{_markdown(title)}** |" + "  |" * (len(table.columns) - 1))
        lines += ["| " + " | ".join(map(_markdown_cell, row)) + " |" for row in rows]
    for number, text in enumerate(table.footnotes, 1):
        lines += ["", f"<sup>{number}</sup> {_markdown(text)}"]
    return "\n".join(lines)


def latex_table(table: TableData) -> str:
    r"""Write a table for LaTeX with the package `booktabs`: the best in bold, the second best underlined.

    Its label is `tab:` and the table's name. The footnotes stand below it.
    """
    label = re.sub(r"[^A-Za-z0-9:-]+", "-", table.name).strip("-")
    lines = [r"\begin{table}", r"  \centering", rf"  \caption{{{_latex(table.title)}}}", rf"  \label{{tab:{label}}}"]
    kinds = ["l"] * (table.heads - 1)
    kinds += [r"p{0.36\linewidth}" if table.is_text(n) else "r" for n in range(table.heads, len(table.columns))]
    lines.append(rf"  \begin{{tabular}}{{l{''.join(kinds)}}}")
    lines += [r"    \toprule", "    " + " & ".join(map(_latex, table.columns)) + r" \\", r"    \midrule"]
    for number, (title, rows) in enumerate(table.parts()):
        lines += [r"    \midrule"] if number else []
        if title:
            lines.append(rf"    \multicolumn{{{len(table.columns)}}}{{l}}{{\textit{{{_latex(title)}}}}} \\")
        lines += ["    " + " & ".join(map(_latex_cell, row)) + r" \\" for row in rows]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    if table.footnotes:
        lines.append(r"  \par\smallskip\raggedright\footnotesize")
        lines += [
            rf"  \textsuperscript{{{number}}}~{_latex(text)}\par" for number, text in enumerate(table.footnotes, 1)
        ]
    return "\n".join([*lines, r"\end{table}"])


def html_table(table: TableData) -> Markup:
    """Write a table for a page made with `render_page`: every heading says what it is the heading of.

    The caption is the title; what bold and underlined mean is also said in words that only a screen reader reads.
    """
    texts = [number for number in range(1, len(table.columns)) if table.is_text(number)]
    template = page_environment().get_template("run_table.html")
    return Markup(template.render(table=table, groups=table.parts(), texts=texts))  # noqa: S704 -- escaped there


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", clean_text(text))


def _markdown_cell(cell: Cell) -> str:
    text = _markdown(cell.text)
    star = {"best": "**", "second": "*", "": ""}[cell.mark] if text else ""
    return f"{star}{text}{star}" + (f"<sup>{', '.join(map(str, cell.note))}</sup>" if cell.note else "")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in clean_text(text))


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    if cell.mark and text:
        text = rf"\textbf{{{text}}}" if cell.mark == "best" else rf"\underline{{{text}}}"
    return text + (rf"\textsuperscript{{{','.join(map(str, cell.note))}}}" if cell.note else "")
