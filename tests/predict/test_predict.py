"""Predicting: any video becomes a timeline, and each window is what the model says of the right frames."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.batches.augment import apply_crop, normalize_pixels
from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.faces import frames as frames_of_videos
from midas_dfer.clips.faces.detection import TEMPLATE, Face, FaceDetector, align_face
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.clips.faces.tracks import Track, smooth
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import JobError, NoFaceError, RequestError, VideoError
from midas_dfer.predict import first_pass
from midas_dfer.predict.predictor import Predictor
from midas_dfer.predict.read_ahead import ReadAhead
from midas_dfer.predict.sources import VideoFile
from midas_dfer.predict.windows import WindowPlan, check_windows, frames_of_window, plan_windows
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Provenance, Run
from midas_dfer.video.read import Frame, iter_frames
from midas_dfer.video.write import VideoWriter
from tests.support.media import write_movie

NAMES = ("happy", "sad", "angry")
SIZE = 32


def make_run(path: Path, *, faces: str = "detect", **settings) -> Path:
    config = RunConfig(width=8, size=SIZE, num_segments=4, precision="32", device="cpu", **settings)
    provenance = Provenance("toy", NAMES, "store", "0" * 16, ExtractSettings(faces=faces), "all clips", 1, 0, 0)
    path.mkdir()
    (path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    run = Run(path, config, provenance)
    model = run.new_model()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        if parameter.shape[0] == len(NAMES):  # the head, which starts almost at zero
            torch.nn.init.normal_(parameter, std=0.02, generator=generator)
    run.finish(model, "last")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("predict") / "run")


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.from_run(run, device="cpu")


# --- a world of red and blue faces, and a detector for it ---------------------------------------------------------

RED, BLUE = (220, 40, 40), (40, 40, 220)


class ColorDetector(FaceDetector):
    """Finds squares that are clearly red or blue."""

    def __init__(self, **settings) -> None:
        self.settings, self.device = settings, "cpu"

    def detect(self, image_bgr):
        faces = []
        for channel in (2, 0):
            other = image_bgr[:, :, 2 - channel]
            rows, columns = np.nonzero((image_bgr[:, :, channel] > 150) & (other < 110))
            if len(rows) > 20:
                x, y = columns.min(), rows.min()
                box = np.array([x, y, columns.max() - x + 1, rows.max() - y + 1], dtype=np.float32)
                landmarks = (box[:2] + TEMPLATE.astype(np.float32) * box[2:]).astype(np.float32)
                faces.append(Face(box, 0.9, landmarks))
        return faces


def see_colors(monkeypatch, detector=ColorDetector) -> None:
    """Squares are the faces; each frame is searched, since a square looks the same however its crop is turned."""
    monkeypatch.setattr(first_pass, "FaceDetector", detector)
    for module in (first_pass, frames_of_videos):
        monkeypatch.setattr(module, "finder", lambda detector, _: lambda image, time: detector.detect(image))


@pytest.fixture
def color_world(monkeypatch):
    see_colors(monkeypatch)


def scene(frame: int, actors, size=(96, 64), speed=1):
    """A grey picture with squares; inside each a bar that says which frame it is."""
    image = np.full((size[1], size[0], 3), 120, dtype=np.uint8)
    for color, (x, y), first, last in actors:
        if first <= frame < last:
            x = x + speed * ((frame % 10) // 3)
            image[y : y + 28, x : x + 28] = color
            image[y + 8 : y + 12, x + 4 : x + 6 + frame % 20] = np.array(color) // 2 + 60
    return image


def write_scene(path, frames, actors, *, rate=20.0, times=None, size=(96, 64), speed=1):
    with VideoWriter(path, *size, rate, crf=4) as writer:
        for i in range(frames):
            writer.write(scene(i, actors, size, speed), time=None if times is None else times[i])
    return path


ONE = [(RED, (30, 16), 0, 999)]
TWO = [(RED, (6, 16), 0, 999), (BLUE, (58, 20), 10, 60)]


def plainly_predicted(predictor, path, window_seconds, stride_seconds):
    """The slow way: everything in memory, one window at a time."""
    frames = list(iter_frames(path, pixel_format="bgr24"))
    detector, settings, config = ColorDetector(), predictor.settings, predictor.info
    tracks = follow_faces([(f.index, f.time, detector.detect(f.image)) for f in frames], max_gap=settings.max_gap)
    results = []
    for track in tracks:
        track = smooth(track, settings.smoothing)
        interval = np.median(np.diff(track.times))
        start, end = track.times[0], track.times[-1] + interval
        starts = []
        while start + len(starts) * stride_seconds + window_seconds <= end + 1e-6:
            starts.append(start + len(starts) * stride_seconds)
        if not starts:
            spans = [(start, end)]
        else:
            if starts[-1] + window_seconds < end - 1e-6:
                starts.append(end - window_seconds)
            spans = [(s, s + window_seconds) for s in starts]
        rows = []
        for s, e in spans:
            inside = [i for i, t in enumerate(track.times) if s - 1e-6 <= t < e - 1e-6]
            chosen = [inside[i] for i in sample_segments(len(inside), config.num_segments)]
            crops = [align_face(frames[track.frames[i]].image, track.landmarks[i], 224)[:, :, ::-1] for i in chosen]
            clip = apply_crop(np.ascontiguousarray(np.stack(crops)), None, config.size)
            with torch.no_grad():
                logits = predictor.model(normalize_pixels(clip[None]))[0]
            rows.append((s, e, logits.softmax(0).numpy()))
        results.append(rows)
    return results


# --- windows --------------------------------------------------------------------------------------------------------


@given(start=st.floats(0, 100), length=st.floats(0, 30), window=st.floats(0.1, 5), stride=st.floats(0.1, 5))
def test_windows_lie_at_every_stride_and_end_with_the_track(start, length, window, stride):
    spans = plan_windows(start, start + length, window, stride)
    assert spans[0][0] == pytest.approx(start, abs=1e-5)
    assert spans[-1][1] == pytest.approx(start + length, abs=1e-5)
    if length <= window:
        assert len(spans) == 1
        return
    assert all(e - s == pytest.approx(window, abs=1e-5) for s, e in spans)
    steps = np.diff([s for s, _ in spans])
    assert (steps[:-1] == pytest.approx(stride, abs=1e-5)) or len(steps) < 2
    assert (steps <= stride + 1e-5).all()
    assert (steps > 0).all()


@settings(max_examples=30)
@given(count=st.integers(1, 60), start=st.floats(0, 1), length=st.floats(0.01, 3), segments=st.integers(1, 9))
def test_frames_of_a_window_are_those_that_begin_in_it(count, start, length, segments):
    times = np.arange(count) / 25
    found = frames_of_window(times, start, start + length, segments)
    inside = [i for i, t in enumerate(times) if start - 1e-6 <= t < start + length - 1e-6]
    if not inside:  # what is shown then
        inside = [max(i for i, t in enumerate(times) if t <= start + 1e-6)]
    assert found == [inside[i] for i in sample_segments(len(inside), segments).tolist()]


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (0.0, 0.5, "window_seconds is 0"),
        (float("nan"), 0.5, "window_seconds is nan"),
        (2.0, -1.0, "stride_seconds is -1"),
        (60.0, 0.1, r"overlap 600 times; take a stride of at least 1\.2 s"),
    ],
)
def test_impossible_windows_are_refused(window, stride, message):
    with pytest.raises(RequestError, match=message):
        check_windows(window, stride)


def test_crops_do_not_pile_up():
    counts = []
    for length in (200, 2000):
        times = np.arange(length) / 25
        still = np.zeros((length, 5, 2), dtype=np.float32)
        track = Track(np.arange(length), times, still, still[:, :2].reshape(length, 4), np.ones(length, dtype=np.bool_))
        plan = WindowPlan.of(1, track, 2.0, 0.5, 8)
        wanted, clips, most = plan.frames_wanted(), 0, 0
        crop, view = np.zeros((24, 24, 3), dtype=np.uint8), torch.zeros(3, 4, 4, dtype=torch.uint8)
        for index in range(length):
            assert plan.wants(index) == (index in wanted)
            if plan.wants(index):
                plan.give(Frame(index, float(times[index]), crop), crop, view + index % 250)
                for number, clip in plan.complete(index):
                    assert number == clips
                    clips += 1
                    assert (clip[:, 0, 0, 0].diff() > 0).sum() >= 6  # in order; the number wraps around
                most = max(most, len(plan.crops))
        assert clips == len(plan.spans)
        assert not plan.crops
        kept = np.array(sorted(plan.thumbnails))
        assert len(kept) <= 64
        assert np.diff(kept).max() < 4 * length / 64  # evenly spread
        counts.append(most)
    assert counts[0] == counts[1] <= 32


# --- videos ---------------------------------------------------------------------------------------------------------


def test_predict_clips_is_the_model(predictor):
    clips = torch.randint(0, 256, (3, 4, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    probabilities, shares = predictor.predict_clips(clips)
    with torch.no_grad():
        logits = predictor.model(normalize_pixels(clips))
    torch.testing.assert_close(probabilities, logits.softmax(1))
    for z, share in zip(logits.double().numpy(), shares.numpy(), strict=True):
        y = z - z.mean() + 1 / 3  # the simplex is found by trying all levels
        levels = np.linspace(y.min() - 1, y.max(), 200001)
        level = levels[np.abs(np.maximum(y[:, None] - levels, 0).sum(axis=0) - 1).argmin()]
        np.testing.assert_allclose(share, np.maximum(y - level, 0), atol=1e-4)
    assert shares.sum(1) == pytest.approx(torch.ones(3), abs=1e-5)
    assert (probabilities - shares).abs().max() > 0.01


def test_without_normalisation_both_readings_are_the_same(tmp_path):
    predictor = Predictor.from_run(make_run(tmp_path / "run", mixer="none"), device="cpu")
    clips = torch.randint(0, 256, (2, 4, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    probabilities, shares = predictor.predict_clips(clips)
    torch.testing.assert_close(probabilities, shares)


@pytest.mark.usefixtures("color_world")
def test_windows_are_the_model_on_the_right_frames_and_people_are_not_mixed(predictor, tmp_path):
    video = write_scene(tmp_path / "two.mp4", 75, TWO)
    timeline = predictor.predict_video(video, window_seconds=1.5, stride_seconds=0.4)
    assert (timeline.video, timeline.num_frames, timeline.width, timeline.height) == ("two.mp4", 75, 96, 64)
    assert timeline.duration == pytest.approx(3.75, abs=1e-3)
    assert (timeline.method, timeline.note, timeline.class_names) == ("MIDAS", "", NAMES)
    assert [(t.track, len(t.windows)) for t in timeline.tracks] == [(1, 7), (2, 4)]
    assert (timeline.tracks[1].start, timeline.tracks[1].end) == pytest.approx((0.5, 3.0), abs=1e-3)
    expected = plainly_predicted(predictor, video, 1.5, 0.4)
    for track, rows in zip(timeline.tracks, expected, strict=True):
        assert [(w.start, w.end) for w in track.windows] == [pytest.approx(row[:2], abs=1e-5) for row in rows]
        for window, (_, _, probabilities) in zip(track.windows, rows, strict=True):
            np.testing.assert_allclose(window.probabilities, probabilities, atol=1e-5)
            implied = predictor.info.vote_shares(torch.tensor(window.probabilities).log()[None])[0]
            np.testing.assert_allclose(window.vote_shares, implied.numpy(), atol=1e-5)
    readings = np.array([w.probabilities for t in timeline.tracks for w in t.windows])
    assert np.ptp(readings, axis=0).max() > 0.003  # they do differ
    for track, channel in zip(timeline.tracks, (0, 2), strict=True):
        colors = np.array([t.image.reshape(-1, 3).mean(axis=0) for t in track.thumbnails])
        assert len(colors) >= 8
        assert (colors.argmax(axis=1) == channel).all()


@pytest.mark.usefixtures("color_world")
def test_short_tracks_get_one_window_and_glimpses_none(predictor, tmp_path):
    actors = [(RED, (6, 16), 0, 999), (BLUE, (58, 20), 10, 14)]  # 0.2 s of blue
    timeline = predictor.predict_video(write_scene(tmp_path / "a.mp4", 30, actors))
    assert [(t.start, t.end) for t in timeline.tracks] == [pytest.approx((0, 1.5), abs=1e-3)]
    assert len(timeline.tracks[0].windows) == 1
    timeline = predictor.predict_video(write_scene(tmp_path / "b.mp4", 4, ONE))  # 0.2 s are the whole video
    assert len(timeline.tracks[0].windows) == 1
    with pytest.raises(NoFaceError, match=r"c\.mp4: no face stays in view for 0\.3 s in 40 frames"):
        predictor.predict_video(write_scene(tmp_path / "c.mp4", 40, actors[1:]))


@pytest.mark.usefixtures("color_world")
def test_variable_frame_rates_and_frozen_pictures(predictor, tmp_path):
    times = [i / 20 if i < 20 else 4 + i / 20 for i in range(40)]
    timeline = predictor.predict_video(
        write_scene(tmp_path / "a.mp4", 40, ONE, times=times, speed=0),
        window_seconds=0.5,
        stride_seconds=0.5,
    )
    assert timeline.duration == pytest.approx(times[-1] * 40 / 39, abs=1e-3)
    (track,) = timeline.tracks
    frozen = [w for w in track.windows if 1.0 < w.start < 4.4]  # nothing begins there: the last frame is shown
    assert len(frozen) >= 5
    for window in frozen:
        np.testing.assert_allclose(window.probabilities, frozen[0].probabilities, atol=1e-6)


@pytest.mark.usefixtures("color_world")
def test_most_people_keeps_the_longest(predictor, tmp_path):
    video = write_scene(tmp_path / "two.mp4", 40, [(BLUE, (58, 20), 0, 15), (RED, (6, 16), 5, 40)])
    (track,) = predictor.predict_video(video, max_people=1).tracks
    assert track.start == pytest.approx(0.25, abs=1e-3)
    assert track.track == 1
    with pytest.raises(RequestError, match="max_people is 0"):
        predictor.predict_video(video, max_people=0)


@pytest.mark.usefixtures("color_world")
def test_a_picture_is_one_window(predictor, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scene(0, [(RED, (6, 16), 0, 9), (BLUE, (58, 20), 0, 9)])[:, :, ::-1])
    timeline = predictor.predict_video(tmp_path / "a.png")
    assert (timeline.duration, timeline.num_frames) == (0.0, 1)
    assert [(t.start, t.end, len(t.windows)) for t in timeline.tracks] == [(0.0, 0.0, 1)] * 2
    assert timeline.at(2, 0.0).vote_shares.sum() == pytest.approx(1.0)


@pytest.mark.usefixtures("color_world")
def test_threads_that_work_ahead_change_nothing_and_end(predictor, tmp_path, monkeypatch):
    video, folder = write_scene(tmp_path / "two.mp4", 75, TWO), tmp_path / "frames"
    folder.mkdir()
    for i in range(30):
        cv2.imwrite(str(folder / f"{i}.png"), scene(i, ONE)[:, :, ::-1])
    (folder / "20.png").write_bytes(b"damaged")
    plain = [predictor.predict_video(path).to_csv() for path in (video, folder)]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    threads = threading.active_count()
    assert [predictor.predict_video(path).to_csv() for path in (video, folder)] == plain
    monkeypatch.setattr(ReadAhead, "step", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predictor.predict_video(video)
    assert threading.active_count() == threads


@pytest.mark.usefixtures("color_world")
def test_damage_is_noted_and_what_came_before_is_read(predictor, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(40):
        cv2.imwrite(str(folder / f"{i}.png"), scene(i, ONE)[:, :, ::-1])
    (folder / "30.png").write_bytes(b"damaged")
    timeline = predictor.predict_video(folder)
    assert timeline.num_frames == 30
    assert "30.png" in timeline.note
    assert timeline.tracks[0].end == pytest.approx(30 / 25)
    for i in range(30):
        cv2.imwrite(str(folder / f"{i}.png"), scene(i, [])[:, :, ::-1])
    with pytest.raises(NoFaceError, match=r"frames: no face found in 30 frames; .*30\.png"):
        predictor.predict_video(folder)
    (folder / "0.png").write_bytes(b"damaged")
    with pytest.raises(VideoError, match=r"0\.png"):
        predictor.predict_video(folder)
    with pytest.raises(VideoError, match="no such file"):
        predictor.predict_video(tmp_path / "missing.mp4")


@pytest.mark.usefixtures("color_world")
def test_pictures_are_kept_of_the_faces_that_are_longest_in_view(predictor, tmp_path, monkeypatch):
    actors = [(RED, (6, 16), 0, 40), (BLUE, (58, 20), 0, 12), (BLUE, (58, 20), 30, 60), (RED, (6, 16), 60, 70)]
    video = write_scene(tmp_path / "a.mp4", 90, actors)
    whole = predictor.predict_video(video)
    monkeypatch.setattr("midas_dfer.predict.read_ahead._MOST_PICTURED", 2)
    few = predictor.predict_video(video)
    assert [len(track.thumbnails) > 0 for track in whole.tracks] == [True] * 4
    assert [len(track.thumbnails) > 0 for track in few.tracks] == [True, False, True, False]
    assert few.to_csv() == whole.to_csv()


@pytest.mark.usefixtures("color_world")
def test_a_video_that_is_stopped_is_read_as_one_that_ends_there(predictor, tmp_path):
    whole, short = write_scene(tmp_path / "whole.mp4", 90, TWO), write_scene(tmp_path / "short.mp4", 50, TWO)
    stopped = predictor.predict_video(whole, stop=lambda time: time > 2.475)
    assert "reading was stopped at 2.5 s" in stopped.note
    assert stopped.to_csv() == predictor.predict_video(short).to_csv()
    with pytest.raises(NoFaceError, match="in 0 frames; reading was stopped at 0"):
        predictor.predict_video(whole, stop=lambda time: True)


@pytest.mark.usefixtures("color_world")
def test_what_is_to_be_known_of_the_pictures_is_noted(predictor, tmp_path):
    path = write_movie(tmp_path / "a.mp4", [scene(i, ONE) for i in range(4)], fields="tff")
    timeline = predictor.predict_video(path)
    assert timeline.num_frames == 4
    assert timeline.note.startswith("the file is interlaced")
    assert "note: the file is interlaced" in timeline.summary()


@pytest.mark.usefixtures("color_world")
def test_how_faces_are_looked_for_can_be_changed(predictor, tmp_path, monkeypatch):
    made = []

    class Watched(ColorDetector):
        def __init__(self, **settings) -> None:
            super().__init__(**settings)
            made.append(settings)

    see_colors(monkeypatch, Watched)
    predictor.predict_video(write_scene(tmp_path / "a.mp4", 4, ONE), max_side=1280, min_score=0.5)
    assert made == [{"min_score": 0.5, "max_side": 1280, "device": "cpu"}]
    with pytest.raises(RequestError, match="`max_side` is 9"):
        predictor.predict_video(tmp_path / "a.mp4", max_side=9)
    write_scene(tmp_path / "wide.mp4", 4, [], size=(800, 64))
    with pytest.raises(NoFaceError, match=r"in 4 frames \(shrunk from 800x64 to 640x51 .*--max_side 800\)"):
        predictor.predict_video(tmp_path / "wide.mp4")
    with pytest.raises(RequestError, match="min_score is of no use with --faces cropped"):
        predictor.predict_video(tmp_path / "a.mp4", min_score=0.5, faces="cropped")


def test_frames_that_are_crops_are_taken_whole(tmp_path, monkeypatch):
    def no_detector(**settings):
        raise AssertionError

    monkeypatch.setattr(first_pass, "FaceDetector", no_detector)
    predictor = Predictor.from_run(make_run(tmp_path / "run", faces="cropped"), device="cpu")
    folder = tmp_path / "frames"
    folder.mkdir()
    generator = np.random.default_rng(0)
    small = [generator.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(20)]
    pictures = [cv2.resize(p, (40 + i % 3, 44), interpolation=cv2.INTER_CUBIC) for i, p in enumerate(small)]
    for i, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    timeline = predictor.predict_video(folder, faces="cropped")
    assert "whole frames were taken for faces" in timeline.note
    assert "face crops that are not square (40x44): they are squeezed to squares" in timeline.note
    stream = predictor.stream(faces="cropped")
    for time, side in enumerate((44, 40, 41)):
        stream.push(np.zeros((44, side, 3), np.uint8), time / 25)
        assert ("squeezed" in stream.note) == (time > 0)
    assert stream.note.count("squeezed") == 1
    assert '"faces": "cropped"' in timeline.to_json()
    (track,) = timeline.tracks
    assert len(track.face) == 20
    assert track.face.boxes[1].tolist() == [0, 0, 41, 44]
    (window,) = track.windows
    chosen = [pictures[i] for i in sample_segments(20, 4)]
    crops = np.stack([cv2.resize(p, (224, 224), interpolation=cv2.INTER_LINEAR)[:, :, ::-1] for p in chosen])
    probabilities, shares = predictor.predict_clips(apply_crop(crops, None, SIZE)[None])
    np.testing.assert_allclose(window.probabilities, probabilities[0], atol=1e-5)
    np.testing.assert_allclose(window.vote_shares, shares[0], atol=1e-5)
    cv2.imwrite(str(folder / "20.png"), np.zeros((40, 51, 3), np.uint8))
    with pytest.raises(RequestError, match=r"frames: frame 20 is 51x40, too far from square"):
        predictor.predict_video(folder, faces="cropped")


class Listener:
    def __init__(self) -> None:
        self.total, self.done, self.finished = [], 0, 0

    def start(self, total, done=0):
        self.total.append(total)
        self.done += done

    def advance(self, note=""):
        self.done += 1

    def finish(self):
        self.finished += 1


@pytest.mark.usefixtures("color_world")
def test_progress_counts_each_frame(predictor, tmp_path, monkeypatch):
    video = write_scene(tmp_path / "a.mp4", 33, ONE)
    listener = Listener()
    predictor.predict_video(video, progress=listener)
    assert (listener.total, listener.done, listener.finished) == ([33], 33, 1)

    monkeypatch.setattr(VideoFile, "expected_frames", lambda self: 0)  # the file does not say
    listener = Listener()
    predictor.predict_video(video, progress=listener)
    assert (listener.total, listener.done, listener.finished) == ([33], 33, 1)

    monkeypatch.setattr(VideoFile, "expected_frames", lambda self: 40)  # it exaggerates
    listener = Listener()
    predictor.predict_video(video, progress=listener)
    assert (listener.total, listener.done, listener.finished) == ([40], 40, 1)

    listener = Listener()
    with pytest.raises(NoFaceError):
        predictor.predict_video(write_scene(tmp_path / "b.mp4", 5, []), progress=listener)
    assert listener.finished == 1


@pytest.mark.usefixtures("color_world")
def test_a_video_that_shrinks_meanwhile_is_an_error(predictor, tmp_path, monkeypatch):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(30):
        cv2.imwrite(str(folder / f"{i}.png"), scene(i, ONE)[:, :, ::-1])

    def break_then_give_nothing(self, plan):
        (folder / "20.png").write_bytes(b"damaged")

    monkeypatch.setattr(ReadAhead, "give", break_then_give_nothing)
    with pytest.raises(JobError, match="less far the second time"):
        predictor.predict_video(folder)


class HalfHidden(ColorDetector):
    """Somebody who does not look like himself where he is lost and comes back, but does in the mean."""

    calls = 0

    def detect(self, image_bgr):
        self.calls += 1
        hidden = 30 <= self.calls <= 36
        look = np.full(192, {26: 0.6, 27: 0.68, 28: 0.75, 29: 0.82}.get(self.calls, 0.5), dtype=np.float32)
        return [] if hidden else [replace(face, signature=look) for face in super().detect(image_bgr)]


BLINK = [(RED, (30, 16), 0, 30), (RED, (30, 16), 36, 999)]
UNEVEN = (np.arange(75) + 0.4 * np.sin(np.arange(75))) / 20


@pytest.mark.parametrize(
    ("actors", "settings", "passes"),
    [
        (TWO, {}, 1),
        (TWO, {"window_seconds": 0.3, "stride_seconds": 0.7}, 1),
        (BLINK, {"window_seconds": 1.0, "stride_seconds": 0.3}, 1),
        (TWO, {"max_people": 1}, 1),
        ([(BLUE, (58, 20), 0, 20), (RED, (6, 16), 15, 75)], {"max_people": 1, "window_seconds": 0.5}, 2),
        ([(RED, (6, 16), 0, 4)], {}, 1),  # of 6 frames: in view for less than .3 s, but for most of the video
        (
            ONE,
            {"stride_seconds": 0.04, "window_seconds": 2.0, "times": [0.1 * i + 4.0 * (i > 5) for i in range(20)]},
            2,
        ),
    ],
)
def test_what_is_read_ahead_is_what_a_second_pass_reads(predictor, tmp_path, monkeypatch, actors, settings, passes):
    see_colors(monkeypatch)
    times = settings.pop("times", UNEVEN[: 6 if actors[0][3] == 4 else 75])
    ahead_is_two_passes(predictor, tmp_path, monkeypatch, actors, times, settings, passes)


def test_tracks_that_turn_out_to_be_one_person_are_read_in_a_second_pass(predictor, tmp_path, monkeypatch):
    see_colors(monkeypatch, HalfHidden)
    timeline = ahead_is_two_passes(predictor, tmp_path, monkeypatch, ONE, UNEVEN, {}, 2)
    assert len(timeline.tracks) == 1


def ahead_is_two_passes(predictor, tmp_path, monkeypatch, actors, times, settings, passes):
    """Read a video, and again with nothing of what is read ahead."""
    begun, frames = [], VideoFile.frames

    def begin(*arguments, **more):
        begun.append(1)
        return frames(*arguments, **more)

    monkeypatch.setattr(VideoFile, "frames", begin)
    video, listener = write_scene(tmp_path / "a.mp4", len(times), actors, times=list(times)), Listener()
    ahead = predictor.predict_video(video, progress=listener, **settings)
    assert len(begun) == len(listener.total) == passes
    with monkeypatch.context() as patch:
        patch.setattr(ReadAhead, "give", lambda self, plan: None)
        plain = predictor.predict_video(video, **settings)
    assert len(begun) == passes + 2
    assert len(ahead.tracks) == len(plain.tracks)
    for one, other in zip(ahead.tracks, plain.tracks, strict=True):
        assert [(w.start, w.end) for w in one.windows] == [(w.start, w.end) for w in other.windows]
        np.testing.assert_allclose(
            [w.probabilities for w in one.windows], [w.probabilities for w in other.windows], atol=1e-6
        )
        assert [t.time for t in one.thumbnails] == [t.time for t in other.thumbnails]
        assert all((a.image == b.image).all() for a, b in zip(one.thumbnails, other.thumbnails, strict=True))
    return ahead


def test_a_run_without_weights_is_refused(run, tmp_path):
    with pytest.raises(RequestError, match="not a run folder"):
        Predictor.from_run(tmp_path, device="cpu")
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy" / "weights.safetensors").unlink()
    with pytest.raises(RequestError, match=r"weights\.safetensors is gone"):
        Predictor.from_run(tmp_path / "copy", device="cpu")


# --- real input -----------------------------------------------------------------------------------------------------


def test_real_people_in_a_picture(predictor, shared_data):
    timeline = predictor.predict_video(shared_data / "videos" / "multi_face.jpg")
    assert len(timeline.tracks) == 5
    lefts = [t.face.boxes[0, 0] for t in timeline.tracks]
    assert len(set(lefts)) == 5


def test_two_real_people_side_by_side(predictor, shared_data, tmp_path):
    videos = [iter_frames(shared_data / "videos" / name) for name in ("d12.mp4", "d18.mp4")]
    with VideoWriter(tmp_path / "two.mp4", 320, 160, 25.0) as writer:
        for _ in range(12):
            halves = [cv2.resize(next(v).image, (160, 160), interpolation=cv2.INTER_AREA) for v in videos]
            writer.write(np.concatenate(halves, axis=1))
    tracks = predictor.predict_video(tmp_path / "two.mp4").tracks
    centers = sorted(
        (float(t.face.boxes[:, 0].min()), float((t.face.boxes[:, 0] + t.face.boxes[:, 2]).max())) for t in tracks
    )
    assert len(centers) == 2
    assert centers[0][1] < 160 < centers[1][0]


def test_a_real_video_without_a_face_says_so(predictor, shared_data):
    with pytest.raises(NoFaceError, match=r"park\.mp4: no face found in 17 frames"):
        predictor.predict_video(shared_data / "videos" / "park.mp4")
    with pytest.raises(NoFaceError, match=r"corrupted\.mp4: .*damaged after frame 28"):
        predictor.predict_video(shared_data / "videos" / "corrupted.mp4")


@pytest.mark.parametrize(
    ("device", "search_every", "searched_on"),
    [("cuda", None, "cuda"), ("cuda", 0.0, "cuda"), ("cuda", 0.3, "cpu"), ("cpu", None, "cpu")],
)
def test_a_gpu_searches_every_frame_unless_tracking_is_asked_for(
    predictor, tmp_path, monkeypatch, device, search_every, searched_on
):
    asked = []

    def find_tracks(source, settings, counted, most, watch, device, stop):
        asked.append(device)
        raise NoFaceError("that will do")

    monkeypatch.setattr("midas_dfer.predict.predictor.find_tracks", find_tracks)
    monkeypatch.setattr(predictor, "device", torch.device(device))
    with pytest.raises(NoFaceError, match="that will do"):
        predictor.predict_video(write_scene(tmp_path / "a.mp4", 4, ONE), search_every=search_every)
    assert asked == [searched_on]
