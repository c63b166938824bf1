"""Following faces finds what a search of every frame finds, upright, and searches few frames."""

import itertools
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from midas_dfer.clips.faces.detection import Face, FaceDetector
from midas_dfer.clips.faces.following import SEARCH_EVERY, FaceFollower
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.clips.preparing.extract import ClipExtractor
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.predict.first_pass import find_tracks
from midas_dfer.predict.sources import CountedFrames, VideoFile
from midas_dfer.progress import NoProgress
from midas_dfer.synthetic import EMOTIONS, Portrait, draw_identity, draw_light
from midas_dfer.synthetic.expressions import expression_of
from midas_dfer.synthetic.face.anatomy import Pose
from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import write_video

WIDTH, HEIGHT = 256, 192


class Counting(FaceDetector):
    """A detector that knows how many whole frames it was shown."""

    searches = 0

    def detect(self, image_bgr):
        self.searches += image_bgr.shape[:2] == (HEIGHT, WIDTH)
        return super().detect(image_bgr)


def drawn(person: int, pose: Pose, emotion: int = 0, light: float = 1.0):
    """A synthetic face (BGR) and its true landmarks; a face of scale 1 is about 65 pixels wide."""
    generator = np.random.default_rng([person, 7])
    portrait = Portrait(draw_identity(generator), draw_light(generator), WIDTH, HEIGHT)
    picture = portrait.render(expression_of(0.8 * np.eye(len(EMOTIONS))[emotion]), pose)
    return np.ascontiguousarray((picture.image[..., ::-1] * light).astype(np.uint8)), picture.landmarks


def lean(landmarks: np.ndarray) -> float:
    """Of the line between the eyes, in degrees."""
    x, y = landmarks[1] - landmarks[0]
    return math.degrees(math.atan2(y, x))


def error(landmarks: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(landmarks - truth, axis=1).mean() / np.linalg.norm(truth[0] - truth[1]))


@pytest.mark.parametrize("tilt", [-45, -30, -15, 0, 15, 30, 45])
def test_tilted_heads_are_found_upright(tilt):
    leaning = []
    for person in range(6):
        image, truth = drawn(person, Pose(roll=tilt, scale=1.3), person)
        follower = FaceFollower(FaceDetector(min_score=0.5))
        for frame in range(4):
            faces = follower.find(image, frame / 25)
        if faces:
            leaning.append(lean(faces[0].landmarks) - lean(truth))
    assert len(leaning) >= 5  # at 45 degrees the detector misses some
    assert abs(np.mean(leaning)) < 5
    assert np.median(np.abs(leaning)) < 5


@pytest.mark.parametrize(
    ("pose", "light"),
    [(Pose(), 1.0), (Pose(scale=0.6), 1.0), (Pose(scale=1.8), 1.0), (Pose(), 0.25), (Pose(yaw=20), 1.0)],
    ids=["plain", "small", "large", "dark", "turned"],
)
def test_landmarks_are_as_good_as_those_of_a_full_search(pose, light):
    detector, full, followed = FaceDetector(), [], []
    for person in range(10):
        image, truth = drawn(person, pose, person % len(EMOTIONS), light)
        found = detector.detect(image)
        (face,) = FaceFollower(detector).find(image, 0.0)
        full.append(error(found[0].landmarks, truth))
        followed.append(error(face.landmarks, truth))
    assert np.mean(followed) < np.mean(full) + 0.02


def test_whole_frames_are_searched_seldom_and_a_still_face_stands_still():
    detector, (image, _) = Counting(), drawn(1, Pose())
    follower, seen = FaceFollower(detector), []
    for frame in range(50):
        (face,) = follower.find(image, frame / 25)
        seen.append(face.landmarks)
    assert detector.searches == math.ceil(2.0 / (math.ceil(SEARCH_EVERY * 25) / 25))
    np.testing.assert_array_equal(np.ptp(seen[1:], axis=0), 0)
    every = Counting()
    follower = FaceFollower(every, search_every=0)
    for frame in range(5):
        follower.find(image, frame / 25)
    assert every.searches == 5


def test_a_fast_head_is_followed():
    detector, follower = Counting(), None
    follower = FaceFollower(detector)
    for frame in range(25):
        x = 0.9 * math.sin(2 * math.pi * frame / 25)  # over half the picture and back in a second
        image, truth = drawn(2, Pose(x=x, roll=15 * math.sin(2 * math.pi * frame / 12)))
        (face,) = follower.find(image, frame / 25)
        assert error(face.landmarks, truth) < 0.25
    assert detector.searches <= 6


def test_a_cut_to_somebody_else_and_to_nobody_is_seen_at_once():
    detector = Counting()
    follower = FaceFollower(detector)
    (here, at_left), (there, at_right) = drawn(1, Pose(x=-0.8)), drawn(3, Pose(x=0.8))
    there = 255 - there // 2 if abs(float(here.mean()) - float(there.mean())) < 10 else there
    follower.find(here, 0.0)
    follower.find(here, 0.04)
    assert follower.find(np.zeros_like(here), 0.08) == []
    (face,) = follower.find(here, 0.12)
    assert error(face.landmarks, at_left) < 0.25
    assert detector.searches == 3
    assert at_right[:, 0].mean() > at_left[:, 0].mean()


