"""Label Studio's labels on the time line of a video: how ranges become one vote, and what is told of it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.datasets.tools.label_studio import read_label_studio
from midas_dfer.errors import RequestError
from midas_dfer.video.write import write_video


def ranged(label, *ranges, question="mood"):
    value = {"ranges": [{"start": first, "end": last} for first, last in ranges], "timelinelabels": [label]}
    return {"id": "x", "type": "timelinelabels", "from_name": question, "to_name": "video", "value": value}


def task(video, **said):
    annotations = [{"id": n, "completed_by": who, "result": result} for n, (who, result) in enumerate(said.items())]
    return {"id": 1, "data": {"video": video}, "annotations": annotations}


def write(root, tasks):
    file = root / "export.json"
    file.write_text(json.dumps(tasks), encoding="utf-8")
    return file


def votes_of(manifest):
    return {s.path: dict(zip(manifest.class_names, s.votes, strict=True)) for s in manifest}


def test_a_vote_is_for_the_class_on_the_most_frames(tmp_path):
    tasks = [
        task(
            "a.mp4",
            anna=[ranged("happy", (1, 30)), ranged("Sadness", (31, 40), (90, 99))],
            ben=[ranged("sad", (1, 10)), ranged("happy", (20, 24))],
            chloe=[ranged("happy", (1, 10)), ranged("sad", (11, 20))],
        ),
        task("b.mp4", anna=[ranged("happy", (5, 5))]),
        task("c.mp4", anna=[]),
    ]
    manifest = read_label_studio(write(tmp_path, tasks))
    assert votes_of(manifest) == {"a.mp4": {"happy": 1, "sad": 1}, "b.mp4": {"happy": 1, "sad": 0}}
    assert manifest.table["annotators"].to_list() == [["anna", "ben"], ["anna"]]
    assert manifest.notes[0] == (
        "The labels 'mood' are set on time ranges: a person's vote on a video is for the class on the most frames. "
        "Of 4 annotations, 3 with several classes (a.mp4: happy on 30 frames, Sadness on 20 frames, so one vote for "
        "happy), 1 without a vote because two are on equally many."
    )
    assert manifest.notes[-1] == "Left out because nobody voted on them: 1 video."


def test_classes_that_are_no_votes_do_not_win(tmp_path):
    tasks = [task("a.mp4", anna=[ranged("unclear", (1, 99)), ranged("sad", (1, 2)), ranged("happy", (9, 9))])]
    manifest = read_label_studio(write(tmp_path, tasks), ignore=["unclear"], class_names=["happy", "sad"])
    assert votes_of(manifest) == {"a.mp4": {"happy": 0, "sad": 1}}


def test_the_small_form_says_the_same(tmp_path):
    small = [{"video": "a.mp4", "id": 1, "annotator": 7, "mood": [ranged(n, r)["value"] for n, r in SAID]} for _ in "a"]
    long = [task("a.mp4", **{"7": [ranged(n, r) for n, r in SAID]})]
    classes = ["happy", "sad"]
    one, other = (read_label_studio(write(tmp_path, tasks), class_names=classes) for tasks in (small, long))
    assert one == other
    assert one.notes == other.notes
    assert votes_of(one) == {"a.mp4": {"happy": 0, "sad": 1}}


SAID = [("happy", (1, 4)), ("sad", (3, 9)), ("happy", (2, 5))]


@given(st.lists(st.tuples(st.sampled_from(["happy", "sad"]), st.integers(0, 30), st.integers(0, 12)), min_size=1))
def test_frames_are_counted_once_each(tmp_path_factory, ranges):
    frames = {name: set() for name in ("happy", "sad")}
    for name, first, length in ranges:
        frames[name] |= set(range(first, first + length + 1))
    result = [ranged(name, (first, first + length)) for name, first, length in ranges]
    file = write(
        tmp_path_factory.mktemp("ranges"), [task("a.mp4", anna=result), task("b.mp4", ben=[ranged("sad", (1, 2))])]
    )
    votes = votes_of(read_label_studio(file, class_names=["happy", "sad"])).get("a.mp4")
    happy, sad = len(frames["happy"]), len(frames["sad"])
    assert votes == (None if happy == sad else {"happy": int(happy > sad), "sad": int(sad > happy)})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"timelinelabels": ["sad"]}, "have no list of ranges"),
        ({"ranges": [{"start": 9, "end": 3}], "timelinelabels": ["sad"]}, "goes from 9 to 3"),
        ({"ranges": [{"start": "1", "end": 3}], "timelinelabels": ["sad"]}, "goes from '1' to 3"),
        ({"ranges": [3], "timelinelabels": ["sad"]}, "goes from None to None"),
        ({"ranges": [], "timelinelabels": "sad"}, "choices are not a list of texts"),
    ],
)
def test_wrong_time_lines_are_refused_by_task(tmp_path, value, told):
    wrong = task("a.mp4", anna=[ranged("sad", (1, 2)) | {"value": value}])
    with pytest.raises(RequestError, match=rf"task 1 \(id 1\).*{told}"):
        read_label_studio(write(tmp_path, [wrong]))


def test_what_is_not_read_is_named(tmp_path):
    box = {"type": "videorectangle", "from_name": "box", "value": {}}
    with pytest.raises(RequestError, match=r"What else it holds is not read: videorectangle \('box'\)"):
        read_label_studio(write(tmp_path, [task("a.mp4", anna=[box])]))


def test_uploaded_files_under_their_own_names_are_recognised(tmp_path, capsys):
    said = {"anna": [ranged("happy", (1, 2))], "ben": [ranged("sad", (1, 2))]}
    export = str(write(tmp_path, [task("/data/upload/3/1a2b3c4d-clip.mp4", **said)]))
    store = ["--out", str(tmp_path / "store")]
    assert main(["prepare", "label_studio", export, *store]) == 2
    assert "copy its folder media/upload there, or put your own files there" in capsys.readouterr().err
    write_video(tmp_path / "clip.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 25.0)
    assert main(["prepare", "label_studio", export, *store]) == 2
    assert "holds clip.mp4, which Label Studio calls 3/1a2b3c4d-clip.mp4" in capsys.readouterr().err
    assert main(["check", "label_studio", export]) == 1
    assert "add --uploads original" in " ".join(capsys.readouterr().out.split())
    assert main(["check", "label_studio", export, "--uploads", "original", "--faces", "cropped"]) == 0
    assert not (tmp_path / "store").exists()
