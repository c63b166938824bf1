"""What a network's scores are held against: guesses that need no network, and people who predict each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from midas_dfer import metrics
from midas_dfer.labels import NO_LABEL, majority_labels, votes_to_soft_labels
from midas_dfer.training.run_folder.typed_json import Proportion
from midas_dfer.training.scoring.measures import DISTANCES, RECOGNITION, Limits, Measure
from midas_dfer.wording import joined, percent

DRAWS = 20
"""How often the votes of each clip are halved."""
LEARNED = "that it learned from"
"""How the source of guesses is called, behind the number of clips, where that is what the network learned from."""

_FEWEST_VOTES = 2
_FEWEST_UNITS = 2
"""Clips or people: of a single one, nothing is known of others."""


@dataclass(frozen=True)
class ReferenceLimits:
    """Intervals of the scores of a `Reference`; None likewise."""

    uar: Limits | None
    war: Limits | None
    jensen_shannon: Limits | None
    total_variation: Limits | None


@dataclass(frozen=True)
class Reference:
    """Scores that others are held against; None where there are no labels or votes, or they are infinite.

    `limits`: of people and of the model beside them; None of all others, and in files of earlier versions.
    """

    name: str
    uar: Proportion | None
    war: Proportion | None
    soft_cross_entropy: float | None
    jensen_shannon: float | None
    total_variation: float | None
    limits: ReferenceLimits | None = None


@dataclass(frozen=True)
class Baselines:
    """Guesses that say the same of every clip.

    `source`: the clips that they are made from, in words ("the 192 training clips"). `majority`: always the class that
    most of these have, None where none has a single label; `mean_vote`: always the mean of their votes.
    """

    source: str
    majority: Reference | None
    mean_vote: Reference

    @property
    def all(self) -> tuple[Reference, ...]:
        """Those that there are."""
        return (self.mean_vote,) if self.majority is None else (self.majority, self.mean_vote)


@dataclass(frozen=True)
class HumanLine:
    """How well people predict each other: of each clip's votes, drawn halves are predicted by the others.

    Of `num_clips` clips that have the votes for it, `num_votes` each are predicted, on average: by the other half
    (`people`), and by the network (`model`). Both are off for the small number of votes alone: `noise` is the total
    variation of a perfect prediction from such a half. `panels`: the total variation that is expected between all votes
    of a clip and those of as many other people, which scatter less than halves. Both None in files of earlier versions.
    """

    num_clips: int
    num_votes: float
    people: Reference
    model: Reference
    noise: float | None = None
    panels: float | None = None


def make_baselines(
    training_votes: Float64[np.ndarray, "M K"],
    training_labels: Int64[np.ndarray, " M"],
    class_names: Sequence[str],
    labels: Int64[np.ndarray, " N"],
    votes: Float64[np.ndarray, "N K"],
    has_votes: Bool[np.ndarray, " N"],
    *,
    source: str,
) -> Baselines:
    """Score guesses made from the shares of training clips' votes and their single labels (-1 for none)."""

    def constant(name: str, guess: Float64[np.ndarray, " K"]) -> Reference:
        predicted = np.full(len(labels), guess.argmax(), dtype=np.int64)
        return _scored(name, labels, predicted, votes[has_votes], np.tile(guess, (int(has_votes.sum()), 1)))

    mean = training_votes.mean(axis=0)
    labelled, majority = training_labels[training_labels != NO_LABEL], None
    if len(labelled):
        most = int(np.bincount(labelled, minlength=len(class_names)).argmax())
        majority = constant(f"always {class_names[most]}", np.eye(len(class_names))[most])
    return Baselines(source, majority, constant("always the mean vote", mean / mean.sum()))


def _scored(
    name: str,
    labels: Int64[np.ndarray, " N"],
    predicted: Int64[np.ndarray, " N"],
    votes: Float64[np.ndarray, "V K"],
    shares: Float64[np.ndarray, "V K"],
) -> Reference:
    """The scores of predicted classes against labels, and of predicted shares against votes."""
    known, voted = labels != NO_LABEL, len(votes) > 0
    confusion = metrics.confusion_matrix(labels[known], predicted[known], votes.shape[1])
    finite = voted and not ((shares == 0) & (votes > 0)).any()
    return Reference(
        name=name,
        uar=metrics.uar(confusion) if known.any() else None,
        war=metrics.war(confusion) if known.any() else None,
        soft_cross_entropy=metrics.soft_cross_entropy(shares, votes) if finite else None,
        jensen_shannon=metrics.jensen_shannon(shares, votes) if voted else None,
        total_variation=metrics.total_variation(shares, votes) if voted else None,
    )


