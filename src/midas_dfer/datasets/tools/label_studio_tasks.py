"""Tasks of a Label Studio project, as its exports hold them: who chose what, and where the video is."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from midas_dfer.datasets.files.json_files import clean_text
from midas_dfer.datasets.tools.exports import name_annotator, split_of
from midas_dfer.emotions import canonical_name

_ADDRESS_LENGTH = 4096
_TIMELINE = "timelinelabels"
_LAST_FRAME = 10**9
_MIN_FIELDS = frozenset(
    {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "split", "fold", "subject"}
)


@dataclass
class LabelStudioAnnotation:
    """What one person said of one task: the classes chosen in answer to each question.

    `known_as` tells it from others, wherever it is exported to; None where nothing does. Of a question whose answers
    are set on time ranges, `frames` says on how many frames each class is.
    """

    task: int
    known_as: tuple[str, ...] | None
    annotator: str | None
    when: str
    choices: dict[str, list[str]]
    frames: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class LabelStudioTasks:
    """What is kept of tasks, and what is wrong with them, by the number of the task from 0."""

    ids: list[object] = field(default_factory=list)
    addresses: list[dict[str, str]] = field(default_factory=list)
    about: list[dict[str, object]] = field(default_factory=list)
    annotations: list[LabelStudioAnnotation] = field(default_factory=list)
    wrong: dict[int, str] = field(default_factory=dict)
    skipped: int = 0
    predictions: int = 0
    others: Counter[str] = field(default_factory=Counter)
    small: bool = False

    def place(self, task: int) -> str:
        """Name a task, given its number from 0: "task 3 (id 41)"."""
        known = self.ids[task]
        return f"task {task + 1}" + (f" (id {known!r:.60})" if isinstance(known, int | str) else "")


def take_task(tasks: LabelStudioTasks, number: int, task: object) -> None:
    """Keep what is needed of a task."""
    tasks.ids.append(task.get("id") if isinstance(task, dict) else None)
    tasks.addresses.append({})
    tasks.about.append({})
    try:
        given: dict[str, Any] = _expect(task, dict, "a task is")
        tasks.small = tasks.small or ("annotations" not in given and "data" not in given)
        if tasks.small:
            data, annotations = _take_small(number, given)
        else:
            annotations = _take_annotations(tasks, number, given)
            data = _expect(given.get("data"), dict, "its data are")
        tasks.about[number] = _about(data)
    except _WrongTaskError as error:
        tasks.wrong[number] = str(error)
        return
    for key, value in data.items():
        if isinstance(value, str) and len(value) <= _ADDRESS_LENGTH:
            tasks.addresses[number][key] = value
    tasks.annotations += annotations


class _WrongTaskError(Exception):
    """What is wrong with a task."""


_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing"}


def _expect(value: object, kind: type, what: str) -> Any:  # noqa: ANN401 - of that kind
    """Give a value of the kind that is expected; refuse another with what it is."""
    if not isinstance(value, kind):
        raise _WrongTaskError(f"{what} {_KINDS.get(type(value), 'a number')}, not {_KINDS[kind]}")
    return value


def _take_annotations(tasks: LabelStudioTasks, number: int, task: dict[str, object]) -> list[LabelStudioAnnotation]:
    annotations = _expect(task.get("annotations"), list, "its annotations are")
    predictions = task.get("predictions")
    tasks.predictions += len(predictions) if isinstance(predictions, list) else 0
    taken = []
    for annotation in annotations:
        if _expect(annotation, dict, "an annotation is").get("was_cancelled") is True:
            tasks.skipped += 1
            continue
        choices: dict[str, list[str]] = {}
        timelines: dict[str, _Timeline] = {}
        for answer in _expect(annotation.get("result"), list, "the result of an annotation is"):
            _expect(answer, dict, "an answer in a result is")
            kind, asked, value = answer.get("type"), answer.get("from_name"), answer.get("value")
            if kind not in ("choices", _TIMELINE):
                tasks.others[f"{kind!s:.40} ({asked!r:.40})"] += 1
                continue
            question = clean_text(_expect(asked, str, "the from_name of its choices is"))
            found = choices.setdefault(question, [])
            if kind == _TIMELINE:
                timelines.setdefault(question, _Timeline()).add(found, value)
            else:
                _add_choices(found, value)
        known_as = _known_as(annotation.get("id"), annotation.get("created_at"))
        annotator = _annotator(annotation.get("completed_by"))
        frames = {asked: timeline.frames() for asked, timeline in timelines.items()}
        taken.append(LabelStudioAnnotation(number, known_as, annotator, _when(annotation), choices, frames))
    return taken


def _take_small(number: int, task: dict[str, object]) -> tuple[dict[str, object], list[LabelStudioAnnotation]]:
    """Take a task of the form JSON-MIN, which has one annotation and no list of them."""
    choices: dict[str, list[str]] = {}
    timelines: dict[str, _Timeline] = {}
    for asked, value in task.items():
        if asked in _MIN_FIELDS:
            continue
        answers = value if isinstance(value, list) else [value]
        if answers and all(isinstance(each, str) or (isinstance(each, dict) and "choices" in each) for each in answers):
            found: list[str] = []
            for each in answers:
                _add_choices(found, {"choices": [each]} if isinstance(each, str) else each)
            choices[clean_text(asked)] = found
        elif answers and all(isinstance(each, dict) and _TIMELINE in each for each in answers):
            found = choices[clean_text(asked)] = []
            timeline = timelines[clean_text(asked)] = _Timeline()
            for each in answers:
                timeline.add(found, each)
    known_as = _known_as(task.get("annotation_id"), task.get("created_at"))
    annotator = _annotator(task.get("annotator"))
    frames = {asked: timeline.frames() for asked, timeline in timelines.items()}
    return task, [LabelStudioAnnotation(number, known_as, annotator, _when(task), choices, frames)]


class _Timeline:
    """The classes that one person set on time ranges of one video."""

    def __init__(self) -> None:
        self.ranges: dict[str, list[tuple[int, int]]] = {}

    def add(self, found: list[str], value: object) -> None:
        """Take one answer; its classes are added to those found."""
        _add_choices(found, value, _TIMELINE)
        ranges = value.get("ranges") if isinstance(value, dict) else None
        labels = value.get(_TIMELINE) if isinstance(value, dict) else None
        if not isinstance(ranges, list):
            raise _WrongTaskError("its labels on the time line have no list of ranges")
        for each in ranges:
            ends = [each.get(end) if isinstance(each, dict) else None for end in ("start", "end")]
            numbers = [
                int(n) for n in ends if isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n)
            ]
            if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] < _LAST_FRAME:
                raise _WrongTaskError(f"a range of its time line goes from {ends[0]!r:.20} to {ends[1]!r:.20}")
            for label in labels if isinstance(labels, list) else []:
                self.ranges.setdefault(canonical_name(str(label)), []).append((numbers[0], numbers[1]))

    def frames(self) -> dict[str, int]:
        """On how many frames each class is, by its common name; a frame that two ranges have counts once."""
        counted = {}
        for label, ranges in self.ranges.items():
            end, total = -1, 0
            for first, last in sorted(ranges):
                total += max(0, last - max(first, end + 1) + 1)
                end = max(end, last)
            counted[label] = total
        return counted


def _add_choices(found: list[str], value: object, key: str = "choices") -> None:
    chosen = value.get(key) if isinstance(value, dict) else value
    if not isinstance(chosen, list) or not all(isinstance(each, str) for each in chosen):
        raise _WrongTaskError("its choices are not a list of texts")
    for each in chosen:
        if not each.strip():
            raise _WrongTaskError("one of its choices is empty")
        if canonical_name(each) not in map(canonical_name, found):
            found.append(clean_text(each))


def _known_as(number: object, created: object) -> tuple[str, ...] | None:
    known = isinstance(number, int | str) and not isinstance(number, bool) and bool(str(number))
    return (str(number), created if isinstance(created, str) else "") if known else None


def _annotator(who: object) -> str | None:
    """Name a person by their number in Label Studio rather than by their e-mail address, which nobody needs here."""
    return name_annotator(who.get("id") or who.get("email") if isinstance(who, dict) else who)


def _when(annotation: dict[str, object]) -> str:
    when = annotation.get("updated_at") or annotation.get("created_at")
    return when if isinstance(when, str) else ""


def _about(data: dict[str, object]) -> dict[str, object]:
    """Take the part, the fold and the subject of a video from a task's data, where they are there."""
    found: dict[str, object] = {}
    part, fold, subject = (data.get(name) for name in ("split", "fold", "subject"))
    if part is not None:
        found["split"] = split_of(part) if isinstance(part, str) else None
        if found["split"] is None:
            raise _WrongTaskError(f"its split is {part!r:.60}, not train, validation or test")
    if fold is not None:
        text = str(fold)
        if isinstance(fold, bool) or not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise _WrongTaskError(f"its fold is {fold!r:.60}, not the number of a fold")
        found["fold"] = int(text)
    if subject is not None:
        if isinstance(subject, bool) or not isinstance(subject, str | int):
            raise _WrongTaskError(f"its subject is {_KINDS.get(type(subject), 'a number')}, not a name")
        found["subject"] = clean_text(str(subject))
    return found
