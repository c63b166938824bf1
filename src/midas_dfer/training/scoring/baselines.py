"""What a network's scores are held against: guesses that need no network, and people who predict each other."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer import metrics
from midas_dfer.labels import NO_LABEL, majority_labels, votes_to_soft_labels

DRAWS = 20
"""How often the votes of each clip are halved."""
_FEWEST_VOTES = 2
LEARNED = "that it learned from"
"""How the source of guesses is called, behind the number of clips, where that is what the network learned from."""


@dataclass(frozen=True)
class Reference:
    """Scores that others are held against, or that are held against others.

    Attributes:
        name: of who has them, in words.
        uar: mean recall over the classes that occur; None where there are no labels.
        war: share of the labelled clips whose class was found; None likewise.
        soft_cross_entropy: in nats; None where there are no votes, or where it is infinite.
        jensen_shannon: in nats; None where there are no votes.
        total_variation: likewise.
    """

    name: str
    uar: float | None
    war: float | None
    soft_cross_entropy: float | None
    jensen_shannon: float | None
    total_variation: float | None


MEASURES = tuple(each.name for each in fields(Reference)[1:])
"""Its scores, by name."""


@dataclass(frozen=True)
class Baselines:
    """Guesses that say the same of every clip.

    Attributes:
        source: the clips that they are made from, in words, such as "the 192 training clips".
        majority: always the class that most of these have; None where none of them has a single label.
        mean_vote: always the mean of their votes.
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

    Attributes:
        num_clips: how many clips have the votes for it.
        num_votes: how many votes of a clip are predicted, on average.
        people: the scores of the other half.
        model: the scores of the network against the same halves.
    """

    num_clips: int
    num_votes: float
    people: Reference
    model: Reference


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
    """Score guesses that say the same of every clip.

    Args:
        training_votes: shares of the votes of the clips that they are made from.
        training_labels: the single labels of these; -1 where there is none.
        class_names: of all these arrays.
        labels: of the clips that are scored.
        votes: shares of their votes.
        has_votes: which of them have votes.
        source: the clips that they are made from, in words.
    """
    mean = training_votes.mean(axis=0)
    tested = (labels, votes, has_votes)
    guesses = [_constant("always the mean vote", mean / mean.sum(), *tested)]
    labelled = training_labels[training_labels != NO_LABEL]
    if len(labelled):
        most = int(np.bincount(labelled, minlength=len(class_names)).argmax())
        guesses.append(_constant(f"always {class_names[most]}", np.eye(len(class_names))[most], *tested))
    return Baselines(source, guesses[1] if len(labelled) else None, guesses[0])


def _constant(
    name: str,
    guess: Float64[np.ndarray, " K"],
    labels: Int64[np.ndarray, " N"],
    votes: Float64[np.ndarray, "N K"],
    has_votes: Bool[np.ndarray, " N"],
) -> Reference:
    labelled, voted = labels != NO_LABEL, votes[has_votes]
    shares = np.tile(guess, (len(voted), 1))
    confusion = metrics.confusion_matrix(
        labels[labelled], np.full(int(labelled.sum()), guess.argmax(), dtype=np.int64), len(guess)
    )
    finite = len(voted) and not ((shares == 0) & (voted > 0)).any()
    return Reference(
        name=name,
        uar=metrics.uar(confusion) if labelled.any() else None,
        war=metrics.war(confusion) if labelled.any() else None,
        soft_cross_entropy=metrics.soft_cross_entropy(shares, voted) if finite else None,
        jensen_shannon=metrics.jensen_shannon(shares, voted) if len(voted) else None,
        total_variation=metrics.total_variation(shares, voted) if len(voted) else None,
    )


def human_line(
    counts: Int64[np.ndarray, "N K"], predicted: Int64[np.ndarray, " N"], shares: Float64[np.ndarray, "N K"]
) -> HumanLine | None:
    """Let half of each clip's votes be predicted by the other half, and by a network.

    Half of the votes, rounded down, are drawn without putting them back; twenty times, always the same. Where either
    half has no single most frequent class, the clip does not count for UAR and WAR.

    Args:
        counts: votes of each clip; of clips without known votes 0 in all classes.
        predicted: the class that the network says.
        shares: the network's distribution over the votes.

    Returns:
        None where no clip has two votes.
    """
    rows = counts.sum(axis=1) >= _FEWEST_VOTES
    if not rows.any():
        return None
    counts, predicted, shares = counts[rows], predicted[rows], shares[rows]
    generator = np.random.default_rng(0)
    people, model = _Sum(counts.shape[1]), _Sum(counts.shape[1])
    for _ in range(DRAWS):
        asked = halve_votes(counts, generator)
        others = counts - asked
        theirs = majority_labels(others)
        labels = np.where(theirs == NO_LABEL, NO_LABEL, majority_labels(asked))
        votes = votes_to_soft_labels(asked)
        people.add(labels, theirs, votes, votes_to_soft_labels(others))
        model.add(labels, predicted, votes, shares)
    return HumanLine(
        num_clips=len(counts),
        num_votes=float((counts.sum(axis=1) // 2).mean()),
        people=people.reference("people, by the other half"),
        model=model.reference("this model"),
    )


def halve_votes(counts: Int64[np.ndarray, "N K"], generator: np.random.Generator) -> Int64[np.ndarray, "N K"]:
    """Draw half of each clip's votes, rounded down, without putting them back."""
    drawn = np.zeros_like(counts)
    left = counts.sum(axis=1)
    wanted = left // 2
    for column in range(counts.shape[1]):
        left = left - counts[:, column]
        drawn[:, column] = generator.hypergeometric(counts[:, column], left, wanted)
        wanted = wanted - drawn[:, column]
    return drawn


