"""Single annotators beside the others: how often they agree, what they say where others see what, who answers by habit.

All is measured against the *other* votes on the same clips, not against a truth that nobody knows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

HABIT_KAPPA = 0.2
"""Who agrees with the others less than this beyond chance, by more than a standard error, answers by habit."""

HABIT_VOTES = 10
"""Of fewer votes on clips that others judged too, nothing is said of habits."""


@dataclass(frozen=True)
class AnnotatorComparison:
    """Of A annotators and K classes; NaN where an annotator shares no clip with others.

    Attributes:
        votes: how many each cast `[A]`.
        shares: of each class among an annotator's votes `[A, K]`.
        compared: votes on clips that others judged, too `[A]`.
        agreement: the mean share of the others' votes on a clip that are for the annotator's class `[A]`.
        kappa: the same beyond chance, which is what the annotator's and the others' shares of the classes alone would
            give on these clips: 1 full agreement, 0 chance `[A]`.
        error: the standard error of kappa, of votes that are independent `[A]`.
        confusion: how often others said one class (row) where the annotator said another (column), in votes of the
            annotator: each vote is divided over the rows as the others' votes on its clip are `[A, K, K]`.
    """

    votes: Int64[np.ndarray, " A"]
    shares: Float64[np.ndarray, "A K"]
    compared: Int64[np.ndarray, " A"]
    agreement: Float64[np.ndarray, " A"]
    kappa: Float64[np.ndarray, " A"]
    error: Float64[np.ndarray, " A"]
    confusion: Float64[np.ndarray, "A K K"]

    @property
    def by_habit(self) -> list[bool]:
        """Who hardly answers to what is seen: kappa is below `HABIT_KAPPA`, and no accident."""
        low = self.kappa + self.error < HABIT_KAPPA  # False where NaN
        return [bool(each) for each in low & (self.compared >= HABIT_VOTES)]


def compare_annotators(
    clips: Int64[np.ndarray, " V"],
    annotators: Int64[np.ndarray, " V"],
    classes: Int64[np.ndarray, " V"],
    num_classes: int,
) -> AnnotatorComparison:
    """Compare each annotator with the others."""
    people = int(annotators.max()) + 1
    counts = np.zeros((int(clips.max()) + 1, num_classes))
    np.add.at(counts, (clips, classes), 1.0)
    _, pair = np.unique(clips * people + annotators, return_inverse=True)
    own = np.zeros((int(pair.max()) + 1, num_classes))
    np.add.at(own, (pair, classes), 1.0)
    others = counts[clips] - own[pair]
    totals = others.sum(axis=1)
    shared = totals > 0
    others = others[shared] / totals[shared, None]
    who, chosen = annotators[shared], classes[shared]

    votes = np.bincount(annotators, minlength=people)
    compared = np.bincount(who, minlength=people)
    shares = np.zeros((people, num_classes))
    np.add.at(shares, (annotators, classes), 1.0)
    shares /= np.maximum(votes, 1)[:, None]
    confusion = np.zeros((people, num_classes, num_classes))
    np.add.at(confusion.transpose(0, 2, 1), (who, chosen), others)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = confusion.trace(axis1=1, axis2=2) / compared
        said = confusion.sum(axis=1) / compared[:, None]
        seen = confusion.sum(axis=2) / compared[:, None]
        chance = (said * seen).sum(axis=1)
        kappa = np.where(chance < 1 - 1e-12, (agreement - chance) / (1 - chance), np.nan)
        error = np.sqrt(agreement * (1 - agreement) / compared) / (1 - chance)
    return AnnotatorComparison(votes, shares, compared, agreement, kappa, error, confusion)


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators on the clips that both judged.

    Of the clips that both judged: the share on which they chose the same class, and Cohen's kappa, NaN where both chose
    one class only.
    """

    first: int
    second: int
    clips: int
    agreement: float
    kappa: float


def compare_pairs(
    clips: Int64[np.ndarray, " V"],
    annotators: Int64[np.ndarray, " V"],
    classes: Int64[np.ndarray, " V"],
    num_classes: int,
    chosen: list[int],
) -> list[PairAgreement]:
    """Compare some annotators with each other; of several votes of one on a clip, the first counts."""
    said = {}
    for each in chosen:
        judged, first = np.unique(clips[annotators == each], return_index=True)
        said[each] = judged, classes[annotators == each][first]
    pairs = []
    for place, one in enumerate(chosen):
        for other in chosen[place + 1 :]:
            _, left, right = np.intersect1d(said[one][0], said[other][0], return_indices=True)
            if not len(left):
                continue
            a, b = said[one][1][left], said[other][1][right]
            agreement = float((a == b).mean())
            shares = [np.bincount(each, minlength=num_classes) / len(left) for each in (a, b)]
            chance = float(shares[0] @ shares[1])
            kappa = (agreement - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan")
            pairs.append(PairAgreement(one, other, len(left), agreement, kappa))
    return pairs
