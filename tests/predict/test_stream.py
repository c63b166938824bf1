"""Frames in memory and frames that come one after the other are read as a video is; what is no frame is refused."""

import re
import threading
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import midas_dfer
from midas_dfer import align, find_faces, iter_frames
from midas_dfer.clips.faces.detection import TEMPLATE, Face, FaceDetector, align_face
from midas_dfer.clips.faces.one_picture import checked_picture
from midas_dfer.errors import NoFaceError, RequestError, VideoError
from midas_dfer.predict import first_pass
from midas_dfer.predict.predictor import Predictor
from midas_dfer.predict.sources import VideoFile
from midas_dfer.predict.stream import Stream
from midas_dfer.synthetic.layouts.drawn_clips import draw_frames
from tests.predict.test_predict import BLUE, NAMES, ONE, RED, SIZE, TWO, make_run, scene, see_colors, write_scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.from_run(make_run(tmp_path_factory.mktemp("stream") / "run"), device="cpu")


@pytest.fixture
def color_world(monkeypatch):
    see_colors(monkeypatch)


def pushed(stream: Stream, frames, times):
    """All that a stream reads, and after which frame each came."""
    found = [(i, r) for i, (f, t) in enumerate(zip(frames, times, strict=True)) for r in stream.push(f, t)]
    return found + [(len(frames), r) for r in stream.close()]


def windows_of(timeline):
    return {
        (t.track, w.start, w.end): (w.probabilities, w.vote_shares, t.box(w.start, w.end))
        for t in timeline.tracks
        for w in t.windows
    }


# --- frames in memory -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("color_world")
def test_frames_are_read_as_the_video_that_they_are_from(predictor, tmp_path):
    video = write_scene(tmp_path / "two.mp4", 75, TWO)
    frames = list(iter_frames(str(video)))
    images, times = np.stack([f.image for f in frames]), [f.time for f in frames]
    expected = predictor.predict_video(str(video), window_seconds=1.5, stride_seconds=0.4).to_json()
    for given in (images, list(images), iter(images)):
        found = predictor.predict_frames(given, times, window_seconds=1.5, stride_seconds=0.4, name="two.mp4")
        assert found.to_json() == expected
    later = predictor.predict_frames(images, np.array(times) + 100.5, window_seconds=1.5, stride_seconds=0.4)
    assert later.note == "times are counted from the first frame, which was given the time 100.5 s"
    assert [t.start for t in later.tracks] == pytest.approx([0, 0.5])
    with pytest.raises(NoFaceError, match="still: no face found in 1 frames"):
        predictor.predict_frames(scene(0, [])[None], [0], name="still")


@pytest.mark.parametrize(
    ("frames", "times", "message"),
    [
        ("clip.mp4", [0], "The frames are a str; expected a NumPy array .*predict_video"),
        (7, [0], "The frames are an int"),
        (np.zeros((4, 4, 3), np.uint8), [0], r"one picture; give frames\[None\]"),
        (np.zeros((1, 4, 4, 3)), [0], r"Frame 0 is of float64; .* from 0 to 0: \(image \* 255\)"),
        (np.full((1, 4, 4, 3), 200.0), [0], r"Frame 0 is of float64; .*RGB\. Its values go from 200 to 200\.$"),
        (np.zeros((1, 4, 4), np.uint8)[None], [0], r"Frame 0 has shape \(1, 4, 4\)"),
        (np.zeros((2, 4, 4), np.uint8)[..., None], [0, 1], r"shape \(4, 4, 1\)"),
        ([np.zeros((4, 4), np.uint8)], [0], r"np\.stack"),
        (np.zeros((1, 4, 4, 4), np.uint8), [0], r"fourth channel"),
        (np.zeros((1, 3, 4, 5), np.uint8), [0], r"image\.transpose\(1, 2, 0\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), [0], r"Frame 0 is a Tensor; .*permute"),
        ([None], [0], "Frame 0 is None"),
        ([], [], "There are no frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), [], "There are no frames"),
        (np.zeros((1, 0, 4, 3), np.uint8), [0], "megapixels"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0], "There are 2 frames and 1 times"),
        (np.zeros((2, 4, 4, 3), np.uint8), 25, r"The times are 25; .*np\.arange\(2\) / 25"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 0], r"The time of frame 1 is 0 s, that of the frame before is 0 s"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, float("nan")], "The time of frame 1 is nan"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, "1"], "The time of frame 1 is '1'"),
        (np.zeros((2, 4, 4, 3), np.uint8), [[0, 1], [2, 3]], "The time of frame 0 is"),
    ],
)
def test_what_is_no_frames_is_refused(predictor, frames, times, message):
    with pytest.raises(RequestError, match=message):
        predictor.predict_frames(frames, times)


