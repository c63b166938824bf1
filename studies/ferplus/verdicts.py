"""Which differences from soft labels are more than noise: one family of tests over all schedules of the study.

Methods are compared over the seeds that all of them have which have several: a mean over four seeds beside one over
three would compare seeds. Of a score, the p values of all methods and schedules are corrected together (Holm), as who
reads the page looks at all of them. A method with one seed gets no verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from midas_dfer import metrics
from midas_dfer.comparison.differences import Difference
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from studies.ferplus.names import DISTANCES, readings_of
from studies.ferplus.rare import rare_classes, rare_recalls

ALPHA = 0.05
BASELINE = "soft"

Found = Literal["better", "worse", "noise", "one seed"]


@dataclass(frozen=True)
class Verdict:
    """A method against soft labels with the same schedule, in one score.

    Attributes:
        method: its row.
        baseline: the row of soft labels.
        score: WAR, UAR, rare, CE, JSD or TV.
        reading: of the output that distances are of.
        seeds: over which both were trained, and that all methods of the schedule have which have several.
        difference: mean of the method less that of soft labels; shares, nats, or from 0 to 1.
        interval: 95 %: of the bootstrap over test pictures and seeds where there is one, else of the t test.
        interval_seeds: how many seeds the interval is over.
        p_value: the larger of the paired t test's over seeds and the randomisation test's over pictures; None for one
            seed.
        corrected: after Holm, for all methods and schedules of the score.
        found: what may be said.
    """

    method: str
    baseline: str
    score: str
    reading: str
    seeds: tuple[int, ...]
    difference: float
    interval: tuple[float, float] | None
    interval_seeds: int
    p_value: float | None
    corrected: float | None
    found: Found


def common_seeds(methods: Sequence[MethodResult]) -> tuple[int, ...]:
    """The seeds that all methods have which have several; none if no method has."""
    several = [set(method.seeds) for method in methods if len(method.seeds) > 1]
    return tuple(sorted(set.intersection(*several))) if several else ()


def seeds_shown(method: MethodResult, methods: Sequence[MethodResult]) -> tuple[int, ...]:
    """The seeds whose mean stands in a table: the common ones, or the only one that the method has."""
    common = common_seeds(methods)
    return common if len(method.seeds) > 1 else method.seeds


def scores(method: MethodResult, seeds: Sequence[int], reading: str) -> dict[str, list[float]]:
    """What each seed reached, score by score; distances from the votes by one reading of the output."""
    chosen = [each.evaluation for seed in seeds for each in method.of_seed(seed)]
    agreement = [each.agreement[reading] for each in chosen if each.agreement is not None]
    return {
        "WAR": [each.war for each in chosen if each.war is not None],
        "UAR": [each.uar for each in chosen if each.uar is not None],
        "rare": rare_recalls(method, rare_classes(method.class_names), seeds),
        **{name: [getattr(each, field) for each in agreement] for name, field in DISTANCES.items()},
    }


def find_verdicts(studies: Sequence[ExperimentResult], baseline_of: Callable[[str], str]) -> tuple[Verdict, ...]:
    """Compare every row with that of soft labels, over all studies.

    Args:
        studies: scored on the same part, one for each schedule.
        baseline_of: the row that a row is compared with.
    """
    found = [verdict for study in studies for verdict in _of_study(study, baseline_of)]
    judged: dict[int, Verdict] = {}
    for score in dict.fromkeys(each.score for each in found):
        family = [(place, each) for place, each in enumerate(found) if each.score == score and each.p_value is not None]
        corrected = metrics.holm([each.p_value for _, each in family if each.p_value is not None])
        judged |= {place: _judge(each, p) for (place, each), p in zip(family, corrected, strict=True)}
    return tuple(judged.get(place, each) for place, each in enumerate(found))


def _judge(verdict: Verdict, corrected: float) -> Verdict:
    sure = verdict.interval is not None and not verdict.interval[0] <= 0 <= verdict.interval[1]
    found: Found = "noise"
    if sure and corrected < ALPHA:
        smaller_is_better = verdict.score in DISTANCES
        found = "better" if (verdict.difference < 0) == smaller_is_better else "worse"
    return replace(verdict, corrected=corrected, found=found)


def _of_study(study: ExperimentResult, baseline_of: Callable[[str], str]) -> list[Verdict]:
    methods = {method.name: method for method in study.methods}
    tested = {(each.first, each.second, each.measure): each for each in study.differences}
    found = []
    for name, method in methods.items():
        other = methods.get(baseline_of(name))
        if other is None or other is method:
            continue
        seeds = tuple(seed for seed in seeds_shown(method, study.methods) if seed in other.seeds)
        for number, reading in enumerate(readings_of(method)):
            mine, theirs = scores(method, seeds, reading), scores(other, seeds, reading)
            shown = [score for score in mine if score in DISTANCES or not number]  # others are the same by all readings
            for score in shown:
                if len(mine[score]) == len(theirs[score]) == len(seeds) > 0:
                    over_clips = tested.get((name, other.name, _measure(score, reading)))
                    place = Verdict(name, other.name, score, reading, seeds, 0.0, None, 0, None, None, "one seed")
                    found.append(_compared(place, mine[score], theirs[score], over_clips))
    return found


def _compared(place: Verdict, mine: Sequence[float], theirs: Sequence[float], over_clips: Difference | None) -> Verdict:
    count = len(place.seeds)
    place = replace(place, difference=(sum(mine) - sum(theirs)) / count, interval_seeds=count)
    if count < 2:
        return place
    runs = metrics.paired_runs(mine, theirs)
    if over_clips is None:
        return replace(place, interval=(runs.low, runs.high), p_value=runs.p_value)
    low, high, p_clips, drawn = (_number(over_clips.values, key) for key in ("low", "high", "p_clips", "seeds"))
    return replace(place, interval=(low, high), interval_seeds=int(drawn), p_value=max(runs.p_value, p_clips))


def _number(values: Mapping[str, float | int | str | bool | None], key: str) -> float:
    value = values[key]
    if not isinstance(value, int | float):
        raise TypeError(f"{key} is {value!r}; expected a number")
    return float(value)


def _measure(score: str, reading: str) -> str:
    """What a score is called among the differences of `midas_dfer.comparison`; rare classes have none there."""
    names = {"CE": "soft cross-entropy", "JSD": "JSD", "TV": "total variation"}
    return f"{names[score]}, {reading}" if score in names else score
