"""Faces are followed; two people are never mixed."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.faces.detection import TEMPLATE, Face, FaceDetector
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.clips.faces.tracks import Track, main_track, mean_size, smooth
from midas_dfer.errors import NoFaceError, RequestError
from midas_dfer.video.read import iter_frames

RNG = np.random.default_rng


def look_of(person: int) -> np.ndarray:
    return RNG(person).uniform(0, 1, 192).astype(np.float32)


ANNA, BEN = look_of(1), look_of(2)


def face_at(
    x: float, y: float = 100.0, size: float = 60.0, look: np.ndarray | None = None, rng=None, jitter: float = 0.02
) -> Face:
    """A face whose middle is at (x, y); with `rng`, as a detector sees it."""
    landmarks = TEMPLATE * size - 0.5 * size + [x, y]
    box = np.array([x - size / 2, y - size / 2, size, size])
    if rng is not None:
        landmarks = landmarks + rng.normal(0, jitter * size, (5, 2))
        box = box + rng.normal(0, jitter * size, 4)
        look = None if look is None else np.clip(look + rng.normal(0, 0.02, 192).astype(np.float32), 0, 1)
    return Face(box.astype(np.float32), 0.9, landmarks.astype(np.float32), look)


def middle(track: Track) -> np.ndarray:
    return track.landmarks.mean(axis=1) - TEMPLATE.mean(axis=0) * 60 + 30


def crossing(
    seed: int, looks: Sequence[np.ndarray | None], hidden: range = range(0), n: int = 60
) -> Iterator[tuple[int, float, list[Face]]]:
    """Two people change places; in `hidden` the second is behind the first."""
    rng = RNG(seed)
    for i in range(n):
        faces = [face_at(100 + 5 * i, look=looks[0], rng=rng)]
        if i not in hidden:
            faces.append(face_at(400 - 5 * i, 112, look=looks[1], rng=rng))
        if rng.random() < 0.5:
            faces.reverse()
        yield i, i / 25, faces


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("looks", [(ANNA, BEN), (None, None)], ids=["seen", "by motion alone"])
def test_people_who_cross_keep_their_tracks(seed: int, looks):
    tracks = follow_faces(crossing(seed, looks, hidden=range(26, 35)))
    assert len(tracks) == 2
    for track in tracks:
        assert len(track) == 60
        x = middle(track)[:, 0]
        straight = np.linspace(100, 395, 60) if x[0] < 250 else np.linspace(400, 105, 60)
        assert np.abs(x - straight).max() < 10
    assert sorted(int(track.detected.sum()) for track in tracks) == [51, 60]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nobody_is_ever_mixed(data):
    """Two people on random walks, with holes: each track's detections are of one person."""
    rng = RNG(data.draw(st.integers(0, 2**32 - 1)))
    looks = (ANNA, BEN)
    places = rng.uniform(50, 250, (2, 2))
    speed = rng.uniform(-120, 120, (2, 2))
    owner = {}
    detections = []
    present = [True, True]
    for i in range(80):
        speed += rng.normal(0, 20, (2, 2))
        places += speed / 25
        faces = []
        for who in (0, 1):
            present[who] ^= rng.random() < 0.15
            if present[who]:
                faces.append(face_at(*places[who], look=looks[who], rng=rng))
                owner[i, faces[-1].landmarks.tobytes()] = who
        rng.shuffle(faces)
        detections.append((i, i / 25, faces))
    tracks = follow_faces(detections, min_detected=1)
    for track in tracks:
        owners = {
            owner[int(frame), points.tobytes()]
            for frame, points, known in zip(track.frames, track.landmarks, track.detected, strict=True)
            if known
        }
        assert len(owners) == 1
        np.testing.assert_array_equal(np.diff(track.frames), 1)
        gaps = np.diff(track.times[track.detected])
        assert (gaps <= 0.5 + 1e-9).all()
        assert track.detected[[0, -1]].all()
    # every detection is in at most one track
    assert sum(int(track.detected.sum()) for track in tracks) <= len(owner)


