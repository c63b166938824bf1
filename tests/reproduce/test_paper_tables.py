"""The printed figures: whole, marked as printed, and with the contradictions that the footnotes tell of."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from midas_dfer.errors import RequestError
from midas_dfer.metrics import MeanScore
from midas_dfer.mixing import MIXERS
from midas_dfer.report.tables.markup import latex_table, markdown_table
from midas_dfer.report.tables.table_data import TableData
from midas_dfer.report.tables.terminal import terminal_table
from midas_dfer.reproduce.compare_printed import MARKED, Row, Score, table_of
from midas_dfer.reproduce.printed import (
    CLASSES,
    FOOTNOTES,
    OTHERS,
    TABLES,
    PrintedRow,
    what_others_reach,
)
from midas_dfer.reproduce.rows import (
    EXPERIMENTS,
    FORMER_DFERS_RECIPE,
    HARAS_RECIPE,
    LOGO_FORMERS_RECIPE,
    NORMALIZATIONS,
    OWN_DESIGN,
    OWN_RECIPE,
    OWN_SIZES,
    check_settings,
    experiment,
)
from midas_dfer.training.recipes import recipe
from midas_dfer.training.scoring.baselines import Reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "paper.md"
TABLE_1 = {row.method: row for row in TABLES[1].rows}
MIDAS = TABLE_1["Resnet18+TSM (Ours)"]


DFEW_FOLDS: tuple[tuple[int, ...], ...] = (
    (489, 379, 534, 435, 294, 29, 181),
    (489, 379, 534, 435, 294, 29, 181),
    (489, 379, 534, 435, 294, 29, 180),
    (489, 379, 534, 434, 294, 29, 180),
    (489, 378, 533, 434, 293, 29, 180),
)
"""How many clips of each of `CLASSES` DFEW's five test parts hold.

Counted in the lists that the code of Former-DFER (GitHub, zengqunzhao/Former-DFER, annotation/DFEW_set_1_test.txt to
DFEW_set_5_test.txt) and that of DFER-CLIP (zengqunzhao/DFER-CLIP, the same names) come with; both agree.
"""

DFEW_CLIPS = dict(zip(CLASSES, (sum(column) for column in zip(*DFEW_FOLDS, strict=True)), strict=True))
"""How many clips of each class they hold together: 11,697."""


def mean_of_classes(row: PrintedRow) -> float:
    """What the UAR must be if it is the mean of the class accuracies."""
    return sum(row.scores[name] for name in CLASSES) / len(CLASSES)


def mean_of_clips(row: PrintedRow) -> float:
    """What the WAR must be if the class accuracies are those of DFEW's clips."""
    return sum(row.scores[name] * n for name, n in DFEW_CLIPS.items()) / sum(DFEW_CLIPS.values())


def test_all_rows_are_there():
    assert {number: len(table.rows) for number, table in TABLES.items()} == {1: 7, 2: 3, 3: 4, 4: 4, 5: 3, 6: 2, 7: 3}
    for number, table in TABLES.items():
        assert table.number == number
        for row in table.rows:
            assert 0 < row.scores["uar"] < row.scores["war"] < 100  # in every printed row
            assert (row.scores.keys() >= set(CLASSES)) == (number == 1)
            assert set(row.notes) <= set(range(1, len(FOOTNOTES) + 1))


def test_rows_that_tables_share_are_the_same():
    def scores(number: int) -> dict[str, tuple[float, float]]:
        return {row.label: (row.scores["uar"], row.scores["war"]) for row in TABLES[number].rows}

    assert scores(2).items() <= scores(3).items()
    assert scores(2)["MIDAS"] == (MIDAS.scores["uar"], MIDAS.scores["war"])
    others = {each.system: each.dfew for each in OTHERS}
    for name, row in (("3D ResNet-18", "3D Resnet18"), ("STT", "STT")):
        assert others[name] == (TABLE_1[row].scores["uar"], TABLE_1[row].scores["war"])


