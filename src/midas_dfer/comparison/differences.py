"""Whether methods differ: every score of every pair, with its interval, its tests and a verdict.

A method is called better only if the interval of the hierarchical bootstrap over clips (or people) and seeds excludes
0, and the largest p value (over clips, and over runs where there are several) stays below alpha after Holm's
correction for the number of pairs. All else is "inside the noise".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from midas_dfer import metrics
from midas_dfer.comparison.paired_tests import COMPARED, ComparedMeasure, PairedTest, Resampling, paired_tests
from midas_dfer.comparison.pairing import pair_up
from midas_dfer.comparison.predictions import PooledPredictions
from midas_dfer.errors import RequestError

_NOT_KEPT = ("score", "a", "b", "p_value", "repeats")  # of a bootstrap, in the values of a difference
_MCNEMAR = ("only first", "only second", "p exact", "p mid")


@dataclass(frozen=True)
class Difference:
    """A difference between two methods, with its uncertainty.

    Attributes:
        measure: what differs, such as UAR.
        test: how the uncertainty was found, such as paired bootstrap.
        values: the figures of the test, by name; see `find_differences`.
        verdict: what they say, in a sentence.
    """

    first: str
    second: str
    measure: str
    test: str
    values: dict[str, float | int | str | bool | None]
    verdict: str

    def called(self, words: Mapping[str, str]) -> "Difference":
        """The same with other names of the methods, in the verdict too; those that are not in `words` stay."""
        better = self.values.get("better")
        names = sorted({self.first, self.second}, key=len, reverse=True)
        pattern = "|".join(re.escape(name) for name in names)
        return replace(
            self,
            first=words.get(self.first, self.first),
            second=words.get(self.second, self.second),
            values={**self.values, "better": words.get(better, better) if isinstance(better, str) else better},
            verdict=re.sub(rf"(?<![\w/.-])({pattern})(?![\w/.-])", lambda m: words.get(m[0], m[0]), self.verdict),
        )


def pairs_with(baseline: str, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Every other method against one."""
    return tuple((name, baseline) for name in names if name != baseline)


def comparable(
    methods: Mapping[str, PooledPredictions], pairs: Iterable[tuple[str, str]]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The pairs that can be compared, and a sentence for each that cannot."""
    found, refused = [], []
    for pair in pairs:
        try:
            pair_up(pair, methods[pair[0]], methods[pair[1]])
            found.append(pair)
        except RequestError as error:
            refused.append(str(error))
    return tuple(found), tuple(refused)


def find_differences(
    methods: Mapping[str, PooledPredictions],
    pairs: Sequence[tuple[str, str]],
    *,
    measures: Sequence[ComparedMeasure] = COMPARED,
    people: Mapping[str, str] | None = None,
    repeats: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Difference, ...]:
    """Compare pairs of methods in UAR, WAR and the distances of both readings from the votes, or in other scores.

    UAR and WAR are over the clips that have a label, distances over those that have votes. Methods are compared over
    the seeds that both have. A method whose output implies no vote shares is judged by its probabilities in their
    place, and the verdict says so; where neither implies any, there is no such difference.

    Args:
        methods: the predictions of each, by its name.
        pairs: names of the methods to compare; `pairs_with` makes some.
        measures: what they are compared in: `COMPARED`, `FURTHER_COMPARED`, some of these, `uar_of` rare classes
            (`midas_dfer.comparison.paired_tests`).
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
            classes; see `comparable`.
    """
    if unknown := sorted({name for pair in pairs for name in pair} - methods.keys()):
        raise RequestError(f"There is no method {unknown[0]!r}; there are {', '.join(methods)}")
    matched = [pair_up(pair, methods[pair[0]], methods[pair[1]]) for pair in pairs]
    settings = Resampling(people, repeats, seed, confidence)
    tests = [paired_tests(each, measures, settings) for each in matched]
    found: list[Difference] = []
    for measure in measures:
        tested = [each[measure] for each in tests if measure in each]
        corrected = metrics.holm([each.p_value for each in tested])
        found += [_difference(each, settings, p) for each, p in zip(tested, corrected, strict=True)]
    return tuple(found)


def _difference(test: PairedTest, settings: Resampling, corrected: float) -> Difference:
    names, clips, drawn, runs = test.pair.names, test.pair.first, test.clips, test.runs
    alpha, lower = 1 - settings.confidence, drawn.lower_is_better
    verdict = metrics.verdict(drawn.low, drawn.high, corrected, alpha=alpha, lower_is_better=lower)
    better = {"A is better": names[0], "B is better": names[1]}.get(verdict)
    drawing = {name: value for name, value in asdict(drawn).items() if name not in _NOT_KEPT}
    values: dict[str, float | int | str | bool | None] = {
        "first": drawn.a,
        "second": drawn.b,
        **drawing,
        "p_clips": drawn.p_value,
        "p_runs": runs.p_value if runs else None,
        "p_value": test.p_value,
        "p_corrected": corrected,
        "better": better,
        "seeds": len(clips.seeds),
        "folds": clips.num_folds,
        "runs": clips.num_runs,
    }
    for seed, each in test.mcnemar.items():
        for words, value in zip(_MCNEMAR, (each.only_a, each.only_b, each.p_exact, each.p_mid), strict=True):
            values[f"mcnemar, seed {seed}, {words}"] = value
    how = _how(test, people=settings.people is not None)
    return Difference(*names, test.measure.name, how, values, _sentence(test, better, corrected))


def _how(test: PairedTest, *, people: bool) -> str:
    trainings = len(test.pair.first.runs)
    text = f"paired bootstrap over {test.clips.units} {'people' if people else 'clips'}"
    if trainings > 1:
        text += f" and {trainings} trainings of each method" + " in each fold" * (test.pair.first.folds is not None)
    text += "; randomisation test over the same"
    if test.runs:
        text += f"; paired t test over {test.runs.runs} runs"
        text += " (Nadeau-Bengio)" if test.runs.overlap else ""
    return text


def _sentence(test: PairedTest, better: str | None, corrected: float) -> str:
    drawn, (first, second), clips = test.clips, test.pair.names, test.pair.first
    scale, unit, digits = (100.0, " points", 2) if test.measure.is_share else (1.0, "", 4)
    low, high, gap = (f"{scale * each:+.{digits}f}" for each in (drawn.low, drawn.high, drawn.difference))
    figures = f"{gap}{unit} ({100 * drawn.confidence:g} % interval {low} to {high}, corrected p {_p(corrected)})"
    name = test.measure.name
    if better is None:
        text = f"{name}: {first} and {second} differ by {figures}: inside the noise"
    else:
        other = second if better == first else first
        text = f"{name}: {better} is better than {other}; {first} - {second} = {figures}"
    if test.measure.reading == "vote_shares" and clips.implied != test.pair.second.implied:
        text += f"; {second if clips.implied else first} by its probabilities, as its output implies no vote shares"
    return text + ("" if test.runs else "; one training each, so the noise of training is not in it")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
