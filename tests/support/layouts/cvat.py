"""A made-up CVAT project: pictures or videos, and the Datumaro exports of three annotators' tags.

The traps: every annotator has a task of their own, with the labels in another order; pictures nobody tagged; two
tags on one picture; a tag that is no emotion; boxes among the tags; of videos, tags on single frames, which change
within a video and may tie.
"""

import json
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.annotators import cast_votes, draw_annotators
from midas_dfer.synthetic.expressions import EMOTIONS
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames, write_clip

CvatMedia = Literal["pictures", "videos"]
"""What the tasks show: pictures, all in one task per annotator, or a video each."""

FEWEST_CLIPS = 6
EXPORTS = "exports"
MEDIA = "media"
ANNOTATORS = ("anna", "ben", "chloe")

_UNCLEAR, _FACE = "unclear", "face"


def write_cvat(
    root: Path, *, clips: int = 21, seed: int = 0, media: CvatMedia = "pictures", frames: int = 8, drawn: bool = True
) -> None:
    """Write a made-up project: `media/`, and in `exports/` the unpacked exports of three annotators.

    The emotions take turns, of DFEW's seven.

    Args:
        root: the folder; made if it is not there.
        clips: how many pictures or videos, at least `FEWEST_CLIPS`.
        seed: of all that is drawn and voted.
        media: what the tasks show, of 128 x 96 pixels.
        frames: pictures of a video.
        drawn: False writes no pictures and videos.

    Raises:
        RequestError: too few clips.
        JobError: a file cannot be written.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. The traps need {FEWEST_CLIPS} or more.")
    people = draw_annotators(seed, len(ANNOTATORS))
    said = []
    for number in range(clips):
        truth = np.full(len(EMOTIONS), 0.3 / (len(EMOTIONS) - 1))
        truth[number % len(EMOTIONS)] = 0.7
        votes = cast_votes(truth, people, np.random.default_rng([seed, number, 0xC7A]))
        said.append([EMOTIONS[vote] for vote in votes])
        if drawn:
            pictures = draw_frames(EMOTIONS[number % len(EMOTIONS)], seed=(seed, number), frames=frames)
            _write_media(root / MEDIA / _name(number, media), pictures)
    for person, annotator in enumerate(ANNOTATORS):
        # Nobody promises that two tasks have their labels in the same order.
        labels = [*EMOTIONS[person:], *EMOTIONS[:person], _UNCLEAR, _FACE]
        folder = root / EXPORTS / annotator
        if media == "pictures":
            items = [
                _item(_name(number, media), number, _tags_of_picture(number, person, said[number][person]), labels)
                for number in range(clips)
            ]
            _write_export(folder, labels, items)
            continue
        for number in range(clips):
            tags = _tags_of_video(number, person, said[number][person], frames)
            items = [_item(f"frame_{frame:06d}.PNG", frame, tags[frame], labels) for frame in range(frames)]
            _write_export(folder / f"clip_{number:03d}", labels, items)


def _name(number: int, media: CvatMedia) -> str:
    return f"clip_{number:03d}.mp4" if media == "videos" else f"set {number % 2}/face_{number:03d}.jpg"


def _write_media(file: Path, pictures: list[np.ndarray]) -> None:
    if file.suffix == ".mp4":
        write_clip(file, pictures)
        return
    make_folder(file.parent)
    middle = np.ascontiguousarray(pictures[len(pictures) // 2][..., ::-1])
    write_file(file, cv2.imencode(".jpg", middle)[1].tobytes())


def _tags_of_picture(number: int, person: int, emotion: str) -> list[str]:
    if number == 1:
        return []  # nobody tagged it
    if (number, person) == (2, 0):
        return [emotion, "fear" if emotion != "fear" else "surprise"]
    return [_UNCLEAR] if (number, person) == (3, 1) else [emotion]


def _tags_of_video(number: int, person: int, emotion: str, frames: int) -> list[list[str]]:
    """Give the tags of each frame: most people tag the first and the middle frame, some think again."""
    tags: list[list[str]] = [[] for _ in range(frames)]
    tags[0] = [emotion]
    if number == 1:
        return [[] for _ in range(frames)]
    if (number, person) == (2, 0):  # a tie
        tags[frames // 2] = ["fear" if emotion != "fear" else "surprise"]
    else:
        tags[frames // 2] = [emotion]
        tags[frames - 1] = ["neutral"]
    return tags


def _item(path: str, frame: int, tags: list[str], labels: list[str]) -> dict[str, object]:
    annotations: list[dict[str, object]] = [
        {"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": labels.index(tag)} for tag in tags
    ]
    box = {"occluded": False, "rotation": 0.0}
    annotations.append(
        {"id": 0, "type": "bbox", "attributes": box, "group": 0, "label_id": labels.index(_FACE), "z_order": 0}
        | {"bbox": [26.0, 18.0, 64.0, 64.0]}
    )
    return {
        "id": path.rpartition(".")[0],
        "annotations": annotations,
        "attr": {"frame": frame},
        "image": {"path": path, "size": [96, 128]},
    }


def _write_export(folder: Path, labels: list[str], items: list[dict[str, object]]) -> None:
    named = [{"name": label, "parent": "", "attributes": []} for label in labels]
    categories = {"label": {"labels": named, "attributes": ["occluded"]}, "points": {"items": []}}
    make_folder(folder / "annotations")
    content = json.dumps({"info": {}, "categories": categories, "items": items}, indent=1)
    write_file(folder / "annotations" / "default.json", content + "\n")
