"""Soft labels that weigh single annotators by how reliable they prove to be, beside the votes as they were cast."""

import numpy as np
import polars as pl
from jaxtyping import Float64

from midas_dfer.errors import RequestError
from midas_dfer.labels import CrowdMethod, crowd_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import LABELS_COLUMN, METHOD_COLUMN
from midas_dfer.manifest.vote_counts import single_votes

_NAMED = 6
_RELIABILITY = {
    "dawid_skene": "probability to name the true class",
    "glad": "ability, 0 is right half the time",
    "mace": "probability not to answer by habit",
}


def aggregate(manifest: Manifest, method: CrowdMethod) -> Manifest:
    """Make soft labels of single votes; the counts and the labels that follow from them stay as they are."""
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
    made = crowd_labels(votes["video_id"], votes["annotator"], votes["vote"], manifest.class_names, method)
    rows = dict(zip(made.video_ids, made.soft_labels.tolist(), strict=True))
    labels = [rows.get(video_id) for video_id in manifest.video_ids]
    by = [None if label is None else method for label in labels]
    worst = sorted(zip(made.reliability.tolist(), made.annotators, strict=True))[:_NAMED]
    named = ", ".join(f"{name} {value:.2f}" for value, name in worst)
    fewest = "" if len(made.annotators) <= _NAMED else "lowest first, "
    left = len(manifest) - len(rows)
    note = (
        f"Soft labels are those of {method}, from {votes.height:,} votes of {len(made.annotators):,} annotators; the "
        f"counts are kept, and scores are against them. Reliability ({fewest}{_RELIABILITY[method]}): {named}."
    )
    notes = [f"{left:,} clips whose annotators are not named keep the shares of their votes."] if left else []
    columns = [pl.Series(LABELS_COLUMN, labels, pl.List(pl.Float64)), pl.Series(METHOD_COLUMN, by, pl.String)]
    table = manifest.table.with_columns(columns)
    return Manifest(manifest.class_names, table, manifest.name, [*manifest.notes, note, *notes])


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
