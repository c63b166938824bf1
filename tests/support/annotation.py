"""Annotation projects of tiny files, and people who vote in memory."""

from dataclasses import replace
from pathlib import Path

from midas_dfer.app.annotate.order import plan, presentation_of
from midas_dfer.app.annotate.project import Clip, Project, Rules, make_project
from midas_dfer.app.annotate.votes import Answer, History, Vote

CLASSES = ("happy", "sad", "angry")


def write_videos(folder: Path, number: int = 8) -> Path:
    """Files that nobody decodes."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        (folder / f"clip{n:02d}.mp4").write_bytes(b"video %d" % n)
    return folder


def tiny_project(folder: Path, number: int = 8, gold: dict[str, str] | None = None, **rules: object) -> Project:
    return make_project(folder / "project", write_videos(folder / "videos", number), CLASSES, Rules(**rules), gold)


def project_in_memory(number: int, golds: int = 0, **rules: object) -> Project:
    clips = tuple(Clip(f"{n}.mp4", f"id{n}", 1, 1, "", "happy" if n < golds else None) for n in range(number))
    return Project(Path("p"), Path("v"), "id", CLASSES, Rules(**rules), clips)


class Person:
    """One person's votes, as the store would give them."""

    def __init__(self, project: Project, number: int) -> None:
        self.project, self.number = project, number
        self.history = History((), 0, None)
        self.left: list[int] = []

    def next(self, others: dict[str, int] | None = None) -> Clip | None:
        found = plan(self.project, self.number, self.history, others or {})
        self.left.append(found.left)
        return found.clip

    def answer(self, clip: Clip, emotions: tuple[str, ...] = ("happy",)) -> Vote:
        why = presentation_of(clip, self.history.votes)
        assert why is not None
        number = self.history.events + 1
        vote = Vote(1000 * self.number + number, self.number, number, "", clip.path, why, Answer(emotions, 900), False)
        self.history = History((*self.history.votes, vote), number, None)
        return vote

    def undo(self) -> None:
        *kept, last = self.history.votes
        self.history = replace(self.history, votes=tuple(kept), events=self.history.events + 1, taken_back=last.clip)

    def finish(self, others: dict[str, int] | None = None) -> list[Vote]:
        while (clip := self.next(others)) is not None:
            self.answer(clip)
        return list(self.history.votes)
