"""Soft labels that weigh single annotators by how reliable they prove to be, beside the votes as they were cast."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float64

from midas_dfer.errors import RequestError
from midas_dfer.labels import CrowdLabels, CrowdMethod, crowd_labels, crowdlab_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import LABELS_COLUMN, METHOD_COLUMN
from midas_dfer.manifest.vote_counts import single_votes

_NAMED = 6
_RELIABILITY = {
    "dawid_skene": "probability to name the true class",
    "glad": "ability, 0 is right half the time",
    "mace": "probability not to answer by habit",
    "crowdlab": "quality of the votes",
}

Aggregation = CrowdMethod | Literal["crowdlab"]
"""The ways to make labels of single votes; see `labels.crowd_labels` and `labels.crowdlab_labels`."""


def aggregate(
    manifest: Manifest, method: Aggregation, predicted: Mapping[str, Float64[np.ndarray, " K"]] | None = None
) -> Manifest:
    """Make soft labels of single votes; the counts and the labels that follow from them stay as they are.

    `predicted`: for crowdlab, predictions by clip; other clips keep the shares of their votes.
    """
    votes = single_votes(manifest)
    if not votes.height:
        raise RequestError(
            f"{method} weighs annotators, but {manifest.name} does not say who voted. It needs one row per vote with a "
            "column annotator, or an export that names annotators."
        )
    again = votes.filter(pl.struct("video_id", "annotator").is_duplicated())
    if again.height:
        raise RequestError(
            f"{method} needs one vote of an annotator on a clip; {again['annotator'][0]!r} has several on "
            f"{again['video_id'][0]!r}. Of exports from annotation tools, leave these out: --several leave_out."
        )
    made = _labels(manifest, method, votes, predicted or {})
    rows = dict(zip(made.video_ids, made.soft_labels.tolist(), strict=True))
    labels = [rows.get(video_id) for video_id in manifest.video_ids]
    by = [None if label is None else method for label in labels]
    known = zip(made.reliability.tolist(), made.annotators, strict=True)
    worst = sorted(each for each in known if not np.isnan(each[0]))[:_NAMED]
    named = ", ".join(f"{name} {value:.2f}" for value, name in worst)
    fewest = "" if len(made.annotators) <= _NAMED else "lowest first, "
    left, used = len(manifest) - len(rows), int(votes["video_id"].is_in(made.video_ids).sum())
    note = (
        f"Soft labels are those of {method}, from {used:,} votes of {len(made.annotators):,} annotators; the "
        f"counts are kept, and scores are against them. Reliability ({fewest}{_RELIABILITY[method]}): {named}."
    )
    why = "have no named annotators or no prediction" if method == "crowdlab" else "have no named annotators"
    notes = [f"{left:,} clips that {why} keep the shares of their votes."] if left else []
    columns = [pl.Series(LABELS_COLUMN, labels, pl.List(pl.Float64)), pl.Series(METHOD_COLUMN, by, pl.String)]
    table = manifest.table.with_columns(columns)
    return Manifest(manifest.class_names, table, manifest.name, [*manifest.notes, note, *notes])


def _labels(
    manifest: Manifest, method: Aggregation, votes: pl.DataFrame, predicted: Mapping[str, Float64[np.ndarray, " K"]]
) -> CrowdLabels:
    names = manifest.class_names
    if method != "crowdlab":
        return crowd_labels(votes["video_id"], votes["annotator"], votes["vote"], names, method)
    votes = votes.filter(pl.col("video_id").is_in([*predicted]))
    if not votes.height:
        raise RequestError(
            f"crowdlab needs predictions of the clips of {manifest.name}, and there are none: run midas crossval on "
            "them, and name its folder (--predictions)"
        )
    return crowdlab_labels(votes["video_id"], votes["annotator"], votes["vote"], names, predicted)


def aggregated_by(manifest: Manifest) -> str:
    """The method that made the soft labels; "" where they are to be made of counts."""
    if METHOD_COLUMN not in manifest.table.columns:
        return ""
    methods = manifest.table[METHOD_COLUMN].drop_nulls().unique().sort().to_list()
    return ", ".join(map(str, methods))


def put_aggregated(manifest: Manifest, soft_labels: Float64[np.ndarray, "N K"]) -> Float64[np.ndarray, "N K"]:
    """Give the soft labels with the aggregated ones in place of those of counts, where there are some."""
    put = soft_labels.copy()
    for row, label in enumerate(manifest.table[LABELS_COLUMN].to_list()):
        if label is not None:
            put[row] = label
    return put
