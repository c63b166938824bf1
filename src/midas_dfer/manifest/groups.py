"""The groups of section 5.5 of the paper: as many clips with clear expressions as with any."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.labels.ambiguity import ambiguity_groups, clear_clips
from midas_dfer.manifest.manifest import Manifest

GroupName = Literal["clear", "mixed"]


@dataclass(frozen=True)
class ClipGroup:
    """Clips that were drawn, some of them several times.

    `clips` holds each once, in their order; `times` says how often each was drawn, 1 or more.
    """

    clips: Manifest
    times: Int64[np.ndarray, " N"]


def draw_group(manifest: Manifest, group: GroupName, *, size: int | None = None, seed: int = 0) -> ClipGroup:
    """Draw the clear or the mixed expression group of section 5.5 (table 6) from training clips.

    See `labels.ambiguity_groups` for the rule: the classes have in both groups the shares that they have among
    the clips with a single label, by over- and down-sampling. Both groups are drawn together, so that those of
    a seed belong together. Clips without votes take no part: nothing says whether they are clear.

    `size` counts clips as often as they are drawn. The paper has 4275 and does not say why; None is our reading, as
    many as there are clear clips with a single label.
    """
    labels = manifest.labels
    usable = np.flatnonzero(manifest.has_votes & (labels != NO_LABEL))
    if not len(usable):
        raise RequestError(
            f"No clip of {manifest.name} has both votes and a single label, so there are no {group} expressions "
            "to choose. Take all clips (--group all)."
        )
    voted = manifest.select(usable)
    votes = voted.votes
    clear = clear_clips(votes)
    if size is None:
        size = int(clear.sum())
        if not size:
            raise RequestError(f"No clip of {manifest.name} has over 0.9 of its votes in one class. Give --group_size.")
    unclear = sorted(set(voted.labels.tolist()) - set(voted.labels[clear].tolist()))
    try:
        groups = ambiguity_groups(votes, size, np.random.default_rng(seed), labels=voted.labels)
    except RequestError as error:
        if size < 1 or not unclear:
            raise
        names = ", ".join(manifest.class_names[number] for number in unclear)
        raise RequestError(
            f"No clip of {names} has over 0.9 of its votes in one class, so {manifest.name} has no clear group of "
            f"{size} clips with the classes in their shares. Use fewer with --group_size, or leave these classes out."
        ) from error
    rows, times = np.unique(groups.clear if group == "clear" else groups.mixed, return_counts=True)
    return ClipGroup(voted.select(rows), times.astype(np.int64))
