"""Results in a notebook: tables of polars and pandas, and HTML in which nothing of a file is taken for markup."""

import csv
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from midas_dfer import Manifest, RequestError
from midas_dfer.manifest.sample import Sample
from midas_dfer.notebook import Share, Strip, Table, notebook_html
from midas_dfer.predict.timeline import Timeline
from midas_dfer.training.scoring.scores import Predictions, score
from tests.predict.test_timeline import NAMES, make_timeline, make_track

EVIL = "<script>alert('x')</script>&"


class Outline(HTMLParser):
    """Tags and text; fails where a tag is not closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


def outline(shown: object) -> Outline:
    parser = Outline()
    parser.feed(shown if isinstance(shown, str) else shown._repr_html_())
    assert not parser.open
    assert "script" not in parser.tags
    return parser


@pytest.fixture
def timeline() -> Timeline:
    return make_timeline(make_track(1, 0.0, 4.0), make_track(2, 1.0, 3.0), video=EVIL)


def test_a_timeline_as_a_table_of_polars_is_its_csv(timeline):
    table = timeline.to_polars()
    rows = list(csv.reader(io.StringIO(timeline.to_csv())))
    assert table.columns == rows[0]
    assert [[str(value) for value in row] for row in table.rows()] == rows[1:]
    assert table["track"].unique().to_list() == [1, 2]


def test_a_timeline_as_a_table_of_pandas(timeline, monkeypatch):
    pandas = pytest.importorskip("pandas")
    table = timeline.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table.to_dict("records") == timeline.to_polars().to_dicts()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RequestError, match="needs the package pandas, which is not installed: pip install pandas"):
        timeline.to_pandas()


def test_a_timeline_without_vote_shares(timeline):
    window = replace(timeline.tracks[0].windows[0], vote_shares=None)
    track = replace(timeline.tracks[0], windows=(window,))
    without = replace(timeline, tracks=(track,), no_vote_shares="trained on single labels")
    table = without.to_polars()
    assert table["no_vote_shares"].to_list() == ["trained on single labels"]
    assert not [name for name in table.columns if name.startswith("vote_share_")]
    assert "probabilities" in outline(without).text


def test_a_timeline_in_a_notebook(timeline):
    found = outline(replace(timeline, note="the file is interlaced", read_by="the run <b>"))
    for text in (EVIL, "the run <b>", "note: the file is interlaced", "Face 2, 1.0 to 3.0 s", *NAMES):
        assert text in found.text
    assert found.tags.count("svg") == 2 * len(NAMES)
    mean = timeline.tracks[0].summary.shown
    for name, share in zip(NAMES, mean, strict=True):
        assert f"{name}\n{100 * share:.0f} %" in found.text
    crowd = replace(timeline, tracks=tuple(make_track(i, 0.0, 1.0 + i) for i in range(1, 10)))
    text = outline(crowd).text
    assert "3 more, shorter in view" in text
    assert "Face 9," in text
    assert "Face 3," not in text
    still = outline(make_timeline(make_track(1, 0.0, 0.0), duration=0.0))
    assert "svg" not in still.tags


def test_a_strip_has_a_cell_for_each_change():
    found = re.findall(r"x='(\d+)' width='(\d+)'.*?fill-opacity='([\d.]+)'", notebook_html("", [], [_strips()]))
    assert found == [("0", "2", "0.50"), ("2", "1", "1.00"), ("3", "1", "0.00")]


def _strips() -> Table:
    return Table(("over time",), ((Strip((0.5, 0.501, 1.2, -1.0)),),))


def test_an_evaluation_in_a_notebook():
    rng = np.random.default_rng(0)
    votes, read = rng.dirichlet(np.ones(3), 20), rng.dirichlet(np.ones(3), 20)
    labels = np.where(votes.argmax(axis=1) == 2, 0, votes.argmax(axis=1))
    predictions = Predictions(tuple("abcdefghijklmnopqrst"), labels, np.ones(20, dtype=bool), votes, read, None)
    about = {"method": "MIDAS", "model": "toy", "dataset": EVIL, "part": "test", "class_names": ("happy", EVIL, "none")}
    evaluation = score(predictions, **about, caution="", no_vote_shares="x")
    found = outline(evaluation)
    assert EVIL in found.text
    assert f"UAR {100 * evaluation.uar:.2f} %" in found.text
    assert f"{evaluation.agreement['probabilities'].jensen_shannon:.4f}" in found.text
    assert "CAUTION" not in found.text
    assert "none\n0\n–\n" in found.text  # a class without clips has no recall
    nothing = replace(evaluation, uar=None, war=None, agreement=None, caution="1 of them was used in training")
    found = outline(nothing)
    assert "table" not in found.tags
    assert "CAUTION: 1 of them was used in training." in found.text


def test_a_manifest_in_a_notebook():
    samples = [
        Sample(f"clip{i} {EVIL}", f"{i}.mp4", votes=(3, 1), label=None if i else 0, subject=str(i % 4), fold=1 + i % 2)
        for i in range(9)
    ]
    manifest = Manifest.from_samples(("happy", EVIL), samples, "toy").with_notes(*(f"{EVIL} {i}" for i in range(12)))
    found = outline(manifest)
    for text in (
        "Manifest toy",
        "9 clips, 9 with votes, 1 with a single label",
        "4 subjects",
        "folds: 1 (5 clips), 2 (4 clips)",
        f"happy\n1\n27\n75 %\n{EVIL}\n0\n9\n25 %",
        f"clip4 {EVIL}\n-\nhappy 3, {EVIL} 1",
        f"note: {EVIL} 9",
        "and 2 notes more",
    ):
        assert text in found.text
    assert "clip5" not in found.text
    assert outline(Manifest.from_samples(("happy",), [], "empty")).text.startswith("Manifest empty")


def test_shares_outside_of_the_scale_do_not_break_the_bar():
    assert "100.0%" in notebook_html("", [], [Table(("a",), ((Share(1.2),),))])