@pytest.mark.parametrize(("other", "parts"), [(ANNA, 1), (BEN, 2)], ids=["the same", "another"])
def test_somebody_half_hidden_before_and_after_a_gap(other: np.ndarray, parts: int):
    """Another part is hidden before and after, so that the change between is that between two people."""
    part = np.arange(192)
    detections = []
    for i in range(60):
        hidden = (part < 64) if 22 <= i < 26 else (part >= 128) if 34 <= i < 38 else part < 0
        look = np.where(hidden, np.float32(0.5), ANNA if i < 30 else other)
        face = face_at(100 + 2 * i, size=54 if hidden.any() else 60, look=look)
        detections.append((i, i / 25, [] if 26 <= i < 34 else [face]))
    tracks = follow_faces(detections)
    assert len(tracks) == parts
    if parts == 1:
        np.testing.assert_array_equal(np.flatnonzero(~tracks[0].detected), range(26, 34))
    assert len(follow_faces(detections, max_gap=0.3)) == 2


@pytest.mark.parametrize(("first", "second"), [("d18.mp4", "d19.mp4"), ("d12.mp4", "d10.mp4")])
def test_real_people_pasted_crossing(shared_data: Path, first: str, second: str):
    """One person passes before another; the two of the first pair look much alike."""
    detector = FaceDetector(max_side=320)
    clips = [
        [
            cv2.resize(frame.image, (100, 100), interpolation=cv2.INTER_AREA)
            for frame in itertools.islice(iter_frames(shared_data / "videos" / name, pixel_format="bgr24"), 45)
        ]
        for name in (first, second)
    ]
    y, x = np.mgrid[:100, :100]
    oval = ((((x - 50) / 37) ** 2 + ((y - 50) / 49) ** 2) < 1)[..., None]
    detections, truth = [], []
    for i in range(45):
        canvas = np.full((180, 320, 3), 128, np.uint8)
        lefts = (10 + 4 * i, 210 - 4 * i)
        for person in (1, 0):
            part = canvas[40:140, lefts[person] : lefts[person] + 100]
            part[:] = np.where(oval, clips[person][i], part)
        detections.append((i, i / 25, detector.detect(canvas)))
        truth.append([left + 50 for left in lefts])
    tracks = follow_faces(detections)
    assert len(tracks) == 2
    for track in tracks:
        assert len(track) == 45
        known = track.detected
        off = np.abs(track.landmarks[known, 2, :1] - np.array(truth)[known])
        assert off.max(axis=0).min() < 28  # near one and the same person all the time
    assert sorted(int(track.detected.sum()) for track in tracks)[1] == 45


def test_a_face_that_might_be_eithers_goes_to_neither():
    both = [face_at(100), face_at(130)]
    detections = [(i, i / 25, [face_at(115)] if 10 <= i < 15 else both) for i in range(20)]
    tracks = follow_faces(detections)
    assert [len(track) for track in tracks] == [20, 20]
    for track, x in zip(sorted(tracks, key=lambda t: float(t.boxes[0, 0])), (100, 130), strict=True):
        np.testing.assert_array_equal(np.flatnonzero(~track.detected), range(10, 15))
        np.testing.assert_allclose(middle(track)[:, 0], x, atol=1e-3)


def still(n: int, **changes) -> list[tuple[int, float, list[Face]]]:
    return [(i, i / 25, [face_at(100, look=ANNA, **changes)]) for i in range(n)]


@pytest.mark.parametrize(
    "after",
    [face_at(300, look=ANNA), face_at(100, size=150, look=ANNA), face_at(102, look=BEN)],
    ids=["jumps", "grows", "becomes another"],
)
def test_a_cut_ends_a_track(after: Face):
    detections = still(20) + [(i, i / 25, [after]) for i in range(20, 35)]
    first, second = follow_faces(detections)
    assert (first.frames[0], first.frames[-1], second.frames[0], second.frames[-1]) == (0, 19, 20, 34)
    assert main_track([second, first]) is first


