"""midas check foresees what prepare will find: clips without a face, several people, ties, annotators, no folds."""

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import midas_dfer
from midas_dfer.cli import main
from midas_dfer.clips.checking.check import CheckSettings, check
from midas_dfer.clips.checking.decoding import DecodedClip, check_decoded, read_clip
from midas_dfer.clips.checking.faces_in_view import MOST_FRAMES, FacesSeen, FewFrames
from midas_dfer.clips.faces.detection import FaceDetector
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.manifest.folds import how_to_get_folds
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.vote_counts import annotators_text, count_votes, votes_text
from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import write_video

REAL_FACE = Path(midas_dfer.__file__).parent / "demo_data" / "1001_DFA_HAP_XX.flv"
ROWS = """video_id,annotator,emotion
one.mp4,anna,happy
one.mp4,ben,happy
two.mp4,anna,happy
two.mp4,ben,sad
none.mp4,anna,sad
none.mp4,ben,sad
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A video of one face, one of two beside each other, one of none; and their votes."""
    root = tmp_path_factory.mktemp("people")
    faces = [cv2.resize(f.image, (160, 120), interpolation=cv2.INTER_AREA) for f in iter_frames(REAL_FACE)][:20]
    write_video(root / "one.mp4", faces, 20.0)
    write_video(root / "two.mp4", [np.hstack([f, f[:, ::-1]]) for f in faces], 20.0)
    write_video(root / "none.mp4", [np.full((64, 64, 3), 9 * n, np.uint8) for n in range(20)], 20.0)
    (root / "votes.csv").write_text(ROWS, encoding="utf-8")
    return root


