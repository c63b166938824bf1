"""Earth mover's (Wasserstein-1) distance between predictions and votes, exact, and a ground metric of emotions."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, overload

import numpy as np
from jaxtyping import Float64, Num

from midas_dfer.emotions import canonical_name, check_class_names
from midas_dfer.errors import RequestError
from midas_dfer.metrics.votes import Distributions, checked_pair, reduced
from midas_dfer.wording import joined

Ground = Num[np.ndarray, " K"] | Num[np.ndarray, "K K"] | Sequence[float] | Sequence[Sequence[float]]
"""How far apart the classes are: their positions on a line `[K]`, or the distances between them `[K, K]`."""

EMOTION_POSITIONS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "happy": (0.81, 0.51, 0.46),
        "sad": (-0.63, -0.27, -0.33),
        "neutral": (0.0, 0.0, 0.0),  # not in the table: the middle of the three scales
        "angry": (-0.51, 0.59, 0.25),
        "surprise": (0.40, 0.67, -0.13),
        "disgust": (-0.60, 0.35, 0.11),
        "fear": (-0.64, 0.60, -0.43),
        "contempt": (-0.24, 0.31, 0.21),
        "anxiety": (0.01, 0.59, -0.15),
        "helplessness": (-0.71, 0.42, -0.51),
    }
)
"""Pleasure, arousal and dominance of emotions, each from -1 to 1: mean ratings of "happy", "sad", "angry", "surprised",
"disgusted", "fearful", "contemptuous", "anxious" and "helpless" in table 4 of Russell and Mehrabian 1977, "Evidence for
a three-factor theory of emotions" (doi 10.1016/0092-6566(77)90037-X)."""

_CLIPS_AT_ONCE = 100
_SYMMETRY = 1e-9


def emotion_distances(class_names: Sequence[str]) -> Float64[np.ndarray, "K K"]:
    """Euclidean distances between emotions in the space of pleasure, arousal and dominance (`EMOTION_POSITIONS`).

    A choice, and not the only one: state it with every score. In the plane of pleasure and arousal alone (the
    circumplex of Russell 1980) anger and fear are 0.13 apart, less than any other two of the basic emotions; dominance
    tells them apart.

    Args:
        class_names: in any spelling known here ("anger", "angry").

    Returns:
        Distances `[K, K]`: symmetric, 0 on the diagonal; the largest of these emotions is 1.82, happy to sad.

    Raises:
        RequestError: a class has no position, or is named twice.
    """
    check_class_names(tuple(class_names))
    unknown = [name for name in class_names if canonical_name(name) not in EMOTION_POSITIONS]
    if unknown:
        raise RequestError(
            f"There is no position for {joined(unknown)}; there are positions for {joined(list(EMOTION_POSITIONS))}. "
            "Give `wasserstein` a matrix of your own distances, or merge or leave out the class."
        )
    places = np.array([EMOTION_POSITIONS[canonical_name(name)] for name in class_names])
    distances: Float64[np.ndarray, "K K"] = np.linalg.norm(places[:, None] - places[None], axis=2)
    return distances


@overload
def wasserstein(p: Distributions, q: Distributions, ground: Ground, reduction: Literal["mean"] = "mean") -> float: ...
@overload
def wasserstein(
    p: Distributions, q: Distributions, ground: Ground, reduction: Literal["none"]
) -> Float64[np.ndarray, " N"]: ...
def wasserstein(
    p: Distributions, q: Distributions, ground: Ground, reduction: Literal["mean", "none"] = "mean"
) -> float | Float64[np.ndarray, " N"]:
    """Earth mover's distance: the least `sum(T * D)` of all plans T that move the prediction to the votes.

    T is not negative, its rows sum to p and its columns to q; D are the distances between the classes. Exact: on a line
    with positions c it is `sum(|P - Q| * step)`, P and Q cumulative and the steps those between neighbouring positions
    (Vallender 1974); for any D a linear program. With D = 1 off the diagonal it is the total variation.

    Args:
        p: predicted distributions `[N, K]`; rows are made to sum to 1 exactly, as are those of q.
        q: shares of the votes `[N, K]`.
        ground: positions of the classes on a line `[K]`, in any order, or distances `[K, K]`, such as
            `emotion_distances`.
        reduction: "mean" over the clips, or "none" for each clip.

    Returns:
        0 (equal) to the largest distance between two classes, in its unit.

    Raises:
        RequestError: as for `total_variation`, or the ground is not finite, not of the K classes, or, where it is
            distances, negative, not symmetric or not 0 on the diagonal.
    """
    predicted, votes = (side / side.sum(axis=1, keepdims=True) for side in checked_pair(p, q))
    places = _checked_ground(ground, predicted.shape[1])
    if places.ndim == 1:
        order = np.argsort(places)
        gaps = np.abs((predicted - votes)[:, order].cumsum(axis=1)[:, :-1])
        return reduced(gaps @ np.diff(places[order]), reduction)
    parts = range(0, len(predicted), _CLIPS_AT_ONCE)
    costs = [_least_costs(predicted[at : at + _CLIPS_AT_ONCE], votes[at : at + _CLIPS_AT_ONCE], places) for at in parts]
    return reduced(np.concatenate(costs), reduction)


def _least_costs(
    p: Float64[np.ndarray, "N K"], q: Float64[np.ndarray, "N K"], distances: Float64[np.ndarray, "K K"]
) -> Float64[np.ndarray, " N"]:
    """The transport problems of several clips as one linear program, which spares most of the cost of each call."""
    from scipy import sparse
    from scipy.optimize import linprog

    N, K = p.shape
    one, all_of_them = sparse.eye_array(K), np.ones((1, K))
    sums = sparse.vstack([sparse.kron(one, all_of_them), sparse.kron(all_of_them, one)]).tocsr()[
        :-1
    ]  # the last follows
    found = linprog(
        np.tile(distances.ravel(), N),
        A_eq=sparse.kron(sparse.eye_array(N), sums, format="csr"),
        b_eq=np.concatenate([p, q], axis=1)[:, :-1].ravel(),
        method="highs-ds",
        options={"presolve": False},  # it takes shares below 1e-9, as those of a sure network are, for contradictions
    )
    if found.x is None:
        raise RequestError(f"The transport between predictions and votes was not found: {found.message}")
    costs: Float64[np.ndarray, " N"] = np.maximum(found.x.reshape(N, K * K) @ distances.ravel(), 0.0)
    return costs


def _checked_ground(ground: Ground, num_classes: int) -> Float64[np.ndarray, "..."]:
    places = np.asarray(ground, dtype=np.float64)
    if places.shape not in ((num_classes,), (num_classes, num_classes)) or not np.isfinite(places).all():
        raise RequestError(
            f"The ground has the shape {list(places.shape)}; expected finite positions [{num_classes}] or distances "
            f"[{num_classes}, {num_classes}]."
        )
    if places.ndim == 2 and (
        (places < 0).any() or places.diagonal().any() or np.abs(places - places.T).max() > _SYMMETRY * places.max()
    ):
        raise RequestError(
            "The ground is no matrix of distances; expected values of 0 or more, the same in both directions, and 0 on "
            "the diagonal."
        )
    return places