def test_settings_that_make_no_sense_are_refused(predictor):
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    for settings, message in (
        ({"window_seconds": 0.0}, "window_seconds is 0"),
        ({"max_people": 0}, "max_people is 0"),
        ({"faces": "cropped", "max_side": 100}, "max_side is of no use"),
        ({"min_score": 2.0}, "`min_score` is 2"),
    ):
        with pytest.raises(RequestError, match=message):
            predictor.predict_frames(frames, [0, 1], **settings)
        settings.pop("max_people", None)
        if settings:
            with pytest.raises(RequestError, match=message):
                predictor.stream(**settings)
    for name, message in (("https://a.org/b.mp4", "addresses are not read"), ("0", "a webcam is read by midas live")):
        with pytest.raises(VideoError, match=message):
            predictor.predict_video(name)
    for given in (0, np.zeros(3), None):
        with pytest.raises(RequestError, match=r"predict_frames.*stream"):
            VideoFile.of(given)


@pytest.mark.usefixtures("color_world")
def test_times_that_make_many_readings_of_each_frame_are_refused(predictor):
    frames = [scene(i, ONE) for i in range(6)]
    for times in (np.arange(6) * 40.0, [0, 1, 2, 3, 4, 5e10]):
        with pytest.raises(RequestError, match=r"more than 50 readings of each frame; give times in seconds"):
            predictor.predict_frames(frames, times)
    for times in ([0, 1, 2, 3, 4, 1e300], 1.8e12 + np.arange(6) * 40.0):
        with pytest.raises(RequestError, match="expected a number of seconds"):
            predictor.predict_frames(frames, times)
    stream = predictor.stream()
    stream.push(frames[0], 0.0)
    with pytest.raises(RequestError, match=r"is 40 s after .* more than 50 readings of one frame"):
        stream.push(frames[1], 40.0)
    stream.push(frames[1], 0.04)
    assert len(predictor.predict_frames(frames, np.arange(6) * 20.0).tracks) == 1  # few pictures, far apart


def test_clips_of_another_kind_are_refused_in_a_sentence(predictor):
    good = torch.zeros(2, 4, 3, SIZE, SIZE, dtype=torch.uint8)
    assert predictor.predict_clips(good)[0].shape == (2, len(NAMES))
    expected = rf"expected a tensor \[clips, 4, 3, {SIZE}, {SIZE}\] of uint8"
    for clips, message in (
        (good.numpy(), rf"type ndarray; {expected}.*torch\.from_numpy"),
        ([good], "type list"),
        (good / 255, r"float32 from 0 to 1, which would be read as black: \(clips \* 255\)"),
        (good + 0.5 + 100, r"float32: clips\.round\(\)"),
        (good.float() - 1.5, "from -1.5 to -1.5: undo their normalisation"),
        (good * float("nan"), "float32 and hold NaN"),
        (good.long(), r"int64: clips\.to\(torch\.uint8\)"),
        (good[0], r"shape \[4, 3, 32, 32\]; .*clips\[None\]"),
        (good[0, 0], r"shape \[3, 32, 32\]"),
        (good[:0], "there is none"),
        (good[:, :3], "3 frames are not the 4"),
        (torch.cat([good, good], 1), "8 frames are not the 4 that the model sees: midas_dfer.sample_segments"),
        (good[..., :-1], "31x32 are not aligned faces of 32x32: midas_dfer.align"),
        (good.permute(0, 1, 3, 4, 2), r"clips\.permute\(0, 1, 4, 2, 3\)"),
        (good.transpose(1, 2), r"clips\.transpose\(1, 2\)"),
        (good[:, :, :1], "1 channels are not RGB"),
    ):
        with pytest.raises(RequestError, match=message):
            predictor.predict_clips(clips)


