"""Soft labels from who voted what and what a classifier predicts, weighted by how reliable each proves to be: CROWDLAB.

The estimates are those of the library cleanlab (extra `crowd`), which is imported when they are asked for.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels.checks import checked_distributions
from midas_dfer.labels.crowd import CrowdLabels, checked_single_votes, numbered


def crowdlab_labels(
    video_ids: Iterable[str | None],
    annotators: Iterable[str | None],
    classes: Iterable[str | None],
    class_names: Sequence[str],
    predicted: Mapping[str, Sequence[float] | Float64[np.ndarray, " K"]],
) -> CrowdLabels:
    """Estimate the true class of every video from single votes and from predictions of a classifier.

    CROWDLAB (Goh, Tkachenko and Mueller 2022, arXiv 2210.06812) is a weighted mean of the classifier's probabilities p
    and of what each vote says, which is P for the class voted for and (1 - P) / (K - 1) for each other:

        soft label = (w p + sum over the votes of w_a q_vote) / (w + sum over the votes of w_a)

    P is the mean share of the votes for the consensus, on videos with several votes. The weights are those of cleanlab:
    of an annotator, by how often the others agree; of the classifier, by how often it finds the consensus; both
    compared with always saying the most frequent class.

    Args:
        video_ids: the video of each vote.
        annotators: who cast it; an annotator votes once on a video.
        classes: the class voted for.
        class_names: the K classes, in the order of the columns.
        predicted: by video, probabilities `[K]` of a classifier that was not trained on this video; of every video with
            a vote.

    Returns:
        The labels `[N, K]`; and the quality of each annotator, 0 to 1: cleanlab's mean of how probable their votes are
        and of how often they are for the consensus, NaN where an annotator shares no video with others.

    Raises:
        RequestError: cleanlab is not installed, columns of different lengths, a missing name, an unknown class, a
            second vote of an annotator on a video, a video without predictions, or no video with two votes.
    """
    videos, people, said, names = checked_single_votes(video_ids, annotators, classes, class_names)
    (clip, clip_names), (person, people_names) = numbered(videos), numbered(people)
    chosen, totals = np.array([names.index(each) for each in said]), np.bincount(clip)
    if missing := [name for name in clip_names if name not in predicted]:
        raise RequestError(f"There is no prediction of {missing[0]!r}. Give one for every video with a vote.")
    p = checked_distributions([list(predicted[name]) for name in clip_names], "predictions")
    if p.shape[1] != len(names):
        raise RequestError(f"The predictions have {p.shape[1]} classes, the votes {len(names)}. Give the same.")
    if totals.max() < 2:
        raise RequestError("crowdlab compares annotators with each other. Give some videos two votes or more.")
    cast = np.full((len(clip_names), len(people_names)), np.nan)
    cast[clip, person] = chosen
    found = _estimates(cast, p)
    weights, model_weight = found["annotator_weight"], float(found["model_weight"])
    agreement = float(found["label_quality"]["annotator_agreement"].to_numpy()[totals > 1].mean())
    soft = _weighted_mean(clip, chosen, weights[person], p, model_weight, agreement)
    quality = found["annotator_stats"]["annotator_quality"].sort_index().to_numpy(dtype=np.float64)
    return CrowdLabels(tuple(clip_names), soft, tuple(people_names), quality)


def _weighted_mean(
    clip: Int64[np.ndarray, " V"],
    chosen: Int64[np.ndarray, " V"],
    weight: Float64[np.ndarray, " V"],
    predicted: Float64[np.ndarray, "N K"],
    model_weight: float,
    agreement: float,
) -> Float64[np.ndarray, "N K"]:
    """The soft label of `crowdlab_labels`, which cleanlab computes, too, but keeps to itself."""
    num_classes = predicted.shape[1]
    said = np.full((len(chosen), num_classes), (1.0 - agreement) / (num_classes - 1))
    said[np.arange(len(chosen)), chosen] = agreement
    total = model_weight * predicted
    np.add.at(total, clip, weight[:, None] * said)
    mean: Float64[np.ndarray, "N K"] = total / total.sum(axis=1, keepdims=True)
    return mean


def _estimates(cast: Float64[np.ndarray, "N A"], predicted: Float64[np.ndarray, "N K"]) -> Any:  # noqa: ANN401 - cleanlab's
    try:
        multiannotator: Any = import_module("cleanlab.multiannotator")
    except ImportError as error:
        raise RequestError(
            "crowdlab needs the library cleanlab, which is not installed: pip install 'midas-dfer[crowd]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for category in (DeprecationWarning, FutureWarning):  # of pandas, about how cleanlab calls it
            warnings.simplefilter("ignore", category)
        try:
            return multiannotator.get_label_quality_multiannotator(
                cast,
                predicted,
                consensus_method="best_quality",
                return_detailed_quality=False,
                return_weights=True,
                verbose=False,
            )
        except (UserWarning, ValueError) as error:  # a tie that it would break at random; no two votes agree
            raise RequestError(f"cleanlab finds no consensus in these votes ({str(error).rstrip('.')})") from error
