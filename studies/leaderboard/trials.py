"""What readers and people are asked to predict: the votes of ten or five people, on all test pictures or some."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer import metrics
from midas_dfer.emotions import FERPLUS
from midas_dfer.labels import NO_LABEL, majority_labels, votes_to_soft_labels
from studies.leaderboard.pictures import Pictures

TEST, SEVEN, PANEL, HALVES = "test", "seven", "panel", "halves"
"""All test pictures; the same without contempt; those with a second panel; five of the ten votes."""
CONSTANT, SECOND_PANEL, OTHER_FIVE = "the training votes' mean", "ten other people", "the other five people"
PEOPLE = frozenset({SECOND_PANEL, OTHER_FIVE})
VOTES, HALF, DRAWS, SEED = 10, 5, 20, 0
_WEIGHTS = (0.0, 100.0)  # between which `floor` looks for the weight of the mean vote


@dataclass(frozen=True)
class Trial:
    """Pictures, the votes that are to be predicted, and the predictions.

    Attributes:
        ids: of the rows; the name of the picture, with the number of the draw where votes were drawn.
        votes: shares.
        labels: the emotion with the most votes; -1 where votes are tied, or those of the people who predict them.
        groups: rows of nearly the same picture have the same number.
        class_names: the emotions.
        predictions: of each reader, by its name.
    """

    ids: tuple[str, ...]
    votes: Float64[np.ndarray, "M K"]
    labels: Int64[np.ndarray, " M"]
    groups: Int64[np.ndarray, " M"]
    class_names: tuple[str, ...]
    predictions: dict[str, Float64[np.ndarray, "M K"]]


Shares = Mapping[str, Float64[np.ndarray, "N K"]]
"""Of each reader on the test pictures, by its name."""


def make_trials(pictures: Pictures, shares: Shares) -> dict[str, Trial]:
    """All trials, the people's own predictions among them; those that no test picture is fit for are left out."""
    counts = pictures.counts
    constant = np.tile(pictures.mean_votes, (len(counts), 1))
    everyone = {**shares, CONSTANT: constant}
    rows = np.arange(len(counts))
    test = _trial(pictures, rows, counts, everyone)
    trials = {TEST: test, SEVEN: without_contempt(test, counts)}
    copied = np.flatnonzero(pictures.copy >= 0)
    if len(copied):
        theirs = counts[pictures.copy[copied]]
        trials[PANEL] = _against_people(_trial(pictures, copied, counts[copied], everyone), SECOND_PANEL, theirs)
    whole = np.flatnonzero(counts.sum(axis=1) == VOTES)
    if len(whole):
        first = draw_halves(counts[whole])
        told = np.concatenate(counts[whole] - first)
        drawn = np.tile(whole, DRAWS)
        trial = _trial(pictures, drawn, np.concatenate(first), everyone)
        ids = tuple(f"{name} {draw}" for draw in range(DRAWS) for name in trial.ids[: len(whole)])
        trials[HALVES] = _against_people(replace(trial, ids=ids), OTHER_FIVE, told)
    return trials


def _trial(
    pictures: Pictures, rows: Int64[np.ndarray, " M"], counts: Int64[np.ndarray, "M K"], shares: Shares
) -> Trial:
    return Trial(
        ids=tuple(pictures.names[row] for row in rows),
        votes=votes_to_soft_labels(counts),
        labels=majority_labels(counts),
        groups=pictures.groups[rows],
        class_names=pictures.class_names,
        predictions={name: found[rows] for name, found in shares.items()},
    )


def _against_people(trial: Trial, name: str, counts: Int64[np.ndarray, "M K"]) -> Trial:
    """Let people predict as well; where their own votes are tied they name no emotion, and nobody is asked for one."""
    tied = majority_labels(counts) == NO_LABEL
    return replace(
        trial,
        labels=np.where(tied, NO_LABEL, trial.labels),
        predictions={**trial.predictions, name: votes_to_soft_labels(counts)},
    )


