"""Videos are read in order, with right times, and damage is reported."""

import io
import itertools
import os
import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from midas_dfer.errors import DamagedVideoError, VideoError
from midas_dfer.video.clock import Clock
from midas_dfer.video.opening import check_size
from midas_dfer.video.pictures import list_pictures
from midas_dfer.video.read import iter_frames, probe

REAL = {
    "WolfgangLanger_Pexels.mp4": 472,
    "again.mkv": 77,
    "av1_video.mkv": 125,
    "bbaf2n.mpg": 75,
    "brbk7n.mpg": 75,
    "cap12_edit.webm": 1316,
    "carphone_distorted.mp4": 120,
    "carphone_pristine.mp4": 120,
    "d10.mp4": 448,
    "d11.mp4": 225,
    "d12.mp4": 183,
    "d18.mp4": 216,
    "d19.mp4": 250,
    "d3.mp4": 354,
    "d6.mp4": 1008,
    "face_noface.mov": 169,
    "h264_10bits.mp4": 30,
    "h265_video.mp4": 10,
    "multi_face.jpg": 1,
    "no_face.mp4": 95,
    "park.mp4": 17,
    "single_face.jpg": 1,
    "single_face.mp4": 72,
    "video_0.mov": 3,
    "video_180.mov": 3,
    "video_90.mov": 3,
    "yes.mkv": 65,
}


def write_video(
    path: Path,
    num_frames: int = 40,
    *,
    ticks: Sequence[int] | None = None,
    codec: str = "libx264",
    gop: int = 12,
    rotation: int = 0,
    sound_seconds: float = 0.0,
    **options: str,
) -> None:
    """A video of 96x64 at 25 frames per second, in which frame i is grey level 4 i, with some noise on the left.

    `ticks` are the presentation times in ms.
    """
    noise = np.random.default_rng(0).integers(0, 255, (200, 32, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.gop_size = gop
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        sound = container.add_stream("aac", rate=8000) if sound_seconds else None
        for i in range(num_frames):
            image = np.full((64, 96, 3), 4 * i, dtype=np.uint8)
            image[:32, :32] = noise[i : i + 32]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = i if ticks is None else ticks[i]
            if ticks is not None:
                frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            for i in range(round(sound_seconds * 8000 / 1024)):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.sample_rate, frame.pts = 8000, 1024 * i
                container.mux(sound.encode(frame))
            container.mux(sound.encode())


def read_damaged(path: Path) -> tuple[list, DamagedVideoError]:
    frames = []
    with pytest.raises(DamagedVideoError) as caught:
        frames.extend(iter_frames(path))  # extend keeps what came before the error
    return frames, caught.value


def levels(frames) -> list[int]:
    return [round(float(frame.image[32:, 48:].mean()) / 4) for frame in frames]


@pytest.mark.parametrize(("name", "count"), REAL.items())
def test_real_files_give_all_their_frames(shared_data: Path, name: str, count: int):
    path = shared_data / "videos" / name
    indices = []
    frames = list(iter_frames(path, wanted=lambda i: indices.append(i) or i == count - 1))
    assert indices == list(range(count))
    info = probe(path)
    assert frames[0].image.shape == (info.height, info.width, 3)
    if count > 1:
        assert info.duration == pytest.approx(frames[0].time, abs=0.1)
        assert info.frame_rate == pytest.approx((count - 1) / frames[0].time, rel=0.05)


def test_real_damaged_file_gives_its_good_frames(shared_data: Path, capfd):
    path = shared_data / "videos" / "corrupted.mp4"
    frames, error = read_damaged(path)
    assert len(frames) == error.frames_read == 28
    assert error.time == pytest.approx(2.7)
    assert "corrupted.mp4: damaged after frame 28 of 50 (2.7 s)" in str(error)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["video_0.mov", "video_90.mov", "video_180.mov"])
def test_real_rotation_is_opencvs(shared_data: Path, name: str):
    path = shared_data / "videos" / name
    capture = cv2.VideoCapture(str(path))
    count = 0
    for frame in iter_frames(path, pixel_format="bgr24"):
        ok, expected = capture.read()
        assert ok
        assert frame.image.shape == expected.shape
        assert np.abs(frame.image.astype(int) - expected).mean() < 0.5
        count += 1
    assert count == 3
    capture.release()


def test_frames_in_order_with_times(tmp_path: Path):
    write_video(tmp_path / "a.mp4")
    frames = list(iter_frames(tmp_path / "a.mp4"))
    assert levels(frames) == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(40) / 25)


def test_only_wanted_frames(tmp_path: Path):
    write_video(tmp_path / "a.mp4")
    every = list(iter_frames(tmp_path / "a.mp4"))
    some = list(iter_frames(tmp_path / "a.mp4", wanted={3, 17, 39}.__contains__))
    assert [frame.index for frame in some] == [3, 17, 39]
    for frame in some:
        assert frame.time == every[frame.index].time
        np.testing.assert_array_equal(frame.image, every[frame.index].image)


