"""The risk-coverage curve: how many errors are left if the model answers only where it is confident."""

from collections.abc import Sequence

import numpy as np

from midas_dfer import metrics
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.style import ACCENT, SECOND, SOFT_INK, explain, new_figure
from midas_dfer.training.scoring.measures import READINGS
from midas_dfer.training.scoring.scores import Predictions
from midas_dfer.wording import percent

_COVERAGES = (1.0, 0.9, 0.8, 0.5)


def risk_coverage_chart(
    predictions: Predictions, *, lines: Sequence[str] = (), caution: str = "", width: float = 6.4
) -> Chart:
    """The share of errors among the most confident clips, by each reading; beside perfect and no ranking.

    `width`: in inches; 5 fits a narrow page.
    """
    given = {words: getattr(predictions, reading) for reading, words in READINGS.items()}
    given = {words: shown for words, shown in given.items() if shown is not None}
    right = (predictions.predicted == predictions.labels).astype(np.float64)
    curves = {words: metrics.risk_coverage(predictions.labels, shown) for words, shown in given.items()}
    perfect = metrics.risk_coverage(predictions.labels, predictions.predicted, right)
    figure, axes = new_figure(width, 4.2)
    axes.axhline(100 * perfect.error_rate, color=SOFT_INK, linewidth=0.9, linestyle=":", label="no ranking")
    (line,) = axes.plot(
        100 * perfect.coverage, 100 * perfect.risk, color=SOFT_INK, linewidth=0.9, label="perfect ranking"
    )
    line.set_linestyle((0, (4, 3)))
    rows = []
    for (words, curve), color in zip(curves.items(), (ACCENT, SECOND), strict=False):
        named = f"{words} (area {curve.area:.3f})"
        (line,) = axes.plot(100 * curve.coverage, 100 * curve.risk, color=color, linewidth=1.6, label=named)
        explain(line, f"{words}: area under the curve {curve.area:.4f}")
        rows += [(words, percent(coverage), percent(curve.risk_at(coverage))) for coverage in _COVERAGES]
    axes.set(xlim=(0, 100), ylim=(0, None), xlabel="coverage: share of the clips that are answered, %")
    axes.set_ylabel("risk: share of these that is wrong, %")
    axes.grid(visible=True)
    axes.legend(loc="best", frameon=False, fontsize=8)
    note = (
        "Clips are ranked by their largest share, and the least confident are left out first. Equally confident clips "
        "count in the mean over all their orders. No ranking: the error rate of all clips."
    )
    return Chart(
        figure,
        "Errors that are left if the least confident clips are not answered",
        lines,
        caution,
        note,
        ("reading", "coverage", "risk"),
        rows,
    )