def without_contempt(trial: Trial, counts: Int64[np.ndarray, "N K"]) -> Trial:
    """The emotions that readers of seven know too; pictures on which nobody named one of them are left out."""
    columns = [n for n, name in enumerate(FERPLUS.names) if name != "contempt"]
    kept = counts[:, columns].sum(axis=1) > 0
    left = counts[kept][:, columns]
    return Trial(
        ids=tuple(name for name, keep in zip(trial.ids, kept, strict=True) if keep),
        votes=votes_to_soft_labels(left),
        labels=majority_labels(left),
        groups=trial.groups[kept],
        class_names=tuple(trial.class_names[column] for column in columns),
        predictions={name: _among(found[kept][:, columns]) for name, found in trial.predictions.items()},
    )


def _among(shares: Float64[np.ndarray, "M K"]) -> Float64[np.ndarray, "M K"]:
    """Divide by the sums; a reader that gives all to what was left out says nothing of the rest: all alike."""
    totals = shares.sum(axis=1, keepdims=True)
    return np.where(totals > 0, shares / np.where(totals > 0, totals, 1.0), 1 / shares.shape[1])


def draw_halves(counts: Int64[np.ndarray, "N K"]) -> Int64[np.ndarray, "D N K"]:
    """Draw five of the ten votes on each picture, without putting them back, many times."""
    generator = np.random.default_rng(SEED)
    return np.stack(
        [np.array([generator.multivariate_hypergeometric(row, HALF) for row in counts]) for _ in range(DRAWS)]
    )


@dataclass(frozen=True)
class Floor:
    """How far a perfect prediction would be from ten votes.

    Attributes:
        total_variation: of the distribution that votes are drawn from, to ten votes; a mean over pictures.
        weight: votes' worth of the mean vote in the distribution that is supposed for a picture.
        halves: the total variation between five votes and five others, as measured.
        pictures: how many, with ten votes for emotions.
    """

    total_variation: float
    weight: float
    halves: float
    pictures: int


def floor(counts: Int64[np.ndarray, "N K"]) -> Floor | None:
    """Estimate it from the votes alone, so that no prediction can gain by it.

    The votes on a picture are supposed to be drawn from their own shares, with some votes' worth of the mean vote
    mixed in; so much that five simulated votes are as far from five others as five real ones are.

    Returns:
        None where no picture has ten votes.
    """
    whole = counts[counts.sum(axis=1) == VOTES]
    if not len(whole):
        return None
    first = draw_halves(whole)
    halves = float(np.mean([_apart(each, whole - each) for each in first]))
    low, high = _WEIGHTS
    for _ in range(20):
        weight = (low + high) / 2
        if _simulated(whole, weight, HALF) < halves:
            low = weight
        else:
            high = weight
    supposed = _supposed(whole, weight)
    generator = np.random.default_rng(SEED)
    distances = [
        metrics.total_variation(supposed, generator.multinomial(VOTES, supposed) / VOTES) for _ in range(DRAWS)
    ]
    return Floor(float(np.mean(distances)), weight, halves, len(whole))


def _supposed(counts: Int64[np.ndarray, "N K"], weight: float) -> Float64[np.ndarray, "N K"]:
    mean = votes_to_soft_labels(counts).mean(axis=0)
    return votes_to_soft_labels(counts + weight * mean)


def _simulated(counts: Int64[np.ndarray, "N K"], weight: float, size: int) -> float:
    supposed, generator = _supposed(counts, weight), np.random.default_rng(SEED)
    return float(
        np.mean(
            [_apart(generator.multinomial(size, supposed), generator.multinomial(size, supposed)) for _ in range(DRAWS)]
        )
    )


def _apart(first: Int64[np.ndarray, "N K"], second: Int64[np.ndarray, "N K"]) -> float:
    return metrics.total_variation(votes_to_soft_labels(first), votes_to_soft_labels(second))


def all_copies(pictures: Pictures) -> Trial:
    """Two panels on all pictures of FER+ that are there twice and more, in all parts: each panel predicts the next."""
    pairs = [
        (row, other, number)
        for number, group in enumerate(pictures.all_copies)
        for row, other in zip(group, (*group[1:], *group[:1]), strict=True)
    ]
    rows, others, groups = (np.array(each, dtype=np.int64) for each in zip(*pairs, strict=True))
    counts = pictures.all_counts
    trial = Trial(
        ids=tuple(str(row) for row in rows),
        votes=votes_to_soft_labels(counts[rows]),
        labels=majority_labels(counts[rows]),
        groups=groups,
        class_names=pictures.class_names,
        predictions={},
    )
    return _against_people(trial, SECOND_PANEL, counts[others])