def test_channel_orders_are_each_others_mirror(tmp_path: Path):
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200
    Image.fromarray(image).save(tmp_path / "red.png")
    (rgb,) = iter_frames(tmp_path / "red.png")
    (bgr,) = iter_frames(tmp_path / "red.png", pixel_format="bgr24")
    np.testing.assert_array_equal(rgb.image, image)
    np.testing.assert_array_equal(bgr.image, image[..., ::-1])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate(tmp_path: Path, suffix: str):
    ticks = [100, 140, 150, 400, 1000, 1033, 1066, 3000]
    write_video(tmp_path / f"a{suffix}", 8, ticks=ticks)
    frames = list(iter_frames(tmp_path / f"a{suffix}"))
    assert levels(frames) == list(range(8))
    np.testing.assert_allclose([f.time for f in frames], (np.array(ticks) - 100) / 1000, atol=1e-3)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_written_rotation_is_undone(tmp_path: Path, rotation: int):
    write_video(tmp_path / "plain.mp4", 3)
    write_video(tmp_path / "turned.mp4", 3, rotation=rotation)
    plain = next(iter_frames(tmp_path / "plain.mp4")).image
    turned = next(iter_frames(tmp_path / "turned.mp4")).image
    info = probe(tmp_path / "turned.mp4")
    np.testing.assert_array_equal(turned, np.rot90(plain, rotation // 90))
    assert info.orientation == {90: 8, 180: 3, -90: 6}[rotation]
    assert (info.height, info.width) == turned.shape[:2]
    assert turned.flags.c_contiguous


def test_orientation_of_photographs(tmp_path: Path):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    Image.fromarray(image).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (frame,) = iter_frames(tmp_path / "a.jpg")
    np.testing.assert_allclose(frame.image, np.rot90(image, -1), atol=3)


def test_nothing_is_held_after_the_consumer_stops(tmp_path: Path):
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc")
    path = tmp_path / "a.mp4"
    write_video(path)
    asked = []
    frames = iter_frames(path, wanted=lambda i: asked.append(i) or True)

    def is_open() -> bool:
        return any(os.path.realpath(entry) == str(path) for entry in folder.iterdir())

    assert len(list(itertools.islice(frames, 2))) == 2
    assert is_open()
    frames.close()
    assert not is_open()
    assert asked == [0, 1]


@pytest.mark.parametrize("fraction", [0.4, 0.7, 0.95, 0.999])
def test_mp4_cut_in_its_data(tmp_path: Path, fraction: float):
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    write_video(whole, movflags="faststart")
    data = whole.read_bytes()
    start = data.index(b"mdat")
    cut.write_bytes(data[: start + int(fraction * (len(data) - start))])
    frames, error = read_damaged(cut)
    assert 0 < len(frames) < 40
    assert levels(frames) == list(range(len(frames)))
    assert error.frames_read == len(frames)
    assert error.time == frames[-1].time
    assert f"after frame {len(frames)} of 40" in str(error)


@pytest.mark.parametrize("fraction", [0.6, 0.8])
@pytest.mark.parametrize("suffix", [".mkv", ".flv", ".avi"])
def test_other_containers_cut_in_their_data(tmp_path: Path, suffix: str, fraction: float):
    write_video(tmp_path / f"whole{suffix}", codec="mpeg4" if suffix == ".avi" else "libx264")
    data = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(fraction * len(data))])
    assert len(list(iter_frames(tmp_path / f"whole{suffix}"))) == 40
    with pytest.raises(VideoError, match=r"cut|early|part|packets"):
        list(iter_frames(tmp_path / f"cut{suffix}"))


def test_overwritten_data_stop_the_reading(tmp_path: Path):
    path = tmp_path / "a.mp4"
    write_video(path, gop=10, bf="0")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        positions = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    place, size = positions[20]
    data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    frames, _ = read_damaged(path)
    assert levels(frames) == list(range(len(frames)))
    assert 15 <= len(frames) <= 20


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mkv", {}), ("a.mp4", {}), ("a.flv", {}), ("a.mp4", {"movflags": "frag_keyframe+empty_moov"})],
)
def test_sound_that_outlasts_the_pictures_is_no_damage(tmp_path: Path, name: str, options: dict):
    write_video(tmp_path / name, 20, sound_seconds=4.0, **options)
    assert levels(iter_frames(tmp_path / name)) == list(range(20))


