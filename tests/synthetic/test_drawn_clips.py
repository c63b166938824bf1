"""The drawn clips of the made-up copies."""

import cv2
import numpy as np
import pytest

from midas_dfer.emotions import MAFW
from midas_dfer.synthetic.layouts.drawn_clips import LOOKS, draw_frames, write_clip, write_pictures
from midas_dfer.video.read import iter_frames


@pytest.fixture(scope="module")
def frames():
    return draw_frames("contempt", seed=(0, 3), frames=3)


def test_frames_are_as_many_as_asked_for_and_depend_on_the_seed(frames):
    assert [frame.shape for frame in frames] == [(96, 128, 3)] * 3
    again = draw_frames("disgust", seed=(0, 3), frames=3)  # what stands for contempt
    assert np.array_equal(frames, again)
    assert not np.array_equal(frames[0], draw_frames("disgust", seed=(1, 3), frames=1)[0])


def test_every_class_of_mafw_can_be_drawn():
    assert {LOOKS.get(name, name) for name in MAFW} == {
        "angry",
        "disgust",
        "fear",
        "happy",
        "neutral",
        "sad",
        "surprise",
    }


def test_pictures_and_films_hold_the_frames(frames, tmp_path):
    write_pictures(tmp_path / "crops", frames, cropped=True, digits=2, first=0)
    write_pictures(tmp_path / "whole", frames, cropped=False)
    write_clip(tmp_path / "clips" / "a.avi", frames)
    assert sorted(file.name for file in (tmp_path / "crops").iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]
    assert cv2.imread(str(tmp_path / "crops" / "00.jpg")).shape == (64, 64, 3)
    whole = cv2.imread(str(tmp_path / "whole" / "00003.jpg"))[..., ::-1]
    assert np.abs(whole.astype(int) - frames[2]).mean() < 6
    assert len(list(iter_frames(tmp_path / "clips" / "a.avi"))) == 3
