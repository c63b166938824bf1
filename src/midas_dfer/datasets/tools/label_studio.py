"""Label Studio: the JSON export (also JSON-MIN) of a project in which annotators chose classes, for videos or parts.

The format is that of https://labelstud.io/guide/task_format: a list of tasks, each with its `data` (the address of
the video or picture) and its `annotations`, one per annotator, whose `result` holds the choices, or the labels on the
time line (https://labelstud.io/tags/timelinelabels).
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from midas_dfer.datasets.data_set import CLASSES, IGNORE, SEVERAL, VIDEOS, DataSet, Flag
from midas_dfer.datasets.files.json_files import read_json_entries
from midas_dfer.datasets.people import People, find_people
from midas_dfer.datasets.tools.exports import (
    SeveralClasses,
    SingleVotes,
    choose_classes,
    names_media,
    path_of,
    refuse_none,
    refuse_paths,
)
from midas_dfer.datasets.tools.label_studio_tasks import LabelStudioAnnotation, LabelStudioTasks, take_task
from midas_dfer.emotions import canonical_name, is_known_emotion
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import refuse_entries
from midas_dfer.wording import count

Uploads = Literal["stored", "original"]
"""Which name an uploaded file has in the folder of the videos: Label Studio's own, or the one it had before."""

_UPLOADED = re.compile(r"^(?:\d+/)?[0-9a-f]{8}-(?=.)")
_ADVICE = "Expected is Label Studio's JSON export (or JSON-MIN), a list of tasks with their data and annotations."


def read_label_studio(
    path: str | os.PathLike[str],
    *,
    question: str | None = None,
    key: str | None = None,
    class_names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    several: SeveralClasses = "each",
    uploads: Uploads = "stored",
    name: str | None = None,
) -> Manifest:
    """Read the votes of a Label Studio project.

    Every annotation that was not skipped is the vote of the person who completed it. Predictions of models are no
    votes. Of several annotations of one person on one video the one that was changed last counts. Tasks about the
    same video are taken together; tasks without a vote are left out.

    Labels on the time line (`TimelineLabels`) are set on ranges of frames: the person's vote on the video is for the
    class on the most frames, and there is none where two are on equally many. Frames without a label do not count.

    A video is found by the path part of its address, relative to the folder of the videos: see `exports.path_of`.
    If a task's data have `split` (train, validation, test), `fold` or `subject`, these are kept.

    Args:
        path: the exported file.
        question: the `name` of the `Choices` or `TimelineLabels` tag whose answers are the votes; None where there is
            only one.
        key: the key under `data` that holds the address of the video; None for the one that does.
        class_names: the classes in the order wanted; None for those that were chosen, all of them known emotions, in
            alphabetical order.
        ignore: answers that are no votes, such as "unclear".
        several: what an annotation with several classes counts: a vote for each, or nothing ("leave_out").
        uploads: where files were uploaded through the browser, their names in the folder of the videos: "stored",
            as in Label Studio's folder `media/upload` (`3/1a2b3c4d-clip.mp4`), or "original" (`clip.mp4`).
        name: what to call the dataset; None for the name of the file without its suffix.

    Returns:
        The videos in the order of the file, with the single votes in the columns `annotators` and
        `annotator_votes`; the label is the class with the most votes, none where votes are tied. A person who
        chose several classes for a video is in the list once for each. The notes say what was passed over.

    Raises:
        RequestError: the file is not such an export; a task has no address, or one that leads out of the folder
            of the videos; choices are not text; tasks contradict each other. The message names the file and up
            to five tasks.
    """
    file = Path(path)
    tasks = LabelStudioTasks()
    read_json_entries(file, "task", lambda number, task: take_task(tasks, number - 1, task))
    refuse_entries(str(file), tasks.wrong, tasks.place, _ADVICE)
    if not tasks.ids:
        raise RequestError(f"{file} holds no tasks. Export a project that has annotations.")
    asked = _find_question(file, tasks, question)
    paths = _find_paths(file, tasks, key, uploads)
    votes, notes = _collect(tasks, asked, paths, {canonical_name(each) for each in ignore}, several)
    refuse_none(file, votes, notes)
    subjects = find_people((str(each["subject"]) for each in tasks.about if "subject" in each), "subject")
    votes.about = _find_about(file, tasks, paths, subjects)
    notes += subjects.notes
    first = {name: each.task for each in reversed(tasks.annotations) for name in each.choices.get(asked, [])}
    classes = choose_classes(str(file), votes.classes, class_names, place=lambda name: tasks.place(first[name]))
    manifest = votes.to_manifest(classes, name if name is not None else file.stem)
    without = len(set(paths)) - len(manifest)
    if without:
        notes.append(f"Left out because nobody voted on them: {count(without, 'video')}.")
    return manifest.with_notes(*notes)


