"""How far annotators agree beyond chance, with bootstrap intervals: Krippendorff's alpha and Fleiss' kappa.

Both are made of sums over the clips, so that thousands of resamples take milliseconds; the tests compare them with
`labels.agreement`, whose alpha needs a library under the GPL and knows no answers of several emotions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from midas_dfer.metrics.resampling import Design, Drawing, percentiles, resampled_sums

FEWEST_CLIPS = 10
"""Of fewer clips than this no interval is told: resampling them says little."""

_DRAWING = Drawing(repeats=2000, seed=0, confidence=0.95)
_MOST_SETS = 200

Answers = Sequence[Sequence[frozenset[str]]]
"""For each clip the emotions that each person chose for it."""


@dataclass(frozen=True)
class Agreement:
    """A measure of agreement; 1: full, 0: as by chance.

    Attributes:
        value: None where it is not defined; `why` says why then.
        low, high: its 95 % interval over clips; None for fewer than `FEWEST_CLIPS` of them.
        clips: those with two votes or more.
        why: a sentence, or "".
    """

    value: float | None
    low: float | None
    high: float | None
    clips: int
    why: str


_NONE = Agreement(None, None, None, 0, "no clip has two votes yet")


def krippendorff(answers: Answers) -> Agreement:
    """Krippendorff's alpha: `1 - observed / expected disagreement`, over clips with two votes or more.

    Two answers disagree by 0 or 1; where several emotions may be chosen, by Jaccard's distance: 1 less the share of
    emotions that both named among those that either did.
    """
    pairable = [each for each in answers if len(each) > 1]
    if not pairable:
        return _NONE
    sets = sorted({chosen for each in pairable for chosen in each}, key=sorted)
    if len(sets) > _MOST_SETS:
        return Agreement(None, None, None, len(pairable), f"there are over {_MOST_SETS} different sets of emotions")
    counts = _counted(pairable, sets)
    apart = np.array([[1 - len(one & two) / len(one | two) for two in sets] for one in sets])
    people = counts.sum(axis=1)
    observed = np.einsum("nk,kl,nl->n", counts, apart, counts) / np.maximum(people - 1, 1)

    def alpha(sums: Float64[np.ndarray, "R C"]) -> Float64[np.ndarray, " R"]:
        n, totals = sums[:, 1], sums[:, 2:]
        expected = np.einsum("rk,kl,rl->r", totals, apart, totals) / (n - 1)
        values: Float64[np.ndarray, " R"] = 1 - sums[:, 0] / expected
        return values

    return _with_interval(np.column_stack([observed, people, counts]), alpha)


def fleiss(answers: Answers) -> Agreement:
    """Fleiss' kappa over clips with two votes or more, where all of these have as many; see `labels.fleiss_kappa`."""
    pairable = [each for each in answers if len(each) > 1]
    if not pairable:
        return _NONE
    if any(len(chosen) > 1 for each in pairable for chosen in each):
        return Agreement(None, None, None, len(pairable), "somebody chose several emotions; alpha allows for that")
    if len({len(each) for each in pairable}) > 1:
        return Agreement(
            None, None, None, len(pairable), "clips have different numbers of votes; alpha allows for that"
        )
    counts = _counted(pairable, sorted({chosen for each in pairable for chosen in each}, key=sorted))
    people = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(people * (people - 1), 1)

    def kappa(sums: Float64[np.ndarray, "R C"]) -> Float64[np.ndarray, " R"]:
        by_chance = ((sums[:, 2:] / sums[:, 2:].sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
        values: Float64[np.ndarray, " R"] = (sums[:, 0] / sums[:, 1] - by_chance) / (1 - by_chance)
        return values

    return _with_interval(np.column_stack([agreeing, np.ones(len(counts)), counts]), kappa)


def _counted(answers: Answers, sets: list[frozenset[str]]) -> Float64[np.ndarray, "N L"]:
    places = {chosen: place for place, chosen in enumerate(sets)}
    counts = np.zeros((len(answers), len(sets)))
    for row, each in enumerate(answers):
        for chosen in each:
            counts[row, places[chosen]] += 1
    return counts


def _with_interval(
    rows: Float64[np.ndarray, "N C"], measure: Callable[[Float64[np.ndarray, "R C"]], Float64[np.ndarray, " R"]]
) -> Agreement:
    """The measure of the sum of all rows, and of resampled ones; those of one class, where it is 0/0, are left out."""
    number = len(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(measure(rows.sum(axis=0, keepdims=True))[0])
        if not np.isfinite(value):
            return Agreement(None, None, None, number, "all votes are for one class, so that chance alone agrees")
        if number < FEWEST_CLIPS:
            return Agreement(value, None, None, number, "")
        draws = measure(resampled_sums(rows, _DRAWING.repeats, np.random.default_rng(_DRAWING.seed)))
    design = Design.of(np.zeros(number, dtype=np.int64), None, None, np.ones(number, dtype=np.bool_))
    low, high = percentiles(draws[np.isfinite(draws)], design, _DRAWING, (-1.0, 1.0))
    return Agreement(value, low, high, number, "")