def test_the_figures_that_the_text_names():
    """Sections 4.4 to 5.6 name differences, which are those of the tables."""
    by_label = {row.label: row for row in TABLES[3].rows}
    assert round(MIDAS.scores["uar"] - TABLE_1["DPCNet"].scores["uar"], 2) == 0.34
    assert round(TABLE_1["GCA+IAL"].scores["war"] - MIDAS.scores["war"], 2) == 0.08
    assert round(by_label["MIDAS w/ hard label"].scores["war"] - by_label["Hard"].scores["war"], 2) == 1.35
    assert MIDAS.scores["happy"] == 87.40
    assert TABLES[7].rows[2].scores["uar"] == 53.70


@pytest.mark.parametrize("column", [*CLASSES, "uar", "war"])
def test_marks_are_those_of_the_highest(column):
    values = {row.method: row.scores[column] for row in TABLES[1].rows}
    first, second = sorted(values, key=lambda method: -values[method])[:2]
    marked = {row.marks.get(column): row.method for row in TABLES[1].rows if row.marks.get(column)}
    assert marked == {"best": first, "second": second}


def test_dfew_has_11697_clips():
    assert sum(DFEW_CLIPS.values()) == 11_697
    assert tuple(DFEW_CLIPS) == CLASSES
    assert "11,697" in FOOTNOTES[0]


def test_the_row_of_midas_contradicts_itself():
    assert round(mean_of_classes(MIDAS), 2) == 59.18
    assert round(mean_of_clips(MIDAS), 2) == 66.48
    assert (MIDAS.scores["uar"], MIDAS.scores["war"]) == (57.45, 69.16)
    for figure in ("59.18", "57.45", "66.48", "69.16"):
        assert figure in FOOTNOTES[1]
    assert 2 in MIDAS.notes


@pytest.mark.parametrize(
    ("method", "gap"),
    [
        ("Former-DFER", 0.02),
        ("STT", 0.02),
        ("GCA+IAL", 0.02),
        ("Resnet18+GRU", 0.22),
        ("DPCNet", 2.09),
        ("3D Resnet18", 1.76),
        ("Resnet18+TSM (Ours)", 2.69),
    ],
)
def test_which_rows_agree_with_themselves(method, gap):
    row = TABLE_1[method]
    gaps = (abs(mean_of_classes(row) - row.scores["uar"]), abs(mean_of_clips(row) - row.scores["war"]))
    assert max(gaps) <= gap
    assert gap == 0.02 or max(gaps) > gap - 0.01
    assert gap == 0.02 or row.notes
    assert gap > 0.5 or f"within {gap}" in FOOTNOTES[1]


def test_what_the_row_of_dpcnet_comes_to():
    row = TABLE_1["DPCNet"]
    assert (round(mean_of_classes(row), 2), round(mean_of_clips(row), 2)) == (55.02, 65.67)
    assert f"55.02 and 65.67, printed {row.scores['uar']} and {row.scores['war']}" in FOOTNOTES[1]


def shares_of(clips: int) -> set[float]:
    return {round(100 * hits / clips, 2) for hits in range(clips + 1)}


def test_every_test_fold_of_dfew_holds_29_disgust_clips():
    """The sizes of the published lists, which the readers of DFEW's own split files know as well."""
    assert [sum(fold) for fold in DFEW_FOLDS] == [2341, 2341, 2340, 2339, 2336]
    assert {fold[CLASSES.index("disgust")] for fold in DFEW_FOLDS} == {29}
    for column in zip(*DFEW_FOLDS, strict=True):  # stratified: no class differs by more than one clip
        assert max(column) - min(column) <= 1
    assert "holds 29 disgust clips" in FOOTNOTES[2]


