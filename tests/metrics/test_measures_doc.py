"""docs/measures.md: its example prints what it shows, its tables are those of the code and of the votes of FER+."""

import re
from pathlib import Path

import polars as pl

import midas_dfer.metrics
from midas_dfer.metrics import EMOTION_POSITIONS, noise_floor, split_halves
from tests.labels.test_labels_real import ferplus  # noqa: F401 - fixture

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
ELSEWHERE = {"uar", "war", "confusion_matrix", "recall_per_class", "wilson_interval", "drawn_votes"}


def test_the_example_prints_what_the_page_shows(capsys):
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.S).groups()  # type: ignore[union-attr]
    exec(compile(code, "measures.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == shown


def test_every_measure_is_named_and_every_one_named_is_there():
    room, others = midas_dfer.metrics, ("bootstrap", "resampled_scores", "seeds", "significance")
    measures = {
        name
        for name in room.__all__
        if name.islower() and getattr(room, name).__module__.rsplit(".", 1)[-1] not in others
    }
    rows = re.findall(r"^\| [^|]+ \| (`[^|]+) \|", PAGE, re.M)
    named = set(re.findall(r"`(\w+)", " ".join(rows)))
    assert measures - named - {"emotion_distances"} == ELSEWHERE
    assert named <= measures


def test_the_positions_of_emotions():
    rows = re.findall(r"^\| (\w+) \| ([\d.-]+) \| ([\d.-]+) \| ([\d.-]+) \|$", PAGE, re.M)
    assert {name: tuple(map(float, values)) for name, *values in rows} == EMOTION_POSITIONS


def test_people_on_ferplus(ferplus):  # noqa: F811
    table = pl.read_csv(ferplus / "fer2013new.csv").filter(pl.col("Usage") == "PublicTest")
    votes = table.select(table.columns[2:]).to_numpy()
    votes = votes[votes[:, 8:].sum(axis=1) < 5]
    for words, classes in (("eight", 8), ("seven, without contempt", 7)):
        whole = votes[votes[:, :classes].sum(axis=1) == 10, :classes]
        floor, halves = noise_floor(whole, size=5), split_halves(whole, size=5)
        figures = f"{len(whole):,} | {floor.halves:.3f} | {floor.mean:.3f} | {floor.shrinkage:.2f}"
        assert f"| {words} | {figures} |" in PAGE
        assert abs(halves.mean - floor.halves) < 0.002  # drawn, and in the mean over all ways to draw
