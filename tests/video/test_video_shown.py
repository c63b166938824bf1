"""What a file says about how its pictures are to be shown is applied, or told; the oracles are numpy and Pillow."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from midas_dfer.clips.preparing.extract import read_frames
from midas_dfer.errors import VideoError
from midas_dfer.video.aperture import declared_crop
from midas_dfer.video.read import iter_frames, probe
from midas_dfer.video.shown import Crop, orientation_of, oriented, square_size
from tests.support.media import ORIENTATIONS, add_box, mux_pictures, picture, save_still, set_matrix, write_movie

STILLS = (".jpg", ".png", ".webp", ".tif")


def images(path: Path, **settings) -> list[np.ndarray]:
    return [frame.image for frame in iter_frames(path, **settings)]


def remarks(path: Path) -> list[str]:
    told = []
    for _ in read_frames(path, tell=told.append):
        pass
    return [remark.kind for remark in told]


def matrix(a: float, b: float, c: float, d: float) -> bytes:
    return struct.pack("=9i", *(round(65536 * n) for n in (a, b, 0, c, d, 0)), 0, 0, 1 << 30)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_display_matrices(tmp_path: Path, orientation: int):
    numbers, expected = ORIENTATIONS[orientation]
    path = write_movie(tmp_path / "a.mp4", [picture(seed=n) for n in range(3)])
    stored = images(path)
    set_matrix(path, *numbers)
    shown = images(path)
    assert len(shown) == 3
    for image, before in zip(shown, stored, strict=True):
        np.testing.assert_array_equal(image, expected(before))
        assert image.flags.c_contiguous
    (last,) = images(path, wanted=lambda index: index == 2)
    np.testing.assert_array_equal(last, shown[2])
    (blue_first, *_) = images(path, pixel_format="bgr24")
    np.testing.assert_array_equal(blue_first[..., ::-1], shown[0])
    info = probe(path)
    assert info.orientation == orientation
    assert (info.height, info.width) == shown[0].shape[:2]
    assert remarks(path) == []


@pytest.mark.parametrize("suffix", STILLS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_all_orientations_of_pictures(tmp_path: Path, suffix: str, orientation: int):
    stored = picture(40, 56)
    path = save_still(tmp_path / f"a{suffix}", stored, orientation)
    (plain,) = images(save_still(tmp_path / f"plain{suffix}", stored))
    (shown,) = images(path)
    np.testing.assert_array_equal(shown, ORIENTATIONS[orientation][1](plain))
    with Image.open(path) as opened:
        pillows = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert shown.shape == pillows.shape
    assert np.abs(shown.astype(int) - pillows).mean() < (1.5 if suffix == ".jpg" else 0.01)
    info = probe(path)
    assert (info.orientation, info.height, info.width) == (orientation, *shown.shape[:2])
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / path.name)
    (in_folder,) = read_frames(folder)
    np.testing.assert_array_equal(in_folder.image[..., ::-1], shown)


@pytest.mark.parametrize("name", ["a.jfif", "a", "a.jpeg.bak"])
def test_pictures_that_do_not_look_like_one_by_their_name(tmp_path: Path, name: str):
    save_still(tmp_path / "a.jpg", picture(), 4)
    (expected,) = images(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / name)
    (shown,) = images(tmp_path / name)
    np.testing.assert_array_equal(shown, expected)
    assert probe(tmp_path / name).num_frames == 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turn_that_a_picture_container_makes_is_made_once(tmp_path: Path, orientation: int):
    path = tmp_path / "a.avif"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture()).save(path, exif=exif, quality=95, subsampling="4:4:4")
    (shown,) = images(path)
    with Image.open(path) as opened:
        pillows = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert shown.shape == pillows.shape
    assert np.abs(shown.astype(int) - pillows).mean() < 3


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv"])
def test_motion_jpeg_whose_frames_carry_exif(tmp_path: Path, suffix: str):
    stored = [picture(seed=n) for n in range(4)]
    wanted = [1, 4, 5, 6]
    files = [save_still(tmp_path / f"{n}.jpg", p, o) for n, (p, o) in enumerate(zip(stored, wanted, strict=True))]
    path = mux_pictures(tmp_path / f"a{suffix}", "mjpeg", [f.read_bytes() for f in files], (64, 48), "yuvj444p")
    for image, file in zip(images(path), files, strict=True):
        np.testing.assert_array_equal(image, images(file)[0])


def test_png_video_with_exif_and_a_named_colour_profile(tmp_path: Path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = [save_still(tmp_path / f"{n}.png", picture(seed=n), 2, icc_profile=profile) for n in range(3)]
    path = mux_pictures(tmp_path / "a.mov", "png", [f.read_bytes() for f in files], (64, 48), "rgb24")
    for n, image in enumerate(images(path)):
        np.testing.assert_array_equal(image, picture(seed=n)[:, ::-1])


def test_orientation_in_xmp_alone(tmp_path: Path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    Image.fromarray(picture()).save(tmp_path / "a.webp", lossless=True, xmp=xmp)
    np.testing.assert_array_equal(images(tmp_path / "a.webp")[0], picture()[::-1, ::-1])


@pytest.mark.parametrize("value", [0, 9, 77])
def test_orientations_that_are_none(tmp_path: Path, value: int):
    path = save_still(tmp_path / "a.png", picture(), value)
    np.testing.assert_array_equal(images(path)[0], picture())


def test_exif_that_makes_no_sense_does_not_cost_the_picture(tmp_path: Path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(60)))
    assert images(tmp_path / "a.jpg")[0].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("angle", "expected", "told"), [(30, 1, True), (60, 6, True), (89.5, 6, False), (0.5, 1, False)]
)
def test_turns_by_other_angles_are_told(tmp_path: Path, angle: float, expected: int, told: bool):
    path = write_movie(tmp_path / "a.mp4", [picture()])
    (stored,) = images(path)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    set_matrix(path, cos, sin, -sin, cos)
    np.testing.assert_array_equal(images(path)[0], ORIENTATIONS[expected][1](stored))
    assert remarks(path) == ["odd_angle"] * told
    assert [f"by {angle} degrees" in remark.text for remark in probe(path).remarks] == [True] * told


@given(st.sampled_from(sorted(ORIENTATIONS)), st.floats(0.01, 100), st.floats(0.01, 100))
def test_scaled_matrices_are_the_same_turn(orientation: int, wide: float, high: float):
    a, b, c, d = ORIENTATIONS[orientation][0]
    assert orientation_of(matrix(a * wide, b * wide, c * high, d * high)) == (orientation, None)


def test_matrices_that_show_nothing_are_told():
    orientation, remark = orientation_of(bytes(36))
    assert orientation == 1
    assert remark is not None
    _, remark = orientation_of(matrix(1, 0, 1, 1))  # a skew
    assert remark is not None


@given(st.sampled_from(sorted(ORIENTATIONS)), st.integers(1, 5), st.integers(1, 5))
def test_oriented_is_numpys_turns_and_flips(orientation: int, height: int, width: int):
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    np.testing.assert_array_equal(oriented(image, orientation), ORIENTATIONS[orientation][1](image))


def smooth(height: int = 48, width: int = 64) -> np.ndarray:
    return cv2.GaussianBlur(picture(height, width), (0, 0), 5)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [("2/1", (128, 48)), ("1/2", (64, 96)), ("16/15", (68, 48)), ("45/64", (64, 68)), ("1/1", (64, 48))],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".h264", ".avi"])
def test_pixels_become_square(tmp_path: Path, aspect: str, size: tuple[int, int], suffix: str):
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = write_movie(tmp_path / f"a{suffix}", [smooth()] * 3, codec=codec, aspect=Fraction(aspect))
    shown = images(path)
    assert [image.shape for image in shown] == [(size[1], size[0], 3)] * 3
    expected = cv2.resize(smooth(), size, interpolation=cv2.INTER_LINEAR)
    assert np.abs(shown[0].astype(int) - expected).mean() < 4
    info = probe(path)
    assert (info.width, info.height) == size
    assert remarks(path) == []


def test_the_containers_shape_of_pixels_wins_over_the_codecs(tmp_path: Path):
    path = write_movie(tmp_path / "a.mp4", [smooth()], aspect=Fraction(2, 1))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"pasp" + struct.pack(">II", 2, 1), b"pasp" + struct.pack(">II", 1, 2)))
    assert images(path)[0].shape == (96, 64, 3)


def test_oblong_pixels_are_widened_before_the_turn(tmp_path: Path):
    path = write_movie(tmp_path / "a.mp4", [smooth()], aspect=Fraction(2, 1))
    (wide,) = images(path)
    set_matrix(path, *ORIENTATIONS[6][0])
    np.testing.assert_array_equal(images(path)[0], np.rot90(wide, -1))
    assert (probe(path).width, probe(path).height) == (48, 128)


def test_shapes_of_pixels_that_cannot_be_are_told():
    assert square_size(64, 48, Fraction(1009, 1000)) == ((64, 48), None)
    assert square_size(64, 48, None) == square_size(64, 48, Fraction(0)) == ((64, 48), None)
    size, remark = square_size(64, 48, Fraction(1, 500))
    assert size == (64, 48)
    assert remark is not None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_resolution_that_differs_between_the_sides_is_told(tmp_path: Path, suffix: str):
    save_still(tmp_path / f"a{suffix}", picture(), dpi=(200, 100))
    save_still(tmp_path / f"b{suffix}", picture(), dpi=(72, 72))
    assert images(tmp_path / f"a{suffix}")[0].shape == (48, 64, 3)
    assert remarks(tmp_path / f"a{suffix}") == ["density"]
    assert remarks(tmp_path / f"b{suffix}") == []


def test_the_streams_own_crop_is_followed_to_the_pixel(tmp_path: Path):
    path = write_movie(
        tmp_path / "a.mp4", [picture()], pix_fmt="yuv444p", qp="1", **{"x264-params": "crop-rect=3,2,6,5"}
    )
    (shown,) = images(path)
    assert shown.shape == (41, 55, 3)
    assert (probe(path).width, probe(path).height) == (55, 41)
    assert np.abs(shown.astype(int) - picture()[2:43, 3:58]).mean() < 3


def test_clean_aperture_is_followed(tmp_path: Path):
    path = write_movie(tmp_path / "a.mp4", [picture()], pix_fmt="yuv444p")
    (stored,) = images(path)
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", 50, 1, 30, 1, -3, 1, 2, 1)
    add_box(path, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"), clap)
    assert declared_crop(path, frozenset({"mp4"}), 0) == Crop(4, 11, 10, 7)
    np.testing.assert_array_equal(images(path)[0], stored[11:41, 4:54])
    set_matrix(path, *ORIENTATIONS[6][0])
    np.testing.assert_array_equal(images(path)[0], np.rot90(stored[11:41, 4:54], -1))
    assert (probe(path).width, probe(path).height) == (30, 50)


@pytest.mark.parametrize(
    "clap", [(5000, 1, 30, 1, 0, 1, 0, 1), (50, 0, 30, 1, 0, 1, 0, 1), (50, 1, 30, 1, 90, 1, 0, 1)]
)
def test_apertures_that_make_no_sense_are_passed_over(tmp_path: Path, clap: tuple[int, ...]):
    path = write_movie(tmp_path / "a.mp4", [picture()])
    parents = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1")
    add_box(path, parents, struct.pack(">I4sIIIIiIiI", 40, b"clap", *clap))
    assert images(path)[0].shape == (48, 64, 3)


def test_crop_of_matroska_is_found(tmp_path: Path):
    def element(number: str, *content: bytes) -> bytes:
        data = b"".join(content)
        return bytes.fromhex(number) + (0x10000000 | len(data)).to_bytes(4, "big") + data

    video = element(
        "e0", element("54aa", b"\x07"), element("54bb", b"\x0b"), element("54cc", b"\x04"), element("54dd", b"\x0a")
    )
    tracks = element("1654ae6b", element("ae", element("d7", b"\x01")), element("ae", video))
    (tmp_path / "a.mkv").write_bytes(element("1a45dfa3", b"") + element("18538067", element("ec", bytes(9)), tracks))
    assert declared_crop(tmp_path / "a.mkv", frozenset({"matroska", "webm"}), 1) == Crop(4, 11, 10, 7)
    assert declared_crop(tmp_path / "a.mkv", frozenset({"matroska", "webm"}), 0) == Crop()
    (tmp_path / "a.mkv").write_bytes(b"\x1a\x45\xdf\xa3\x00" + bytes(100))
    assert declared_crop(tmp_path / "a.mkv", frozenset({"matroska"}), 0) == Crop()


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_hdr_is_told(tmp_path: Path, transfer: str, name: str):
    path = write_movie(tmp_path / "a.mp4", [picture()] * 2, **{"x264-params": f"transfer={transfer}"})
    assert remarks(path) == ["hdr"]
    (remark,) = probe(path).remarks
    assert name in remark.text


def test_colours_that_cannot_be_converted_are_refused(tmp_path: Path):
    path = write_movie(tmp_path / "a.mp4", [picture()], pix_fmt="yuv444p", **{"x264-params": "colormatrix=YCgCo"})
    with pytest.raises(VideoError, match=r"a\.mp4: FFmpeg cannot make RGB of its pixels \(yuv444p, colour space 8\)"):
        images(path)


CASES = {
    "hflip.mp4": (2, lambda p: p[:, ::-1]),
    "vflip.mp4": (4, lambda p: p[::-1]),
    "exif2.jpg": (2, lambda p: p[:, ::-1]),
    "exif4.jpg": (4, lambda p: p[::-1]),
}


@pytest.mark.parametrize("name", CASES)
def test_real_mirrored_files(shared_data: Path, name: str):
    path = shared_data / "cases" / name
    orientation, expected = CASES[name]
    with av.open(str(path)) as container:  # which turns nothing
        stored = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    shown = images(path)
    assert len(shown) == len(stored)
    for image, before in zip(shown, stored, strict=True):
        np.testing.assert_array_equal(image, expected(before))
    assert probe(path).orientation == orientation


def test_real_oblong_pixels(shared_data: Path):
    shown = images(shared_data / "cases" / "sar2.mp4")
    squeezed_from = images(shared_data / "crema_d" / "VideoFlash" / "1001_DFA_ANG_XX.flv")[:24]
    assert [image.shape for image in shown] == [(360, 480, 3)] * 24
    greys = [[cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(int) for i in images] for images in (shown, squeezed_from)]
    assert np.mean([np.abs(a - b).mean() for a, b in zip(*greys, strict=True)]) < 1.4


def test_pictures_in_tiles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_movie(tmp_path / "a.mp4", [picture()])
    monkeypatch.setattr(av.VideoStream, "disposition", 1 << 19, raising=False)
    with pytest.raises(VideoError, match="tiles"):
        images(path)
