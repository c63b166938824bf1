"""The printed figures: whole, marked as printed, and with the contradictions that the footnotes tell of."""

import re
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from midas_dfer.errors import RequestError
from midas_dfer.experiments.beside import MARKED, Row, Score, table_of
from midas_dfer.experiments.paper import (
    CLASSES,
    DFEW_CLIPS,
    FOOTNOTES,
    OTHERS,
    TABLES,
    PrintedRow,
    what_others_reach,
)
from midas_dfer.experiments.tables import EXPERIMENTS, NORMALIZATIONS, check_settings, experiment
from midas_dfer.metrics import MeanScore
from midas_dfer.report.result_tables import terminal_table
from midas_dfer.training.config import PUBLISHED_ALPHA
from midas_dfer.training.recipes import recipe

README = Path(__file__).resolve().parents[1] / "README.md"
TABLE_1 = {row.method: row for row in TABLES[1].rows}
MIDAS = TABLE_1["Resnet18+TSM (Ours)"]


def test_all_rows_are_there():
    assert {number: len(table.rows) for number, table in TABLES.items()} == {1: 7, 2: 3, 3: 4, 4: 4, 5: 3, 6: 2, 7: 3}
    for number, table in TABLES.items():
        assert table.number == number
        for row in table.rows:
            assert 0 < row.uar < row.war < 100  # in every printed row
            assert bool(row.accuracies) == (number == 1)
            assert set(row.notes) <= set(range(1, len(FOOTNOTES) + 1))


def test_rows_that_tables_share_are_the_same():
    def scores(number: int) -> dict[str, tuple[float, float]]:
        return {row.label: (row.uar, row.war) for row in TABLES[number].rows}

    assert scores(2).items() <= scores(3).items()
    assert scores(2)["MIDAS"] == (MIDAS.uar, MIDAS.war)
    others = {standing.system: standing.dfew for standing in OTHERS}
    for name, row in (("3D ResNet-18", "3D Resnet18"), ("STT", "STT")):
        assert others[name] == (TABLE_1[row].uar, TABLE_1[row].war)


def test_the_figures_that_the_text_names():
    """Sections 4.4 to 5.6 name differences, which are those of the tables."""
    by_label = {row.label: row for row in TABLES[3].rows}
    assert round(MIDAS.uar - TABLE_1["DPCNet"].uar, 2) == 0.34
    assert round(TABLE_1["GCA+IAL"].war - MIDAS.war, 2) == 0.08
    assert round(by_label["MIDAS w/ hard label"].war - by_label["Hard"].war, 2) == 1.35
    assert MIDAS.accuracy("happy") == 87.40
    assert TABLES[7].rows[2].uar == 53.70


@pytest.mark.parametrize("column", [*CLASSES, "UAR", "WAR"])
def test_marks_are_those_of_the_highest(column):
    values = {row.method: row.accuracy(column) or getattr(row, column.lower(), 0.0) for row in TABLES[1].rows}
    first, second = sorted(values, key=lambda method: -values[method])[:2]
    marked = {row.mark(column): row.method for row in TABLES[1].rows if row.mark(column)}
    assert marked == {"best": first, "second": second}


def test_dfew_has_11697_clips():
    assert sum(DFEW_CLIPS.values()) == 11_697
    assert tuple(DFEW_CLIPS) == CLASSES
    assert "11,697" in FOOTNOTES[0]


def test_the_row_of_midas_contradicts_itself():
    assert round(MIDAS.mean_of_classes, 2) == 59.18
    assert round(MIDAS.mean_of_clips, 2) == 66.48
    assert (MIDAS.uar, MIDAS.war) == (57.45, 69.16)
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
    gaps = (abs(row.mean_of_classes - row.uar), abs(row.mean_of_clips - row.war))
    assert max(gaps) <= gap
    assert gap == 0.02 or max(gaps) > gap - 0.01
    assert gap == 0.02 or row.notes
    assert gap > 0.5 or f"within {gap}" in FOOTNOTES[1]


def test_what_the_row_of_dpcnet_comes_to():
    row = TABLE_1["DPCNet"]
    assert (round(row.mean_of_classes, 2), round(row.mean_of_clips, 2)) == (55.02, 65.67)
    assert f"55.02 and 65.67, printed {row.uar} and {row.war}" in FOOTNOTES[1]


def test_disgust_accuracies_that_are_no_share_of_145_clips():
    counts = [round(100 * n / DFEW_CLIPS["disgust"], 2) for n in range(146)]
    no_share = {row.method for row in TABLES[1].rows if row.accuracy("disgust") not in counts}
    assert no_share == {"Resnet18+TSM (Ours)", "STT", "Resnet18+GRU"}
    assert no_share == {row.method for row in TABLES[1].rows if 3 in row.notes}
    assert {28.28, 28.97} <= set(counts)
    for method in no_share:
        assert f"{TABLE_1[method].accuracy('disgust')}" in FOOTNOTES[2]


@pytest.mark.parametrize(("printed", "possible"), [(28.69, True), (3.49, True), (0.86, False)])
def test_which_disgust_accuracies_can_be_a_mean_over_five_folds(printed, possible):
    """Try every division of the 145 clips into folds of 24 to 34, and every number of hits in four of them."""
    divisions = [sizes for sizes in combinations_with_replacement(range(24, 35), 5) if sum(sizes) == 145]
    low, high = 5 * (printed - 0.005) / 100, 5 * (printed + 0.005) / 100

    def reached(sizes: tuple[int, ...], total: float = 0.0) -> bool:
        if len(sizes) == 1:
            hits = round((5 * printed / 100 - total) * sizes[0])
            return 0 <= hits <= sizes[0] and low <= total + hits / sizes[0] <= high
        return any(reached(sizes[1:], total + hits / sizes[0]) for hits in range(1 + int((high - total) * sizes[0])))

    assert any(reached(sizes) for sizes in divisions) == possible


def test_3d_resnet_18_has_another_systems_accuracies():
    own = tuple(float(each) for each in re.findall(r"\d+\.\d\d", FOOTNOTES[3]))
    row = TABLE_1["3D Resnet18"]
    right = PrintedRow(row.method, row.label, row.uar, row.war, own)
    assert len(own) == 7
    assert abs(right.mean_of_classes - right.uar) < 0.1
    assert abs(right.mean_of_clips - right.war) < 0.2
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
    assert (TABLES[4].rows[0].uar, TABLES[4].rows[0].war) == (31.28, 43.20)
    assert TABLES[4].rows[0].notes == (5,)
    assert TABLES[5].notes == (6,)


def test_the_readme_has_the_same_six():
    text = README.read_text(encoding="utf-8")
    listed = re.findall(r"^\d\. ", text[text.index("Some printed figures contradict") :].split("##")[0], re.MULTILINE)
    assert len(listed) == len(FOOTNOTES) == 6


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
    assert {m.config().mixer for m in experiment("mixers").methods} == {"none", *PUBLISHED_ALPHA}
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
