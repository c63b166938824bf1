"""Cameras and videos in real time: the newest frame is read, each end is said, and nothing is stored unasked."""

import json
import os
import pty
import re
import signal
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import midas_dfer
from midas_dfer.cli import main
from midas_dfer.errors import JobError, RequestError, VideoError
from midas_dfer.models.mirrored import Mirrored
from midas_dfer.models.scaled import Scaled
from midas_dfer.models.zoo import create_model
from midas_dfer.predict import camera as cameras
from midas_dfer.predict import live as live_module
from midas_dfer.predict.camera import Camera, Captured, NewestFrame
from midas_dfer.predict.frame_memo import remembering
from midas_dfer.predict.live import live
from midas_dfer.predict.predictor import Predictor
from midas_dfer.report.tables.live_screen import live_screen, live_summary
from midas_dfer.sharing.ensemble import Network
from tests.predict.test_predict import NAMES, ONE, TWO, make_run, scene, see_colors, write_scene

CPU = torch.device("cpu")
WINDOWS = {"window_seconds": 0.3, "stride_seconds": 0.1}
FLAGS = ("--window", "0.3", "--stride", "0.1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("live") / "run")


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.from_run(run, device="cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("live") / "one.mp4", 20, ONE)


@pytest.fixture(autouse=True)
def color_world(monkeypatch):
    see_colors(monkeypatch)


class FakeCamera:
    """Gives a scene a hundred times a second, then nothing, as OpenCV does where a camera is pulled out."""

    frames, actors, pressed = 60, ONE, staticmethod(lambda: None)

    def __init__(self, device) -> None:
        self.device, self.given, self.released = device, 0, False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.device == 0

    def read(self):
        time.sleep(0.01)
        self.given += 1
        if self.given > 40:
            self.pressed()
        if self.given > self.frames:
            return False, None
        return True, np.ascontiguousarray(scene(self.given, self.actors)[..., ::-1])

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch):
    made = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: made.append(FakeCamera(device)) or made[-1])
    return made


# --- sources --------------------------------------------------------------------------------------------------------


def test_the_newest_frame_is_taken_and_the_others_are_counted():
    frames = [Captured(np.zeros((2, 2, 3), np.uint8), float(number)) for number in range(5)]
    newest = NewestFrame()
    newest.start(lambda stopped: iter(frames))
    while not newest.finished:
        time.sleep(0.001)
    assert newest.take(1.0).time == 4.0
    assert (newest.captured, newest.dropped, newest.take(0.0)) == (5, 4, None)


def test_a_video_is_played_in_real_time(video, predictor):
    start = time.monotonic()
    with live(video, predictor, **WINDOWS) as readings:
        found = list(readings)
    assert time.monotonic() - start >= 0.95  # 20 frames at 20 per second
    assert readings.ended
    assert readings.captured == 20 == readings.num_frames + readings.dropped
    assert readings.size == (96, 64)
    assert len(found) >= 2
    for reading in found:
        assert reading.probabilities.sum() == pytest.approx(1)
        assert reading.latency >= -1e-6
    timeline = readings.timeline()
    assert [(w.start, w.end) for w in timeline.tracks[0].windows] == [(r.start, r.end) for r in found]
    assert timeline.tracks[0].box(found[0].start, found[0].end) == list(found[0].box)
    rows = timeline.to_polars()
    assert list(rows.columns[:4]) == ["track", "start", "end", "predicted"]
    assert timeline.video == "one.mp4"
    assert json.loads(timeline.to_json())["num_frames"] == readings.num_frames


def test_it_stops_when_it_is_told_to(camera, predictor):
    with live(0, predictor, seconds=0.2, **WINDOWS) as readings:
        assert list(readings)  # the last ones, of a face that was in view for less than a window
    assert readings.elapsed >= 0.2
    assert camera[0].released
    with live(0, predictor, **WINDOWS) as readings:
        for _ in readings:
            break
    assert camera[1].released
    assert camera[1].given < FakeCamera.frames