class _Sum:
    """Scores over many draws."""

    def __init__(self, num_classes: int) -> None:
        self.confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
        self.jensen_shannon: list[float] = []
        self.total_variation: list[float] = []

    def add(
        self,
        labels: Int64[np.ndarray, " N"],
        predicted: Int64[np.ndarray, " N"],
        votes: Float64[np.ndarray, "N K"],
        shares: Float64[np.ndarray, "N K"],
    ) -> None:
        known = labels != NO_LABEL
        self.confusion += metrics.confusion_matrix(labels[known], predicted[known], len(self.confusion))
        self.jensen_shannon.append(metrics.jensen_shannon(shares, votes))
        self.total_variation.append(metrics.total_variation(shares, votes))

    def reference(self, name: str) -> Reference:
        known = bool(self.confusion.sum())
        return Reference(
            name=name,
            uar=metrics.uar(self.confusion) if known else None,
            war=metrics.war(self.confusion) if known else None,
            soft_cross_entropy=None,  # infinite where nobody of a half names what one of the other does
            jensen_shannon=float(np.mean(self.jensen_shannon)),
            total_variation=float(np.mean(self.total_variation)),
        )


def worse_than_guesses(ours: Reference, baselines: Baselines, judged_by: str) -> list[str]:
    """Say in words where a network is no better than who says the same of every clip.

    Args:
        ours: the network's scores.
        baselines: the guesses'.
        judged_by: the reading that `ours` is of: vote shares, or probabilities.
    """
    said = []
    if (guess := baselines.majority) is not None and (lost := no_better_than(ours, guess)):
        found = [f"{name} {100 * mine:.2f} % (the guess has {100 * its:.2f} %)" for name, mine, its in lost]
        said.append(f"No better than the constant guess, {guess.name}: {', '.join(found)}.")
    guess = baselines.mean_vote
    if lost := farther_than(ours, guess):
        found = [f"{name} {mine:.3f} (the guess has {its:.3f})" for name, mine, its in lost]
        said.append(f"Its {judged_by} are worse than the constant guess, {guess.name}: {', '.join(found)}.")
    return said


def no_better_than(ours: Reference, guess: Reference) -> list[tuple[str, float, float]]:
    """In which of WAR and UAR a network is not above a guess: the name, its score and that of the guess."""
    pairs = (("WAR", ours.war, guess.war), ("UAR", ours.uar, guess.uar))
    return [(name, mine, its) for name, mine, its in pairs if mine is not None and its is not None and mine <= its]


def farther_than(ours: Reference, guess: Reference) -> list[tuple[str, float, float]]:
    """In which measures a network is farther from the votes than a guess: the name, its score and that of the guess."""
    pairs = (
        ("cross-entropy", ours.soft_cross_entropy, guess.soft_cross_entropy),
        ("JSD", ours.jensen_shannon, guess.jensen_shannon),
        ("total variation", ours.total_variation, guess.total_variation),
    )
    return [(name, mine, its) for name, mine, its in pairs if mine is not None and its is not None and mine > its]


def mean_reference(
    name: str, parts: Sequence[Reference], weights: Sequence[tuple[int, int]] | None = None
) -> Reference:
    """The mean scores of several evaluations.

    Args:
        name: what they are called together.
        parts: those of each.
        weights: of each, how many clips have a label and how many have votes; None counts each evaluation once.
    """
    means = {}
    for measure in MEASURES:
        column = 0 if measure in ("uar", "war") else 1
        known = [(getattr(each, measure), 1 if weights is None else weights[n][column]) for n, each in enumerate(parts)]
        known = [(value, weight) for value, weight in known if weight]
        wanting = not known or any(value is None for value, _ in known)
        means[measure] = (
            None if wanting else float(np.average([value for value, _ in known], weights=[w for _, w in known]))
        )
    return Reference(name, **means)


def mean_baselines(
    parts: Sequence[Baselines | None], weights: Sequence[tuple[int, int]] | None = None
) -> Baselines | None:
    """The mean scores of the guesses beside several evaluations; None where one of these has none."""
    known = [each for each in parts if each is not None]
    if not known or len(known) < len(parts):
        return None
    majorities = [each.majority for each in known if each.majority is not None]
    names = {each.name for each in majorities}
    sources = dict.fromkeys(each.source for each in known)
    learned = all(each.endswith(LEARNED) for each in sources)
    return Baselines(
        source="the clips that each run learned from" if learned and len(known) > 1 else "; ".join(sources),
        majority=mean_reference(
            names.pop() if len(names) == 1 else "always the most frequent class", majorities, weights
        )
        if len(majorities) == len(known)
        else None,
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
    )
