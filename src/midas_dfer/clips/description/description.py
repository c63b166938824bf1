"""What is in a store, or in a manifest: counts, classes, ambiguity, agreement, failures. No pictures.

Everything is computed by columns, so that a million clips are described in seconds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from midas_dfer.clips.description.agreement import Agreement, measure_agreement
from midas_dfer.clips.description.annotators import Annotators, describe_annotators
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.labels import NO_LABEL, coexistence_matrix, entropy, majority_labels, top_share, votes_to_soft_labels
from midas_dfer.manifest.aggregation import aggregated_by
from midas_dfer.manifest.manifest import Manifest

CLEAR_SHARE = 0.9
"""A clip is clear if its top class has a larger share of the votes than this (section 5.5 of the paper)."""

ENTROPY_BINS = 20
"""How many bins the histogram of the entropy has, from 0 to 1."""

FAILURES_NAMED = 3
"""How many clips are named for each kind of failure."""

_WIDE_RANGE = 8.0
"""Lengths call for a logarithmic axis if the longest clip is so many times as long as the middle one."""


@dataclass(frozen=True)
class Spread:
    """The smallest, the middle, the mean and the largest of some counts, and their sum."""

    min: int
    median: float
    mean: float
    max: int
    total: int


@dataclass(frozen=True)
class Ambiguity:
    """How much the annotators disagreed, over the clips that have votes.

    Entropies are divided by log(number of classes): 0 all agreed, 1 all classes have equally many votes. What is given
    by class is of the clips in which it has the most votes; None for a class that has them in none.

    Attributes:
        mean_top_share: mean share of the votes that went to the top class.
        clear: share of the clips whose top share is over 0.9.
        histogram: clips in each of 20 bins of the entropy from 0 to 1, the last one closed.
    """

    mean_entropy: float
    mean_top_share: float
    clear: float
    histogram: tuple[int, ...]
    clear_by_class: tuple[float | None, ...]
    mean_entropy_by_class: tuple[float | None, ...]


@dataclass(frozen=True)
class Part:
    """The clips of a named part ("split") or a fold; `class_clips` are those with each class as their single label."""

    column: Literal["split", "fold"]
    name: str
    num_clips: int
    num_subjects: int
    class_clips: tuple[int, ...]


@dataclass(frozen=True)
class FailedClip:
    """A clip that failed, or one whose file is damaged after the frames that were used: which, and why."""

    video_id: str
    path: str
    detail: str


@dataclass(frozen=True)
class Description:
    """What is in a store. Counts are over its usable clips where nothing else is said.

    Attributes:
        num_pending: annotated clips that were not looked at yet.
        failures: annotated clips that failed, by kind of failure, most frequent first.
        num_damaged: usable clips whose file is damaged after the frames that were used.
        num_subjects: different people, as far as they are known.
        num_without_subject: clips whose subject is not known.
        clips_per_subject: over the people who are known; None if nobody is.
        splits: clips by named part; without those that have none.
        folds: clips by fold; without those that have none.
        parts: people and classes of each of `splits` and `folds`, in this order.
        remarks: what is to be known of usable clips' pictures, and of how many clips, most first.
        frames: of the clips' lengths; None if nothing was prepared.
        votes_per_clip: over the clips with votes; None if there are none.
        class_clips: clips by their single label.
        num_tied: clips with votes whose top votes are tied.
        soft_label_mass: the sum of the soft labels by class, in clips; a clip with a label only counts as 1.
        majority_clips: clips in which a class has the most votes, by class; ties are in none.
        coexistence: [a][b], the mean soft label of class b over the clips in which a has the most votes, as in
            figure 5 of the paper; the row is None for a class that has them in no clip.
        ambiguity: of the votes; None if there are none.
        agreement: of the annotators; None if there are no votes.
        notes: what the reader of the data set noticed, a sentence each.
        annotators: who cast the votes; None if nobody is named.
        aggregated: how the soft labels to train on were made of single annotators' votes; "" where of the counts. All
            that is described here is of the votes.
        settings: how the clips were cut; None for a manifest.
        fingerprint: of the store's content; "" for a manifest.
    """

    dataset: str
    class_names: tuple[str, ...]
    num_clips: int
    num_subjects: int
    num_without_subject: int
    clips_per_subject: Spread | None
    splits: Mapping[str, int]
    folds: Mapping[int, int]
    parts: tuple[Part, ...]
    num_voted: int
    votes_per_clip: Spread | None
    class_clips: tuple[int, ...]
    num_unlabelled: int
    num_tied: int
    soft_label_mass: tuple[float, ...]
    majority_clips: tuple[int, ...]
    coexistence: tuple[tuple[float, ...] | None, ...]
    ambiguity: Ambiguity | None
    agreement: Agreement | None
    notes: tuple[str, ...] = ()
    annotators: Annotators | None = None
    aggregated: str = ""
    num_pending: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    failed_clips: Mapping[str, tuple[FailedClip, ...]] = field(default_factory=dict)
    num_damaged: int = 0
    damaged_clips: tuple[FailedClip, ...] = ()
    remarks: Mapping[str, int] = field(default_factory=dict)
    frames: Spread | None = None
    settings: ExtractSettings | None = None
    fingerprint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; folds are named by strings, as JSON wants it."""
        content = asdict(self)
        content["folds"] = {str(fold): count for fold, count in self.folds.items()}
        return content