def test_disgust_accuracies_that_are_no_mean_over_five_folds():
    """With 29 clips in each fold the mean of the folds' accuracies is hits / 145."""
    for hits in ((29, 0, 3, 7, 1), (8, 8, 9, 8, 8)):
        assert sum(each / 29 for each in hits) / 5 == pytest.approx(sum(hits) / 145)
    impossible = {row.method for row in TABLES[1].rows if row.scores["disgust"] not in shares_of(145)}
    assert impossible == {"Resnet18+TSM (Ours)", "STT", "Resnet18+GRU"}
    assert impossible == {row.method for row in TABLES[1].rows if 3 in row.notes}


@pytest.mark.parametrize(("printed", "of_725"), [(28.69, 208), (3.49, None), (0.86, None)])
def test_footnote_and_page_say_what_the_disgust_accuracies_can_be(printed, of_725):
    readme = PAGE.read_text(encoding="utf-8")
    listed = readme[readme.index("Some published figures contradict") :].split("##")[0]
    (item,) = re.findall(r"^3\. (.*?)^4\. ", listed, re.MULTILINE | re.DOTALL)
    below = max(share for share in shares_of(145) if share < printed)
    above = min(share for share in shares_of(145) if share > printed)
    nearest = min((below, above), key=lambda share: abs(share - printed))
    for text in (FOOTNOTES[2], " ".join(item.split())):
        assert f"{printed:.2f}" in text
        assert f"{nearest:.2f}" in text
        if printed == 28.69:
            assert f"{below:.2f} and {above:.2f} %" in text
            assert f"{of_725} of 725" in text
    assert (printed in shares_of(725)) == (of_725 is not None)
    assert of_725 is None or round(100 * of_725 / 725, 2) == printed


def test_3d_resnet_18_has_another_systems_accuracies():
    own = tuple(float(each) for each in re.findall(r"\d+\.\d\d", FOOTNOTES[3]))
    row = TABLE_1["3D Resnet18"]
    right = replace(row, scores={**row.scores, **dict(zip(CLASSES, own, strict=True))})
    assert len(own) == 7
    assert abs(mean_of_classes(right) - right.scores["uar"]) < 0.1
    assert abs(mean_of_clips(right) - right.scores["war"]) < 0.2
    assert row.notes == (4,)


def test_other_systems_are_told_of_where_systems_are_compared():
    assert [number for number, table in TABLES.items() if what_others_reach(table)] == [1, 4]
    first, fourth = what_others_reach(TABLES[1]), what_others_reach(TABLES[4])
    assert "S4D - / 76.68 (16 x 224)" in first
    assert "S2D 41.28 / 52.56" in fourth
    assert "STT 37.76 / 48.11" in fourth
    for name in ("STT", "3D ResNet-18", "MIDAS"):  # rows of table 1
        assert name not in first


def test_two_vgg13_lstm_and_afew():
    assert (TABLES[4].rows[0].scores["uar"], TABLES[4].rows[0].scores["war"]) == (31.28, 43.20)
    assert TABLES[4].rows[0].notes == (5,)
    assert TABLES[5].notes == (6,)


def test_the_page_on_the_paper_has_the_same_six():
    """Item by item: every figure and every name that docs/paper.md tells of stands in the footnote of that number."""
    text = PAGE.read_text(encoding="utf-8")
    listed = text[text.index("Some published figures contradict") :].split("##")[0]
    items = [" ".join(each.split()) for each in re.split(r"^\d\. ", listed, flags=re.MULTILINE)[1:]]
    assert len(items) == len(FOOTNOTES) == 6
    for item, footnote in zip(items, FOOTNOTES, strict=True):
        figures = re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", item)
        missing = [each for each in figures if not re.search(rf"(?<![\d.]){re.escape(each)}(?!\d|\.\d)", footnote)]
        assert missing == []
        names = re.findall(r"\b(?:Former-DFER|STT|GCA\+IAL|DPCNet|EC-STFL|3D Resnet18|VGG13|AFEW|DFEW)", item)
        assert [each for each in names if each not in footnote] == []
    told = ("11,697", "57.45", "29 disgust clips", "EC-STFL", "32.79", "validation part")
    for item, footnote, fact in zip(items, FOOTNOTES, told, strict=True):
        assert fact in item
        assert fact in footnote


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_table_has_recipes(name):
    table = experiment(name)
    names = [method.name for method in table.methods]
    assert len(set(names)) == len(names)
    for method in table.methods:
        assert len(method.cells) == len(table.headings) - (table.layout == "readings")
        config = method.config()
        for setting, value in method.changes:
            assert getattr(config, setting) == value
        if not method.changes:
            assert config == recipe(method.recipe).config()
    assert {each for pair in table.question for each in pair} <= set(names)