def test_what_prepare_finds_is_foreseen(folder, tmp_path, capsys):
    votes = str(folder / "votes.csv")
    assert main(["check", "table", votes, "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "faces     looked for in up to 7 frames of 3 clips" in out
    assert "votes     6 on 3 clips, 2 each; 1 clip ends in a tie" in out
    assert "voters    2: anna 3 votes, ben 3" in out
    assert "parts     none" in out
    told = " ".join(out.split())
    assert "clips in which no face was found, in up to 7 frames of each: 1 - none.mp4 (" in told
    assert "several people in view, by up to 7 frames of each: 1 - two.mp4 (in " in told
    assert "equally many votes: 1 - two.mp4" in told
    assert "Add --folds 3 to midas prepare: it divides them by clip" in told
    store = tmp_path / "store"
    assert main(["prepare", "table", votes, "--jobs", "1", "--out", str(store), "--size", "32"]) == 0
    out = capsys.readouterr().out
    assert "note: nothing can be tested, no clip has a split or a fold. Add --folds 2" in " ".join(out.split())
    assert "votes: 4 on 2 clips, 2 each; 1 clip ends in a tie" in out
    opened = ClipStore.open(store)
    assert {o.video_id for o in opened.outcomes.values() if o.failure == "no face"} == {"none.mp4"}
    assert main(["prepare", "table", votes, "--out", str(store), "--size", "32", "--folds", "2", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["skipped"], again["no_test"], again["votes"]["tied"]) == (3, "", 1)


def test_where_no_clip_shows_a_face_it_is_an_error_and_stands_last(folder):
    table = pl.DataFrame({"video_id": ["a"], "path": ["none.mp4"], "votes": [[1, 0]], "label": ["happy"]})
    manifest = Manifest(("happy", "sad"), table)
    report = check(manifest, folder, CheckSettings(cut=ExtractSettings()), jobs=1)
    assert [f.kind for f in report.errors] == ["no_face"]
    assert report.findings[-1].kind == "no_face"
    assert "--faces cropped" in report.errors[0].advice
    assert not check(manifest, folder, CheckSettings(cut=ExtractSettings(faces="cropped")), jobs=1).errors


def test_faces_in_a_clip_are_counted(folder):
    detector = FaceDetector()
    for name, several in (("one", False), ("two", True)):
        seen = read_clip(folder / f"{name}.mp4", 60.0, detector).seen
        assert (seen.with_face, seen.several) == (seen.frames, several)
        assert 4 <= seen.frames <= MOST_FRAMES
    assert read_clip(folder / "none.mp4", 60.0, detector).seen.with_face == 0
    assert read_clip(folder / "one.mp4", 60.0).seen is None
    assert read_clip(folder / "nowhere.mp4", 60.0, detector).seen is None


@given(st.integers(0, 200))
def test_few_frames_are_spread_over_all_of_them(count):
    few = FewFrames(8)
    for number in range(count):
        few.add(np.full((1, 16, 3), number, np.uint8))
    kept = [int(image[0, 0, 0]) for image in few.kept]
    assert min(count, 4) <= len(kept) <= MOST_FRAMES
    assert all(image.shape == (1, 8, 3) for image in few.kept)
    if count:
        assert kept[0] == 0
        assert len(set(np.diff(kept).tolist())) <= 1
        assert count - kept[-1] <= (kept[1] - kept[0] if len(kept) > 1 else 1)
        assert "shrunk" in few.hint


def test_one_glance_of_a_passer_by_is_not_several_people():
    assert not FacesSeen(7, 7, 1).several
    assert FacesSeen(7, 7, 2).several
    assert FacesSeen(1, 1, 1).several
    assert not FacesSeen(3, 0, 0).several


def test_small_faces_and_samples_are_spoken_of():
    readings = {
        "a": DecodedClip("good", seen=FacesSeen(5, 0, 0, " (shrunk from 1280x720 to 640x360 to look for faces; hint)")),
        "b": DecodedClip("good", seen=FacesSeen(5, 5, 0)),
    }
    (finding,) = check_decoded(readings, frozenset(), cropped=False, sampled=True)
    assert (finding.severity, finding.count) == ("note", 1)
    assert finding.what.endswith("(of 2 that were read)")
    assert finding.advice.endswith("Pictures were shrunk from 1280x720 to 640x360 to look for faces; hint.")


def made(**columns: list[object]) -> Manifest:
    size = len(next(iter(columns.values())))
    named = {"video_id": [f"v{n}" for n in range(size)], "path": [f"p{n}" for n in range(size)], **columns}
    return Manifest(("happy", "sad"), pl.DataFrame(named))


def test_how_folds_are_had_where_they_are_missing():
    assert "--folds 5 to midas prepare: it divides them by clip" in how_to_get_folds(made(subject=[None] * 9))
    assert "--folds 2 to midas prepare: it divides them by subject" in how_to_get_folds(made(subject=["a", "b", "b"]))
    assert "--folds 3" in how_to_get_folds(made(subject=["a", "a", None, None]))
    assert "All clips are of one subject" in how_to_get_folds(made(subject=["a"] * 4))
    assert how_to_get_folds(made(split=["train", None])) == how_to_get_folds(made(fold=[1, 2])) == ""


def test_clips_without_subjects_are_not_called_subjects():
    with pytest.raises(RequestError, match=r"has 3 clips, too few for 5 folds\. Use at most 3"):
        made(subject=[None] * 3).with_subject_folds(5)
    with pytest.raises(RequestError, match="has 2 subjects, too few"):
        made(subject=["a", "b", "b"]).with_subject_folds(5)


def test_votes_and_who_cast_them_in_a_line():
    manifest = made(votes=[[3, 0], [1, 1], None])
    count = count_votes(manifest)
    assert votes_text(count) == "5 on 2 clips, 2 to 3 each; 1 clip ends in a tie and has no single class"
    assert annotators_text(count) == ""
    assert count_votes(made(votes=[None])) is None
    people = [[f"p{n}" for n in range(8)], ["p0"]]
    crowd = made(votes=[[8, 0], [1, 0]], annotators=people, annotator_votes=[["happy"] * 8, ["happy"]])
    assert votes_text(count_votes(crowd)).endswith("1 to 8 each; no ties")
    assert annotators_text(count_votes(crowd)) == "8, with 1 to 2 votes"
