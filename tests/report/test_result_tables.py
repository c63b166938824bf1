"""Tables of results: what a terminal, Markdown, LaTeX and a page get of the same data."""

import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.report.tables.markup import html_table, latex_table, markdown_table
from midas_dfer.report.tables.table_data import Cell, TableData
from midas_dfer.report.tables.terminal import WIDTH, terminal_table

TABLE = TableData(
    name="table-3",
    title="Labels on DFEW, %",
    columns=("method", "UAR", "WAR"),
    rows=(
        (Cell("hard & soft_x", note=(1,)), Cell("55.10"), Cell("66.75", "second")),
        (Cell("MIDAS"), Cell("57.45", "best", (1, 2)), Cell("69.16", "best")),
    ),
    footnotes=("As printed.", "Its mean is 59.18."),
    groups=(("printed", 1), ("ours", 1)),
)

TERMINAL = """\
Labels on DFEW, %

method                   UAR     WAR
printed
hard & soft_x[1]  55.10       66.75+

ours
MIDAS             57.45*[1,2]  69.16*

* best  + second best
[1] As printed.
[2] Its mean is 59.18."""

MARKDOWN = r"""**Labels on DFEW, %**

| method | UAR | WAR |
| --- | ---: | ---: |
| **printed** |  |  |
| hard \& soft\_x<sup>1</sup> | 55.10 | *66.75* |
| **ours** |  |  |
| MIDAS | **57.45**<sup>1, 2</sup> | **69.16** |

<sup>1</sup> As printed.

<sup>2</sup> Its mean is 59.18."""

LATEX = r"""\begin{table}
  \centering
  \caption{Labels on DFEW, \%}
  \label{tab:table-3}
  \begin{tabular}{lrr}
    \toprule
    method & UAR & WAR \\
    \midrule
    \multicolumn{3}{l}{\textit{printed}} \\
    hard \& soft\_x\textsuperscript{1} & 55.10 & \underline{66.75} \\
    \midrule
    \multicolumn{3}{l}{\textit{ours}} \\
    MIDAS & \textbf{57.45}\textsuperscript{1,2} & \textbf{69.16} \\
    \bottomrule
  \end{tabular}
  \par\smallskip\raggedright\footnotesize
  \textsuperscript{1}~As printed.\par
  \textsuperscript{2}~Its mean is 59.18.\par
\end{table}"""


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def test_golden_markdown_and_latex():
    assert markdown_table(TABLE) == MARKDOWN
    assert latex_table(TABLE) == LATEX


def test_golden_terminal_but_for_blanks():
    lines = [" ".join(line.split()) for line in terminal_table(TABLE).splitlines()]
    assert lines == [" ".join(line.split()) for line in TERMINAL.splitlines()]


def test_numbers_stand_below_each_other_whatever_is_behind_them():
    first, second = (line for line in terminal_table(TABLE).splitlines() if "55.10" in line or "57.45" in line)
    assert first.index("55.10") == second.index("57.45")
    assert first.index("66.75") == second.index("69.16")


def test_html_says_what_each_heading_heads_and_what_bold_means():
    tags = Tags(html_table(TABLE))
    scopes = [attributes.get("scope") for tag, attributes in tags.found if tag == "th"]
    assert scopes == ["col"] * 3 + ["rowgroup", "row"] * 2
    assert [tag for tag, _ in tags.found].count("tbody") == 2
    assert "caption" in {tag for tag, _ in tags.found}
    assert "57.45 (best)note 1, 2" in tags.text
    assert "66.75 (second best)" in tags.text


def test_a_wide_table_goes_on_below_with_the_names_again():
    columns = ("method", *(f"class {number}" for number in range(7)), "UAR", "WAR")
    row = (Cell("Former-DFER and more"), *(Cell("75.17") for _ in columns[1:]))
    text = terminal_table(TableData("wide", "Wide", columns, (row,)))
    assert text.count("Former-DFER and more") == 2
    assert text.count("75.17") == 9
    assert max(map(len, text.splitlines())) <= WIDTH


def test_long_words_fold_in_their_cell_and_are_left_aligned_everywhere():
    verdict = "inside the noise: the interval of the difference holds zero, so that other clips could turn it around"
    table = TableData("d", "D", ("pair", "verdict"), ((Cell("a and b"), Cell(verdict)),))
    text = terminal_table(table)
    assert " ".join(text.split()).count("pair verdict a and b inside the noise") == 1
    assert max(map(len, text.splitlines())) <= WIDTH
    assert r"\begin{tabular}{lp{" in latex_table(table)
    assert "| --- | --- |" in markdown_table(table)


HOSTILE = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40) | st.sampled_from(
    [
        "</table><script>alert(1)</script>",
        "a|b\n|c|",
        r"\input{/etc/passwd}",
        "$x^2$ & 5%_~",
        "\x1b[31mred",
        "情緒 喜び",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_text_breaks_out_of_its_cell(name, title, footnote):
    table = TableData("t", title, ("m", name), ((Cell(name, note=(1,)), Cell("1.0", "best")),), (footnote,))
    tags = Tags(html_table(table))
    kinds = {"figure", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "bdi", "span", "sup", "ol", "li"}
    assert {tag for tag, _ in tags.found} <= kinds
    row = next(line for line in markdown_table(table).splitlines() if line.endswith("**1.0** |"))
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    latex = latex_table(table)
    assert len(re.findall(r"(?<!\\)&", latex.split(r"\midrule")[1].split(r"\bottomrule")[0])) == 1
    plain = re.sub(r"\\[\\{}$&#_%]", "", latex)
    assert plain.count("{") == plain.count("}")
    assert "\\input{" not in latex
    terminal = terminal_table(table)
    assert all(c.isprintable() or c == "\n" for c in terminal)
    for line in terminal.splitlines():
        assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= WIDTH


@pytest.mark.parametrize(
    ("rows", "groups", "words"),
    [
        (((Cell("a"),),), (), "2 columns and a row of 1"),
        (((Cell("a"), Cell("b", note=(1,))),), (), "no footnotes"),
        (((Cell("a"), Cell("b")),), (("all", 2),), "do not hold its 1 rows"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(rows, groups, words):
    with pytest.raises(ValueError, match=words):
        TableData("t", "t", ("x", "y"), rows, (), groups)
