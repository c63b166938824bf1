"""What the paper printed: tables 1 to 7 as data, with what is known to be wrong in them, and what others reach.

Kawamura et al. 2024, "MIDAS: Mixing Ambiguous Data with Soft Labels for Dynamic Facial Expression
Recognition", WACV 2024. All scores in percent, as printed. Nothing here is computed from a run of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

CLASSES = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
"""The columns of table 1, which are DFEW's classes in its order."""

Mark = Literal["best", "second"]

FIGURES = ("figure-1", "figure-3", "figure-4", "figure-5", "figure-6")
"""What can be drawn; figure 1 holds what the paper's figures 1 and 2 show."""

FOOTNOTES: tuple[str, ...] = (
    'The paper says that DFEW has "11,967" clips with a single label; two digits are swapped: its split files '
    "hold 11,697.",
    "The MIDAS row of table 1 is inconsistent: its seven class accuracies have the mean 59.18, but the UAR is "
    "printed as 57.45; weighted by DFEW's class sizes they give 66.48, but the WAR is printed as 69.16. By the same "
    "sums the rows of Former-DFER, STT and GCA+IAL come out within 0.02 and that of Resnet18+GRU within 0.22; that of "
    "DPCNet does not (55.02 and 65.67, printed 57.11 and 66.32).",
    "The disgust accuracies 28.69 % (MIDAS), 3.49 % (STT) and 0.86 % (Resnet18+GRU) cannot be means over DFEW's five "
    "folds: every published test fold holds 29 disgust clips, so such a mean is a share of 145 clips, and the nearest "
    "are 28.28 and 28.97 % (41 and 42 clips), 3.45 % (5) and 0.69 % (1). Of five evaluations of all 145 clips, 28.69 % "
    "is 208 of 725; 3.49 and 0.86 % are no share of 725 either.",
    'The row "3D Resnet18" has the class accuracies of another system, EC-STFL, beside UAR and WAR of its own. Those '
    "of 3D ResNet-18 are 76.32, 50.21, 64.18, 62.85, 47.52, 0.00 and 24.56.",
    'Table 4\'s "Two VGG13-LSTM" has the scores of Two ResNet18-LSTM, 31.28 (UAR) and 43.20 (WAR); its own are '
    "32.79 and 44.54.",
    'The "AFEW test set" is very probably AFEW\'s validation part, because the labels of its test part are not public.',
)
"""What does not add up in the printed figures; rows and tables name these by number, counted from 1."""


@dataclass(frozen=True)
class PrintedRow:
    """A row of a table as the paper prints it.

    Attributes:
        method: the name in its first column (tables 1 and 4); elsewhere the network, which is the same in all rows.
        label: what was trained on, as printed: Hard, Soft, MIDAS, MIDAS w/ hard label; in table 6, the clips.
        scores: in percent, by column: uar, war, and in table 1 each of `CLASSES`.
        marks: which columns are marked as best and second best. The copy of the text that these are from has the
            underlining of second bests, but not the bold: best is what stands highest in a table with such marks.
        notes: numbers of `FOOTNOTES` that the row needs.
    """

    method: str
    label: str
    scores: Mapping[str, float]
    marks: Mapping[str, Mark]
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PrintedTable:
    """A table as the paper prints it.

    Attributes:
        title: what it shows, as it goes on behind "Table 1:".
        trained_on, tested_on: data sets.
        folds: how many folds the scores are the mean of; 1 for the data set's own split; None where it is not said.
        notes: numbers of `FOOTNOTES` that hold for all of it.
    """

    number: int
    title: str
    trained_on: str
    tested_on: str
    folds: int | None
    rows: tuple[PrintedRow, ...]
    notes: tuple[int, ...] = ()


_TSM = "Resnet18+TSM (Ours)"
_COLUMNS = (*CLASSES, "uar", "war")
_MARKS: Mapping[str, Mark] = {"*": "best", "+": "second"}


def _rows(printed: str, method: str = "") -> tuple[PrintedRow, ...]:
    """Rows out of lines "method | label | scores | footnotes"; of one method, it is left out of the lines.

    Scores are the last of `_COLUMNS`; a * stands at the best of a column, a + at the second best.
    """
    rows = []
    for line in printed.strip().splitlines():
        *name, label, scores, notes = (part.strip() for part in line.split("|"))
        cells = dict(zip(_COLUMNS[-len(scores.split()) :], scores.split(), strict=True))
        values = {column: float(cell.rstrip("*+")) for column, cell in cells.items()}
        marks = {column: _MARKS[cell[-1]] for column, cell in cells.items() if cell[-1] in _MARKS}
        rows.append(PrintedRow("".join(name) or method, label, values, marks, tuple(map(int, notes.split()))))
    return tuple(rows)


