"""Tables of results, written for a terminal, for Markdown, for LaTeX and for a page; see `table_data`."""

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from markupsafe import Markup

from midas_dfer.report.pages.page import clean_text, page_environment
from midas_dfer.report.tables.table_data import Cell, TableData

WIDTH = 80
"""Columns of a terminal that a table keeps to."""

LONGEST_NUMBER = 24
"""Characters of a cell; a column with longer ones is one of text, to the left."""

_LONGEST_HEAD, _LONGEST_CELL, _NARROWEST = 30, 46, 8
_MARKS = {"best": "*", "second": "+", "": ""}
_GAP = "  "

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~&$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
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


def terminal_table(table: TableData) -> str:
    """Write a table for a terminal of 80 columns.

    Columns that do not fit are written in a second block below, with all that names the rows again; a long text is
    folded inside its cell. The best of a column bears a `*`, the second best a `+`.

    Returns:
        lines without a line break at the end.
    """
    title, *heads = _terminal_heads(table)
    head_width = max(_width(line) for head in (title, *heads) for line in head)
    room = max(_NARROWEST, WIDTH - head_width - len(_GAP))
    numbers = range(table.heads, len(table.columns))
    columns = [_TerminalColumn(table, number, min(_LONGEST_CELL, room)) for number in numbers]
    blocks = [_fold(table.title, WIDTH)]
    for block in _in_blocks(columns, room):
        lines = _terminal_row(title, [c.head for c in block], block, head_width)
        starts = _group_starts(table)
        for number, head in enumerate(heads):
            if number in starts:
                lines += [*([""] if number else []), *_fold(starts[number], WIDTH)]
            lines += _terminal_row(head, [c.cells[number] for c in block], block, head_width)
        blocks.append(lines)
    small = []
    if marks := {cell.mark for row in table.rows for cell in row} - {""}:
        small.append(_GAP.join(f"{_MARKS[m]} {_in_words(m)}" for m in ("best", "second") if m in marks))
    for number, text in enumerate(table.footnotes, 1):
        small += textwrap.wrap(_plain(text), WIDTH, initial_indent=f"[{number}] ", subsequent_indent="    ")
    return "\n\n".join("\n".join(block) for block in [*blocks, small] if block)


def markdown_table(table: TableData) -> str:
    """Write a table in Markdown, as GitHub reads it: the best of a column in bold, the second best in italics.

    Returns:
        lines without a line break at the end.
    """
    lines = [f"**{_markdown(table.title)}**", ""]
    lines.append("| " + " | ".join(map(_markdown, table.columns)) + " |")
    lines.append("|" + "|".join(" --- " if _is_text(table, n) else " ---: " for n in range(len(table.columns))) + "|")
    starts = _group_starts(table)
    for number, row in enumerate(table.rows):
        if number in starts:
            lines.append(f"| **{_markdown(starts[number])}** |" + "  |" * (len(row) - 1))
        lines.append("| " + " | ".join(map(_markdown_cell, row)) + " |")
    for number, text in enumerate(table.footnotes, 1):
        lines += ["", f"<sup>{number}</sup> {_markdown(text)}"]
    return "\n".join(lines)


def latex_table(table: TableData) -> str:
    r"""Write a table for LaTeX with the package `booktabs`: the best in bold, the second best underlined.

    Its label is `tab:` and the table's name. The footnotes stand below it.

    Returns:
        lines without a line break at the end.
    """
    label = re.sub(r"[^A-Za-z0-9:-]+", "-", table.name).strip("-")
    lines = [r"\begin{table}", r"  \centering", rf"  \caption{{{_latex(table.title)}}}", rf"  \label{{tab:{label}}}"]
    kinds = ["l"] * (table.heads - 1)
    kinds += [r"p{0.36\linewidth}" if _is_text(table, n) else "r" for n in range(table.heads, len(table.columns))]
    lines.append(rf"  \begin{{tabular}}{{l{''.join(kinds)}}}")
    lines += [r"    \toprule", "    " + " & ".join(map(_latex, table.columns)) + r" \\", r"    \midrule"]
    starts = _group_starts(table)
    for number, row in enumerate(table.rows):
        if number in starts:
            lines += [r"    \midrule"] if number else []
            lines.append(rf"    \multicolumn{{{len(row)}}}{{l}}{{\textit{{{_latex(starts[number])}}}}} \\")
        lines.append("    " + " & ".join(map(_latex_cell, row)) + r" \\")
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
    starts = _group_starts(table)
    groups: list[tuple[str, list[tuple[Cell, ...]]]] = []
    for number, row in enumerate(table.rows):
        if number in starts or not groups:
            groups.append((starts.get(number, ""), [row]))
        else:
            groups[-1][1].append(row)
    texts = [number for number in range(1, len(table.columns)) if _is_text(table, number)]
    template = page_environment().get_template("run_table.html")
    return Markup(template.render(table=table, groups=groups, texts=texts))  # noqa: S704 -- escaped there


