"""What is in a store, or in a manifest: counts, classes, ambiguity, coexisting emotions. No pictures.

Everything is computed by columns, so that a million clips are described in seconds.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer.clips.extract import ExtractSettings
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.labels import (
    NO_LABEL,
    coexistence_matrix,
    entropy,
    majority_labels,
    top_share,
    votes_to_soft_labels,
)

CLEAR_SHARE = 0.9
"""A clip is clear if its top class has a larger share of the votes than this (section 5.5 of the paper)."""

ENTROPY_BINS = 20
"""How many bins the histogram of the entropy has, from 0 to 1."""


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

    Entropies are divided by log(number of classes): 0 all agreed, 1 all classes have equally many votes.

    Attributes:
        mean_entropy: mean over the clips.
        mean_top_share: mean share of the votes that went to the top class.
        clear: share of the clips whose top share is over 0.9.
        histogram: clips in each of 20 bins of the entropy from 0 to 1, the last one closed.
        clear_by_class: the same as `clear` over the clips in which a class has the most votes; None for a
            class that has them in no clip.
        mean_entropy_by_class: as `mean_entropy`, by class in the same way.
    """

    mean_entropy: float
    mean_top_share: float
    clear: float
    histogram: tuple[int, ...]
    clear_by_class: tuple[float | None, ...]
    mean_entropy_by_class: tuple[float | None, ...]


@dataclass(frozen=True)
class Description:
    """What is in a store. Counts are over its usable clips where nothing else is said.

    Attributes:
        dataset: name of the data set.
        class_names: the order of everything that is given by class.
        num_clips: usable clips.
        num_pending: annotated clips that were not looked at yet.
        failures: annotated clips that failed, by kind of failure, most frequent first.
        num_damaged: usable clips whose file is damaged behind the frames that were used.
        num_subjects: different people, as far as they are known.
        num_without_subject: clips whose subject is not known.
        splits: clips by named part; without those that have none.
        folds: clips by fold; without those that have none.
        frames: of the clips' lengths; None if nothing was prepared.
        num_voted: clips with votes.
        votes_per_clip: over the clips with votes; None if there are none.
        class_clips: clips by their single label.
        num_unlabelled: clips without a single label.
        num_tied: clips with votes whose top votes are tied.
        soft_label_mass: the sum of the soft labels by class, in clips; a clip with a label only counts as 1.
        majority_clips: clips in which a class has the most votes, by class; ties are in none.
        coexistence: [a][b], the mean soft label of class b over the clips in which a has the most votes, as in
            figure 5 of the paper; the row is None for a class that has them in no clip.
        ambiguity: of the votes; None if there are none.
        settings: how the clips were cut; None for a manifest.
        fingerprint: of the store's content; "" for a manifest.
    """

    dataset: str
    class_names: tuple[str, ...]
    num_clips: int
    num_subjects: int
    num_without_subject: int
    splits: Mapping[str, int]
    folds: Mapping[int, int]
    num_voted: int
    votes_per_clip: Spread | None
    class_clips: tuple[int, ...]
    num_unlabelled: int
    num_tied: int
    soft_label_mass: tuple[float, ...]
    majority_clips: tuple[int, ...]
    coexistence: tuple[tuple[float, ...] | None, ...]
    ambiguity: Ambiguity | None
    num_pending: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    num_damaged: int = 0
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
        return Description(dataset=clips.name, **_describe_annotations(clips))
    outcomes = clips.outcomes.values()
    lengths = clip_lengths(clips)
    return Description(
        dataset=clips.dataset,
        **_describe_annotations(clips.manifest),
        num_pending=sum(o.status == "pending" for o in outcomes),
        failures=dict(Counter(o.failure for o in outcomes if o.status == "failed").most_common()),
        num_damaged=sum(o.status == "done" and bool(o.detail) for o in outcomes),
        frames=_spread(lengths),
        settings=clips.settings,
        fingerprint=clips.fingerprint,
    )


def clip_lengths(store: ClipStore) -> Int64[np.ndarray, " N"]:
    """The number of frames of each usable clip, in the order of the manifest."""
    return np.array([store.num_frames(video_id) for video_id in store.manifest.video_ids], dtype=np.int64)


def _describe_annotations(manifest: Manifest) -> dict[str, Any]:
    table, width = manifest.table, len(manifest.class_names)
    labels, voted = manifest.labels, manifest.has_votes
    known = voted | (labels != NO_LABEL)
    mass = np.zeros(width)
    if known.any():
        mass = votes_to_soft_labels(manifest.select(known).votes).sum(axis=0)
    votes = manifest.select(voted).votes if voted.any() else np.zeros((0, width), dtype=np.int64)
    majority = majority_labels(votes) if len(votes) else np.zeros(0, dtype=np.int64)
    majority_clips = np.bincount(majority[majority != NO_LABEL], minlength=width)
    subjects = table["subject"]
    return {
        "class_names": manifest.class_names,
        "num_clips": len(manifest),
        "num_subjects": subjects.drop_nulls().n_unique(),
        "num_without_subject": subjects.null_count(),
        "splits": _count(table["split"].drop_nulls().to_list()),
        "folds": _count(table["fold"].drop_nulls().to_list()),
        "num_voted": int(voted.sum()),
        "votes_per_clip": _spread(votes.sum(axis=1)),
        "class_clips": _integers(np.bincount(labels[labels != NO_LABEL], minlength=width)),
        "num_unlabelled": int((labels == NO_LABEL).sum()),
        "num_tied": int((majority == NO_LABEL).sum()),
        "soft_label_mass": tuple(float(m) for m in mass),
        "majority_clips": _integers(majority_clips),
        "coexistence": _coexistence(votes, majority),
        "ambiguity": _ambiguity(votes, majority) if len(votes) else None,
    }


def _coexistence(
    votes: Int64[np.ndarray, "V K"], majority: Int64[np.ndarray, " V"]
) -> tuple[tuple[float, ...] | None, ...]:
    if not len(votes):
        return tuple(None for _ in range(votes.shape[1]))
    matrix = coexistence_matrix(votes_to_soft_labels(votes), majority)
    return tuple(None if np.isnan(row).any() else tuple(float(share) for share in row) for row in matrix)


def _ambiguity(votes: Int64[np.ndarray, "V K"], majority: Int64[np.ndarray, " V"]) -> Ambiguity:
    width = votes.shape[1]
    spread_out = entropy(votes_to_soft_labels(votes), normalized=True)
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
    return Spread(
        int(counts.min()),
        float(np.median(counts)),
        float(counts.mean()),
        int(counts.max()),
        int(counts.sum()),
    )


def _count(values: list[Any]) -> dict[Any, int]:
    return dict(sorted(Counter(values).items()))


def _integers(values: Int64[np.ndarray, " K"]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)