def test_what_is_wrong_with_a_camera_is_said(camera, predictor, tmp_path, monkeypatch):
    def error(source, kind):
        with pytest.raises(kind) as caught, live(source, predictor, **WINDOWS) as readings:
            for _ in readings:
                pass
        return str(caught.value)

    assert error(0, JobError) == "camera 0 gives no more frames; is it unplugged?"
    monkeypatch.setattr(FakeCamera, "frames", 0)
    assert "gives no frames: another program uses it" in error(0, JobError)
    monkeypatch.setattr(cameras.sys, "platform", "darwin")
    assert "cannot be opened: it is not there, another program uses it" in error(1, JobError)
    monkeypatch.setattr(cameras.sys, "platform", "linux")
    assert "there is no camera 77 (/dev/video77 is not there)" in error("77", JobError)
    monkeypatch.setattr(cameras.Path, "exists", lambda path: True)
    monkeypatch.setattr(cameras.os, "access", lambda path, mode: False)
    assert "sudo usermod -aG video $USER" in error("/dev/video78", JobError)
    monkeypatch.undo()
    assert "there is no video nothing.mp4" in error("nothing.mp4", RequestError)
    (tmp_path / "text.mp4").write_text("no video")
    assert "text.mp4" in error(tmp_path / "text.mp4", VideoError)
    for wrong in ({"seconds": 0}, {"stride_seconds": 0.0}, {"device": "cpu"}):
        with pytest.raises(RequestError, match=next(iter(wrong))):
            live(0, predictor, **wrong)
    with pytest.raises(RequestError, match="wait is -1"):
        predictor.stream(wait=-1)


def test_a_camera_that_falls_silent_is_given_up(predictor, monkeypatch):
    silent = threading.Event()
    monkeypatch.setattr(Camera, "__init__", lambda self, device: setattr(self, "name", "camera 0"))
    monkeypatch.setattr(Camera, "frames", lambda self, stopped: iter([silent.wait(9)][:0]))
    monkeypatch.setattr(live_module, "_SILENCE", 0.05)
    monkeypatch.setattr(cameras, "_PATIENCE", 0.01)
    with live(0, predictor) as readings, pytest.raises(JobError, match=r"has given no frame for 0\.05 s"):
        list(readings)
    silent.set()


# --- frames that windows share --------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_a_frame_that_windows_share_is_read_once(temperature, predictor):
    generator = torch.Generator().manual_seed(0)
    still = create_model("still_resnet10", num_classes=3, num_frames=4, width=8, generator=generator).eval()
    model = Mirrored(still) if temperature is None else Scaled(Mirrored(still), temperature)
    network = Network(model, predictor.info, CPU, torch.float32)
    frames = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator)
    clips = torch.stack([frames[start : start + 4] for start in (0, 2, 3, 8)])
    expected, seen = network.read(clips), []
    still.register_forward_hook(lambda module, given, output: seen.append(len(given[0])))
    read = remembering(network)
    parts = [read(clips[:2]), read(clips[2:]), read(clips)]
    assert sum(seen) == 2 * (6 + 5)  # each frame, and its mirror image
    for found, wanted in zip(zip(*parts, strict=True), expected, strict=True):
        torch.testing.assert_close(torch.cat(found[:2], dim=1), wanted, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[2], wanted, atol=1e-5, rtol=1e-4)


def test_only_frames_that_are_seen_alone_are_remembered(predictor):
    (network,) = predictor._networks
    assert remembering(network) == network.read


# --- in a terminal --------------------------------------------------------------------------------------------------


def test_a_line_for_each_reading_and_nothing_is_stored(video, run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["live", "--source", str(video), "--run", str(run), *FLAGS]) == 0
    said = capsys.readouterr().out
    assert said.startswith("read by the run run: ")
    assert "\neverybody in view must know and agree; nothing is stored\n" in said
    assert re.search(r"\n   0\.00 -   0\.30 s  face 1: (happy|sad|angry) \d+%, .*  \(\d+ ms late\)\n", said)
    assert re.search(r"\n\d+ frames read of 20, \d+ dropped(; latency \d+ ms \(median; 95 % within \d+ ms\))?\n$", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_readings_are_saved_where_it_is_asked_for(suffix, video, run, capsys, tmp_path):
    file = tmp_path / f"readings.{suffix}"
    assert main(["live", "--source", str(video), "--run", str(run), *FLAGS, "--save", str(file), "--json"]) == 0
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert set(lines[0]["probabilities"]) == set(NAMES)
    assert f"no pictures, go to {file}" in " ".join(captured.err.split())
    if suffix == "csv":
        assert len(file.read_text().splitlines()) == 1 + len(lines)
    else:
        assert [w["start"] for w in json.loads(file.read_text())["tracks"][0]["windows"]] == [x["start"] for x in lines]
    for path, message in (
        (file, "it is there already"),
        (tmp_path / "a.txt", "ends in"),
        (tmp_path / "b/c.csv", "b is"),
    ):
        assert main(["live", "--source", str(video), "--save", str(path)]) == 2
        assert message in capsys.readouterr().err


def test_it_reads_with_what_is_asked_for(video, capsys, tmp_path):
    saved = {}
    for name, flags in (("silent", ["--abstain", "0.02"]), ("passes", ["--mc_dropout", "2"])):
        assert main(["live", "--source", str(video), *FLAGS, *flags, "--save", str(tmp_path / f"{name}.csv")]) == 0
        saved[name] = capsys.readouterr().out, (tmp_path / f"{name}.csv").read_text().splitlines()[0].split(",")
    assert "silent where the largest share is below" in saved["silent"][0]
    assert saved["silent"][1][-1] == "silent"
    assert {"expected_disagreement", "not_knowing"} <= {*saved["passes"][1]}
    assert main(["live", "--source", str(video), "--abstain_by", str(tmp_path)]) == 2
    assert "without --abstain the model always answers" in capsys.readouterr().err


def test_readings_are_saved_when_the_camera_is_pulled_out(camera, run, capsys, tmp_path):
    file = tmp_path / "readings.csv"
    assert main(["live", "--run", str(run), *FLAGS, "--save", str(file)]) == 1
    captured = capsys.readouterr()
    assert "midas: camera 0 gives no more frames; is it unplugged?" in captured.err
    assert "frames read of" in captured.out
    assert len(file.read_text().splitlines()) > 1


def test_control_c_ends_it_in_order(camera, run, capsys, monkeypatch):
    monkeypatch.setattr(FakeCamera, "frames", 10_000)
    started = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    before = signal.getsignal(signal.SIGINT)
    once = iter([signal.SIGINT])
    monkeypatch.setattr(FakeCamera, "pressed", lambda self: [os.kill(os.getpid(), number) for number in once])
    assert main(["live", "--run", str(run), *FLAGS]) == 0
    assert "frames read of" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) == before
    assert camera[0].released
    signal.signal(signal.SIGINT, started)


