"""What is to be known of a video's pictures is told by check, prepare and the error of a face that was not found."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.clips.checking.decoding import DecodedClip, check_decoded, read_clip
from midas_dfer.clips.faces.detection import FaceDetector, shrunk_hint
from midas_dfer.clips.preparing.extract import ClipExtractor
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import NoFaceError
from midas_dfer.video.shown import Remark
from tests.support.media import picture, save_still, write_movie


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(a) for a in arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A table of three videos: two interlaced, one of them HDR too, and one of which there is nothing to say."""
    write_movie(tmp_path / "woven.mp4", [picture(64, 64, n) for n in range(3)], fields="tff")
    write_movie(
        tmp_path / "both.mp4",
        [picture(64, 64, n) for n in range(3)],
        fields="tff",
        **{"x264-params": "transfer=smpte2084"},
    )
    write_movie(tmp_path / "plain.mp4", [picture(64, 64, n) for n in range(3)])
    (tmp_path / "votes.csv").write_text("video_id,happy,sad\nwoven,3,1\nboth,1,3\nplain,2,1\n")
    return tmp_path


def test_check_tells(data: Path, capsys: pytest.CaptureFixture[str]):
    flags = ("--faces", "cropped", "--jobs", 1, "--skip_duplicates")
    status, out, _ = run(capsys, "check", "table", data / "votes.csv", *flags, "--json")
    findings = {f["kind"]: f for f in json.loads(out)["findings"]}
    assert status == 0
    assert findings["interlaced"]["count"] == 2
    assert findings["interlaced"]["examples"] == ["woven", "both"]
    assert findings["hdr"]["examples"] == ["both"]
    assert {f["severity"] for f in findings.values()} == {"note"}


def test_prepare_tells_and_tells_again(data: Path, capsys: pytest.CaptureFixture[str]):
    flags = ("--faces", "cropped", "--jobs", 1, "--size", 64, "--out", data / "store")
    status, out, _ = run(capsys, "prepare", "table", data / "votes.csv", *flags)
    assert status == 0
    assert "note: 2 clips whose file is interlaced: " in out
    assert "note: 1 clip whose file is HDR (PQ), " in out
    assert "damaged" not in out
    store = ClipStore.open(data / "store")
    assert store.outcomes["plain"].detail == ""
    assert "is interlaced" in store.outcomes["both"].detail
    _, out, _ = run(capsys, "prepare", "table", data / "votes.csv", *flags, "--json")
    assert sum(json.loads(out)["notes"].values()) == 3


def test_remarks_of_one_kind_are_one_finding():
    readings = {str(n): DecodedClip("good", remarks=(Remark("odd_angle", f"turns by {n}"),)) for n in range(7)}
    readings["none"] = DecodedClip("good")
    (finding,) = check_decoded(readings, frozenset(), cropped=False, sampled=False)
    assert (finding.kind, finding.severity, finding.count) == ("odd_angle", "note", 7)
    assert finding.examples[1] == "1 (turns by 1)"


def test_reading_keeps_the_remarks_of_damaged_clips(tmp_path: Path):
    path = write_movie(tmp_path / "a.mkv", [picture(seed=n) for n in range(40)], fields="tff", g="5", bf="0")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    reading = read_clip(path, 5.0)
    assert reading.state == "damaged"
    assert [remark.kind for remark in reading.remarks] == ["interlaced"]


def test_flags_of_face_finding_are_kept_and_refused_where_no_face_is_looked_for(
    data: Path, capsys: pytest.CaptureFixture[str]
):
    store = data / "store"
    call = ("prepare", "table", data / "votes.csv", "--out", store, "--jobs", 1)
    for flag, value in (("--max_side", 1280), ("--min_score", 0.5)):
        status, _, error = run(capsys, *call, "--faces", "cropped", flag, value)
        assert status == 2
        assert f"{flag} is of no use" in error
        status, _, error = run(capsys, *call, "--faces", "detect", flag, -1)
        assert status == 2
        assert f"{flag} is -1" in error
    assert not store.exists()
    status, _, _ = run(capsys, *call, "--faces", "detect", "--max_side", 1280, "--min_score", 0.5)
    assert status == 1  # no face is in them
    settings = json.loads((store / "store.json").read_text())["settings"]
    assert (settings["max_side"], settings["min_score"]) == (1280, 0.5)


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(64, 8192))
def test_the_hint_comes_where_the_picture_was_shrunk(width: int, height: int, side: int):
    hint = shrunk_hint(np.broadcast_to(np.uint8(0), (height, width, 3)), side)
    assert bool(hint) == (max(width, height) > side)
    if hint:
        assert f"from {width}x{height} to " in hint
        assert f"--max_side {min(max(width, height), 8192)}" in hint


def test_a_small_real_face_is_found_as_the_hint_says(shared_data: Path, tmp_path: Path):
    face = cv2.imread(str(shared_data / "videos" / "single_face.jpg"))
    (found,) = FaceDetector().detect(face)[:1]
    scale = 46 / found.box[2]
    small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scene = np.full((2160, 3840, 3), 90, np.uint8)
    scene[600 : 600 + small.shape[0], 2000 : 2000 + small.shape[1]] = small
    save_still(tmp_path / "a.png", scene[..., ::-1], compress_level=1)
    with pytest.raises(NoFaceError, match=r"shrunk from 3840x2160 to 640x360 .*--max_side 3840"):
        list(ClipExtractor(ExtractSettings(size=64)).extract(tmp_path / "a.png"))
    assert len(list(ClipExtractor(ExtractSettings(size=64, max_side=3840)).extract(tmp_path / "a.png"))) == 1