# --- streams --------------------------------------------------------------------------------------------------------

GAP = [(RED, (6, 16), 0, 30), (RED, (6, 16), 37, 70), (BLUE, (58, 20), 10, 45), (BLUE, (58, 20), 62, 90)]


@pytest.mark.usefixtures("color_world")
@pytest.mark.parametrize(
    ("actors", "times", "window", "stride"),
    [
        (TWO, np.arange(75) / 20, 1.5, 0.4),
        (TWO, np.arange(75) / 20, 0.5, 0.5),
        (TWO, np.arange(75) / 20, 0.1, 1.0),  # windows shorter than it takes to number a face, and holes between
        (TWO, np.arange(75) / 5, 2.0, 0.5),  # no neighbour within reach of the smoothing
        (GAP, np.arange(90) / 20, 1.0, 0.3),  # lost for less than max_gap, and for longer
        (GAP, np.cumsum(np.random.default_rng(0).uniform(0.02, 0.12, 90)), 1.0, 0.3),
        (ONE, np.arange(4) / 20, 2.0, 0.5),
        (ONE, np.array([0.0]), 2.0, 0.5),
        (ONE, np.array([0.0, 0.04]), 2.0, 0.5),
        (ONE, np.concatenate([np.arange(20) / 20, 4 + np.arange(20) / 20]), 0.5, 0.5),
    ],
)
def test_a_stream_reads_what_all_frames_together_are_read_as(predictor, actors, times, window, stride):
    frames = [scene(i, actors) for i in range(len(times))]
    settings = {"window_seconds": window, "stride_seconds": stride}
    expected = windows_of(predictor.predict_frames(frames, times - times[0], **settings))
    found = pushed(predictor.stream(**settings), frames, times - times[0])
    steps = np.diff(times, prepend=times[0] - 0.05)
    if np.ptp(steps) > 0.05 and stride == 0.3:  # for how long the last frame is shown is guessed otherwise
        ends = {track: max(end for t, _, end in expected if t == track) for track, _, _ in expected}
        expected = {key: value for key, value in expected.items() if key[2] != ends[key[0]]}
        found = [(n, r) for n, r in found if (r.track, r.start, r.end) in expected]
        assert len(expected) >= 8
    assert {(r.track, r.start, r.end) for _, r in found} == set(expected)
    assert len(found) == len(expected)
    for number, reading in found:
        probabilities, shares, box = expected[reading.track, reading.start, reading.end]
        np.testing.assert_allclose(reading.probabilities, probabilities, atol=1e-5)
        np.testing.assert_allclose(reading.vote_shares, shares, atol=1e-5)
        assert reading.box == pytest.approx(box, abs=0.11)
        assert reading.predicted == next(iter(reading.shares)) == NAMES[shares.argmax()]
        if number < len(times):  # it came as soon as it was full and steady, or when the face was lost
            steady = times[number] - times[0] - reading.end
            assert -1e-6 <= steady <= 0.5 + 0.16 + 2 * steps.max()


def test_a_predictor_says_what_it_is(predictor):
    assert repr(predictor).startswith(f"<Predictor of {', '.join(predictor.class_names)}: ")
    assert repr(predictor).endswith(", on cpu>")


@pytest.mark.usefixtures("color_world")
def test_times_of_a_stream_are_those_that_were_given(predictor):
    frames = [scene(i, ONE) for i in range(30)]
    found = pushed(predictor.stream(window_seconds=1.0), frames, 1e6 + np.arange(30) / 20)
    assert [(r.start, r.end) for _, r in found] == [(1e6, 1e6 + 1), (1e6 + 0.5, 1e6 + 1.5)]