class _TerminalColumn:
    """A column's heading and cells, each as folded lines; marks and footnotes stand behind where numbers end."""

    def __init__(self, table: TableData, number: int, longest: int) -> None:
        tails = [_MARKS[row[number].mark] + _references(row[number]) for row in table.rows]
        tail = max(map(len, tails), default=0)
        longest = max(_NARROWEST, longest - tail)
        self.head = _fold(table.columns[number], longest)
        if _width(table.columns[number]) > 2 * _NARROWEST:  # a long heading over short numbers goes on several lines
            needed = [
                *map(_width, re.split(r"[\s-]", table.columns[number])),
                *(_width(r[number].text) for r in table.rows),
            ]
            self.head = _fold(table.columns[number], min(longest, max(_NARROWEST, *needed)))
        self.cells = []
        for row, own in zip(table.rows, tails, strict=True):
            lines = _fold(row[number].text, longest)
            self.cells.append([*lines[:-1], lines[-1] + own.ljust(tail)])
        self.width = max(_width(line) for lines in [self.head, *self.cells] for line in lines)
        self.is_text = any(len(lines) > 1 for lines in self.cells)


def _terminal_heads(table: TableData) -> list[list[str]]:
    """Lines of the headings, then of each row, of the columns that name the rows; one beside the other."""
    rows = [list(table.columns[: table.heads])]
    rows += [[cell.text + _references(cell) for cell in row[: table.heads]] for row in table.rows]
    folded = [[_fold(text, _LONGEST_HEAD) for text in row] for row in rows]
    widths = [max(_width(line) for row in folded for line in row[number]) for number in range(table.heads)]
    return [
        [
            _GAP.join(_padded(line, width, left=True) for line, width in zip(lines, widths, strict=True)).rstrip()
            for lines in zip_longest(*row, fillvalue="")
        ]
        for row in folded
    ]


def _in_blocks(columns: Sequence[_TerminalColumn], room: int) -> list[list[_TerminalColumn]]:
    """As few blocks as fit, of about as many columns each."""
    total = sum(column.width + len(_GAP) for column in columns)
    for number in range(-(-total // room) or 1, len(columns) + 1):
        size = -(-len(columns) // number)
        blocks = [list(columns[at : at + size]) for at in range(0, len(columns), size)]
        if all(sum(c.width for c in block) + len(_GAP) * (len(block) - 1) <= room for block in blocks):
            return blocks
    return [[column] for column in columns] or [[]]


def _terminal_row(
    head: Sequence[str], cells: Sequence[Sequence[str]], columns: Sequence[_TerminalColumn], head_width: int
) -> list[str]:
    lines = []
    for number in range(max(len(head), *(len(cell) for cell in cells)) if cells else len(head)):
        parts = [_padded(head[number] if number < len(head) else "", head_width, left=True)]
        for cell, column in zip(cells, columns, strict=True):
            text = cell[number] if number < len(cell) else ""
            parts.append(_padded(text, column.width, left=column.is_text))
        lines.append(_GAP.join(parts).rstrip())
    return lines


def _padded(text: str, width: int, *, left: bool) -> str:
    blank = " " * (width - _width(text))
    return text + blank if left else blank + text


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _fold(text: str, width: int) -> list[str]:
    plain = _plain(text)
    if _width(plain) > len(plain):  # wide letters: half as many fit
        width = max(4, width // 2)
    return textwrap.wrap(plain, width) or [""]


def _plain(text: str) -> str:
    """On one line, without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))


def _references(cell: Cell) -> str:
    return f"[{','.join(map(str, cell.note))}]" if cell.note else ""


def _is_text(table: TableData, number: int) -> bool:
    """Whether a column holds words, not numbers."""
    return number < table.heads or any(len(row[number].text) > LONGEST_NUMBER for row in table.rows)


def _group_starts(table: TableData) -> dict[int, str]:
    """The row that each group begins with, and its heading."""
    starts, at = {}, 0
    for title, count in table.groups:
        if count:
            starts[at] = title
        at += count
    return starts


def _in_words(mark: str) -> str:
    return {"best": "best", "second": "second best"}[mark]


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
