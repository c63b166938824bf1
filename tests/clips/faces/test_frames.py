"""The faces of all frames of a video: what a GPU finds in many frames at once is of the kind that following finds."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from midas_dfer.clips.faces import following
from midas_dfer.clips.faces import frames as module
from midas_dfer.clips.faces.detection import FaceDetector
from midas_dfer.clips.faces.following import FaceFollower
from midas_dfer.clips.faces.frames import BatchFollower, faces_in
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.predict import first_pass
from midas_dfer.predict.sources import CountedFrames, GivenFrames
from midas_dfer.progress import NoProgress
from midas_dfer.synthetic.face.anatomy import Pose
from midas_dfer.video.read import Frame
from tests.clips.faces.test_following import drawn, error, lean


class Batching(FaceDetector):
    """Says that it is on a GPU, and finds the faces of a batch one by one; knows how large the batches were."""

    def __init__(self, **settings) -> None:
        super().__init__(**{**settings, "device": "cuda"})
        self.batches = []

    def detect_batch(self, images_bgr):
        self.batches.append([image.shape[:2] for image in images_bgr])
        return [self.detect(image) for image in images_bgr]


def shown(images) -> list[Frame]:
    return [Frame(index, index / 25, image) for index, image in enumerate(images)]


@pytest.fixture(scope="module")
def moving() -> list[Frame]:
    """Two people, one of whom moves and tilts the head, the other comes late; then a cut to nobody."""
    here, there = (drawn(person, Pose())[0][:, 64:192] for person in (2, 3))
    images = []
    for frame in range(11):
        turned = cv2.warpAffine(here, cv2.getRotationMatrix2D((64, 96), -2.0 * frame, 1.0), (128, 192))
        image = np.hstack([np.roll(turned, 3 * (frame % 5), axis=1), there if frame >= 4 else np.zeros_like(there)])
        images.append(image if frame < 9 else np.zeros_like(image))
    return shown(images)


def test_faces_do_not_depend_on_how_many_frames_are_taken_at_once(moving, monkeypatch):
    rows = []
    for at_once in (1, 4, 32):
        monkeypatch.setattr(module, "_FRAMES", at_once)
        detector = Batching()
        found = list(faces_in(iter(moving), detector, 0.3))
        assert [frame.index for frame, _ in found] == list(range(11))
        rows.append([faces for _, faces in found])
        searched = [len(each) for each in detector.batches if each and each[0] == (192, 256)]
        assert searched == [min(at_once, 11 - first) for first in range(0, 11, at_once)]
    for faces, *others in zip(*rows, strict=True):
        for other in others:
            assert len(faces) == len(other)
            for one, two in zip(faces, other, strict=True):
                np.testing.assert_array_equal(one.landmarks, two.landmarks)
    assert [len(faces) for faces in rows[0]] == [1] * 4 + [2] * 5 + [0] * 2


def test_landmarks_are_those_of_following(moving):
    followed = FaceFollower(FaceDetector())
    for frame, faces in faces_in(iter(moving[:4]), Batching(), 0.3):
        (known,) = followed.find(frame.image, frame.time)
        assert error(faces[0].landmarks, known.landmarks) < 0.05


@pytest.mark.parametrize("tilt", [-45, 30])
def test_tilted_heads_are_found_upright(tilt):
    leaning = []
    for person in range(6):
        image, truth = drawn(person, Pose(roll=tilt, scale=1.3), person)
        (faces,) = BatchFollower(Batching(min_score=0.5)).find_all(shown([image]))
        leaning += [lean(face.landmarks) - lean(truth) for face in faces]
    assert len(leaning) >= 4
    assert np.median(np.abs(leaning)) < 5


def test_a_still_face_stands_still_and_one_that_is_missed_is_looked_for_where_it_was():
    image, truth = drawn(1, Pose())

    class Blinking(Batching):
        """Sees nothing in every third whole frame."""

        whole = 0

        def detect_batch(self, images_bgr):
            found = super().detect_batch(images_bgr)
            for n, each in enumerate(images_bgr):
                if each.shape[:2] == (192, 256):
                    self.whole += 1
                    found[n] = [] if self.whole % 3 == 0 else found[n]
            return found

    rows = BatchFollower(Blinking()).find_all(shown([image] * 9))
    assert [len(row) for row in rows] == [1] * 9
    np.testing.assert_array_equal(np.ptp([row[0].landmarks for row in rows], axis=0), 0)
    assert error(rows[0][0].landmarks, truth) < 0.2


def test_a_crop_stays_where_it_is_while_its_face_stays_in_it(monkeypatch):
    """Crops that move with every frame would shake the landmarks."""
    image, _ = drawn(1, Pose())
    cut = []

    def upright_crop(image, around):
        cut.append(around)
        return following.upright_crop(image, around)

    monkeypatch.setattr(module, "upright_crop", upright_crop)
    BatchFollower(Batching()).find_all(shown([np.roll(image, frame % 3, axis=1) for frame in range(6)]))
    assert len(cut) >= 11
    assert all(around is cut[-1] for around in cut[-5:])  # all but the first one's


def test_nothing_of_a_face_is_kept_over_a_cut():
    before, after = drawn(1, Pose())[0], drawn(1, Pose(), light=0.5)[0]  # the same place, so a crop would stay
    (alone,) = BatchFollower(Batching()).find_all(shown([after]))
    *_, cut_to = BatchFollower(Batching()).find_all(shown([before, before, after]))
    assert len(cut_to) == 1
    np.testing.assert_array_equal(cut_to[0].landmarks, alone[0].landmarks)


def test_landmarks_that_form_no_face_stay_as_they_were_found():
    class Broken(Batching):
        def detect(self, image_bgr):
            return [replace(face, landmarks=face.landmarks * 0) for face in super().detect(image_bgr)]

    image, _ = drawn(1, Pose())
    rows = BatchFollower(Broken()).find_all(shown([image] * 2))
    assert [[face.landmarks.max() for face in row] for row in rows] == [[0], [0]]


def test_settings_of_earlier_versions_turn_nothing_upright():
    image, _ = drawn(1, Pose(roll=20))
    detector = Batching()
    found = [faces for _, faces in faces_in(iter(shown([image] * 3)), detector, None)]
    np.testing.assert_array_equal(found[2][0].landmarks, detector.detect(image)[0].landmarks)
    assert len(detector.batches) == 1


def test_large_frames_are_taken_fewer_at_once(monkeypatch):
    image, _ = drawn(1, Pose())
    monkeypatch.setattr(module, "_BYTES", 3 * image.size)
    detector = Batching()
    found = list(faces_in(iter(shown([image] * 10)), detector, 0.3))
    assert len(found) == 10
    assert [len(each) for each in detector.batches if each and each[0] == image.shape[:2]] == [3, 3, 3, 1]


def test_predict_searches_in_batches_where_its_device_is_a_gpu(monkeypatch):
    """The seam: `find_tracks` hands its device over."""
    made = []

    class Told(Batching):
        def __init__(self, **settings) -> None:
            super().__init__(**settings)
            made.append((settings["device"], self))

    monkeypatch.setattr(first_pass, "FaceDetector", Told)
    image, _ = drawn(1, Pose())
    source = GivenFrames.of([cv2.cvtColor(image, cv2.COLOR_BGR2RGB)] * 10, np.arange(10) / 25, "frames")
    found = first_pass.find_tracks(source, ExtractSettings(), CountedFrames(NoProgress(), 10), device="cuda:1")
    assert len(found.tracks[0]) == 10
    ((device, detector),) = made
    assert device == "cuda:1"
    assert len(detector.batches[0]) == 10