def _find_question(file: Path, tasks: LabelStudioTasks, question: str | None) -> str:
    answers = [answer for annotation in tasks.annotations for answer in annotation.choices.items()]
    names = sorted({each for each, _ in answers})
    if question in names:
        return question
    # In JSON-MIN answers cannot be told from other texts but by what they say.
    asked = {each for each, chosen in answers if not tasks.small or any(map(is_known_emotion, chosen))}
    known = ", ".join(map(repr, names[:10])) or "none"
    if question is not None or not asked:
        called = "" if question is None else f" called {question!r}"
        others = ", ".join(list(tasks.others)[:5])
        raise RequestError(
            f"{file} holds no choices or labels on a time line{called} that could be votes; there are: {known}. "
            + (f"What else it holds is not read: {others}. " if others else "")
            + "Give the name of the Choices or TimelineLabels tag in the labelling interface (--question)."
        )
    if len(asked) > 1:
        raise RequestError(
            f"{file} has answers to several questions: {', '.join(map(repr, sorted(asked)[:10]))}. "
            "Say which one asks for the emotion (--question)."
        )
    return asked.pop()


def _find_paths(file: Path, tasks: LabelStudioTasks, key: str | None, uploads: Uploads) -> list[str]:
    """Give the path of each task's video."""
    used = key if key is not None else _find_key(file, tasks)
    wrong = {
        task: f"its data have no address called {used!r}"
        for task, addresses in enumerate(tasks.addresses)
        if not addresses.get(used, "").strip()
    }
    refuse_entries(str(file), wrong, tasks.place, "Each task needs the address of its video (--key names it).")
    addresses = [found[used] for found in tasks.addresses]
    paths = [path_of(address) for address in addresses]
    if uploads == "original":
        paths = [original_name(path) for path in paths]
    refuse_paths(str(file), paths, tasks.place)
    first: dict[str, int] = {}
    for task, path in enumerate(paths):
        before = first.setdefault(path, task)
        if addresses[before].split("?")[0] != addresses[task].split("?")[0]:
            other = f"{addresses[before]!r:.120} of {tasks.place(before)}"
            wrong[task] = f"{addresses[task]!r:.120} and {other} would both be {path!r}"
    refuse_entries(str(file), wrong, tasks.place, "Two videos cannot have one path: give them different names.")
    return paths


def original_name(path: str) -> str:
    """The name that an uploaded file had, given the path that Label Studio keeps it under; others stay as they are."""
    return _UPLOADED.sub("", path)


def _find_key(file: Path, tasks: LabelStudioTasks) -> str:
    often = Counter(key for found in tasks.addresses for key, address in found.items() if names_media(address))
    best = [each for each, number in often.items() if number == max(often.values())]
    found = best if len(best) == 1 else [each for each in ("video", "image") if each in best][:1]
    if not found:
        keys = dict.fromkeys(each for addresses in tasks.addresses[:1000] for each in addresses)
        known = ", ".join(map(repr, list(keys)[:10])) or "none"
        raise RequestError(
            f"{file}: it is not clear which of the keys of the data holds the address of the video: {known}. "
            "Name it (--key)."
        )
    return found[0]


def _find_about(file: Path, tasks: LabelStudioTasks, paths: list[str], people: People) -> dict[str, dict[str, object]]:
    about: dict[str, dict[str, object]] = {}
    first: dict[str, int] = {}
    wrong: dict[int, str] = {}
    for found in tasks.about:
        if "subject" in found:
            found["subject"] = people.of(str(found["subject"]))
    for task, (path, found) in enumerate(zip(paths, tasks.about, strict=True)):
        before = first.setdefault(path, task)
        if about.setdefault(path, found) != found:
            wrong[task] = f"it says {found} of {path!r}, but {tasks.place(before)} says {about[path]}"
    refuse_entries(str(file), wrong, tasks.place, "All tasks about a video must say the same about it.")
    return about


