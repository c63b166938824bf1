"""How far annotators agree with each other, beyond what chance would do."""

from importlib import import_module
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import Votes, checked_whole_votes, refuse_rows

MeasurementLevel = Literal["nominal", "ordinal"]
"""What the classes are: names without an order, or steps of a scale in the order of the columns."""


def fleiss_kappa(votes: Votes) -> float:
    """Compute Fleiss' kappa (Fleiss 1971): the agreement of n annotators on N clips, corrected for chance.

    With P the mean over the clips of the share of pairs of votes that agree, and Q the sum over the classes of
    the squared share of all votes, kappa is `(P - Q) / (1 - Q)`: 1 for full agreement, 0 for agreement by chance,
    below 0 for less than that. It does not depend on which annotator cast which vote.

    Every clip must have the same number of votes, at least two. Otherwise (CREMA-D has 6 to 12 votes per clip) use
    `krippendorff_alpha`: with equal numbers, `1 - kappa` is `1 - alpha` times `N n / (N n - 1)`.

    Args:
        votes: counts `[N, K]`, whole numbers, at least one vote a row.

    Returns:
        Kappa, from -1 to 1.

    Raises:
        RequestError: votes are not as above, their number differs between clips (the message names rows) or is 1,
            there are no clips, or all votes are for one class, so that chance alone gives full agreement and kappa
            is 0/0.
    """
    counts = checked_whole_votes(votes)
    if not len(counts):
        raise RequestError("There are no votes to measure the agreement of. Give at least one clip with two votes.")
    numbers = counts.sum(axis=1)
    usual = float(np.median(numbers))
    refuse_rows(
        numbers != (usual if usual in numbers else numbers[0]),
        counts,
        "votes",
        "Fleiss' kappa needs the same number of votes on every clip; krippendorff_alpha does not",
    )
    num_votes = float(numbers[0])
    if num_votes < 2:
        raise RequestError("Each clip has one vote, so that nobody can agree. Give clips with two votes or more.")
    _refuse_one_class(counts)
    observed = float(((counts * (counts - 1)).sum(axis=1) / (num_votes * (num_votes - 1))).mean())
    by_chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return (observed - by_chance) / (1 - by_chance)


def krippendorff_alpha(votes: Votes, level: MeasurementLevel = "nominal") -> float:
    """Compute Krippendorff's alpha (Krippendorff 2011) with the library `krippendorff` (extra `agreement`).

    Alpha is `1 - observed disagreement / disagreement by chance`: 1 for full agreement, 0 for chance. Clips may
    have different numbers of votes; those with a single vote have no pair and are left out. With "ordinal", the
    distance of two classes grows with the number of votes between them.

    Args:
        votes: counts `[N, K]`, whole numbers, at least one vote a row; columns in their order for "ordinal".
        level: level of measurement of the classes; emotions are "nominal".

    Returns:
        Alpha, at most 1.

    Raises:
        RequestError: votes are not as above, the level is unknown, the library is not installed, no clip has two
            votes, or all votes that can be compared are for one class, so that alpha is 0/0.
    """
    counts = checked_whole_votes(votes)
    if level not in get_args(MeasurementLevel):
        raise RequestError(
            f"{level!r} is not a level of measurement. Use one of: {', '.join(get_args(MeasurementLevel))}."
        )
    pairable = counts[counts.sum(axis=1) >= 2]
    if not len(pairable):
        raise RequestError("No clip has two votes, so that nobody can agree. Give clips with two votes or more.")
    _refuse_one_class(pairable)
    library: Any
    try:
        library = import_module("krippendorff")
    except ImportError as error:
        raise RequestError(
            "Krippendorff's alpha needs the library krippendorff, which is not installed: "
            "pip install 'midas-dfer[agreement]'"
        ) from error
    return float(library.alpha(value_counts=pairable.astype(np.int64), level_of_measurement=level))


def _refuse_one_class(counts: Float64[np.ndarray, "N K"]) -> None:
    chosen = np.flatnonzero(counts.any(axis=0))
    if chosen.size == 1:
        raise RequestError(
            f"All votes are for class {chosen[0]}, so that agreement beyond chance is not defined. "
            "Give votes among which at least two classes occur."
        )