def test_printed_rows_have_methods():
    for name, table in EXPERIMENTS.items():
        if table.printed is None:
            assert all(table.printed_row(method) is None for method in table.methods)
            continue
        assert name == f"table-{table.printed.number}"
        places = [method.printed for method in table.methods if method.printed is not None]
        assert places == list(range(len(table.printed.rows)))
        for method in table.methods:
            row = table.printed_row(method)
            if row is not None and name != "table-6":
                printed = row.label.lower().replace("w/ hard label", "with hard labels")
                assert method.config().method_name.lower() == printed
    assert {method.config().learning_rate for method in experiment("table-4").methods[3:]} == {0.01}
    assert {method.config().group for method in experiment("table-6").methods} == {"clear", "mixed"}


def test_methods_of_one_name_are_one_training():
    """Tables that are made in one folder share their runs."""
    found: dict[str, object] = {}
    for table in EXPERIMENTS.values():
        for method in table.methods:
            assert found.setdefault(method.name, method.config()) == method.config()


def test_beyond_the_paper():
    grid = experiment("normalization").methods
    assert len(grid) == len(NORMALIZATIONS) * 3 * 3
    assert len({(m.config().normalization, m.config().temperature) for m in grid}) == len(NORMALIZATIONS)
    assert {m.config().mixer for m in experiment("mixers").methods} == {"none", *MIXERS}
    assert {m.config().votes_used for m in experiment("votes").methods} == {1, 2, 5, 10}


def test_settings_go_into_every_row_but_for_what_rows_are_about():
    config = experiment("table-4").methods[3].config({"epochs": 5, "learning_rate": 0.5})
    assert (config.epochs, config.learning_rate) == (5, 0.01)
    stepped = experiment("table-1").methods[0].config({"schedule": "cosine"})
    assert stepped.milestones == ()
    with pytest.raises(RequestError, match="--labels"):
        check_settings({"labels": "hard"})
    with pytest.raises(RequestError, match="--epoch"):
        check_settings({"epoch": 3})
    with pytest.raises(RequestError, match="table-9"):
        experiment("table-9")


def test_marks_on_our_figures_are_said_to_go_by_the_mean():
    table = experiment("table-2")
    rows = [
        Row(m.name, m.cells, tuple(Score(name, MeanScore.of([v, v + 1])) for name in ("uar", "war")))
        for m, v in zip(table.methods, (50.0, 51.0, 52.0), strict=True)
    ]
    assert MARKED in table_of(table, rows, ()).footnotes
    assert MARKED not in table_of(table, rows, (), smoke=True).footnotes  # has no such marks
    assert MARKED not in table_of(table, rows[:1], ()).footnotes


def test_guesses_stand_below_the_rows_without_marks():
    guess = Reference("always happy", 0.5, 0.6, None, 0.4, 0.7)
    for name, cells in (("table-2", ("50.00", "60.00")), ("calibration", ("0.400", "0.700", "\u2013"))):
        table = experiment(name)
        measures = ("uar", "war") if name == "table-2" else ("jensen_shannon", "total_variation", "entropy_spearman")
        rows = [
            Row(m.name, (*m.cells, *table.headings[1:]), tuple(Score(each, MeanScore.of([v])) for each in measures))
            for m, v in zip(table.methods, (1.0, 2.0, 3.0), strict=True)
        ]
        made = table_of(table, rows, (), [(guess, "Made of clips.")])
        last = made.rows[-1]
        assert {cell.text for cell in last if cell.text} == {"always happy", *cells}
        assert made.footnotes[last[0].note[0] - 1] == "Made of clips."
        assert not any(cell.mark for cell in last)