_TABLE_1 = f"""
3D Resnet18   | Hard  | 79.18   49.05   57.85   60.98   46.15   2.76    21.51   46.52   58.27  | 4
Resnet18+GRU  | Hard  | 82.87   63.83   65.06   68.51   52.00   0.86    30.14   51.68   64.02  | 2 3
Former-DFER   | Hard  | 84.05   62.57   67.52+  70.03   56.43   3.45    31.78   53.69   65.70  |
STT           | Hard  | 87.36   67.96*  64.97   71.24+  53.10   3.49    34.04+  54.58   66.65  | 3
DPCNet        | Hard  | 89.59*  64.82   66.98   63.14   53.81   14.48+  32.34   57.11+  66.32  | 2
GCA+IAL       | Hard  | 87.95+  67.21   70.10*  76.06*  62.22*  0.00    26.44   55.71   69.24* |
{_TSM}        | MIDAS | 87.40   67.34+  58.64   68.06   59.65+  28.69*  44.50*  57.45*  69.16+ | 2 3
"""
_TABLE_2 = """
Hard  | 54.03 64.31 |
Soft  | 54.61 67.27 |
MIDAS | 57.45 69.16 | 2
"""
_TABLE_3 = """
Hard                | 54.03 64.31 |
Soft                | 54.61 67.27 |
MIDAS w/ hard label | 54.93 65.66 |
MIDAS               | 57.45 69.16 | 2
"""
_TABLE_4 = f"""
Two VGG13-LSTM | Hard                | 31.28  43.20  | 5
Former-DFER    | Hard                | 37.20  46.85  |
GCA+ICL        | Hard                | 35.82  48.54* |
{_TSM}         | MIDAS w/ hard label | 39.20* 47.37+ |
"""
_TABLE_5 = """
Hard  | 38.20 40.72 |
Soft  | 36.67 39.61 |
MIDAS | 39.56 43.77 |
"""
_TABLE_6 = """
Clear expression group | 45.42 58.46 |
Mixed expression group | 48.54 60.91 |
"""
_TABLE_7 = """
Hard  | 51.62 64.00 |
Soft  | 51.82 65.00 |
MIDAS | 53.70 67.01 |
"""

_TABLES = (
    PrintedTable(1, "accuracy for each emotion class, UAR and WAR", "DFEW", "DFEW", 5, _rows(_TABLE_1), (1,)),
    PrintedTable(2, "MIDAS beside training on soft and hard labels", "DFEW", "DFEW", 5, _rows(_TABLE_2, _TSM), (1,)),
    PrintedTable(3, "MIDAS with and without hard labels", "DFEW", "DFEW", 5, _rows(_TABLE_3, _TSM), (1,)),
    PrintedTable(4, "MIDAS with hard labels on FERV39k", "FERV39k", "FERV39k", 1, _rows(_TABLE_4)),
    PrintedTable(5, "trained on one data set, tested on another", "DFEW", "AFEW", None, _rows(_TABLE_5, _TSM), (6,)),
    PrintedTable(6, "trained with and without ambiguous clips", "DFEW", "DFEW", None, _rows(_TABLE_6, _TSM), (1,)),
    PrintedTable(7, "the 2DCNN-GRU architecture", "DFEW", "DFEW", 5, _rows(_TABLE_7, "2DCNN-GRU"), (1,)),
)

TABLES: Mapping[int, PrintedTable] = MappingProxyType({table.number: table for table in _TABLES})
"""The paper's tables by number."""


@dataclass(frozen=True)
class PublishedScores:
    """UAR and WAR that a system reaches by its own publication, in percent; None where not published.

    On DFEW over five folds. `input`: frames times side in pixels; where known, parameters (M) and operations (GFLOP).
    """

    system: str
    dfew: tuple[float | None, float | None]
    ferv39k: tuple[float | None, float | None]
    input: str


OTHERS: tuple[PublishedScores, ...] = (
    PublishedScores("3D ResNet-18", (46.52, 58.27), (26.67, 37.57), "16 x 112"),
    PublishedScores("STT", (54.58, 66.65), (37.76, 48.11), "16 x 112"),
    PublishedScores("M3DFEL", (56.10, 69.25), (35.94, 47.67), "16 x 112"),
    PublishedScores("DFER-CLIP", (59.61, 71.25), (41.27, 51.65), "16 x 224"),
    PublishedScores("MAE-DFER", (63.41, 74.43), (43.12, 52.07), "16 x 160, 85 M parameters, 50 GFLOP"),
    PublishedScores("S2D", (61.82, 76.03), (41.28, 52.56), "16 x 224"),
    PublishedScores("S4D", (None, 76.68), (None, 53.65), "16 x 224"),
)
"""Systems that one of tables 1 and 4 does not have, from below to above; what a reader of it compares with."""


def what_others_reach(table: PrintedTable) -> str:
    """Say what systems that are not in a table reach on its data set; "" but for tables 1 and 4, which compare systems.

    A system is in the table if a row has its scores.
    """
    if table.number not in (1, 4):
        return ""
    printed = {(row.scores["uar"], row.scores["war"]) for row in table.rows}
    found = [(each, each.dfew if table.tested_on == "DFEW" else each.ferv39k) for each in OTHERS]
    told = [f"{each.system} {_score(uar)} / {_score(war)} ({each.input})" for each, (uar, war) in found]
    shown = [text for text, (_, scores) in zip(told, found, strict=True) if scores not in printed]
    return (
        f"Not in the paper's table, and not trained here: what other systems reach on {table.tested_on} by their own "
        f"publications, UAR / WAR in percent (frames x side in pixels): {'; '.join(shown)}."
    )


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