def test_short_gaps_are_bridged_in_a_straight_line_over_time():
    times = np.cumsum([0, 0.04, 0.04, 0.04, 0.1, 0.02, 0.2, 0.04, 0.04, 0.04])
    positions = 100 + 300 * times
    detections = [
        (i, float(t), [] if 3 <= i <= 6 else [face_at(x)])
        for i, (t, x) in enumerate(zip(times, positions, strict=True))
    ]
    (track,) = follow_faces(detections)
    np.testing.assert_array_equal(track.frames, range(10))
    np.testing.assert_array_equal(track.detected, [True] * 3 + [False] * 4 + [True] * 3)
    np.testing.assert_allclose(middle(track)[:, 0], positions, atol=1e-3)
    np.testing.assert_allclose(track.boxes[:, 0], positions - 30, atol=1e-3)
    np.testing.assert_array_equal(track.times, times)


@pytest.mark.parametrize(("missing", "parts"), [(11, 1), (12, 2), (40, 2)])
def test_long_gaps_end_a_track(missing: int, parts: int):
    detections = [(i, t, [] if 20 <= i < 20 + missing else faces) for i, t, faces in still(80)]
    tracks = follow_faces(detections)  # 11 frames missing: 0.48 s between detections; 12: 0.52 s
    assert len(tracks) == parts
    if parts == 2:
        assert tracks[0].frames[-1] == 19
        assert tracks[1].frames[0] == 20 + missing
        assert all(track.detected.all() for track in tracks)


def test_slow_video_is_followed_frame_by_frame():
    detections = [(i, 2.0 * i, [face_at(100 + i, look=ANNA)]) for i in range(6)]
    assert [len(track) for track in follow_faces(detections)] == [6]


def test_every_second_frame_may_be_looked_at():
    detections = [(2 * i, 2 * i / 25, faces) for i, _, faces in still(10)]
    (track,) = follow_faces(detections)
    np.testing.assert_array_equal(track.frames, range(0, 20, 2))


def test_flickering_detections_are_dropped_but_short_clips_are_not():
    detections = still(20)
    detections[7][2].append(face_at(400, look=BEN))
    assert [len(track) for track in follow_faces(detections)] == [20]
    assert len(follow_faces(detections, min_detected=1)) == 2
    assert [len(track) for track in follow_faces(still(1))] == [1]
    assert follow_faces([]) == []
    assert follow_faces([(0, 0.0, []), (1, 0.1, [])]) == []


def test_main_track_is_the_longest_then_the_largest_then_the_first():
    def track(first: int, detected: Sequence[bool], size: float) -> Track:
        n = len(detected)
        return Track(
            np.arange(first, first + n),
            np.arange(n) / 25,
            np.zeros((n, 5, 2), np.float32),
            np.full((n, 4), size, np.float32),
            np.array(detected),
        )

    long_with_holes, steady = track(0, [True, False] * 4, 90), track(3, [True] * 6, 20)
    assert main_track([long_with_holes, steady]) is steady
    larger, later = track(0, [True] * 6, 30), track(5, [True] * 6, 30)
    assert main_track([steady, later, larger]) is larger
    assert mean_size(larger) == 30
    with pytest.raises(NoFaceError):
        main_track([])


@pytest.mark.parametrize("second", [(0, 0.04), (1, 0.0), (-1, 1.0)])
def test_frames_out_of_order_are_refused(second: tuple[int, float]):
    with pytest.raises(RequestError, match="must increase"):
        follow_faces([(0, 0.0, []), (*second, [])])


def test_wrong_limits_are_refused():
    with pytest.raises(RequestError, match="max_gap"):
        follow_faces([], max_gap=-1.0)
    with pytest.raises(RequestError, match="seconds"):
        smooth(follow_faces(still(5))[0], seconds=-1.0)