@pytest.mark.usefixtures("color_world")
def test_a_stream_says_who_is_in_view_and_numbers_glimpses_not(predictor):
    actors = [(BLUE, (58, 20), 2, 5), (RED, (6, 16), 10, 99)]
    stream = predictor.stream(window_seconds=0.5)
    views = []
    for i in range(40):
        stream.push(scene(i, actors), i / 20)
        views.append(stream.in_view)
    assert not any(views[:14])
    assert [face.track for face in views[20]] == [1]
    assert views[20][0].box[2:] == (28.0, 28.0)
    stream.push(scene(0, []), 2.0)
    assert stream.in_view == []
    assert {reading.track for reading in stream.close()} == {1}


class Follow:
    """One face that always moves a little."""

    def __init__(self, **settings) -> None:
        self.calls = 0

    def detect(self, image_bgr):
        self.calls += 1
        box = np.array([10 + self.calls % 3, 10, 20, 20], np.float32)
        return [] if self.calls % 50 > 44 else [Face(box, 0.9, (box[:2] + TEMPLATE * 20).astype(np.float32))]


def test_memory_does_not_grow_with_time(predictor, monkeypatch):
    see_colors(monkeypatch, Follow)
    stream = predictor.stream(window_seconds=1.0, stride_seconds=0.5)
    image, most, count = np.full((40, 40, 3), 90, np.uint8), [], 0
    for i in range(800):
        count += len(stream.push(image, i / 25))
        windows = stream._windows
        (person,) = windows.faces or [None]
        if i > 100:
            held = (len(windows._frames), len(windows._times), len(person.rows), len(person.track.positions))
            most.append((*held, len(person.track.values)))
    assert count > 50
    first, last = np.max(most[:300], axis=0), np.max(most[-300:], axis=0)
    assert (last <= first).all()
    assert (first <= (20, 40, 40, 40, 560)).all()


def test_whole_frames_can_be_streamed(predictor, monkeypatch):
    monkeypatch.setattr(first_pass, "FaceDetector", None)
    stream = predictor.stream(faces="cropped", window_seconds=0.4)
    assert stream.note.startswith("whole frames were taken for faces")
    frames = [scene(i, ONE, size=(64, 64)) for i in range(20)]
    expected = windows_of(predictor.predict_frames(frames, np.arange(20) / 20, window_seconds=0.4, faces="cropped"))
    found = pushed(stream, frames, np.arange(20) / 20)
    assert {(r.track, r.start, r.end) for _, r in found} == set(expected)
    with pytest.raises(RequestError, match="The frame is 96x64, too far from square"):
        predictor.stream(faces="cropped").push(scene(0, ONE), 0)


@pytest.mark.usefixtures("color_world")
def test_what_cannot_be_pushed_is_refused_and_the_stream_goes_on(predictor):
    stream = predictor.stream()
    stream.push(scene(0, ONE), 1.0)
    for frame, time, message in (
        (None, 2.0, "The frame is None"),
        (scene(0, ONE)[..., 0], 2.0, "The frame has shape"),
        (scene(0, ONE), 1.0, "The time of the frame is 1 s, that of the frame before is 1 s; times must increase"),
        (scene(0, ONE), float("inf"), "The time of the frame is inf"),
        (scene(0, ONE), None, "The time of the frame is None"),
    ):
        with pytest.raises(RequestError, match=message):
            stream.push(frame, time)
    for i in range(9):
        stream.push(scene(i, ONE), 1.1 + i / 20)
    assert len(stream.close()) == 1
    for call in (stream.close, lambda: stream.push(scene(0, ONE), 9.0)):
        with pytest.raises(RequestError, match="The stream is closed"):
            call()
    assert predictor.stream().close() == []


