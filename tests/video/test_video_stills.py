"""Picture files: every kind as Pillow reads it, the same alone and in a folder, and damage is told."""

import contextlib
import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from midas_dfer.clips.preparing.extract import ClipExtractor, read_frames
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import DamagedVideoError, VideoError
from midas_dfer.video.pictures import decode_picture
from midas_dfer.video.read import iter_frames, probe
from midas_dfer.video.stills import exif_orientation
from tests.support.media import picture, save_still, write_movie


def photograph(side: int = 64) -> np.ndarray:
    """A picture with soft and hard edges, as cameras make them."""
    blocks = picture(side, side).astype(float)
    noise = np.random.default_rng(1).normal(0, 6, (side, side, 3))
    return np.clip(cv2.GaussianBlur(blocks, (0, 0), 1.5) + noise, 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, **settings) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **{"quality": 90, **settings})
    return buffer.getvalue()


def remarks(path: Path) -> list[str]:
    told = []
    for _ in read_frames(path, tell=told.append):
        pass
    return [remark.kind for remark in told]


def encodings() -> list[bytes]:
    image = photograph()
    big = np.ascontiguousarray(image[:51, :45])
    odd = [jpeg(big, subsampling=s, quality=q) for s in (0, 1, 2) for q in (5, 40, 100)]
    flat = [jpeg(np.full((33, 47, 3), level, np.uint8)) for level in (0, 90, 255)]
    own = [bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_RST_INTERVAL, n])[1]) for n in (0, 1, 3)]
    grey = [jpeg(image[..., 0]), jpeg(image, progressive=True), jpeg(image, optimize=True), jpeg(image[:8, :8])]
    return odd + flat + own + grey + [jpeg(image) + b"trailing bytes of a camera"]


@pytest.mark.parametrize("data", encodings())
def test_sound_jpegs_give_no_remark(tmp_path: Path, data: bytes):
    (tmp_path / "a.jpg").write_bytes(data)
    assert remarks(tmp_path / "a.jpg") == []
    (frame,) = iter_frames(tmp_path / "a.jpg")
    with Image.open(io.BytesIO(data)) as opened:
        assert np.abs(frame.image.astype(int) - np.asarray(opened.convert("RGB"))).mean() < 16


@pytest.mark.parametrize("kind", ["cut out", "overwritten"])
def test_most_jpegs_with_wrong_blocks_are_told(tmp_path: Path, kind: str):
    whole = jpeg(photograph(160))
    reference = decode_picture(whole)
    rng = np.random.default_rng(0)
    told = silent = 0
    for _ in range(40):
        data = bytearray(whole)
        place, length = int(rng.integers(700, len(data) - 450)), int(rng.choice([40, 400]))
        data[place : place + length] = b"" if kind == "cut out" else b"\x55" * length
        (tmp_path / "a.jpg").write_bytes(data)
        try:
            wrong = remarks(tmp_path / "a.jpg") == ["loose_blocks"]
        except VideoError:
            wrong = True
        told += wrong
        silent += not wrong and np.abs(decode_picture(bytes(data)).astype(int) - reference).mean() > 0.5
    assert told > silent


def test_half_a_picture_is_told_alone_and_in_a_folder(tmp_path: Path):
    for suffix, settings in {".jpg": {}, ".png": {}, ".webp": {}, ".tif": {"compression": "tiff_lzw"}}.items():
        path = save_still(tmp_path / f"a{suffix}", photograph(), **settings)
        data = path.read_bytes()
        for share in (0.3, 0.6, 0.95):
            path.write_bytes(data[: int(share * len(data))])
            with pytest.raises(VideoError, match=f"a{suffix}"):
                list(iter_frames(path))
            with pytest.raises(DamagedVideoError, match=f"a{suffix}"):
                list(read_frames(tmp_path))
        path.unlink()


def test_data_that_end_before_or_behind_the_picture_are_told(tmp_path: Path):
    data, path = jpeg(photograph()), tmp_path / "a.jpg"
    path.write_bytes(data[:-2] + b"\x55" * 40 + data[-2:])
    assert remarks(path) == ["loose_blocks"]
    path.write_bytes(data[:-12] + data[-2:])
    with contextlib.suppress(VideoError):  # or it is noticed while decoding
        assert remarks(path) == ["loose_blocks"]


@pytest.mark.parametrize("place", [b"PLTE", b"IDAT"])
def test_changed_bytes_of_a_png_are_told(tmp_path: Path, place: bytes):
    Image.fromarray(photograph()).convert("P").save(tmp_path / "a.png", compress_level=0)
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[data.index(place) + 50] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(VideoError, match="nothing can be read"):
        probe(tmp_path / "a.png")


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"]
COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"]


KINDS = [(m, c) for m in MODES for c in COMPRESSIONS if not (c == "jpeg" and m in ("1", "P"))]


@pytest.mark.parametrize(("mode", "compression"), KINDS)
def test_tiff_of_all_kinds(tmp_path: Path, mode: str, compression: str | None):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(photograph()).convert(mode)
    image.save(tmp_path / "a.tif", compression=compression, exif=exif)
    expected = np.rot90(np.asarray(image.convert("RGB")), -1).astype(int)
    (frame,) = iter_frames(tmp_path / "a.tif")
    assert np.abs(frame.image - expected).mean() < (6 if compression == "jpeg" else 1.1)
    (in_folder,) = read_frames(tmp_path)
    np.testing.assert_array_equal(in_folder.image[..., ::-1], frame.image)


