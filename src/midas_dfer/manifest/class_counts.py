"""Which classes some clips have, and how often: what every verb that reads votes prints.

What was taken for a class decides everything after it, and a wrong one is seen at a glance by its votes.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from midas_dfer.labels import NO_LABEL
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.rows import known_votes


@dataclass(frozen=True)
class ClassCount:
    """How often one class is there.

    `votes` is None where no clip has votes; `clips` counts those whose single label it is.
    """

    name: str
    votes: int | None
    clips: int

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)


def count_classes(manifest: Manifest) -> tuple[ClassCount, ...]:
    """Count votes and labels of each class, in the order of the classes."""
    names = manifest.class_names
    labels = manifest.labels
    clips = np.bincount(labels[labels != NO_LABEL], minlength=len(names)).tolist()
    votes: list[int | None] = [None] * len(names)
    if manifest.has_votes.any():
        votes = known_votes(manifest.table["votes"], len(names)).sum(axis=0).tolist()
    return tuple(ClassCount(*each) for each in zip(names, votes, clips, strict=True))


def classes_text(counts: tuple[ClassCount, ...]) -> str:
    """Say it in a line: "happy 120 votes (30 clips), sad 80 (20)", or "happy 30 clips, sad 20" where nobody voted."""
    said = []
    for number, each in enumerate(counts):
        votes, clips = (_noun(each.votes, " vote"), _noun(each.clips, " clip")) if number == 0 else ("", "")
        counted = f"{each.clips:,}{clips}" if each.votes is None else f"{each.votes:,}{votes} ({each.clips:,}{clips})"
        said.append(f"{each.name} {counted}")
    return ", ".join(said)


def _noun(number: int | None, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"
