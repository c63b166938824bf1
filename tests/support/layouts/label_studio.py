"""A made-up Label Studio project: videos, and the JSON exports of five annotators' choices.

The traps: addresses in all the forms that Label Studio writes, one video in two tasks, skipped and repeated
annotations, several choices by one annotator, an answer that is no emotion, a second question, predictions, people
as numbers and as objects, a task that nobody annotated.
"""

import json
from pathlib import Path

import numpy as np

from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.synthetic.annotators import cast_votes, draw_annotators
from midas_dfer.synthetic.expressions import EMOTIONS
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames, write_clip

FEWEST_CLIPS = 8
EXPORT = "export.json"
SMALL_EXPORT = "export_min.json"
VIDEOS = "videos"

_ANNOTATORS = 5
_SAID = {"happy": "Happiness", "sad": "Sadness", "neutral": "Neutral", "angry": "Anger"} | {
    "surprise": "Surprise",
    "disgust": "Disgust",
    "fear": "Fear",
}


def write_label_studio(root: Path, *, clips: int = 24, seed: int = 0, frames: int = 8, drawn: bool = True) -> None:
    """Write a made-up project: `videos/`, `export.json` and `export_min.json` (JSON-MIN, the same annotations).

    The emotions take turns, of DFEW's seven; five annotators vote on every clip but the last. Every fourth clip is
    for testing (`split` in the data of its task); twos of clips show the same subject.

    Args:
        root: the folder; made if it is not there.
        clips: how many, at least `FEWEST_CLIPS`.
        seed: of all that is drawn and voted.
        frames: pictures of a clip, of 128 x 96 pixels.
        drawn: False writes no videos.

    Raises:
        RequestError: too few clips.
        JobError: a file cannot be written.
    """
    if clips < FEWEST_CLIPS:
        raise RequestError(f"{clips} clips were asked for. The traps need {FEWEST_CLIPS} or more.")
    make_folder(root)
    people = draw_annotators(seed, _ANNOTATORS)
    tasks: list[dict[str, object]] = []
    small: list[dict[str, object]] = []
    for number in range(clips):
        generator = np.random.default_rng([seed, number, 0x1AB])
        shown = number % len(EMOTIONS)
        truth = np.full(len(EMOTIONS), 0.3 / (len(EMOTIONS) - 1))
        truth[shown] = 0.7
        address, path = _address(number)
        data = {
            "video": address,
            "comment": "made up",
            "split": "test" if number % 4 == 3 else "train",
            "subject": f"person {number // 2}",
        }
        said = [EMOTIONS[vote] for vote in cast_votes(truth, people, generator)] if number < clips - 1 else []
        annotations = [_annotation(number, person, [emotion]) for person, emotion in enumerate(said)]
        _spring_traps(number, annotations)
        tasks.append(_task(number + 1, data, annotations))
        if number == 1:  # one more person saw the same video in a task of its own
            tasks.append(_task(1000, data, [_annotation(number, 7, ["neutral"])]))
        small += [_small(task, annotation) for task in tasks[number + (number > 1) :] for annotation in _answered(task)]
        if drawn:
            write_clip(root / VIDEOS / path, draw_frames(EMOTIONS[shown], seed=(seed, number), frames=frames))
    write_file(root / EXPORT, json.dumps(tasks, indent=1) + "\n")
    write_file(root / SMALL_EXPORT, json.dumps(small, indent=1) + "\n")


def _address(number: int) -> tuple[str, str]:
    """Give the address of a clip as Label Studio writes it, and where the file lies below `videos`."""
    upload = f"3/{number:08x}-clip_{number:03d}.mp4"
    path = f"batch {number // 10}/clip_{number:03d}.mp4"
    forms = (
        (f"/data/upload/{upload}", upload),
        (f"/data/local-files/?d={path.replace(' ', '%20')}", path),
        (f"s3://bucket/{path}", path),
        (f"https://videos.example/{path.replace(' ', '%20')}?X-Signature=a%2Fb", path),
    )
    return forms[number % len(forms)]


def _annotation(number: int, person: int, emotions: list[str]) -> dict[str, object]:
    who: object = person + 1
    if person == 2:  # an older export names people so
        who = {"id": person + 1, "email": "third@annotators.example", "first_name": "", "last_name": ""}
    when = f"2024-05-{1 + number % 28:02d}T10:00:{person:02d}.000000Z"
    return {
        "id": 100 * number + person,
        "completed_by": who,
        "result": [_answer("emotion", [_SAID[each] for each in emotions]), _answer("quality", ["good"])],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
        "lead_time": 4.2,
    }


def _answer(question: str, choices: list[str]) -> dict[str, object]:
    return {
        "value": {"choices": choices},
        "id": f"{question}1",
        "from_name": question,
        "to_name": "video",
        "type": "choices",
        "origin": "manual",
    }


def _spring_traps(number: int, annotations: list[dict[str, object]]) -> None:
    if number == 2:
        annotations[0] |= {"was_cancelled": True, "result": []}
    elif number == 3:  # the second annotator came back
        later = _annotation(number, 1, ["fear"])
        annotations.insert(0, later | {"id": 399, "updated_at": "2024-06-01T09:00:00.000000Z"})
    elif number == 4:
        annotations[3]["result"] = [_answer("emotion", ["Sadness", "Fear"])]
    elif number == 5:
        annotations[4]["result"] = [_answer("emotion", ["Unclear"])]
    elif number == 6:
        annotations[0]["result"] = [_answer("quality", ["bad"])]


def _task(number: int, data: dict[str, str], annotations: list[dict[str, object]]) -> dict[str, object]:
    guess = {"id": number, "model_version": "v1", "score": 0.9, "result": [_answer("emotion", ["Disgust"])]}
    return {
        "id": number,
        "annotations": annotations,
        "drafts": [],
        "predictions": [guess] if number == 1 else [],
        "data": data,
        "meta": {},
        "created_at": "2024-04-30T08:00:00.000000Z",
        "updated_at": "2024-04-30T08:00:00.000000Z",
        "project": 3,
    }


def _answered(task: dict[str, object]) -> list[dict[str, object]]:
    annotations = task["annotations"]
    return [each for each in annotations if not each["was_cancelled"]] if isinstance(annotations, list) else []


def _small(task: dict[str, object], annotation: dict[str, object]) -> dict[str, object]:
    """Give an annotation as JSON-MIN has it: flat, and a single choice as text."""
    data, result, who = task["data"], annotation["result"], annotation["completed_by"]
    row: dict[str, object] = dict(data) if isinstance(data, dict) else {}
    row["id"] = task["id"]
    for answer in result if isinstance(result, list) else []:
        choices = answer["value"]["choices"]
        row[answer["from_name"]] = choices[0] if len(choices) == 1 else {"choices": choices}
    row["annotator"] = who["email"] if isinstance(who, dict) else who
    row["annotation_id"] = annotation["id"]
    return row | {key: annotation[key] for key in ("created_at", "updated_at", "lead_time")}