def test_bars_on_a_terminal_until_q_is_pressed(camera, run, monkeypatch):
    monkeypatch.setattr(FakeCamera, "frames", 10_000)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    master, slave = pty.openpty()
    with os.fdopen(slave, "r+b", buffering=0) as terminal, open(master, "r+b", buffering=0) as keyboard:  # noqa: PTH123
        written = []
        out = SimpleNamespace(isatty=lambda: True, write=written.append, flush=lambda: None, encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(FakeCamera, "pressed", lambda self: keyboard.write(b"q"))
        assert main(["live", "--run", str(run), *FLAGS]) == 0
    text = "".join(written)
    assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1
    assert "face 1: " in text
    assert "█" in text
    assert text.index("frames read of") > text.index("\x1b[?1049l")


def test_a_screen_fits_the_terminal(monkeypatch, camera, predictor):
    monkeypatch.setattr(FakeCamera, "actors", TWO)
    with live(0, predictor, **WINDOWS) as readings:
        wide = live_screen(readings, 80, 24, unicode=True)
        assert wide[-1] == "no face in view"
        while not all(readings.latest.values()) or len(readings.latest) < 2:
            readings.step()
        for width, height, faces, classes in ((80, 24, 2, 3), (40, 8, 2, 1), (40, 6, 1, 1), (200, 60, 2, 3)):
            lines = live_screen(readings, width, height, unicode=False)
            plain = [re.sub(r"\x1b\[\dm", "", line) for line in lines]
            assert len(lines) <= height
            assert max(map(len, plain)) < min(width, 81)
            assert sum(line.startswith("face ") for line in plain) == faces
            assert ("1 more in view than fit here" in plain) == (faces == 1)
            bars = [line.split()[0] for line in plain if line.endswith("%")]
            assert len(bars) == faces * classes
            assert set(bars) <= set(NAMES)
            predicted = [line.split(": ")[1] for line in plain if line.startswith("face ")]
            assert set(predicted) <= set(bars)
    assert "2 faces" in live_summary(readings)


# --- in a notebook --------------------------------------------------------------------------------------------------


def test_a_notebook_shows_it_and_keeps_it_up_to_date(camera, predictor, monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda each: shown.append(each._repr_html_()))
    display = SimpleNamespace(display=lambda each, display_id: shown.append(each._repr_html_()) or handle)
    shell = SimpleNamespace(kernel=True)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display))
    with midas_dfer.live(0, predictor, seconds=0.5, **WINDOWS) as readings:
        list(readings)
    assert "no face in view" in shown[0]
    assert len(shown) >= 2
    assert any("Face 1" in page and "linear-gradient" in page for page in shown)
    assert all("must know and agree; nothing is stored" in page for page in shown)
    shell.kernel = None
    count = len(shown)
    with midas_dfer.live(0, predictor, seconds=0.1, **WINDOWS) as readings:
        list(readings)
    assert len(shown) == count
