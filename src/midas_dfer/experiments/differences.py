"""Whether methods differ: every score of every pair, with its interval, its tests and a verdict.

A method is called better only if the interval of the hierarchical bootstrap over clips (or people) and seeds excludes
0, and the largest p value (over clips, and over runs where there are several) stays below alpha after Holm's
correction for the number of pairs. All else is "inside the noise".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from midas_dfer import metrics
from midas_dfer.errors import RequestError
from midas_dfer.experiments.pairing import Networks, Pair, pair_up
from midas_dfer.experiments.results import Difference, MethodResult
from midas_dfer.labels import NO_LABEL
from midas_dfer.training.scores import READINGS

_DISTANCES: dict[str, Callable[..., Float64[np.ndarray, " N"]]] = {
    "soft cross-entropy": metrics.soft_cross_entropy,
    "JSD": metrics.jensen_shannon,
    "total variation": metrics.total_variation,
}
# A table of six decimals may say 0 where a network is not that sure: half of its last digit stands for it.
_PRINTED_AS_ZERO = 5e-7


def pairs_with(baseline: str, methods: Iterable[MethodResult]) -> tuple[tuple[str, str], ...]:
    """Every other method against one."""
    return tuple((each.name, baseline) for each in methods if each.name != baseline)


def all_pairs(methods: Iterable[MethodResult]) -> tuple[tuple[str, str], ...]:
    """Every method against every other, the later one first."""
    return tuple((second, first) for first, second in combinations([each.name for each in methods], 2))


def find_differences(
    methods: Sequence[MethodResult],
    pairs: Sequence[tuple[str, str]],
    *,
    people: Mapping[str, str] | None = None,
    repeats: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Difference, ...]:
    """Compare pairs of methods in UAR, WAR and the distances of both readings from the votes.

    Distances are compared where all clips have votes. Methods are compared over the seeds that both have.

    Args:
        methods: with their results.
        pairs: names of the methods to compare; `pairs_with` and `all_pairs` make some.
        people: who is in which video, by its id, where that is known: clips of a person are then drawn together.
        repeats: resamples of the bootstrap, and coin throws of the randomisation test.
        seed: of the drawing.
        confidence: of the intervals; alpha of the verdicts is 1 - confidence.

    Returns:
        One for each score and pair, in the order of the scores; A is the first of a pair, B the second. `values` of
        each holds: first, second, difference (first - second), low, high, confidence, p_clips (randomisation test),
        p_runs (corrected t test over seeds and folds; None for a single run), p_value (the larger), p_corrected
        (Holm), share_better, better (a name; None inside the noise), clips, units, seeds, folds, runs, vanished, and
        for WAR McNemar's test of each seed.

    Raises:
        RequestError: an unknown name, no common seed, methods that were tested on different clips or know different
            classes, or a table of predictions that is missing or damaged.
    """
    known = {each.name: each for each in methods}
    if unknown := sorted({name for pair in pairs for name in pair} - known.keys()):
        raise RequestError(f"There is no method {unknown[0]!r}; there are {', '.join(known)}.")
    tables = {name: known[name].predictions() for name in dict.fromkeys(name for pair in pairs for name in pair)}
    matched = [pair_up(pair, tables[pair[0]], tables[pair[1]]) for pair in pairs]
    found: list[Difference] = []
    for measure in _measures(methods, pairs):
        settings = _Settings(measure, people, repeats, seed, confidence)
        tested = [test for each in matched if (test := _test(each, settings)) is not None]
        corrected = metrics.holm([each.p_value for each in tested])
        found += [_difference(each, settings, p) for each, p in zip(tested, corrected, strict=True)]
    return tuple(found)


@dataclass(frozen=True)
class _Measure:
    """A score: its name, and the distance and reading that it is the mean of, if it is."""

    name: str
    distance: str = ""
    reading: str = ""


@dataclass(frozen=True)
class _Settings:
    measure: _Measure
    people: Mapping[str, str] | None
    repeats: int
    seed: int
    confidence: float


@dataclass(frozen=True)
class _Test:
    pair: Pair
    clips: metrics.PairedBootstrap
    runs: metrics.PairedRuns | None
    mcnemar: dict[int, metrics.McNemar]

    @property
    def p_value(self) -> float:
        """The larger: a difference must hold for other clips and for other trainings."""
        return max(self.clips.p_value, self.runs.p_value if self.runs else 0.0)


def _measures(methods: Sequence[MethodResult], pairs: Sequence[tuple[str, str]]) -> list[_Measure]:
    names = {name for pair in pairs for name in pair}
    results = [result.evaluation for method in methods if method.name in names for result in method.results]
    found = [_Measure("UAR"), _Measure("WAR")] if any(each.num_labelled for each in results) else []
    if all(each.num_voted == each.num_clips for each in results):
        found += [_Measure(f"{name}, {reading}", name, reading) for reading in READINGS for name in _DISTANCES]
    return found


def _test(pair: Pair, settings: _Settings) -> _Test | None:
    """None where there is nothing to compare: no clip with a label."""
    measure = settings.measure
    if not measure.distance and (pair.labels == NO_LABEL).all():
        return None
    folds, clusters = pair.folds, None
    if settings.people is not None:
        # Who is not known is nobody else.
        clusters = np.array([settings.people.get(name, f"clip {name}") for name in pair.video_ids])
        # People who are in several folds cannot be drawn fold by fold.
        if folds is not None and len(set(zip(clusters.tolist(), folds.tolist(), strict=True))) > len(set(clusters)):
            folds = None
    drawing: dict[str, Any] = {
        "folds": folds,
        "clusters": clusters,
        "repeats": settings.repeats,
        "seed": settings.seed,
        "confidence": settings.confidence,
    }
    by_run = [pair.runs == run for run in range(pair.num_runs)]
    if measure.distance:
        first, second = (_distances(each, pair.votes, measure) for each in (pair.first, pair.second))
        found = metrics.paired_bootstrap_of_values(first, second, **drawing)
        scores = [(float(first[rows].mean()), float(second[rows].mean())) for rows in by_run]
        return _Test(pair, found, _over_runs(pair, scores, settings), {})
    first, second = pair.first.predicted, pair.second.predicted
    kind: Literal["uar", "war"] = "uar" if measure.name == "UAR" else "war"
    found = metrics.paired_bootstrap(pair.labels, first, second, score=kind, **drawing)
    score = metrics.uar if kind == "uar" else metrics.war
    labels, K = np.broadcast_to(pair.labels, pair.runs.shape), pair.votes.shape[1]
    scores = [(score(labels[rows], first[rows], K), score(labels[rows], second[rows], K)) for rows in by_run]
    tests: dict[int, metrics.McNemar] = {}
    if kind == "war" and len(first) == len(pair.seeds):
        tests = {each: metrics.mcnemar(pair.labels, first[row], second[row]) for row, each in enumerate(pair.seeds)}
    return _Test(pair, found, _over_runs(pair, scores, settings), tests)


def _distances(networks: Networks, votes: Float64[np.ndarray, "N K"], measure: _Measure) -> Float64[np.ndarray, "S N"]:
    shown, distance = getattr(networks, measure.reading), _DISTANCES[measure.distance]
    return np.stack([distance(np.where(each == 0, _PRINTED_AS_ZERO, each), votes, reduction="none") for each in shown])


def _over_runs(pair: Pair, scores: Sequence[tuple[float, float]], settings: _Settings) -> metrics.PairedRuns | None:
    """The t test over runs; those without any labelled clip have no score."""
    both = [(a, b) for a, b in scores if np.isfinite(a) and np.isfinite(b)]
    if len(both) < 2:
        return None
    overlap = 1 / (pair.num_folds - 1) if pair.num_folds > 1 else 0.0
    first, second = zip(*both, strict=True)
    return metrics.paired_runs(first, second, overlap=overlap, confidence=settings.confidence)


def _difference(test: _Test, settings: _Settings, corrected: float) -> Difference:
    pair, drawn, runs = test.pair, test.clips, test.runs
    verdict = metrics.verdict(
        drawn.low,
        drawn.high,
        corrected,
        alpha=1 - settings.confidence,
        lower_is_better=drawn.lower_is_better,
    )
    better = {"A is better": pair.names[0], "B is better": pair.names[1]}.get(verdict)
    values: dict[str, float | int | str | bool | None] = {
        "first": drawn.a,
        "second": drawn.b,
        "difference": drawn.difference,
        "low": drawn.low,
        "high": drawn.high,
        "confidence": drawn.confidence,
        "p_clips": drawn.p_value,
        "p_runs": runs.p_value if runs else None,
        "p_value": test.p_value,
        "p_corrected": corrected,
        "share_better": drawn.share_better,
        "better": better,
        "lower_is_better": drawn.lower_is_better,
        "clips": drawn.clips,
        "units": drawn.units,
        "seeds": len(pair.seeds),
        "folds": pair.num_folds,
        "runs": pair.num_runs,
        "vanished": drawn.vanished,
    }
    for seed, each in test.mcnemar.items():
        values |= {
            f"mcnemar, seed {seed}, only first": each.only_a,
            f"mcnemar, seed {seed}, only second": each.only_b,
            f"mcnemar, seed {seed}, p exact": each.p_exact,
            f"mcnemar, seed {seed}, p mid": each.p_mid,
        }
    return Difference(
        first=pair.names[0],
        second=pair.names[1],
        measure=settings.measure.name,
        test=_how(test, settings.people is not None),
        values=values,
        verdict=_sentence(test, settings, better, corrected),
    )


def _how(test: _Test, people: bool) -> str:
    units = f"{test.clips.units} {'people' if people else 'clips'}"
    text = f"paired bootstrap over {units}"
    if len(test.pair.runs) > 1:
        text += f" and {len(test.pair.runs)} trainings of each method" + (
            " in each fold" * (test.pair.folds is not None)
        )
    text += "; randomisation test over the same"
    if test.runs:
        text += f"; paired t test over {test.runs.runs} runs"
        text += " (Nadeau-Bengio)" if test.runs.overlap else ""
    return text


def _sentence(test: _Test, settings: _Settings, better: str | None, corrected: float) -> str:
    drawn, (first, second) = test.clips, test.pair.names
    scale, unit = (1.0, "") if settings.measure.distance else (100.0, " points")
    digits = 4 if settings.measure.distance else 2
    low, high, gap = (f"{scale * each:+.{digits}f}" for each in (drawn.low, drawn.high, drawn.difference))
    figures = f"{gap}{unit} ({100 * drawn.confidence:g} % interval {low} to {high}, corrected p {_p(corrected)})"
    name = settings.measure.name
    if better is None:
        text = f"{name}: {first} and {second} differ by {figures}: inside the noise"
    else:
        other = second if better == first else first
        text = f"{name}: {better} is better than {other}; {first} - {second} = {figures}"
    return text + ("" if test.runs else "; one training each, so the noise of training is not in it")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
