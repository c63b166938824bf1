"""An annotation project: which clips, which emotions, by which rules. Its folder holds `project.json` and the votes."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from midas_dfer.app.annotate.classes import checked_classes, checked_gold
from midas_dfer.app.annotate.videos import content_digest, find_clips, listed, path_inside
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, only_one, read_json, write_json
from midas_dfer.progress import Progress, reported
from midas_dfer.values import check_settings, within
from midas_dfer.wording import count

PROJECT_FILE = "project.json"
LOCK_FILE = ".project.lock"
MOST_ANNOTATORS = 200

_FORMAT = 1
_CURE = "restore it from a copy, or start a project in another folder"


@dataclass(frozen=True)
class Rules:
    """How clips are annotated.

    Attributes:
        several: whether one person may choose several emotions for a clip; each of them is a vote.
        unsure: whether "unsure" may be answered, which is no vote.
        repeats: share of the clips that each annotator is shown a second time, to see how reliable answers are.
        votes_wanted: how many people should vote on a clip; None: everybody on every clip.
        seed: of the annotators' orders.
    """

    several: bool = False
    unsure: bool = True
    repeats: float = within(0.0, 0, 0.5)
    votes_wanted: int | None = within(None, 1, MOST_ANNOTATORS)
    seed: int = within(0, 0)

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Clip:
    """A video or picture of a project.

    Attributes:
        path: relative to the folder of the videos, with "/".
        id: what a browser knows it by; unlike a path it says nothing about the emotion.
        size, modified_ns, sha256: of the file when the project was made.
        gold: the right answer, where the organiser gave one.
    """

    path: str
    id: str
    size: int
    modified_ns: int
    sha256: str
    gold: str | None = None


@dataclass(frozen=True)
class Project:
    """An annotation project; `make_project` and `open_project` give one.

    `notes` say what the organiser should know of it.
    """

    folder: Path
    videos: Path
    id: str
    classes: tuple[str, ...]
    rules: Rules
    clips: tuple[Clip, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def _by_id(self) -> dict[str, Clip]:
        return {clip.id: clip for clip in self.clips}

    @cached_property
    def by_path(self) -> dict[str, Clip]:
        """The clips by their paths."""
        return {clip.path: clip for clip in self.clips}

    @property
    def fingerprint(self) -> str:
        """A digest of all that votes depend on: not where the videos lie, or how many votes are wanted."""
        content = _content(self) | {"videos": None, "rules": asdict(replace(self.rules, votes_wanted=None))}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def clip(self, clip_id: str) -> Clip:
        """The clip that a browser calls so."""
        if clip_id not in self._by_id:
            raise RequestError("there is no such clip in this project: load the page again")
        return self._by_id[clip_id]

    def video(self, clip: Clip) -> Path:
        """The file of a clip, which may be served: inside the folder of the videos, and as long as it was."""
        file = path_inside(self.videos, clip.path)
        if file.stat().st_size != clip.size:
            raise RequestError(f"{file} has changed since the project was made: put it back as it was")
        return file


def is_project(folder: Path) -> bool:
    """Whether a project was made in this folder."""
    return (folder / PROJECT_FILE).is_file()


def make_project(
    folder: Path,
    videos: Path,
    classes: Sequence[str],
    rules: Rules | None = None,
    gold: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Project:
    """Make a project of all clips in a folder; their content is read once, to know them again.

    Args:
        folder: of the project; made if it is not there.
        videos: the folder of the clips.
        classes: the emotions that can be chosen, in the order of their keys; known ones under any spelling, and others.
        rules: None for the defaults.
        gold: the right answers of some clips, by path; see `read_gold`.
        progress: told of each clip.
    """
    names = checked_classes(classes)
    paths, top = find_clips(videos), videos.resolve()
    answers = checked_gold(gold or {}, paths, names)
    make_folder(folder)
    with only_one(folder / LOCK_FILE, f"another process makes a project in {folder}"):
        if is_project(folder):
            raise RequestError(f"{folder} holds a project already: open that one, or name another folder")
        empty = Project(folder, top, secrets.token_hex(8), names, rules or Rules(), ())
        project = with_clips(empty, paths, answers, progress)
        write_project(project)
    return project


def with_clips(
    project: Project, paths: Sequence[str], answers: Mapping[str, str], progress: Progress | None = None
) -> Project:
    """The project with more clips, whose content is read; `answers`: of those that are gold, by path."""
    clips = list(project.clips)
    with reported(progress, len(paths)) as told:
        for path in paths:
            file = path_inside(project.videos, path)
            known, digest = file.stat(), content_digest(file)
            opaque = _opaque(project.id, path)
            clips.append(Clip(path, opaque, known.st_size, known.st_mtime_ns, digest, answers.get(path)))
            told.advance()
    return replace(project, clips=tuple(clips), notes=())


def write_project(project: Project) -> None:
    """Write the file by which a project is opened again."""
    write_json(project.folder / PROJECT_FILE, _content(project))


def open_project(
    folder: Path,
    *,
    videos: Path | None = None,
    classes: Sequence[str] | None = None,
    rules: Rules | None = None,
    gold: Mapping[str, str] | None = None,
) -> Project:
    """Open a project again; what is given must be as it was when it was made, except where the videos lie now.

    Raises:
        RequestError: there is none, it is damaged, clips vanished or changed, or classes, rules or gold are others.
    """
    if not is_project(folder):
        raise RequestError(f"there is no project in {folder}: it has no {PROJECT_FILE}")
    project = _parsed(folder, read_json(folder / PROJECT_FILE, _CURE), videos)
    asked = {
        "classes": (None if classes is None else checked_classes(classes), project.classes),
        "rules": (rules, project.rules),
        "gold clips": (
            None if gold is None else checked_gold(gold, tuple(project.by_path), project.classes),
            {clip.path: clip.gold for clip in project.clips if clip.gold},
        ),
    }
    for what, (wanted, made) in asked.items():
        if wanted is not None and wanted != made:
            raise RequestError(
                f"the project in {folder} was made with other {what} ({_shown(made)}, not {_shown(wanted)}): votes "
                "that were cast under these stay under them. Leave them out, or start a project in another folder"
            )
    return _with_videos_checked(project)


def want_votes(project: Project, number: int | None) -> Project:
    """Change how many people should vote on a clip; the one rule that can be changed while people vote."""
    changed = replace(project, rules=replace(project.rules, votes_wanted=number))
    write_project(changed)
    return changed


def _opaque(project_id: str, path: str) -> str:
    return hashlib.blake2b(path.encode(), key=project_id.encode(), digest_size=8).hexdigest()


def _content(project: Project) -> dict[str, Any]:
    clips = [{key: value for key, value in asdict(clip).items() if key != "id"} for clip in project.clips]
    rules = asdict(project.rules)
    return {"format": _FORMAT, "id": project.id, "videos": str(project.videos), "classes": list(project.classes)} | {
        "rules": rules,
        "clips": clips,
    }


def _parsed(folder: Path, content: dict[str, Any], videos: Path | None) -> Project:
    file = folder / PROJECT_FILE
    if content.get("format") != _FORMAT:
        raise RequestError(f"{file} has the format {content.get('format')!r}; this version reads {_FORMAT}")
    try:
        project_id = str(content["id"])
        clips = tuple(Clip(id=_opaque(project_id, str(each["path"])), **each) for each in content["clips"])
        top = videos if videos is not None else Path(content["videos"])
        names, rules = checked_classes(content["classes"]), Rules(**content["rules"])
        project = Project(folder, top.resolve(), project_id, names, rules, clips)
        whole = all(isinstance(each.size, int) and isinstance(each.modified_ns, int) for each in clips)
        if not whole or len(project.by_path) < len(clips) or not clips or {c.gold for c in clips} - {None, *names}:
            raise ValueError("its clips do not make sense")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{file} is damaged or was edited ({error}); {_CURE}") from error
    return project


def _with_videos_checked(project: Project) -> Project:
    """Refuse videos that vanished or changed; a copy with other times is read, and is the same if its content is."""
    there = find_clips(project.videos)
    vanished = sorted(project.by_path.keys() - set(there))
    if vanished:
        raise RequestError(f"clips of the project are not in {project.videos} any more: {listed(vanished)}")
    changed = []
    for clip in project.clips:
        file = path_inside(project.videos, clip.path)
        known = file.stat()
        if (known.st_size, known.st_mtime_ns) == (clip.size, clip.modified_ns):
            continue
        if known.st_size != clip.size or content_digest(file) != clip.sha256:
            changed.append(clip.path)
    if changed:
        raise RequestError(
            f"clips in {project.videos} have changed since the project was made: {listed(changed)}. Votes were cast on "
            "what they showed then: put them back, or start a project in another folder"
        )
    more = came_later(project, there)
    note = (
        f"Passed over because they came after the project was made: {count(len(more), 'clip')} ({listed(more)}). "
        "Start midas app with --add_clips to take them in."
    )
    return replace(project, notes=(note,) if more else ())


def came_later(project: Project, paths: Sequence[str]) -> list[str]:
    """Those of some clips that are not in the project."""
    return [path for path in paths if path not in project.by_path]


def _shown(value: object) -> str:
    if isinstance(value, Rules):
        return ", ".join(f"{name} {each}" for name, each in asdict(value).items())
    if isinstance(value, Mapping):
        return ", ".join(f"{path}: {answer}" for path, answer in list(value.items())[:3]) or "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