def describe(clips: ClipStore | Manifest) -> Description:
    """Count what there is to count.

    Args:
        clips: a store; or a manifest, of which only the annotations are described.
    """
    if isinstance(clips, Manifest):
        return _describe_annotations(clips, clips.name)
    outcomes = clips.outcomes.values()
    failures = dict(Counter(o.failure for o in outcomes if o.status == "failed").most_common())
    damaged = (o for o in outcomes if o.damaged)
    return replace(
        _describe_annotations(clips.manifest, clips.dataset),
        num_pending=sum(o.status == "pending" for o in outcomes),
        failures=failures,
        failed_clips={kind: _named(o for o in outcomes if o.failure == kind) for kind in failures},
        num_damaged=sum(o.damaged for o in outcomes),
        damaged_clips=_named(damaged),
        remarks=dict(Counter(note for o in outcomes for note in o.notes).most_common()),
        frames=_spread(clip_lengths(clips)),
        settings=clips.settings,
        fingerprint=clips.fingerprint,
    )


def _named(outcomes: Iterator[Outcome]) -> tuple[FailedClip, ...]:
    return tuple(FailedClip(o.video_id, o.path, o.detail) for o in islice(outcomes, FAILURES_NAMED))


def clip_lengths(store: ClipStore) -> Int64[np.ndarray, " N"]:
    """The number of frames of each usable clip, in the order of the manifest."""
    return np.array([store.num_frames(video_id) for video_id in store.manifest.video_ids], dtype=np.int64)


@dataclass(frozen=True)
class LengthHistogram:
    """How many clips are how long.

    Attributes:
        edges: of the bins, in frames, whole numbers; a bin holds lengths from its lower edge to below its upper.
        logarithmic: whether lengths differ so much that a logarithmic axis shows them better.
    """

    edges: tuple[int, ...]
    counts: tuple[int, ...]
    logarithmic: bool


