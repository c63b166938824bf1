"""Writing videos: what was written is read back, whole or not at all."""

import errno
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from midas_dfer.errors import JobError, RequestError
from midas_dfer.video import write
from midas_dfer.video.write import VideoWriter, write_video


def ramp(number: int, width: int = 48, height: int = 32) -> np.ndarray:
    """A smooth picture that says by its grey level which frame it is."""
    level = 40 + 20 * number + np.linspace(0, 30, width)[None, :, None]
    return np.broadcast_to(level, (height, width, 3)).astype(np.uint8)


def read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [float(frame.time) for frame in frames]


@pytest.mark.parametrize(
    ("rate", "exact"), [(25, Fraction(25)), (29.97, Fraction(30000, 1001)), (12.5, Fraction(25, 2))]
)
def test_round_trip(tmp_path: Path, rate: float, exact: Fraction) -> None:
    path = tmp_path / "ramp.mp4"
    frames = [ramp(number) for number in range(7)]
    write_video(path, iter(frames), rate)
    images, times = read(path)
    assert len(images) == 7
    for image, frame in zip(images, frames, strict=True):
        assert np.abs(image.astype(int) - frame).max() <= 4
    assert times == pytest.approx([float(number / exact) for number in range(7)], abs=2e-5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == exact
        assert stream.frames == 7
        assert float(stream.duration * stream.time_base) == pytest.approx(float(7 / exact), abs=1e-4)
    assert [found.name for found in tmp_path.iterdir()] == ["ramp.mp4"]


def test_red_is_red(tmp_path: Path) -> None:
    red = np.zeros((32, 32, 3), dtype=np.uint8)
    red[..., 0] = 200
    write_video(tmp_path / "red.mp4", [red], 25)
    means = read(tmp_path / "red.mp4")[0][0].mean(axis=(0, 1))
    assert means == pytest.approx([200, 0, 0], abs=6)


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    grain = np.random.default_rng(0).integers(0, 255, (5, 32, 48, 3)).astype(np.uint8)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, grain, 25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    write_video(tmp_path / "c.mp4", grain[::-1], 25)
    assert (tmp_path / "c.mp4").read_bytes() != (tmp_path / "a.mp4").read_bytes()


def test_variable_frame_rate(tmp_path: Path) -> None:
    path = tmp_path / "variable.mp4"
    times = [0.0, 0.1, 0.15, 0.4]
    with VideoWriter(path, 48, 32, 25) as writer:
        for number, time in enumerate(times):
            writer.write(ramp(number), time)
        writer.write(ramp(4))  # without a time: a 25th of a second after the last
    assert read(path)[1] == pytest.approx([*times, 0.44], abs=2e-5)


def test_odd_sizes_are_padded_with_their_edge(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    write_video(path, [ramp(2, width=47, height=31)], 25)
    image = read(path)[0][0]
    assert image.shape == (32, 48, 3)
    assert np.abs(image[:, 46].astype(int) - image[:, 47]).max() <= 3
    assert np.abs(image[:31, :47].astype(int) - ramp(2, width=47, height=31)).max() <= 5


def test_an_exception_leaves_the_earlier_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, [ramp(0)], 25)
    before = path.read_bytes()

    def broken():
        yield ramp(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_video(path, broken(), 25)

    def interrupted():
        with VideoWriter(path, 48, 32, 25) as writer:
            writer.write(ramp(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["video.mp4"]


def test_wrong_requests(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(RequestError, match="without frames"):
        write_video(path, [], 25)
    with pytest.raises(RequestError, match="without frames"), VideoWriter(path, 48, 32, 25):
        pass
    with pytest.raises(RequestError, match=r"Frame 1 .* one size"):
        write_video(path, [ramp(0), ramp(0, width=50)], 25)
    with pytest.raises(RequestError, match="Frame rate"):
        write_video(path, [ramp(0)], 0)
    with pytest.raises(RequestError, match="0x32"):
        VideoWriter(path, 0, 32, 25)
    writer = VideoWriter(path, 48, 32, 25)
    writer.write(ramp(0), 0.2)
    with pytest.raises(RequestError, match="not later"):
        writer.write(ramp(1), 0.2)
    writer.discard()
    with pytest.raises(RequestError, match="does not exist"):
        write_video(tmp_path / "missing" / "video.mp4", [ramp(0)], 25)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write.Path, "replace", full)
    with pytest.raises(JobError, match="disk is full"):
        write_video(tmp_path / "video.mp4", [ramp(0)], 25)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(write.tempfile, "mkstemp", full)
    with pytest.raises(JobError, match="disk is full"):
        write_video(tmp_path / "video.mp4", [ramp(0)], 25)