def test_tiff_of_16_bits(tmp_path: Path):
    image = np.arange(64 * 48 * 3, dtype=np.uint16).reshape(64, 48, 3) * 7
    for name, stored in {"grey": image[..., 0], "colour": image}.items():
        cv2.imwrite(str(tmp_path / f"{name}.tif"), stored)
        (frame,) = iter_frames(tmp_path / f"{name}.tif", pixel_format="bgr24")
        expected = image[..., :1].repeat(3, axis=2) if name == "grey" else image
        assert np.abs(frame.image - expected / 257.0).max() < 1.5


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_tiff_of_several_pages_is_told(tmp_path: Path, suffix: str):
    pages = [Image.fromarray(picture(seed=n)) for n in range(3)]
    pages[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=pages[1:])
    (frame,) = iter_frames(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(frame.image, picture(seed=0))
    assert remarks(tmp_path / f"a{suffix}") == ["pages"]


def test_floating_point_tiff_is_refused(tmp_path: Path):
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match=r"a\.tif: nothing can be read"):
        probe(tmp_path / "a.tif")


def test_animated_webp_says_so(tmp_path: Path):
    pages = [Image.fromarray(picture(seed=n)) for n in range(3)]
    pages[0].save(tmp_path / "a.webp", save_all=True, append_images=pages[1:], duration=40)
    for read in (probe, lambda path: list(iter_frames(path)), lambda path: list(read_frames(path.parent))):
        with pytest.raises(VideoError, match=r"animated WebP.*convert it to MP4"):
            read(tmp_path / "a.webp")


def test_animated_png_is_a_video_by_its_name_and_else_told(tmp_path: Path):
    pages = [Image.fromarray(picture(seed=n)) for n in range(3)]
    for name in ("a.png", "a.apng"):
        pages[0].save(tmp_path / name, format="PNG", save_all=True, append_images=pages[1:], duration=40)
    assert len(list(iter_frames(tmp_path / "a.apng"))) == 3
    assert len(list(iter_frames(tmp_path / "a.png"))) == 1
    assert remarks(tmp_path / "a.png") == ["animated"]


def test_animated_gif_is_a_video(tmp_path: Path):
    pages = [Image.fromarray(picture(seed=n)) for n in range(3)]
    pages[0].save(tmp_path / "a%d.gif", save_all=True, append_images=pages[1:], duration=40)
    assert len(list(iter_frames(tmp_path / "a%d.gif"))) == 3


def test_content_decides_and_not_the_suffix(tmp_path: Path):
    save_still(tmp_path / "a.png", picture()).rename(tmp_path / "a.jpg")
    (frame,) = iter_frames(tmp_path / "a.jpg")
    np.testing.assert_array_equal(frame.image, picture())


def test_a_video_under_the_name_of_a_picture_is_read_whole(tmp_path: Path):
    path = tmp_path / "a.mp4"
    write_movie(path, [picture(seed=n) for n in range(5)])
    assert len(list(iter_frames(path.rename(tmp_path / "a.jpg")))) == 5


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_text_under_the_name_of_a_picture_is_said_to_be_none(tmp_path: Path, suffix: str):
    (tmp_path / f"a{suffix}").write_text("no picture, but a sentence")
    with pytest.raises(VideoError, match="is not a picture that can be read; JPEG, PNG"):
        next(iter_frames(tmp_path / f"a{suffix}"))


def test_a_link_that_leads_nowhere_is_said_to_be_one(tmp_path: Path):
    (tmp_path / "a.mp4").symlink_to("gone.mp4")
    with pytest.raises(VideoError, match=r"a\.mp4: is a link that leads nowhere \(gone\.mp4\)"):
        next(iter_frames(tmp_path / "a.mp4"))


def test_crops_that_are_squeezed_are_told_once(tmp_path: Path):
    for n, width in enumerate((64, 66, 72, 80)):
        save_still(tmp_path / f"{n}.png", picture(64, width))
    extractor = ClipExtractor(ExtractSettings(faces="cropped", size=64))
    assert len(list(extractor.extract(tmp_path))) == 4
    assert [remark.text for remark in extractor.remarks] == [
        "has face crops that are not square (72x64): they are squeezed to squares"
    ]


def test_face_crops_are_kept_as_they_are_only_if_upright(tmp_path: Path):
    save_still(tmp_path / "1.jpg", picture(64, 64))
    save_still(tmp_path / "2.jpg", picture(64, 64), 4)
    frames = list(ClipExtractor(ExtractSettings(faces="cropped", size=64)).extract(tmp_path))
    assert frames[0].jpeg == (tmp_path / "1.jpg").read_bytes()
    assert exif_orientation(frames[1].jpeg) == 1
    assert np.abs(decode_picture(frames[1].jpeg)[..., ::-1].astype(int) - picture(64, 64)[::-1]).mean() < 8


def test_a_hundred_remarks_of_one_folder_are_one(tmp_path: Path):
    for n in range(4):
        save_still(tmp_path / f"{n}.png", picture(), dpi=(200, 100))
    assert remarks(tmp_path) == ["density"]


def test_declared_sizes_beyond_reason_are_refused_quickly(tmp_path: Path):
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 1 << 20, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(header + bytes(1000))
    with pytest.raises(VideoError, match="megapixels"):
        probe(tmp_path / "a.bmp")
    assert decode_picture((tmp_path / "a.bmp").read_bytes()) is None