def human_line(
    counts: Int64[np.ndarray, "N K"],
    predicted: Int64[np.ndarray, " N"],
    shares: Float64[np.ndarray, "N K"],
    persons: Sequence[str] | None = None,
) -> HumanLine | None:
    """Let half of each clip's votes be predicted by the other half, and by a network.

    Half of the votes, rounded down, are drawn without putting them back; twenty times, always the same. Where either
    half has no single most frequent class, the clip does not count for UAR and WAR. None where no clip has two votes.

    Args:
        counts: votes of each clip; of clips without known votes 0 in all classes.
        predicted: the class that the network says.
        shares: the network's distribution over the votes.
        persons: who is in each clip; intervals are then over people.
    """
    rows = counts.sum(axis=1) >= _FEWEST_VOTES
    if not rows.any():
        return None
    counts, generator = counts[rows], np.random.default_rng(0)
    asked = np.concatenate([halve_votes(counts, generator) for _ in range(DRAWS)])
    others = np.tile(counts, (DRAWS, 1)) - asked
    theirs, votes = majority_labels(others), votes_to_soft_labels(asked)
    labels = np.where(theirs == NO_LABEL, NO_LABEL, majority_labels(asked))
    who = np.arange(len(counts)) if persons is None else np.asarray(persons)[rows]
    sides = []
    for name, said, p in (
        ("people, by the other half", theirs, votes_to_soft_labels(others)),
        ("this model", np.tile(predicted[rows], DRAWS), np.tile(shares[rows], (DRAWS, 1))),
    ):
        scored = _scored(name, labels, said, votes, p)  # infinite where nobody names what one of the others does
        limits = None if len(np.unique(who)) < _FEWEST_UNITS else _limits(labels, said, votes, p, who)
        sides.append(replace(scored, soft_cross_entropy=None, limits=limits))
    total, floor = counts.sum(axis=1), metrics.noise_floor(counts)
    return HumanLine(
        num_clips=len(counts),
        num_votes=float((total // 2).mean()),
        people=sides[0],
        model=sides[1],
        noise=float(floor.of_votes(total // 2).mean()),
        panels=float(floor.between_panels(total).mean()),
    )


def _limits(
    labels: Int64[np.ndarray, " D"],
    predicted: Int64[np.ndarray, " D"],
    votes: Float64[np.ndarray, "D K"],
    shares: Float64[np.ndarray, "D K"],
    who: Shaped[np.ndarray, " V"],
) -> ReferenceLimits:
    """Intervals over clips or people; all draws of the votes of a clip go with it."""
    found = None
    if (labels != NO_LABEL).any():
        said = np.where(labels == NO_LABEL, 0, predicted)  # the halves themselves may name no class
        found = metrics.score_intervals(labels, said, num_classes=votes.shape[1], clusters=np.tile(who, DRAWS))
    distances = {"jensen_shannon": metrics.jensen_shannon, "total_variation": metrics.total_variation}
    values = {name: of(shares, votes, "none").reshape(DRAWS, -1).mean(axis=0) for name, of in distances.items()}
    means = metrics.intervals_of_scores([metrics.mean_scores(values)], num_clips=len(who), clusters=who)
    return ReferenceLimits(
        uar=None if found is None else Limits.of(found.uar),
        war=None if found is None else Limits.of(found.war),
        **{name: Limits.of(each) for name, each in means.items()},
    )


def halve_votes(counts: Int64[np.ndarray, "N K"], generator: np.random.Generator) -> Int64[np.ndarray, "N K"]:
    """Draw half of each clip's votes, rounded down, without putting them back."""
    return metrics.drawn_votes(counts, counts.sum(axis=1) // 2, generator)


@dataclass(frozen=True)
class Lost:
    """In which measures a network is no better than a constant guess; `scores` are the network's and the guess's."""

    guess: Reference
    scores: tuple[tuple[Measure, float, float], ...]

    @property
    def names(self) -> str:
        """The measures as a sentence lists them."""
        return joined([measure.short for measure, _, _ in self.scores])


def lost_to_guesses(ours: Reference, baselines: Baselines) -> tuple[Lost | None, Lost | None]:
    """Where a network is not above the most frequent class, and where it is farther from the votes than the mean vote.

    Each is None where it is better, or there is no such guess.
    """

    def compared(guess: Reference | None, measures: Sequence[Measure]) -> Lost | None:
        pairs = [(m, m.of(ours), m.of(guess)) for m in measures]
        known = [(m, mine, its) for m, mine, its in pairs if mine is not None and its is not None]
        lost = tuple((m, mine, its) for m, mine, its in known if (mine > its if m.lower_is_better else mine <= its))
        return Lost(guess, lost) if guess is not None and lost else None

    return compared(baselines.majority, RECOGNITION[::-1]), compared(baselines.mean_vote, DISTANCES)


def worse_than_guesses(ours: Reference, baselines: Baselines, judged_by: str) -> list[str]:
    """Say in words where a network, `judged_by` one of its readings, is no better than a constant guess."""
    said = []
    by_class, by_votes = lost_to_guesses(ours, baselines)
    if by_class is not None:
        found = [f"{m.short} {percent(mine, 2)} (the guess has {percent(its, 2)})" for m, mine, its in by_class.scores]
        said.append(f"No better than the constant guess, {by_class.guess.name}: {', '.join(found)}.")
    if by_votes is not None:
        found = [f"{m.short} {mine:.3f} (the guess has {its:.3f})" for m, mine, its in by_votes.scores]
        said.append(f"Its {judged_by} are worse than the constant guess, {by_votes.guess.name}: {', '.join(found)}.")
    return said


def mean_reference(
    name: str, parts: Sequence[Reference], weights: Sequence[tuple[int, int]] | None = None
) -> Reference:
    """The mean scores of several evaluations.

    `weights`: of each, how many clips have a label and how many have votes; None counts each evaluation once.
    """
    means: dict[str, Any] = {}
    for column, measures in enumerate((RECOGNITION, DISTANCES)):
        counted = [1 if weights is None else weights[number][column] for number in range(len(parts))]
        for measure in measures:
            known = [(measure.of(each), weight) for each, weight in zip(parts, counted, strict=True) if weight]
            values = [value for value, _ in known if value is not None]
            whole = bool(known) and len(values) == len(known)
            means[measure.key] = float(np.average(values, weights=[w for _, w in known])) if whole else None
    return Reference(name, **means)


def mean_baselines(
    parts: Sequence[Baselines | None], weights: Sequence[tuple[int, int]] | None = None
) -> Baselines | None:
    """The mean scores of the guesses beside several evaluations; None where one of these has none."""
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts):
        return None
    majorities = [each.majority for each in known if each.majority is not None]
    names, sources = {each.name for each in majorities}, dict.fromkeys(each.source for each in known)
    learned = all(each.endswith(LEARNED) for each in sources) and len(known) > 1
    name = names.pop() if len(names) == 1 else "always the most frequent class"
    return Baselines(
        source="the clips that each run learned from" if learned else "; ".join(sources),
        majority=mean_reference(name, majorities, weights) if len(majorities) == len(known) else None,
        mean_vote=mean_reference(known[0].mean_vote.name, [each.mean_vote for each in known], weights),
    )


def mean_human_line(parts: Sequence[HumanLine | None]) -> HumanLine | None:
    """The human line of several evaluations taken together, each clip with the same weight; None where one has none."""
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts):
        return None
    clips = [each.num_clips for each in known]
    weights = [(count, count) for count in clips]
    return HumanLine(
        num_clips=sum(clips),
        num_votes=float(np.average([each.num_votes for each in known], weights=clips)),
        people=mean_reference(known[0].people.name, [each.people for each in known], weights),
        model=mean_reference(known[0].model.name, [each.model for each in known], weights),
        noise=_mean_of([each.noise for each in known], clips),
        panels=_mean_of([each.panels for each in known], clips),
    )


def _mean_of(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if len(known) == len(values) else None