def test_a_second_thread_is_refused(predictor, monkeypatch):
    entered, leave = threading.Event(), threading.Event()

    def wait(image):
        entered.set()
        leave.wait(30)
        return []

    see_colors(monkeypatch, lambda **settings: SimpleNamespace(detect=wait))
    stream = predictor.stream()
    other = threading.Thread(target=stream.push, args=(scene(0, ONE), 0.0))
    other.start()
    try:
        assert entered.wait(30)
        with pytest.raises(RequestError, match="Another thread is pushing"):
            stream.push(scene(1, ONE), 1.0)
    finally:
        leave.set()
        other.join()


# --- one picture ----------------------------------------------------------------------------------------------------


def test_faces_are_found_and_aligned_in_a_picture():
    image = np.asarray(cv2.resize(draw_frames("happy", seed=(2,), frames=1)[0], None, fx=4, fy=4))
    (face,) = find_faces(image)
    (same,) = FaceDetector().detect(np.ascontiguousarray(image[..., ::-1]))
    np.testing.assert_array_equal(face.landmarks, same.landmarks)
    np.testing.assert_array_equal(align(image, face, 64), align_face(image, face.landmarks, 64))
    np.testing.assert_array_equal(align(image, face.landmarks, 64), align(image, face, 64))
    assert find_faces(image, min_score=1.0) == []
    for given in (image / 255, image[..., 0], "a.png", None):
        for call in (find_faces, lambda picture: align(picture, face)):
            with pytest.raises(RequestError, match="The image"):
                call(given)
    for landmarks in (None, np.zeros((4, 2)), [[1, 2]] * 5):
        with pytest.raises((RequestError, TypeCheckError), match=r"expected|Expected"):
            align(image, landmarks)
    pillow = pytest.importorskip("PIL.Image")
    with pytest.raises(RequestError, match=r'np\.asarray\(image\.convert\("RGB"\)\)'):
        checked_picture(pillow.fromarray(image), "The image")


# --- the page -------------------------------------------------------------------------------------------------------


class Camera:
    """Gives drawn people for a while, as OpenCV gives frames of a webcam."""

    def __init__(self, number) -> None:
        self.frames = [np.repeat(np.repeat(f, 3, 0), 3, 1) for f in draw_frames("happy", seed=(2,), frames=30)]
        self.closed = False

    def read(self):
        return (True, np.ascontiguousarray(self.frames.pop(0)[..., ::-1])) if self.frames else (False, None)

    def release(self):
        self.closed = True


def test_the_examples_of_the_page_run(monkeypatch, tmp_path, capsys):
    clock = iter(np.arange(0, 100, 0.1))
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    image = np.repeat(np.repeat(draw_frames("happy", seed=(2,), frames=1)[0], 3, 0), 3, 1)
    cv2.imwrite(str(tmp_path / "party.jpg"), image[..., ::-1])
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names = {"frames": np.stack([image] * 4), "times": [0, 0.1, 0.2, 0.3]}
    for code in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(code, "python.md", "exec"), names)  # noqa: S102 - our own page
    printed = capsys.readouterr().out
    assert printed.count("face 1") >= 3
    for name in re.findall(r"midas_dfer\.(\w+)", page):
        assert hasattr(midas_dfer, name) or name in ("clips", "predict"), name


def test_a_real_video_is_streamed_as_it_is_read(shared_data):
    predictor = Predictor.from_pretrained("ferplus", device="cpu")
    frames = list(islice(iter_frames(str(shared_data / "videos" / "carphone_distorted.mp4")), 60))
    images, times = [f.image for f in frames], [f.time for f in frames]
    expected = windows_of(predictor.predict_frames(images, times, window_seconds=1.0))
    found = {(r.track, r.start, r.end): r for _, r in pushed(predictor.stream(window_seconds=1.0), images, times)}
    assert set(found) == set(expected)
    assert len(found) >= 3
    for key, (probabilities, _, _) in expected.items():
        np.testing.assert_allclose(found[key].probabilities, probabilities, atol=1e-5)
