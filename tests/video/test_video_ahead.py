"""Frames decoded ahead are the same frames, their errors come after them, and the thread ends with its reader."""

import threading
import time

import numpy as np
import pytest

from midas_dfer.errors import DamagedVideoError
from midas_dfer.video.ahead import made_ahead
from midas_dfer.video.read import Frame, iter_frames
from midas_dfer.video.write import write_video


def counted(number: int, made: list[int], error: Exception | None = None):
    for index in range(number):
        made.append(index)
        yield Frame(index, index / 25, np.full((2, 2, 3), index % 256, np.uint8))
    if error is not None:
        raise error


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decoding"]


def test_the_frames_of_a_file_are_the_same(tmp_path):
    write_video(tmp_path / "a.mp4", [np.full((32, 32, 3), 6 * i, np.uint8) for i in range(30)], 25.0)
    path = tmp_path / "a.mp4"
    plain, ahead = list(iter_frames(path)), list(made_ahead(iter_frames(path)))
    assert [(f.index, f.time) for f in plain] == [(f.index, f.time) for f in ahead]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(plain, ahead, strict=True))
    assert decoders() == []


def test_no_more_than_asked_are_made_ahead():
    made: list[int] = []
    frames = made_ahead(counted(1000, made), most=5)
    for expected in range(3):
        assert next(frames).index == expected
    time.sleep(0.2)
    assert len(made) <= 3 + 5 + 1
    frames.close()
    assert decoders() == []
    assert len(made) < 20


def test_what_decoding_raises_comes_after_the_frames_before_it():
    frames, seen = made_ahead(counted(4, [], DamagedVideoError("a.mp4: damaged", 4, None))), []
    with pytest.raises(DamagedVideoError, match="damaged"):
        seen.extend(frame.index for frame in frames)
    assert decoders() == []
    frames = made_ahead(counted(4, [], DamagedVideoError("a.mp4: damaged", 4, None)))
    assert [frame.index for _, frame in zip(range(4), frames, strict=False)] == [0, 1, 2, 3]


def test_a_reader_that_fails_or_forgets_leaves_no_thread():
    def read() -> None:
        for frame in made_ahead(counted(1000, [])):
            if frame.index == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read()
    frames = made_ahead(counted(1000, []))
    next(frames)
    del frames
    assert decoders() == []
