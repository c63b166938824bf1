"""How far the annotators of a data set agree, and why a measure of it cannot be computed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels import fleiss_kappa, krippendorff_alpha

_ALPHA_CELLS = 4_000_000
"""The library makes arrays of clips x classes x classes: more cells than these are not given to it at once."""


@dataclass(frozen=True)
class Agreement:
    """Of the annotators, over the clips with two votes or more. Where a measure is None, its note says why.

    Attributes:
        pairs: how often two votes on the same clip are for the same class: the mean over the clips.
        fleiss_kappa: see `labels.fleiss_kappa`; for the same number of votes on every clip only.
        fleiss_note: why there is no kappa; "" if there is.
        krippendorff_alpha: see `labels.krippendorff_alpha`; needs an optional library.
        krippendorff_note: why there is no alpha, or of how many clips it is where not of all; else "".
    """

    num_clips: int
    pairs: float | None
    fleiss_kappa: float | None
    fleiss_note: str
    krippendorff_alpha: float | None
    krippendorff_note: str


def measure_agreement(votes: Int64[np.ndarray, "V K"]) -> Agreement:
    """Measure it as far as the votes and the installed libraries allow.

    Of very many clips (80,000 of seven classes), alpha is that of as many drawn at random, always the same ones.
    """
    numbers = votes.sum(axis=1)
    pairable = votes[numbers >= 2] if (numbers < 2).any() else votes
    if not len(pairable):
        reason = "Each clip has one vote, so nobody can agree or disagree."
        return Agreement(0, None, None, reason, None, reason)
    totals = pairable.sum(axis=1)
    pairs = float(((pairable * (pairable - 1)).sum(axis=1) / (totals * (totals - 1))).mean())
    if np.count_nonzero(pairable.any(axis=0)) < 2:
        reason = "All votes are for one class, so agreement beyond chance is not defined."
        return Agreement(len(pairable), pairs, None, reason, None, reason)
    kappa, kappa_note = _kappa(votes, numbers)
    alpha, alpha_note = _alpha(pairable)
    return Agreement(len(pairable), pairs, kappa, kappa_note, alpha, alpha_note)


def _kappa(votes: Int64[np.ndarray, "V K"], numbers: Int64[np.ndarray, " V"]) -> tuple[float | None, str]:
    low, high = int(numbers.min()), int(numbers.max())
    if low != high:
        return None, f"Fleiss' kappa needs the same number of votes on every clip; here there are {low:,} to {high:,}."
    try:
        return fleiss_kappa(votes), ""
    except RequestError as error:
        return None, str(error)


def _alpha(pairable: Int64[np.ndarray, "P K"]) -> tuple[float | None, str]:
    limit = max(1, _ALPHA_CELLS // pairable.shape[1] ** 2)
    note = ""
    if len(pairable) > limit:
        rows = np.random.default_rng(0).choice(len(pairable), limit, replace=False)
        note = f"Of {limit:,} of the {len(pairable):,} clips, drawn at random."
        pairable = pairable[np.sort(rows)]
    try:
        return krippendorff_alpha(pairable), note
    except RequestError as error:
        return None, str(error)