def length_histogram(lengths: Int64[np.ndarray, " N"]) -> LengthHistogram:
    """Count lengths in bins that suit them; there must be at least one."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    number = int(np.clip(np.sqrt(len(lengths)) * 2, 8, 48))
    wide = longest > _WIDE_RANGE * float(np.median(lengths))
    if wide:
        edges = np.unique(np.round(np.geomspace(shortest, longest + 1, number + 1))).astype(np.int64)
    else:
        step = max(1, -(-(longest + 1 - shortest) // number))
        edges = np.arange(shortest, longest + 1 + step, step, dtype=np.int64)
    counts, _ = np.histogram(lengths, bins=edges)
    return LengthHistogram(_integers(edges), _integers(counts), wide)


def _describe_annotations(manifest: Manifest, dataset: str) -> Description:
    table, width = manifest.table, len(manifest.class_names)
    labels, voted = manifest.labels, manifest.has_votes
    votes = np.zeros((0, width), dtype=np.int64)
    if voted.any():
        votes = (manifest if voted.all() else manifest.select(voted)).votes
    soft = votes_to_soft_labels(votes) if len(votes) else votes.astype(np.float64)
    by_label_only = labels[~voted & (labels != NO_LABEL)]
    mass = soft.sum(axis=0) + np.bincount(by_label_only, minlength=width)
    majority = majority_labels(votes) if len(votes) else np.zeros(0, dtype=np.int64)
    subjects = table["subject"].drop_nulls()
    return Description(
        dataset=dataset,
        class_names=manifest.class_names,
        num_clips=len(manifest),
        num_subjects=subjects.n_unique(),
        num_without_subject=table["subject"].null_count(),
        clips_per_subject=_spread(subjects.value_counts()["count"].cast(pl.Int64).to_numpy()),
        splits=_count(table["split"]),
        folds=_count(table["fold"]),
        parts=(*_parts(manifest, "split"), *_parts(manifest, "fold")),
        num_voted=len(votes),
        votes_per_clip=_spread(votes.sum(axis=1)),
        class_clips=_integers(np.bincount(labels[labels != NO_LABEL], minlength=width)),
        num_unlabelled=int((labels == NO_LABEL).sum()),
        num_tied=int((majority == NO_LABEL).sum()),
        soft_label_mass=tuple(mass.tolist()),
        majority_clips=_integers(np.bincount(majority[majority != NO_LABEL], minlength=width)),
        coexistence=_coexistence(soft, majority),
        ambiguity=_ambiguity(votes, soft, majority) if len(votes) else None,
        agreement=measure_agreement(votes) if len(votes) else None,
        notes=manifest.notes,
        annotators=describe_annotators(manifest),
        aggregated=aggregated_by(manifest),
    )


def _parts(manifest: Manifest, column: Literal["split", "fold"]) -> list[Part]:
    rows = manifest.table.lazy().filter(pl.col(column).is_not_null())
    sizes = rows.group_by(column).agg(pl.len(), pl.col("subject").drop_nulls().n_unique()).sort(column).collect()
    classes = rows.group_by(column, "label").len().collect()
    counts = {(part, label): number for part, label, number in classes.iter_rows()}
    return [
        Part(column, str(name), clips, people, tuple(counts.get((name, label), 0) for label in manifest.class_names))
        for name, clips, people in sizes.iter_rows()
    ]


def _coexistence(
    soft: Float64[np.ndarray, "V K"], majority: Int64[np.ndarray, " V"]
) -> tuple[tuple[float, ...] | None, ...]:
    if not len(soft):
        return tuple(None for _ in range(soft.shape[1]))
    matrix = coexistence_matrix(soft, majority)
    return tuple(None if np.isnan(row).any() else tuple(float(share) for share in row) for row in matrix)


def _ambiguity(
    votes: Int64[np.ndarray, "V K"], soft: Float64[np.ndarray, "V K"], majority: Int64[np.ndarray, " V"]
) -> Ambiguity:
    width = votes.shape[1]
    spread_out = entropy(soft, normalized=True)
    share = top_share(votes)
    clear = share > CLEAR_SHARE
    histogram, _ = np.histogram(spread_out, bins=ENTROPY_BINS, range=(0.0, 1.0))
    return Ambiguity(
        mean_entropy=float(spread_out.mean()),
        mean_top_share=float(share.mean()),
        clear=float(clear.mean()),
        histogram=_integers(histogram),
        clear_by_class=_mean_by_class(clear.astype(np.float64), majority, width),
        mean_entropy_by_class=_mean_by_class(spread_out, majority, width),
    )


def _mean_by_class(
    values: Float64[np.ndarray, " V"], majority: Int64[np.ndarray, " V"], width: int
) -> tuple[float | None, ...]:
    decided = majority != NO_LABEL
    counts = np.bincount(majority[decided], minlength=width)
    sums = np.bincount(majority[decided], weights=values[decided], minlength=width)
    return tuple(float(s / c) if c else None for s, c in zip(sums, counts, strict=True))


def _spread(counts: Int64[np.ndarray, " N"]) -> Spread | None:
    if not len(counts):
        return None
    middle, mean = float(np.median(counts)), float(counts.mean())
    return Spread(int(counts.min()), middle, mean, int(counts.max()), int(counts.sum()))


def _count(values: pl.Series) -> dict[Any, int]:
    return dict(values.drop_nulls().value_counts().sort(values.name).iter_rows())


def _integers(values: Int64[np.ndarray, " K"]) -> tuple[int, ...]:
    return tuple(values.tolist())
