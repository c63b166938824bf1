"""The targets of FER+: four ways to train from ten votes, and which pictures are left out of each.

Barsoum, Zhang, Canton Ferrer and Zhang 2016, "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution" (arXiv 1608.01041), and Microsoft's reader of the data set,
github.com/microsoft/FERPlus, `src/ferplus.py` (read at commit 06447e0), which does more than the paper says. The
functions here follow the reader, so that figures can be compared with those that others reach with it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import Votes, checked_whole_votes
from midas_dfer.labels.soft import sampled_hard_labels

FerplusMode = Literal["majority", "multi_target", "probability", "crossentropy"]
"""The four ways to train; see `ferplus_targets`."""

_CLEAR_MAJORITY = 0.5  # of the votes that are left: more than this must be accounted for
_COVERED = 0.75  # emotions are taken from the top until they have this much of the votes that are left
_MOST_EMOTIONS = 3
_PERMITTED = 0.3  # share from which an emotion counts in multi_target
_EPSILON = 0.001  # what an emotion that does not count gets there


@dataclass(frozen=True)
class FerplusTargets:
    """The pictures that FER+'s rules keep, and the training target of each.

    Attributes:
        rows: the kept rows of the votes `[M]`, ascending; row `rows[m]` has the target `targets[m]`.
        targets: `[M, K]`, over the emotions only, without "unknown" and "not a face". Each row sums to 1, except for
            "multi_target", where every emotion that counts has 1 and every other has 0.001.
    """

    rows: Int64[np.ndarray, " M"]
    targets: Float64[np.ndarray, "M K"]


def ferplus_targets(
    votes: Votes, mode: FerplusMode, generator: np.random.Generator | None = None, *, no_emotion: int = 2
) -> FerplusTargets:
    """Compute the targets of FER+, and leave out the pictures that it leaves out.

    In every mode, columns with a single vote are treated as outliers and set to zero; v are the remaining votes, n
    their sum, including "unknown" and "not a face". A picture without remaining votes is dropped. Then:

    - "majority": the top class, one-hot. Dropped if it has n/2 or less, or is not an emotion; so there are no ties.
    - "multi_target": all classes with at least 0.3 n count. Dropped if together they have n/2 or less, or if no
      emotion has as many votes as the top class. The emotions that count get 1, others 0.001. Its loss is
      `-log(max_k(target_k * probability_k))`: the network may predict any of them.
    - "crossentropy": emotions are taken from the top, tied ones together, until they cover 0.75 n or three are
      taken; the search also ends, and the votes count as covered, if "unknown" or "not a face" leads the rest.
      Dropped if the emotions taken have n/2 or less, or are more than three (by a tie). The target is their share.
    - "probability": one emotion per picture, drawn from the target of "crossentropy", one-hot. FER+ draws again
      each time that a picture is used: call `sampled_hard_labels` on the targets of "crossentropy" every epoch.

    FER+ trains in one of these modes and validates and tests on "majority".

    Where the paper and the code differ:

    - The paper's equations start from the distribution of the ten votes. Outliers, 0.75, three emotions and the
      dropping are in the code only.
    - Majority: the paper takes the largest share, however small; the code requires more than half.
    - Multi-label: the paper counts an emotion whose share is *more* than the threshold; the code, 30 % or more.
    - The code at the commit we read keeps a picture only if the top class is below `number of emotions - 2`, where
      its training script passes 8: pictures of fear and contempt would be lost. An earlier version (888f98d) compares
      with the number of emotions, as its comment says and as we do.

    Args:
        votes: counts `[N, K + no_emotion]`, integers, at least one vote per row; the emotions come first.
        mode: one of the above.
        generator: only needed for "probability": one number is drawn from it per kept picture.
        no_emotion: how many of the last columns are not emotions; 2 in FER+ ("unknown" and "NF"), 0 if annotators
            had to name an emotion.

    Returns:
        The kept rows and their targets.

    Raises:
        RequestError: votes are not as above (the message names the rows), the mode is unknown, a generator is
            missing, or no column is left for the emotions.
    """
    counts = checked_whole_votes(votes)
    num_emotions = counts.shape[1] - no_emotion
    if mode not in get_args(FerplusMode):
        raise RequestError(f"{mode!r} is not a mode of FER+. Use one of: {', '.join(get_args(FerplusMode))}.")
    if no_emotion < 0 or num_emotions < 1:
        raise RequestError(
            f"Of {counts.shape[1]} columns of votes, {no_emotion} cannot be without an emotion. "
            "Give the emotions first and then the columns that are none."
        )
    if mode == "probability" and generator is None:
        raise RequestError("The mode 'probability' draws labels. Give a numpy.random.Generator.")
    left = np.where(counts > 1, counts, 0.0)
    if mode == "majority":
        kept, weights = _majority(left, num_emotions)
    elif mode == "multi_target":
        kept, weights = _multi_target(left, num_emotions)
    else:
        kept, weights = _leading(left, num_emotions)
    rows = np.flatnonzero(kept).astype(np.int64)
    weights = weights[rows]
    if mode == "multi_target":
        return FerplusTargets(rows, np.where(weights > 0, 1.0, _EPSILON))
    if mode == "probability" and generator is not None:
        return FerplusTargets(rows, np.eye(num_emotions)[sampled_hard_labels(weights, generator)])
    return FerplusTargets(rows, weights / weights.sum(axis=1, keepdims=True))


def _majority(
    left: Float64[np.ndarray, "N C"], num_emotions: int
) -> tuple[Bool[np.ndarray, " N"], Float64[np.ndarray, "N K"]]:
    top = left.max(axis=1, keepdims=True)
    emotions = left[:, :num_emotions]
    weights = np.where(emotions == top, emotions, 0.0)
    clear = top[:, 0] > _CLEAR_MAJORITY * left.sum(axis=1)
    return clear & weights.any(axis=1), weights


def _multi_target(
    left: Float64[np.ndarray, "N C"], num_emotions: int
) -> tuple[Bool[np.ndarray, " N"], Float64[np.ndarray, "N K"]]:
    total = left.sum(axis=1)
    counted = np.where(left >= _PERMITTED * total[:, None], left, 0.0)
    weights = counted[:, :num_emotions]
    leads = weights.max(axis=1) == counted.max(axis=1)
    return (counted.sum(axis=1) > _CLEAR_MAJORITY * total) & leads, weights


def _leading(
    left: Float64[np.ndarray, "N C"], num_emotions: int
) -> tuple[Bool[np.ndarray, " N"], Float64[np.ndarray, "N K"]]:
    total = left.sum(axis=1)
    rest, weights = left.copy(), np.zeros((len(left), num_emotions))
    going_on = total > 0
    for _ in range(_MOST_EMOTIONS):  # each round takes at least one
        at_top = (rest == rest.max(axis=1, keepdims=True)) & going_on[:, None]
        weights[at_top[:, :num_emotions]] = left[:, :num_emotions][at_top[:, :num_emotions]]
        rest[at_top] = 0.0
        going_on &= ~at_top[:, num_emotions:].any(axis=1)
        going_on &= (weights.sum(axis=1) < _COVERED * total) & ((weights > 0).sum(axis=1) < _MOST_EMOTIONS)
    few = (weights > 0).sum(axis=1) <= _MOST_EMOTIONS
    return (weights.sum(axis=1) > _CLEAR_MAJORITY * total) & few, weights
