"""Votes as files that `midas prepare` reads: a table, and tasks of Label Studio. Both give the same votes.

What counts is what `counting` says: undone answers, repeats and "unsure" are no votes. A person who chose several
emotions has one vote for each, as Label Studio's reader counts them (`--several each`). The reader of long tables, and
Dawid-Skene and the like, allow a person one vote on a clip: where somebody chose several, the table has one row per
clip with a column of counts per class, and only Label Studio's file says who cast them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from midas_dfer.app.annotate.counting import Counted
from midas_dfer.app.annotate.project import Project
from midas_dfer.app.annotate.votes import Annotator, Vote
from midas_dfer.datasets.tools.exports import names_of_paths, path_of
from midas_dfer.errors import RequestError
from midas_dfer.files import csv_cell, csv_text, write_file

TABLE_FILE = "votes.csv"
LABEL_STUDIO_FILE = "label_studio.json"
QUESTION = "emotion"
"""The name of the question in Label Studio's file."""


def table_text(project: Project, annotators: Sequence[Annotator], votes: Sequence[Vote], *, names: bool = False) -> str:
    """The votes as a CSV file for `midas prepare table`, with `prepare_flags`.

    Args:
        project: the clips and classes.
        annotators: everybody.
        votes: all of them, as `VoteStore.votes` gives them.
        names: write the annotators' names; otherwise their numbers stand for them.

    Raises:
        RequestError: there are no votes.
    """
    counted = _with_votes(project, votes)
    paths = [clip.path for clip in project.clips]
    ids = dict(zip(paths, map(csv_cell, names_of_paths(paths)), strict=True))
    if any(len(vote.answer.emotions) > 1 for vote in counted.votes):
        rows: list[list[object]] = [["video_id", "path", *project.classes]]
        for clip, row in zip(project.clips, counted.counts().tolist(), strict=True):
            if any(row):
                rows.append([ids[clip.path], _cell(clip.path), *row])
        return csv_text(rows)
    known = {each.number: each.name if names else each.number for each in annotators}
    rows = [["video_id", "path", "emotion", "annotator"]]
    for path in paths:
        for vote in counted.by_clip[path]:
            rows.append([ids[path], _cell(path), *vote.answer.emotions, known[vote.annotator]])
    return csv_text(rows)


def prepare_flags(project: Project) -> list[str]:
    """The flags by which `midas prepare table` and `label_studio` find the videos and all classes, in their order."""
    return ["--videos", str(project.videos), "--classes", f"[{', '.join(project.classes)}]"]


def label_studio_text(project: Project, votes: Sequence[Vote]) -> str:
    """The answers as tasks of Label Studio, one per clip; annotators bear their numbers.

    "Unsure" is an annotation that was skipped. The addresses are those of local files: in Label Studio the folder of
    the videos is the document root.

    Raises:
        RequestError: there are no votes, or a clip lies where Label Studio keeps uploads, so that its path would be
            read as another.
    """
    counted, tasks = _with_votes(project, votes), []
    answers: dict[str, list[Vote]] = {clip.path: [] for clip in project.clips}
    for vote in counted.standing:
        if vote.presentation != "repeat":
            answers[vote.clip].append(vote)
    for number, clip in enumerate(project.clips, 1):
        address = f"/data/local-files/?d={quote(clip.path)}"
        if path_of(address) != clip.path:
            raise RequestError(
                f"{clip.path!r} would be {path_of(address)!r} in Label Studio: use {TABLE_FILE}, or rename its folder"
            )
        annotations = [_annotation(vote) for vote in answers[clip.path]]
        tasks.append({"id": number, "data": {"video": address}, "annotations": annotations})
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def write_exports(
    project: Project, annotators: Sequence[Annotator], votes: Sequence[Vote], *, names: bool = False
) -> tuple[Path, Path]:
    """Write both files into the project's folder; arguments and errors are those of `table_text`."""
    table, tasks = project.folder / TABLE_FILE, project.folder / LABEL_STUDIO_FILE
    write_file(table, table_text(project, annotators, votes, names=names))
    write_file(tasks, label_studio_text(project, votes))
    return table, tasks


def _with_votes(project: Project, votes: Sequence[Vote]) -> Counted:
    counted = Counted.of(project, votes)
    if not counted.votes:
        raise RequestError(f"there are no votes in {project.folder} yet: export them when people have voted")
    return counted


def _cell(path: str) -> str:
    """A path as a cell: where a spreadsheet would run it as a formula, "./" leads it, which readers leave out."""
    return path if csv_cell(path) == path else f"./{path}"


def _annotation(vote: Vote) -> dict[str, Any]:
    value = {"choices": list(vote.answer.emotions)}
    answer = {"from_name": QUESTION, "to_name": "video", "type": "choices", "value": value}
    return {
        "id": vote.id,
        "completed_by": vote.annotator,
        "created_at": vote.time,
        "updated_at": vote.time,
        "was_cancelled": vote.answer.unsure,
        "lead_time": vote.answer.ms / 1000,
        "result": [] if vote.answer.unsure else [answer],
    }