def test_fewer_frames_than_declared(tmp_path: Path):
    path = tmp_path / "a.avi"
    write_video(path, codec="mpeg4")
    data = bytearray(path.read_bytes())
    place = data.index(b"strh") + 40
    assert data[place : place + 4] == struct.pack("<I", 40)
    for declared, damaged in ((42, False), (80, True)):
        data[place : place + 4] = struct.pack("<I", declared)
        path.write_bytes(data)
        if damaged:
            frames, error = read_damaged(path)
            assert f"after frame 40 of {declared} (1.6 s): its data end after 40 of" in str(error)
            assert len(frames) == 40
        else:
            assert len(list(iter_frames(path))) == 40


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_stream_joined_in_its_middle(tmp_path: Path, codec: str):
    write_video(tmp_path / "whole.ts", gop=10, codec=codec)
    data = (tmp_path / "whole.ts").read_bytes()
    packets = len(data) // 188
    (tmp_path / "joined.ts").write_bytes(data[: 3 * 188] + data[188 * (packets // 3) :])
    found = levels(iter_frames(tmp_path / "joined.ts"))
    assert len(found) >= 15
    assert found == list(range(found[0], 40))


def test_cover_picture_of_a_sound_file_is_no_video(tmp_path: Path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg")
        cover.width = cover.height = 16
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with pytest.raises(VideoError, match="only sound"):
        probe(path)


def test_name_that_is_no_unicode(tmp_path: Path):
    write_video(tmp_path / "a.mp4", 3)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    (tmp_path / "a.mp4").rename(path)
    assert probe(path).num_frames == 3


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_args, **_settings):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setattr(av, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(VideoError, match="may not be read"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "box",
    [struct.pack(">I4sQ", 1, b"mdat", 116), struct.pack(">I4s", 0, b"mdat"), struct.pack(">I4s", 3, b"mdat")],
    ids=["64-bit length", "to the end of the file", "impossible length"],
)
def test_missing_index_after_any_data_box(tmp_path: Path, box: bytes):
    (tmp_path / "a.mp4").write_bytes(struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + box + bytes(100))
    with pytest.raises(VideoError, match=r"moov box. is missing"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize(("past_moov", "reason"), [(-200, "missing"), (100, "cut off")])
def test_missing_index_is_named(tmp_path: Path, past_moov: int, reason: str):
    path = tmp_path / "a.mp4"
    write_video(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") + past_moov])
    with pytest.raises(VideoError, match=rf"a\.mp4: its index \(the moov box\) is {reason}"):
        list(iter_frames(path))


def sound_only() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    return buffer.getvalue()


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize("read", [lambda path: list(iter_frames(path)), probe], ids=["iter_frames", "probe"])
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"hello\n" * 500, "not a video"),
        ("noise.avi", np.random.default_rng(0).bytes(5000), "not a video|nothing can be read|no frame"),
        ("script.mp4", b"ffconcat version 1.0\nfile other.mkv\n", "not a video"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n", "not a video"),
        ("sound.wav", sound_only(), "only sound"),
        ("huge.png", png(60000, 60000), "size"),
        ("short.png", png(64, 64), "nothing can be read"),
    ],
)
def test_what_is_no_video(tmp_path: Path, capfd, read, name: str, content: bytes, reason: str):
    (tmp_path / "other.mkv").write_bytes(b"")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=reason) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)
    assert not isinstance(caught.value, DamagedVideoError)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, reason in {"": "folder", "none.mp4": "no such file", "pipe.mp4": "pipe"}.items():
        with pytest.raises(VideoError, match=reason):
            list(iter_frames(tmp_path / name))


def test_half_a_photograph_is_refused(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match="nothing can be read"):
        list(iter_frames(tmp_path / "a.jpg"))


def test_sizes_beyond_reason():
    check_size(7680, 4320, Path("8k.mp4"))
    with pytest.raises(VideoError, match="40000x30000"):
        check_size(40000, 30000, Path("a.mp4"))


stamps = st.lists(st.one_of(st.none(), st.floats(-1e4, 1e4)), min_size=1, max_size=50)


@given(stamps, st.floats(1e-3, 1.0))
def test_times_start_at_zero_and_increase(stamps: list[float | None], interval: float):
    clock = Clock(interval)
    times = [clock.tick(stamp) for stamp in stamps]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))


@given(st.lists(st.floats(0.001, 100.0), max_size=50), st.floats(-100, 100))
def test_good_timestamps_are_kept(steps: list[float], start: float):
    stamps = [start, *(start + step for step in itertools.accumulate(steps))]
    clock = Clock(0.04)
    np.testing.assert_allclose([clock.tick(s) for s in stamps], np.array(stamps) - start, atol=1e-9)


def test_bad_timestamps_are_mended_as_documented():
    clock = Clock(0.04)
    stamps = [5.0, 5.04, None, 5.06, 5.12, 0.0, 0.04]
    times = [clock.tick(stamp) for stamp in stamps]
    np.testing.assert_allclose(times, [0.0, 0.04, 0.08, 0.081, 0.12, 0.16, 0.20])


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("10.jpg", "2.jpg", "a1.jpg", "1²2.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "3.jpg").mkdir()
    assert [p.name for p in list_pictures(tmp_path)] == ["1²2.jpg", "2.jpg", "10.jpg", "a1.jpg"]
    (tmp_path / "none").mkdir()
    with pytest.raises(VideoError, match="no pictures"):
        list_pictures(tmp_path / "none")