def slow_smooth(track: Track, seconds: float) -> np.ndarray:
    """Weighted straight-line fits, one frame and coordinate at a time."""
    t = track.times
    edges = np.concatenate([[t[0]], (t[1:] + t[:-1]) / 2, [t[-1]]])
    stands_for = np.diff(edges)
    stands_for[[0, -1]] *= 2
    result = np.empty_like(track.landmarks)
    for i in range(len(t)):
        weight = stands_for * np.exp(-0.5 * ((t - t[i]) / seconds) ** 2)
        for k in range(10):
            y = track.landmarks[:, k // 2, k % 2]
            line = np.polynomial.polynomial.polyfit(t - t[i], y, 1, w=np.sqrt(weight))
            result[i, k // 2, k % 2] = line[0]
    return result


def test_smoothing_is_a_weighted_line_fit():
    rng = RNG(0)
    times = np.cumsum(rng.uniform(0.02, 0.06, 40))
    (track,) = follow_faces((i, float(t), [face_at(100 + 20 * t, rng=rng)]) for i, t in enumerate(times))
    np.testing.assert_allclose(smooth(track, 0.08).landmarks, slow_smooth(track, 0.08), atol=0.05)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0.0, 0.5))
def test_even_motion_is_left_as_it_is(n: int, seed: int, seconds: float):
    times = np.cumsum(RNG(seed).uniform(0.005, 0.3, n))
    (track,) = follow_faces((i, float(t), [face_at(100 + 40 * t, 100 - 9 * t)]) for i, t in enumerate(times))
    smoothed = smooth(track, seconds)
    np.testing.assert_allclose(smoothed.landmarks, track.landmarks, atol=1e-2)
    np.testing.assert_allclose(smoothed.boxes, track.boxes, atol=1e-2)
    np.testing.assert_array_equal(smoothed.times, track.times)


def test_smoothing_takes_jitter_out():
    rng = RNG(3)
    (track,) = follow_faces((i, i / 30, [face_at(100, rng=rng)]) for i in range(100))
    before = dataclasses.replace(track, landmarks=track.landmarks.copy())
    smoothed = smooth(track)
    true = face_at(100).landmarks
    assert np.abs(smoothed.landmarks - true).mean() < 0.6 * np.abs(track.landmarks - true).mean()
    np.testing.assert_array_equal(track.landmarks, before.landmarks)


@pytest.fixture(scope="module")
def tracks_of(shared_data: Path):
    detector = FaceDetector(max_side=320)
    cv2.setNumThreads(1)

    def tracks(name: str, step: int = 1, last: int = 10**9) -> tuple[list[Track], int]:
        counted = []

        def wanted(index: int) -> bool:
            counted.append(index)
            return index % step == 0 and index < last

        frames = iter_frames(shared_data / name, pixel_format="bgr24", wanted=wanted)
        return follow_faces((f.index, f.time, detector.detect(f.image)) for f in frames), len(counted)

    return tracks


@pytest.mark.parametrize("emotion", ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"])
def test_real_crema_d_clips_are_one_track(tracks_of, emotion: str):
    tracks, count = tracks_of(f"crema_d/VideoFlash/1001_DFA_{emotion}_XX.flv")
    assert len(tracks) == 1
    assert tracks[0].detected.all()
    assert len(tracks[0]) == count >= 56


def test_real_group_gives_five_tracks_of_one_frame(tracks_of):
    tracks, _ = tracks_of("videos/multi_face.jpg")
    assert [len(track) for track in tracks] == [1] * 5
    assert mean_size(main_track(tracks)) == max(map(mean_size, tracks))


def test_real_face_that_leaves(tracks_of):
    tracks, count = tracks_of("videos/face_noface.mov", step=3)
    track = main_track(tracks)
    assert count == 169
    assert track.frames[0] == 0
    assert 60 <= track.frames[-1] <= 75


def test_real_dark_crying_face(tracks_of):
    tracks, _ = tracks_of("videos/WolfgangLanger_Pexels.mp4", step=2, last=200)
    assert main_track(tracks).detected.sum() == 100


@pytest.mark.parametrize("name", ["no_face.mp4", "park.mp4"])
def test_real_videos_without_faces(tracks_of, name: str):
    tracks, _ = tracks_of(f"videos/{name}", step=2)
    with pytest.raises(NoFaceError):
        main_track(tracks)


def test_real_hand_before_the_face(tracks_of):
    tracks, count = tracks_of("videos/yes.mkv", step=2)
    assert len(main_track(tracks)) == (count + 1) // 2
