"""Charts inside pages: their text and colours, the numbers behind them, and one interval for one recall."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from midas_dfer import metrics
from midas_dfer.comparison.intervals import evaluation_intervals, reliability_intervals, subjects_of
from midas_dfer.comparison.run_results import pooled, read_run
from midas_dfer.report.pages.run_page import report_page, runs_report
from midas_dfer.report.pictures import evaluation_figures
from midas_dfer.report.pictures.chart import inline_svg
from midas_dfer.report.pictures.evaluation_figures import calibration_chart, draw_evaluation, recall_chart
from midas_dfer.report.pictures.layout import one_line
from midas_dfer.report.pictures.style import ACCENT, INK, PAPER, explain, house_style, new_figure, tint
from midas_dfer.report.pictures.training_curves import training_chart
from tests.report.test_description_page import EVIL, Page
from tests.report.test_report import predictions, scores
from tests.report.test_run_page import trained  # noqa: F401 -- a fixture


def svg_of(draw) -> str:
    with house_style(page=True):
        figure, axes = new_figure(3, 2)
        draw(axes)
        return str(inline_svg(figure, f"what {EVIL}"))


def test_a_chart_in_a_page_is_plain_shapes_and_text():
    def draw(axes):
        bars = axes.bar([1, 2], [3, 4], color=[ACCENT, "#E69F00"])
        explain(bars[0], f"said {EVIL}")
        axes.bar([3], [1], color=tint(ACCENT, 0.6))
        axes.plot([1, 2], [1, 2], "o-", color=INK, markeredgecolor=PAPER)
        axes.set_title(one_line("\u8868\u60c5 a\u202eb\x1b \ud800 \U0001f642"))

    svg = svg_of(draw)
    Page(svg)
    root = ElementTree.fromstring(svg)  # noqa: S314 -- ours
    assert {each.tag for each in root.iter()} == {"svg", "path", "text", "title"}
    assert "id=" not in re.sub(r"<title>.*?</title>|aria-label=\"[^\"]*\"", "", svg)
    assert root.get("aria-label", "").startswith(f"what {EVIL[:20]}")
    assert [each.text for each in root.iter("title")] == [f"said {EVIL}"]
    assert "\u8868\u60c5 ab\u25a1 \u25a1 \U0001f642</text>" in svg
    styles = " ".join(each.get("style", "") for each in root.iter())
    assert "fill:var(--accent)" in styles
    assert "color-mix(in srgb,var(--accent) 60%,var(--paper))" in styles
    assert "color-mix(in srgb,#e69f00 var(--vivid),#fff)" in styles
    assert "font-family" not in styles
    assert "#22272e" not in styles.lower()


def test_recall_has_one_interval_wherever_it_is_shown(trained, tmp_path, monkeypatch):  # noqa: F811
    """In the picture that `evaluate` draws, and in the page's chart and table that `report` makes of its files."""
    run = read_run(trained / "soft", "soft")
    assert run.evaluation is not None
    assert run.predictions is not None
    drawn = []
    monkeypatch.setattr(
        evaluation_figures,
        "recall_chart",
        lambda scored, **about: drawn.append(recall_chart(scored, **about)) or drawn[-1],
    )
    people = subjects_of(open_store_of(run))
    draw_evaluation(run.evaluation, run.predictions, tmp_path, people)
    page = report_page(runs_report([trained / "soft"]))
    intervals = evaluation_intervals(run.evaluation, run.predictions, people)
    assert intervals is not None
    assert len(drawn[0].rows) == len(run.evaluation.class_names) + 2
    for row, limits in zip(drawn[0].rows, (*intervals.recall, intervals.uar, intervals.war), strict=True):
        between = f"{100 * limits.low:.1f} to {100 * limits.high:.1f}" if limits else ""
        assert row[2] == between
        assert f"<td>{between}</td>" in page
        assert f">{between}</text>" in page or not between
    assert evaluation_intervals(run.evaluation, run.predictions, {}) != intervals  # people are drawn together


def open_store_of(run):
    from midas_dfer.report.pages.run_examples import open_store

    return open_store([pooled("soft", [run])])[0]


def test_bins_have_the_intervals_of_recalls():
    of = predictions(60)
    found = metrics.reliability(of.vote_shares, of.labels)
    limits = reliability_intervals(of, found, of.vote_shares)
    assert [each is None for each in limits] == (found.counts == 0).tolist()
    for accuracy, each in zip(found.accuracy, limits, strict=True):
        if each is not None:
            assert each.value == pytest.approx(accuracy)
            assert 0 <= each.low <= each.value <= each.high <= 1
    # Sixty clips of three people say less than sixty of sixty.
    three = reliability_intervals(of, found, of.vote_shares, {name: f"p{i % 3}" for i, name in enumerate(of.video_ids)})
    assert sum(a.high - a.low for a in three if a) > sum(a.high - a.low for a in limits if a)


def test_several_methods_stand_below_each_class():
    of, others = predictions(40), predictions(40, ("sad", "happy", "fear"), seed=1)
    scored = [("a", scores(of), None), ("b <b>", scores(others, ("sad", "happy", "fear")), None)]
    with house_style(page=True):
        chart = recall_chart(scored)
        svg = chart.svg
    assert [row[:2] for row in chart.rows[:4]] == [("happy", "a"), ("happy", "b <b>"), ("sad", "a"), ("sad", "b <b>")]
    assert ("angry", "b <b>", "no clips", "", "") in chart.rows
    assert svg.count("b &lt;b&gt;</text>") == 6
    assert chart.rows[-1][0] == "WAR"


def test_both_readings_are_drawn_once_where_they_are_the_same():
    of = predictions(30)
    with house_style():
        two = calibration_chart("", scores(of), of)
        one = calibration_chart("", scores(of), replace(of, vote_shares=of.probabilities))
    assert len(two.figure.axes) == 2 * len(one.figure.axes)
    assert "Both readings are the same" in one.note
    assert {row[0] for row in two.rows} == {"probabilities", "vote shares"}


def test_a_validation_loss_that_goes_astray_stays_in_its_panel():
    curves = {"epoch": np.arange(1.0, 5), "train_loss": np.full(4, 1.0), "val_loss": np.array([1, 2, 5e4, np.nan])}
    with house_style(page=True):
        chart = training_chart([("", curves, "validation")])
    assert chart.figure.axes[0].get_ylim()[1] < 4
    assert "validation loss ends at 5e+04" in chart.summary
    assert [row[2] for row in chart.rows] == ["1", "2", "5e+04", ""]


def test_the_table_of_a_long_training_is_thinned():
    curves = {"epoch": np.arange(1.0, 501), "train_loss": np.linspace(2, 1, 500)}
    with house_style():
        chart = training_chart([("a", curves, ""), ("b", curves, "")])
    assert 40 <= len(chart.rows) <= 64
    assert chart.rows[-1] == ("b", "500", "1")