def test_what_names_a_row_is_there_in_every_block():
    grid = experiment("normalization")
    names = ("uar", "war", "soft_cross_entropy", "jensen_shannon", "total_variation")
    rows = [
        Row(m.name, m.cells, tuple(Score(name, MeanScore.of([1 + n / 100, 1.1])) for name in names))
        for n, m in enumerate(grid.methods)
    ]
    text = terminal_table(table_of(grid, rows, ()))
    lines = [line for line in text.splitlines() if line.startswith(("none ", "softmax "))]
    heads = [line[:46] for line in lines]
    assert len(set(heads)) == len(grid.methods) == 54
    assert {heads.count(head) for head in heads} == {3}
    assert max(map(len, text.splitlines())) <= 80


def shown(name: str) -> TableData:
    table = experiment(name)
    rows = []
    for method in table.methods:
        printed = table.printed_row(method)
        scores = tuple(Score(each, MeanScore.of([50.0, 51.0])) for each in ("uar", "war"))
        rows.append(Row(method.name, method.cells, scores, printed.notes if printed else (), method.departures))
    return table_of(table, rows, ())


@pytest.mark.parametrize(
    ("name", "row", "texts"),
    [
        ("table-1", 0, (HARAS_RECIPE,)),
        ("table-1", 1, (OWN_SIZES, FORMER_DFERS_RECIPE)),
        ("table-1", 2, ()),
        ("table-1", 3, (OWN_DESIGN, LOGO_FORMERS_RECIPE)),
        ("table-1", 4, (OWN_DESIGN, FORMER_DFERS_RECIPE)),
        ("table-1", 5, ()),
        ("table-1", 6, ()),
        ("table-4", 0, (OWN_DESIGN, OWN_RECIPE)),
        ("table-4", 1, ()),
        ("table-7", 0, (OWN_SIZES,)),
    ],
)
def test_a_row_that_is_another_network_or_training_says_so_in_the_table(name, row, texts):
    """In every form of the table, by a mark at our figures that leads to the sentence below."""
    data = shown(name)
    places = tuple(data.footnotes.index(text) + 1 for text in texts)
    if experiment(name).per_class:  # a heading with ours and the printed figures below it
        lines = data.rows[sum(count for _, count in data.groups[:row]) :]
        assert (lines[0][0].text, lines[0][0].note) == ("ours", places)
    else:
        assert data.rows[row][0].note == places
    if places:
        marks = ",".join(map(str, places))
        label = "ours" if experiment(name).per_class else data.rows[row][0].text
        assert f"{label}[{marks}]" in terminal_table(data)
        assert f"{label}<sup>{marks.replace(',', ', ')}</sup>" in markdown_table(data)
        assert rf"{label}\textsuperscript{{{marks}}}" in latex_table(data)
        for text in texts:
            assert "".join(text.split()) in "".join(terminal_table(data).split())


def test_footnotes_on_recipes_are_those_of_the_recipes():
    hara, former, logo = (recipe(name).config() for name in ("resnet3d_18", "former_dfer", "stt"))
    assert (
        f"rate {hara.learning_rate:g}, batches of {hara.batch_size}, {hara.epochs} epochs, "
        f"weight decay {hara.weight_decay:g})" in HARAS_RECIPE
    )
    settings = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "milestones", "weight_decay")
    for name in ("cnn_gru_resnet18", "dpcnet"):
        config = recipe(name).config()
        assert {each: getattr(config, each) for each in settings} == {each: getattr(former, each) for each in settings}
    assert logo.loss == "compact"