class _Timelines:
    """Makes votes of labels on time lines, and keeps what is to be told of it."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.votes = self.mixed = self.tied = 0
        self.example = ""

    def vote(self, path: str, frames: dict[str, int]) -> list[str]:
        """The class on the most frames; none where two are on equally many."""
        first, *others = sorted(frames.items(), key=lambda each: -each[1])
        tied = bool(others) and others[0][1] == first[1]
        self.votes += 1
        self.tied += tied
        if others:
            self.mixed += 1
            said = ", ".join(f"{name} on {count(number, 'frame')}" for name, number in (first, *others)[:4])
            self.example = self.example or f"{path}: {said}, so {'no vote' if tied else f'one vote for {first[0]}'}"
        return [] if tied else [first[0]]

    def notes(self) -> list[str]:
        """How votes were made of ranges, where any were."""
        if not self.votes:
            return []
        rule = (
            f"The labels {self.asked!r} are set on time ranges: a person's vote on a video is for the class on the "
            f"most frames. Of {count(self.votes, 'annotation')}, {self.mixed:,} with several classes"
        )
        example = f" ({self.example})" if self.example else ""
        ties = f", {self.tied:,} without a vote because two are on equally many" if self.tied else ""
        return [f"{rule}{example}{ties}."]


def _collect(
    tasks: LabelStudioTasks, asked: str, paths: list[str], ignored: set[str], several: SeveralClasses
) -> tuple[SingleVotes, list[str]]:
    """Find the votes that count, and say what was passed over."""
    people = find_people((annotation.annotator for annotation in tasks.annotations), "annotator")
    last: dict[tuple[str, object], LabelStudioAnnotation] = {}
    again = twice = 0
    seen: Counter[object] = Counter()
    for number, annotation in enumerate(tasks.annotations):
        voter: object = people.of(annotation.annotator)
        if voter is None:
            # Not known who it was: its own number tells two votes from one that is exported twice, in two tasks.
            within = (annotation.task, annotation.known_as)
            voter = number if annotation.known_as is None else (annotation.known_as, seen[within])
            seen[within] += 1
        key = (paths[annotation.task], voter)
        again += key in last and isinstance(voter, str)
        twice += key in last and not isinstance(voter, str)
        if key not in last or annotation.when >= last[key].when:
            last[key] = annotation
    votes = SingleVotes()
    silent = dismissed = many = nameless = 0
    timelines = _Timelines(asked)
    for (path, _), annotation in last.items():
        said = annotation.choices.get(asked, [])
        chosen = [each for each in said if canonical_name(each) not in ignored]
        if asked in annotation.frames and chosen:
            chosen = timelines.vote(path, {each: annotation.frames[asked][canonical_name(each)] for each in chosen})
            if not chosen:
                continue
        silent += not said
        dismissed += bool(said) and not chosen
        many += len(chosen) > 1
        if len(chosen) > 1 and several == "leave_out":
            continue
        who = people.of(annotation.annotator)
        nameless += bool(chosen) and who is None
        votes.add(path, who, chosen)
    rule = "a vote for each" if several == "each" else "all of these are left out"
    told = (
        (tasks.skipped, "Passed over because the annotator skipped the task: {}."),
        (again, "Passed over because the same person annotated the video again later: {}."),
        (twice, "There twice, and counted once: {}."),
        (silent, f"Passed over because {asked!r} was not answered: {{}}."),
        (dismissed, "Passed over because the answer is no vote: {}."),
        (many, f"Several classes were chosen in {{}}: {rule}."),
        (nameless, "It is not known who made {}."),
    )
    passed = [sentence.format(count(number, "annotation")) for number, sentence in told if number]
    notes = [*timelines.notes(), *passed, *people.notes]
    if tasks.predictions:
        notes.append(f"Passed over because models are no annotators: {count(tasks.predictions, 'prediction')}.")
    return votes, notes


def uploads_hint(paths: list[str], videos: Path, given: Mapping[str, Any]) -> str:
    """Say so where files that were uploaded lie there under the names that they had before."""
    renamed = [path for path in paths if original_name(path) != path]
    if given["uploads"] != "stored" or not renamed or any((videos / path).exists() for path in paths):
        return ""
    there = next((path for path in renamed if (videos / original_name(path)).is_file()), None)
    if there is None:
        return (
            f"the folder {videos} holds none of the videos that Label Studio calls {renamed[0]} and so on, since they "
            f"were uploaded in the browser: copy its folder media/upload there, or put your own files there, such as "
            f"{original_name(renamed[0])}, and add --uploads original"
        )
    return (
        f"{videos} holds {original_name(there)}, which Label Studio calls {there} since it was uploaded: add --uploads "
        "original, so that files are looked for under the names that they had before"
    )


DATA_SET = DataSet(
    "Label Studio: ROOT is a JSON export, see --videos",
    "export.json --videos clips --folds 5",
    read_label_studio,
    (
        VIDEOS,
        CLASSES,
        Flag(
            "question",
            str | None,
            None,
            "name of the Choices or TimelineLabels tag with the votes, if there are several",
        ),
        Flag("key", str | None, None, "key in a task's data that holds the address of the video, if ambiguous"),
        IGNORE,
        SEVERAL,
        Flag(
            "uploads",
            Uploads,
            "stored",
            "whether uploaded files have the names that Label Studio gave them, or their original ones "
            "(default: stored)",
        ),
    ),
    root_is_file=True,
    hint=uploads_hint,
)
