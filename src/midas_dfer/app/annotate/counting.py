"""Which answers are votes: those that stand, name an emotion, and are the person's first on the clip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from midas_dfer.app.annotate.project import Project
from midas_dfer.app.annotate.votes import Vote


@dataclass(frozen=True)
class Counted:
    """The answers of a project that stand.

    Attributes:
        project: the clips and classes.
        standing: every answer that was not undone.
    """

    project: Project
    standing: tuple[Vote, ...]

    @classmethod
    def of(cls, project: Project, votes: Iterable[Vote]) -> "Counted":
        """Leave out what was undone."""
        return cls(project, tuple(vote for vote in votes if not vote.undone))

    @cached_property
    def votes(self) -> tuple[Vote, ...]:
        """What counts: not repeats, not "unsure"."""
        return tuple(vote for vote in self.standing if vote.presentation != "repeat" and not vote.answer.unsure)

    @cached_property
    def by_clip(self) -> dict[str, list[Vote]]:
        """What counts, for each clip of the project, also one without votes."""
        found: dict[str, list[Vote]] = {clip.path: [] for clip in self.project.clips}
        for vote in self.votes:
            found[vote.clip].append(vote)
        return found

    def counts(self) -> Int64[np.ndarray, "N K"]:
        """The votes of each clip for each class; who chose several classes has a vote for each."""
        counts = np.zeros((len(self.project.clips), len(self.project.classes)), dtype=np.int64)
        rows = {clip.path: row for row, clip in enumerate(self.project.clips)}
        for vote in self.votes:
            for name in vote.answer.emotions:
                counts[rows[vote.clip], self.project.classes.index(name)] += 1
        return counts

    def numbered(
        self, votes: Sequence[Vote]
    ) -> tuple[Int64[np.ndarray, " V"], Int64[np.ndarray, " V"], Int64[np.ndarray, " V"]]:
        """Clip, annotator (less one) and class of each emotion that was chosen, as numbers."""
        rows = {clip.path: row for row, clip in enumerate(self.project.clips)}
        chosen = [
            (rows[vote.clip], vote.annotator - 1, self.project.classes.index(name))
            for vote in votes
            for name in vote.answer.emotions
        ]
        clips, people, classes = np.array(chosen, dtype=np.int64).reshape(-1, 3).T
        return clips, people, classes