def test_who_comes_later_is_found_within_the_time_and_who_goes_is_let_go():
    anna, _ = drawn(1, Pose(x=-0.9))
    both = anna.copy()
    both[:, WIDTH // 2 :] = drawn(3, Pose(x=0.9))[0][:, WIDTH // 2 :]
    follower, numbers = FaceFollower(FaceDetector()), []
    for frame in range(40):
        shown = both if 10 <= frame < 25 else anna
        numbers.append(len(follower.find(shown, frame / 25)))
    late = math.ceil(SEARCH_EVERY * 25)
    assert numbers[:10] == [1] * 10
    assert numbers[10 + late : 25] == [2] * (15 - late)
    assert numbers[25:] == [1] * 15


def test_two_people_who_cross_stay_two():
    """One passes before the other: no face is found twice, and each track stays with its person."""
    size = 96
    people = [cv2.resize(drawn(p, Pose(scale=1.6))[0][:, 32:224], (size, size)) for p in (1, 3)]
    follower, detections = FaceFollower(FaceDetector()), []
    for frame in range(40):
        canvas = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        for person, left in ((1, WIDTH - size - 4 * frame), (0, 4 * frame)):
            canvas[40 : 40 + size, left : left + size] = people[person]
        faces = follower.find(canvas, frame / 25)
        centers = [face.landmarks.mean(axis=0) for face in faces]
        assert all(math.dist(a, b) > 20 for a, b in itertools.combinations(centers, 2))
        detections.append((frame, frame / 25, faces))
    steps = [np.diff(track.landmarks[:, 2, 0]) for track in follow_faces(detections)]
    assert max(len(each) for each in steps) == 39  # the one in front, all the time
    assert all(np.sign(each.sum()) * np.median(each) > 2 for each in steps)
    assert {int(np.sign(each.sum())) for each in steps} == {-1, 1}
    assert all((np.sign(each.sum()) * each > -6).all() for each in steps)  # nobody turns back


def test_landmarks_that_form_no_face_are_searched_anew():
    class Broken(FaceDetector):
        def detect(self, image_bgr):
            return [Face(face.box, face.score, face.landmarks * 0, None) for face in super().detect(image_bgr)]

    image, _ = drawn(1, Pose())
    follower = FaceFollower(Broken())
    assert len(follower.find(image, 0.0)) == len(follower.find(image, 0.04)) == 1


@pytest.mark.parametrize("name", ["cut.mp4", "tilt30.mp4", "hflip.mp4"])
def test_real_cases(shared_data: Path, name: str):
    frames = list(iter_frames(shared_data / "cases" / name, pixel_format="bgr24"))
    detector = FaceDetector()
    follower = FaceFollower(detector)
    followed = follow_faces((f.index, f.time, follower.find(f.image, f.time)) for f in frames)
    searched = follow_faces((f.index, f.time, detector.detect(f.image)) for f in frames)
    assert [(len(t), t.detected.all()) for t in followed] == [(len(t), t.detected.all()) for t in searched]
    shaking = [np.abs(np.diff(track.landmarks, 2, axis=0)).mean() for track in (followed[0], searched[0])]
    assert shaking[0] < 1.1 * shaking[1]
    if name == "tilt30.mp4":  # the same clip upright leans by -4 to -7 degrees
        assert 22 < np.mean([lean(landmarks) for landmarks in followed[0].landmarks]) < 28


@pytest.mark.parametrize("search_every", [0.0, 0.3])
def test_prepare_and_predict_follow(tmp_path, monkeypatch, search_every):
    """The seam: both look for faces as their settings say."""
    searches = []

    class Told(FaceDetector):
        def detect(self, image_bgr):
            if image_bgr.shape[:2] == (HEIGHT, WIDTH):
                searches.append(1)
            return super().detect(image_bgr)

    monkeypatch.setattr("midas_dfer.clips.preparing.extract.FaceDetector", Told)
    monkeypatch.setattr("midas_dfer.predict.first_pass.FaceDetector", Told)
    image, _ = drawn(1, Pose())
    write_video(tmp_path / "a.mp4", [image[..., ::-1]] * 24, 24.0)
    settings = ExtractSettings(size=64, search_every=search_every)
    assert len(list(ClipExtractor(settings).extract(tmp_path / "a.mp4"))) == 24
    expected = 24 if search_every == 0 else 3
    assert len(searches) == expected
    source = VideoFile(tmp_path / "a.mp4")
    (track,) = find_tracks(source, settings, CountedFrames(NoProgress(), source.expected_frames())).tracks
    assert len(track) == 24
    assert len(searches) == 2 * expected
