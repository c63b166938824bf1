"""Copies of videos for browsers: made once, said how far, given up where there is no room or nobody wants them."""

import shutil
import threading
import time
from types import SimpleNamespace

import av
import pytest

from midas_dfer.app import playable as playable_module
from midas_dfer.app.playable import Playable, is_played
from midas_dfer.errors import JobError, RequestError
from midas_dfer.video.write import VideoWriter
from tests.support.app import FACE, write_face


@pytest.fixture
def playable(tmp_path):
    made = Playable(tmp_path / "copies")
    yield made
    made.close()


def settled(playable, path):
    """What is told when nothing changes any more."""
    for _ in range(600):
        told = playable.told(path)
        if told["state"] not in ("waiting", "copying"):
            return told
        time.sleep(0.02)
    raise TimeoutError(told)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def held(monkeypatch):
    """The writer stops after some frames until it is let go on."""
    reached, go_on, write, made = threading.Event(), threading.Event(), VideoWriter.write, []

    def held_write(self, image, frame_time=None):
        if self.frames_written == 0:
            made.append(self.path)
        if self.frames_written == 5:
            reached.set()
            assert go_on.wait(60)
        write(self, image, frame_time)

    monkeypatch.setattr(VideoWriter, "write", held_write)
    yield reached, go_on, made
    go_on.set()


def test_a_copy_is_made_once(playable, tmp_path, held):
    write_face(tmp_path / "a_face.mp4", 5)
    assert playable.told(tmp_path / "a_face.mp4")["state"] == "ready"
    assert playable.of(tmp_path / "a_face.mp4") == tmp_path / "a_face.mp4"
    assert not is_played(FACE)
    reached, go_on, made = held
    assert playable.told(FACE)["state"] in ("waiting", "copying")
    assert reached.wait(60)
    assert playable.told(FACE)["state"] == "copying"
    with pytest.raises(RequestError, match=r"no copy of 1001_DFA_HAP_XX\.flv for browsers yet"):
        playable.of(FACE)
    go_on.set()
    assert settled(playable, FACE)["state"] == "ready"
    assert is_played(playable.of(FACE))
    assert made.count(playable.of(FACE)) == 1
    again = Playable(tmp_path / "copies")
    assert again.of(FACE) == playable.of(FACE)
    again.close()
    playable.forget(FACE)
    assert files(tmp_path / "copies") == []


def test_the_container_is_looked_at_not_the_name_alone(tmp_path):
    write_face(tmp_path / "a.mp4", 5)
    with av.open(str(tmp_path / "a.mp4")) as whole, av.open(str(tmp_path / "b.mp4"), "w", format="h264") as raw:
        stream = raw.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                raw.mux(packet)
    assert [is_played(tmp_path / f"{name}.mp4") for name in ("a", "b", "none")] == [True, False, False]


@pytest.mark.parametrize("end", ["forget", "close"])
def test_a_copy_that_nobody_wants_any_more_leaves_nothing(playable, tmp_path, held, end):
    reached, go_on, _ = held
    playable.told(FACE)
    assert reached.wait(60)
    assert len(files(tmp_path / "copies")) == 1
    if end == "forget":
        playable.forget(FACE)
        go_on.set()
        playable.close()
    else:
        threading.Timer(0.1, go_on.set).start()
        playable.close()
        with pytest.raises(RequestError, match="is ending"):
            playable.told(FACE)
    assert files(tmp_path / "copies") == []


def test_what_cannot_be_copied_is_said_and_tried_again(playable, tmp_path, monkeypatch):
    (tmp_path / "broken.avi").write_bytes(b"no video")
    told = settled(playable, tmp_path / "broken.avi")
    assert told["state"] == "failed"
    assert told["error"].startswith("broken.avi: is not a video that can be read")
    with pytest.raises(RequestError, match="cannot be read"):
        playable.told(tmp_path / "gone.avi")

    def full(self, image, time=None):
        raise JobError("the disk is full: cannot write it")

    with monkeypatch.context() as patched:
        patched.setattr(VideoWriter, "write", full)
        told = settled(playable, FACE)
    assert (told["state"], told["error"]) == ("failed", "the disk is full: cannot write it")
    assert files(tmp_path / "copies") == []
    assert settled(playable, FACE)["state"] == "ready"


@pytest.mark.parametrize("written", [0, 20])
def test_a_copy_leaves_the_disk_some_room(playable, tmp_path, monkeypatch, written):
    """Before it is begun, and while it is written."""
    writers, make = [], VideoWriter.__init__
    monkeypatch.setattr(VideoWriter, "__init__", lambda self, *a, **k: (writers.append(self), make(self, *a, **k))[1])
    monkeypatch.setattr(playable_module, "_LOOK_EVERY", 10)

    def usage(path):
        used = writers[-1].frames_written if writers else 0
        return SimpleNamespace(free=playable_module.SPARE if used >= written else 2**40)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    told = settled(playable, FACE)
    assert told["state"] == "no_room"
    assert told["need"] > 0
    assert told["free"] >= told["spare"] == 2**30
    assert len(writers) == (written > 0)
    assert files(tmp_path / "copies") == []
