"""Who was rated where several faces are in view: by a rule, or as a table says for single clips; and it is told."""

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
from midas_dfer.clips.description.description import describe
from midas_dfer.clips.faces.tracks import Track, choose_track, others_in_view
from midas_dfer.clips.preparing.prepare import face_choices
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.datasets.face_choice import FaceChoice
from midas_dfer.datasets.table import read_table
from midas_dfer.errors import NoFaceError, RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.tables.store_tables import description_table
from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import write_video

REAL_FACE = Path(midas_dfer.__file__).parent / "demo_data" / "1001_DFA_HAP_XX.flv"
LIGHT, DARK = 110, 60


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A light face on the left, beside the same face, darker: there for half of the time."""
    root = tmp_path_factory.mktemp("two")
    faces = [cv2.resize(f.image, (160, 120), interpolation=cv2.INTER_AREA) for f in iter_frames(REAL_FACE)][:8]
    dark = [(face * 0.5).astype(np.uint8) for face in faces]
    both = [np.hstack([f, d if n < 4 else np.zeros_like(d)]) for n, (f, d) in enumerate(zip(faces, dark, strict=True))]
    write_video(root / "two.mp4", both, 20.0)
    write_video(root / "one.mp4", faces, 20.0)
    return root


def votes(folder: Path, *rows: str, columns: str = "video_id,path,happy,sad,face") -> Path:
    (folder / "votes.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return folder / "votes.csv"


def light_of(store: ClipStore, video_id: str) -> float:
    return float(store.read(video_id, [0]).mean())


def prepare(table: Path, videos: Path, store: Path, *more: str) -> int:
    return main(
        [
            "prepare",
            "table",
            str(table),
            "--videos",
            str(videos),
            "--out",
            str(store),
            "--size",
            "32",
            "--jobs",
            "1",
            *more,
        ]
    )


def test_a_column_and_a_flag_choose_who_is_cut_out(videos, tmp_path, capsys):
    rows = ["a,two.mp4,1,0,", "b,two.mp4,0,1,right", "c,two.mp4,0,1,80;60", "d,one.mp4,1,0,left", "e,two.mp4,1,0,10;5"]
    table, store = votes(tmp_path, *rows), tmp_path / "store"
    assert prepare(table, videos, store) == 0
    out, err = capsys.readouterr()
    assert "1 clip whose file shows several people; taken is the one on the right" in out
    assert (
        "1 clip whose file shows several people; taken is the one in view longest, of equals the largest"
        in " ".join(out.split())
    )
    assert "failed: e: two.mp4: no face at 10,5 (x,y in pixels); faces are at" in err
    opened = ClipStore.open(store)
    light = {video_id: light_of(opened, video_id) for video_id in opened.manifest.video_ids}
    assert light["b"] < 0.7 * min(light["a"], light["c"], light["d"])
    assert {o.video_id: o.person for o in opened.outcomes.values()} == {
        "a": "", "b": "right", "c": "80;60", "d": "left", "e": "10;5",
    }  # fmt: skip
    description = describe(opened)
    assert description.num_damaged == 0
    assert sum(description.remarks.values()) == 3
    assert any("several people; taken is the one on the right" in remark for remark in description.remarks)
    assert "note: 3 remarks on annotations and files" in description_table(description)
    assert prepare(table, videos, store, "--person", "right", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["done"], report["skipped"]) == (1, 4)  # only the clip that the column leaves open is cropped again
    assert light_of(ClipStore.open(store), "a") == pytest.approx(light["b"], abs=2)


def test_check_names_clips_of_which_it_is_not_said(videos, tmp_path, capsys):
    table = votes(tmp_path, "a,two.mp4,1,0,", "b,two.mp4,0,1,right", "d,one.mp4,1,0,")
    ask = ["check", "table", str(table), "--videos", str(videos), "--jobs", "1", "--json", "--skip_duplicates"]
    for more, crowded in (([], ["a"]), (["--person", "left"], [])):
        assert main([*ask, *more]) == 0
        found = {f["kind"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
        assert [e.split()[0] for e in found.get("several_people", {"examples": []})["examples"]] == crowded


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--person", "middle"], "--person 'middle' chooses no face; expected longest, largest, left, right"),
        (["--person", "1,2,3"], "chooses no face"),
        (["--person", "left", "--faces", "cropped"], "--person is of no use"),
        (["--faces", "cropped"], "have a column 'face', which says whose face was rated"),
    ],
)
def test_what_chooses_no_face_is_refused(videos, tmp_path, capsys, arguments, told):
    table = votes(tmp_path, "a,two.mp4,1,0,left", "b,one.mp4,0,1,")
    assert prepare(table, videos, tmp_path / "store", *arguments) == 2
    assert told in capsys.readouterr().err
    assert main(["check", "table", str(table), "--videos", str(videos), *arguments]) == 2
    assert not (tmp_path / "store").exists()


def test_a_column_of_something_else_is_refused_by_row(tmp_path):
    table = votes(tmp_path, "a,a.mp4,1,0,left", "b,b.mp4,0,1,3")
    with pytest.raises(RequestError, match=r"row 2 \(line 3\).*'3' chooses no face.*--ignore \"\[face\]\""):
        read_table(table)
    manifest = read_table(table, ignore=["face"])
    assert "face" not in manifest.table.columns
    assert manifest.table["face_in_file"].to_list() == ["left", "3"]


def test_two_people_in_one_video_are_two_clips(tmp_path):
    columns = "video_id,path,annotator,emotion,Face"
    rows = ["a,x.mp4,anna,happy,left", "a,x.mp4,ben,sad,right"]
    with pytest.raises(RequestError, match=r"row 2 .*Two people who were rated in one video are two clips"):
        read_table(votes(tmp_path, *rows, columns=columns))
    rows = ["a,x.mp4,anna,happy,left", "b,x.mp4,ben,sad,right"]
    manifest = read_table(votes(tmp_path, *rows, columns=columns))
    assert face_choices(manifest) == {"a": "left", "b": "right"}


def test_whom_to_cut_by_clip_and_by_default():
    table = pl.DataFrame({"video_id": ["a", "b", "c"], "path": ["a", "b", "c"], "face": ["left", None, "longest"]})
    manifest = Manifest(("happy", "sad"), table)
    assert face_choices(manifest) == {"a": "left"}
    assert face_choices(manifest, "largest") == {"a": "left", "b": "largest"}
    assert face_choices(Manifest(("happy", "sad"), table.drop("face"))) == {}
    with pytest.raises(RequestError, match="'up' chooses no face"):
        face_choices(manifest, "up")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        (" Left ", FaceChoice("left")),
        ("320,180", FaceChoice(None, 320, 180)),
        ("320 180", FaceChoice(None, 320, 180)),
        ("1 ; 0", FaceChoice(None, 1, 0)),
        ("0.5,0.25", FaceChoice(None, 0.5, 0.25, shares=True)),
        ("1.5,0.25", FaceChoice(None, 1.5, 0.25)),
    ],
)
def test_choices_are_read(text, choice):
    assert FaceChoice.parse(text) == choice
    assert choice.point(640, 360) == ((320, 90) if choice.shares else (choice.x, choice.y))


def track(x: float, y: float, side: float, first: int, frames: int) -> Track:
    box = np.array([x, y, side, side], dtype=np.float32)
    numbers = np.arange(first, first + frames)
    return Track(
        frames=numbers,
        times=numbers / 25.0,
        landmarks=np.zeros((frames, 5, 2), dtype=np.float32),
        boxes=np.tile(box, (frames, 1)),
        detected=np.ones(frames, dtype=np.bool_),
    )


LONG, BIG, GLIMPSE = track(100, 50, 40, 0, 100), track(300, 40, 80, 50, 40), track(500, 0, 90, 0, 10)


def test_rules_choose_among_those_who_are_in_view():
    tracks = [LONG, BIG, GLIMPSE]
    chosen = {
        rule: choose_track(tracks, FaceChoice(rule), 640, 360) for rule in ("longest", "largest", "left", "right")
    }
    assert chosen == {"longest": LONG, "largest": BIG, "left": LONG, "right": BIG}
    assert choose_track(tracks, FaceChoice.parse("510,10"), 640, 360) is GLIMPSE
    assert choose_track(tracks, FaceChoice.parse("0.5,0.2"), 640, 360) is BIG
    with pytest.raises(NoFaceError, match=r"no face at 5,5 \(x,y in pixels\); faces are at 120,70, 340,80$"):
        choose_track(tracks, FaceChoice.parse("5,5"), 640, 360)
    assert [others_in_view(tracks, each) for each in tracks] == [1, 1, 1]
    assert others_in_view([LONG, GLIMPSE], LONG) == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=4))
def test_others_are_those_seen_together(spans):
    tracks = [track(100 * n, 0, 10, first, frames) for n, (first, frames) in enumerate(spans)]
    seen = [set(range(first, first + frames)) for first, frames in spans]
    for n, each in enumerate(tracks):
        slow = sum(len(seen[n] & s) >= max(1, 0.25 * len(seen[n])) for m, s in enumerate(seen) if m != n)
        assert others_in_view(tracks, each) == slow
