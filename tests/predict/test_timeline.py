"""Timelines: what they say at each moment, how they are written, and how they are drawn."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from midas_dfer.clips.faces.detection import TEMPLATE
from midas_dfer.clips.faces.tracks import Track
from midas_dfer.errors import JobError, RequestError
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import Thumbnail, TrackTimeline, Window
from midas_dfer.predict.windows import plan_windows
from midas_dfer.report.pictures.style import (
    drawable,
    emotion_colors,
    font_file,
    house_style,
    ink_on,
    new_figure,
    save_figure,
    tint,
)
from midas_dfer.report.pictures.timeline_plot import plot_timeline
from midas_dfer.report.video.annotated_video import write_annotated_video
from midas_dfer.report.video.overlay import Artist, Sprite
from midas_dfer.report.video.panel_places import place_panels
from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import VideoWriter

NAMES = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")


def make_track(
    number=1,
    start=0.0,
    end=4.0,
    box=(20.0, 20.0, 24.0, 24.0),
    *,
    names=NAMES,
    rate=10.0,
    window=2.0,
    stride=0.5,
    seed=0,
):
    generator = np.random.default_rng([seed, number])
    times = np.arange(start, end - 1e-9, 1 / rate) if end > start else np.array([start])
    frames = np.round(times * rate).astype(np.int64)
    boxes = np.tile(np.array(box, dtype=np.float32), (len(times), 1))
    landmarks = (boxes[:, None, :2] + TEMPLATE.astype(np.float32) * boxes[:, None, 2:]).astype(np.float32)
    face = Track(frames, times, landmarks, boxes, np.ones(len(times), dtype=np.bool_))
    windows = []
    for s, e in plan_windows(start, end, window, stride):
        votes = generator.dirichlet(np.full(len(names), 0.3))
        windows.append(Window(s, e, np.exp(votes) / np.exp(votes).sum(), votes))
    picture = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    thumbnails = tuple(Thumbnail(float(t), picture) for t in times[:: max(1, len(times) // 12)])
    return TrackTimeline(number, start, end, tuple(windows), face, thumbnails)


def make_timeline(*tracks, duration=4.0, names=NAMES, size=(96, 64), video="clip.mp4", note="", rate=10.0):
    tracks = tracks or (make_track(names=names),)
    frames = max(1, round(duration * rate))
    return Timeline(video, tuple(names), duration, frames, *size, "MIDAS", 2.0, 0.5, tuple(tracks), note)


# --- readings over time -----------------------------------------------------------------------------------------


def plain_mean(track, time):
    covering = [w for w in track.windows if w.start <= time < w.end]
    return np.mean([w.probabilities for w in covering], axis=0), np.mean([w.vote_shares for w in covering], axis=0)


@settings(max_examples=60, deadline=None)
@given(
    start=st.floats(0, 5),
    length=st.floats(0.5, 12),
    window=st.floats(0.3, 4),
    overlap=st.floats(1, 7),
    where=st.floats(0, 0.999),
    seed=st.integers(0, 9),
)
def test_at_is_the_plain_mean_of_the_windows_that_cover_a_time(start, length, window, overlap, where, seed):
    track = make_track(start=start, end=start + length, window=window, stride=window / overlap, seed=seed)
    time = start + where * length
    edges = track.steps.edges
    if np.abs(edges - time).min() < 1e-5:  # on an edge both neighbours are right
        return
    reading = make_timeline(track, duration=20.0).at(1, time)
    probabilities, votes = plain_mean(track, time)
    np.testing.assert_allclose(reading.probabilities, probabilities, atol=1e-9)
    np.testing.assert_allclose(reading.vote_shares, votes, atol=1e-9)


def test_a_timeline_can_be_looked_at_in_a_terminal():
    shown = repr(make_timeline())
    assert shown.startswith("Timeline(video=")
    assert "TrackTimeline(track=1, start=0.0, end=4.0)" in shown
    assert "array(" not in shown  # landmarks of every frame


def test_a_moment_without_a_window_takes_its_neighbours():
    one_hot = np.eye(2)
    windows = tuple(Window(s, s + 1.0, one_hot[k], one_hot[k]) for k, s in enumerate((0.0, 3.0)))
    track = TrackTimeline(1, 0.0, 4.0, windows, make_track().face)
    np.testing.assert_allclose(track.at(0.5).vote_shares, [1, 0])
    np.testing.assert_allclose(track.at(2.0).vote_shares, [0.5, 0.5])
    np.testing.assert_allclose(track.at(3.5).vote_shares, [0, 1])


def test_summary_weighs_moments_and_not_windows():
    # Nine windows crowd the first second; the last three seconds have one.
    crowded = [Window(0.0, 1.0, np.array([1.0, 0.0]), np.array([1.0, 0.0])) for _ in range(9)]
    late = Window(1.0, 4.0, np.array([0.2, 0.8]), np.array([0.0, 1.0]))
    track = TrackTimeline(1, 0.0, 4.0, (*crowded, late), make_track().face)
    np.testing.assert_allclose(track.summary.vote_shares, [0.25, 0.75])
    np.testing.assert_allclose(track.summary.probabilities, [0.4, 0.6])
    assert track.summary.top == 1

    track = make_track(end=5.3, window=1.7, stride=0.4)
    grid = np.linspace(0, 5.3, 20001)[:-1] + 5.3 / 40000
    values = np.array([track.at(t).vote_shares for t in grid])
    np.testing.assert_allclose(track.summary.vote_shares, values.mean(axis=0), atol=1e-3)


def test_a_picture_is_one_moment():
    track = make_track(start=0.0, end=0.0)
    assert len(track.windows) == 1
    np.testing.assert_allclose(track.at(0.0).vote_shares, track.windows[0].vote_shares)
    np.testing.assert_allclose(track.summary.probabilities, track.windows[0].probabilities)


def test_at_names_the_faces_and_times_there_are():
    timeline = make_timeline(make_track(1), make_track(2, start=1.0, end=2.0))
    with pytest.raises(RequestError, match=r"no face 3.*\[1, 2\]"):
        timeline.at(3, 0.0)
    with pytest.raises(RequestError, match="Face 2 is not in view at 3 s; it is from 1 to 2 s"):
        timeline.at(2, 3.0)


def test_longest_keeps_the_order_of_appearance():
    tracks = [make_track(i + 1, start=0.5 * i, end=0.5 * i + length) for i, length in enumerate((1.0, 3.0, 0.4, 2.0))]
    tracks.append(make_track(5, start=1.0, end=3.0, box=(0.0, 0.0, 50.0, 50.0)))
    assert [t.track for t in make_timeline(*tracks).longest(3)] == [2, 4, 5]
    assert [t.track for t in make_timeline(*tracks).longest(2)] == [2, 5]  # as long as 4, but larger


# --- files ------------------------------------------------------------------------------------------------------


def test_json_says_which_reading_is_which():
    odd = 'a "b" [\n  1,\n  2\n] é.mp4'
    timeline = make_timeline(make_track(1), make_track(2, start=1.0, end=1.5), video=odd, note="damaged after frame 3")
    text = timeline.to_json()
    content = json.loads(text)
    assert (content["format"], content["version"], content["video"]) == ("midas-dfer timeline", 1, odd)
    assert content["note"] == "damaged after frame 3"
    assert "softmax" in content["readings"]["probabilities"]
    assert "annotators" in content["readings"]["vote_shares"]
    assert content["class_names"] == list(NAMES)
    assert [t["track"] for t in content["tracks"]] == [1, 2]
    first, windows = content["tracks"][0], timeline.tracks[0].windows
    assert len(first["windows"]) == len(windows) == 5
    for written, window in zip(first["windows"], windows, strict=True):
        assert (written["start"], written["end"]) == (window.start, window.end)
        np.testing.assert_allclose(written["probabilities"], window.probabilities, atol=1e-6)
        np.testing.assert_allclose(written["vote_shares"], window.vote_shares, atol=1e-6)
        assert written["predicted"] == NAMES[int(window.vote_shares.argmax())]
        assert written["box"] == [20, 20, 24, 24]
    np.testing.assert_allclose(first["vote_shares"], timeline.tracks[0].summary.vote_shares, atol=1e-6)
    assert max(map(len, text.splitlines())) > 60  # a vector is on one line
    assert len(text.splitlines()) < 120


def test_csv_has_a_row_for_each_face_and_window():
    names = ("happy", 'so "so", la', "sad")
    timeline = make_timeline(make_track(1, names=names), make_track(2, end=1.0, names=names), names=names)
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv())))
    assert list(rows[0])[:5] == ["track", "start", "end", "predicted", "probability_happy"]
    assert list(rows[0])[-3:] == [f"vote_share_{n}" for n in names]
    windows = [(t.track, w) for t in timeline.tracks for w in t.windows]
    assert len(rows) == len(windows) == 6
    for row, (number, window) in zip(rows, windows, strict=True):
        assert (int(row["track"]), float(row["start"]), float(row["end"])) == (number, window.start, window.end)
        assert float(row['vote_share_so "so", la']) == pytest.approx(window.vote_shares[1], abs=1e-6)
        assert float(row["probability_sad"]) == pytest.approx(window.probabilities[2], abs=1e-6)
        assert row["predicted"] == names[int(window.vote_shares.argmax())]


def test_tables_without_a_face_have_their_columns():
    timeline = replace(make_timeline(), tracks=())
    head = make_timeline().to_csv().splitlines()[0]
    assert timeline.to_csv() == f"{head}\n"
    assert timeline.to_polars().columns == head.split(",")
    assert make_timeline().to_polars().columns == head.split(",")


def test_summary_text_is_for_people():
    timeline = make_timeline(make_track(1), make_track(2, start=1.0, end=2.0), note="damaged after frame 3.")
    lines = timeline.summary().splitlines()
    assert "clip.mp4" in lines[0]
    assert "2 faces" in lines[0]
    best = timeline.tracks[0].summary
    assert f"{NAMES[best.top]} {best.vote_shares[best.top]:.0%}" in lines[1]
    assert lines[-1].endswith("note: damaged after frame 3.")


# --- the look ---------------------------------------------------------------------------------------------------


def test_colors_belong_to_names():
    colors = emotion_colors(NAMES)
    assert len(set(colors.values())) == len(NAMES)
    assert emotion_colors(("Anger", "sadness")) == {"Anger": colors["angry"], "sadness": colors["sad"]}
    assert emotion_colors(("boredom",))["boredom"] == emotion_colors(("happy", "boredom"))["boredom"]
    many = emotion_colors([f"class {i}" for i in range(60)])
    assert len(set(many.values())) == 60
    assert all(len(c) == 7 and c.startswith("#") for c in many.values())


def test_ink_is_readable_and_tints_lie_between():
    assert ink_on("#000000") == "#FFFFFF"
    assert ink_on("#FFFFFF") != "#FFFFFF"
    assert tint("#000000", 0.0) == "#FFFFFF"
    assert tint("#102030", 1.0) == "#102030"


def test_characters_without_a_glyph_become_boxes():
    assert drawable("Müller 1.mp4") == "Müller 1.mp4"
    assert drawable("表情") == "□□"
    assert font_file().is_file()
    assert font_file(bold=True).is_file()


def test_figures_leave_no_trace(tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a.png", "b.png", "c.svg", "d.svg"):
        with house_style():
            figure, axes = new_figure(2, 1)
            axes.plot([0, 1])
            save_figure(figure, tmp_path / name)
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "c.svg").read_bytes() == (tmp_path / "d.svg").read_bytes()
    with pytest.raises(RequestError, match=r"\.png or \.svg"):
        save_figure(figure, tmp_path / "e.jpg")
    with pytest.raises(JobError, match="cannot write"):
        save_figure(figure, tmp_path / "missing" / "e.png")
    assert len(list(tmp_path.iterdir())) == 4


def test_pyplot_stays_out():
    code = "import midas_dfer.report.pictures.timeline_plot, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- plots ------------------------------------------------------------------------------------------------------

ELEVEN = (*NAMES, "contempt", "anxiety", "helplessness", "a very long name of a class 表")


@pytest.mark.parametrize(
    "timeline",
    [
        make_timeline(),
        make_timeline(*(make_track(i + 1, start=0.3 * i, end=4.0) for i in range(5)), video="表情 $x$.mp4"),
        make_timeline(make_track(names=ELEVEN, end=0.4), names=ELEVEN, duration=300.0, note="damaged " * 40),
        make_timeline(*(make_track(i + 1, end=0.0) for i in range(7)), duration=0.0),
    ],
    ids=["one face", "five faces", "long video", "picture"],
)
def test_every_timeline_can_be_drawn(tmp_path, timeline):
    plot_timeline(timeline, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width == 2000
        assert 500 < picture.height < 4000
        colors = {c for _, c in picture.convert("RGB").getcolors(2**24)}
    wanted = emotion_colors(timeline.class_names)
    shown = timeline.longest(4)[0].summary.top
    code = wanted[timeline.class_names[shown]]
    assert tuple(bytes.fromhex(code[1:])) in colors


def test_without_faces_the_plot_is_lower(tmp_path):
    plot_timeline(make_timeline(), tmp_path / "with.png")
    plot_timeline(make_timeline(), tmp_path / "without.png", faces=False)
    heights = []
    for name in ("with", "without"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            heights.append(picture.height)
    assert heights[1] < heights[0]


# --- drawing into frames ----------------------------------------------------------------------------------------


def test_sprites_blend_as_the_formula_says():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (9, 7, 4), dtype=np.uint8)
    frame = generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for x, y in ((5, 6), (-3, -4), (16, 15), (30, 0), (0, -9)):
        drawn, expected = frame.copy(), frame.astype(np.float64)
        Sprite.of(Image.fromarray(pixels, "RGBA")).lay_on(drawn, x, y)
        for i in range(9):
            for j in range(7):
                if 0 <= y + i < 20 and 0 <= x + j < 20:
                    a = pixels[i, j, 3] / 255
                    expected[y + i, x + j] = a * pixels[i, j, :3] + (1 - a) * expected[y + i, x + j]
        assert np.abs(drawn - expected).max() <= 1.01


def test_panels_show_many_classes_by_their_votes():
    names = [f"class {i}" for i in range(12)]
    artist = Artist(emotion_colors(names), 480)
    shares = np.zeros(12)
    shares[[3, 11]] = 0.75, 0.25
    rows = artist.panel_rows(shares)
    assert len(rows) == 8
    assert {3, 11} <= set(rows)
    assert list(rows) == sorted(rows)
    small, large = artist.panel("votes", shares, rows[-2:]), artist.panel("votes", shares, rows)
    assert large.size[0] == small.size[0]
    assert large.size[1] > small.size[1]
    assert artist.tag("happy 9%", "#FF0000") is artist.tag("happy 9%", "#FF0000")
    color = bytes.fromhex(emotion_colors(names)["class 3"][1:])
    assert (large.color == np.array(list(color))).all(axis=2).any()


def test_panels_hide_no_face_and_do_not_overlap():
    tracks = [make_track(i + 1, box=(x, 200.0, 80.0, 100.0)) for i, x in enumerate((60.0, 280.0, 500.0))]
    tracks.append(make_track(4, start=0.0, end=1.0, box=(170.0, 20.0, 20.0, 25.0)))
    timeline = make_timeline(*tracks, size=(640, 480))
    size = (150, 120)
    places = place_panels(timeline, (640, 480), [size] * 4, 8, (90.0, 20.0))
    boxes = [(p[0], p[1], p[0] + size[0], p[1] + size[1]) for p in places if p is not None]
    assert len(boxes) == 4

    def overlap(a, b):
        return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))

    for i, box in enumerate(boxes):
        assert box[0] >= 8
        assert box[1] >= 8
        assert box[2] <= 632
        assert box[3] <= 472
        assert all(overlap(box, other) == 0 for other in boxes[:i])
        for track in tracks:
            x, y, w, h = track.face.boxes[0]
            assert overlap(box, (x, y, x + w, y + h)) == 0


def test_panels_without_room_are_left_out():
    timeline = make_timeline(size=(640, 480))
    assert place_panels(timeline, (640, 480), [(700, 100)], 8, (90.0, 20.0)) == [None]
    crowd = make_timeline(*(make_track(i + 1, box=(60.0 * i, 200.0, 40.0, 40.0)) for i in range(10)), size=(640, 480))
    places = place_panels(crowd, (640, 480), [(150, 160)] * 10, 8, (90.0, 20.0))
    assert 1 <= sum(p is not None for p in places) <= 5


def write_gray(path, times, size=(480, 400)):
    with VideoWriter(path, *size, 10.0) as writer:
        for time in times:
            writer.write(np.full((size[1], size[0], 3), 128, dtype=np.uint8), time=time)


def test_annotated_video_keeps_times_and_marks_the_face(tmp_path):
    times = [i / 10 if i < 5 else 0.5 + i / 10 for i in range(12)]  # half a second is missing
    write_gray(tmp_path / "in.mp4", times)
    face = make_track(box=(200.0, 150.0, 80.0, 100.0)).face
    rows = np.s_[2:10]
    face = Track(
        np.arange(2, 10), np.array(times)[rows], face.landmarks[:8], face.boxes[:8], np.ones(8, dtype=np.bool_)
    )
    votes = np.array([0.9, 0.1, 0, 0, 0, 0, 0], dtype=np.float64)
    track = TrackTimeline(1, 0.2, 1.5, (Window(0.2, 1.5, votes, votes),), face)
    timeline = make_timeline(track, duration=1.8, size=(480, 400), rate=12 / 1.8)
    write_annotated_video(tmp_path / "in.mp4", timeline, tmp_path / "out.mp4")
    frames = list(iter_frames(tmp_path / "out.mp4"))
    assert [f.time for f in frames] == pytest.approx(times, abs=1e-4)
    happy = np.array(list(bytes.fromhex(emotion_colors(NAMES)["happy"][1:])), dtype=np.int64)

    def is_happy(pixel):
        return np.abs(pixel.astype(np.int64) - happy).max() < 60

    for frame in frames:
        inside = 2 <= frame.index < 10
        assert is_happy(frame.image[200, 280]) == inside  # the right side of the box
        assert np.abs(frame.image[170:230, 220:260].astype(int) - 128).max() < 12  # the face itself stays clean
        assert (np.abs(frame.image.astype(int) - 128).max() > 60) == inside
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert not container.streams.audio


def test_annotated_video_says_who_read(tmp_path):
    write_gray(tmp_path / "in.mp4", [0.0, 0.1])
    timeline = make_timeline(make_track(box=(200.0, 150.0, 80.0, 100.0)), duration=0.2, size=(480, 400), rate=10.0)
    for number, read_by in enumerate(
        ("", "the packaged reader some: for this; not for that", f"the run {'x' * 99}: it")
    ):
        write_annotated_video(tmp_path / "in.mp4", replace(timeline, read_by=read_by), tmp_path / f"{number}.mp4")
        frame = next(iter_frames(tmp_path / f"{number}.mp4"))
        strip = np.abs(frame.image[-20:, :, :].astype(int) - 128).max(axis=(0, 2)) > 40
        assert strip[:60].any() == bool(read_by)  # a strip at the bottom left
        assert not strip[-4:].any()
        if number == 1:
            assert not strip[300:].any()  # as long as its text, which ends with the name
    artist = Artist(emotion_colors(NAMES), 400)
    assert artist.caption("x" * 300, 200).size[0] <= 200
    assert artist.caption("x", 200).size[0] < 40


def test_small_videos_are_enlarged_and_pictures_become_a_short_video(tmp_path):
    Image.new("RGB", (96, 64), (128, 128, 128)).save(tmp_path / "in.png")
    timeline = make_timeline(make_track(end=0.0), duration=0.0)
    write_annotated_video(tmp_path / "in.png", timeline, tmp_path / "out.mp4")
    (frame,) = iter_frames(tmp_path / "out.mp4")
    assert frame.image.shape == (64 * 6, 96 * 6, 3)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.duration / av.time_base) == pytest.approx(1.0, abs=0.01)


def test_annotated_video_of_a_folder_stops_at_the_damage_and_tells_progress(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.new("RGB", (96, 64), (128, 128, 128)).save(folder / f"{i}.jpg")
    (folder / "3.jpg").write_bytes(b"no picture")
    told = []

    class Listener:
        def start(self, total, done=0):
            told.append(("start", total))

        def advance(self, note=""):
            told.append("frame")

        def finish(self):
            told.append("finish")

    timeline = make_timeline(make_track(end=0.12, rate=25.0), duration=0.12, rate=25.0)
    write_annotated_video(folder, timeline, tmp_path / "out.mp4", progress=Listener())
    assert len(list(iter_frames(tmp_path / "out.mp4"))) == 3
    assert told == [("start", 3), "frame", "frame", "frame", "finish"]


def test_a_failed_annotated_video_leaves_nothing(tmp_path):
    with pytest.raises(RequestError, match="does not exist"):
        write_annotated_video(tmp_path / "in.mp4", make_timeline(), tmp_path / "missing" / "out.mp4")
    write_gray(tmp_path / "in.mp4", [0.0, 0.1], size=(96, 64))
    (tmp_path / "in.mp4").write_bytes(b"not a video")
    with pytest.raises(Exception, match="not a video"):
        write_annotated_video(tmp_path / "in.mp4", make_timeline(), tmp_path / "out.mp4")
    assert [p.name for p in Path(tmp_path).iterdir()] == ["in.mp4"]
