"""Frames in which two moments are woven come out as one moment each; times and count stay."""

from pathlib import Path

import av
import numpy as np
import pytest

from midas_dfer.clips.preparing.extract import read_frames
from midas_dfer.errors import DamagedVideoError
from midas_dfer.video.read import iter_frames, probe
from tests.support.media import picture, write_movie


def film(count: int, shape: tuple[int, int] = (64, 128)) -> list[np.ndarray]:
    """A coloured wave with slanted, soft edges that runs over the upper half; the lower half stands still."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    frames = []
    for n in range(count):
        image = picture(height, width)
        wave = np.sin((columns - 8 * n + rows / 4) * (2 * np.pi / 64))[: height // 2]
        image[: height // 2] = np.stack([120 + 60 * wave, 120 + 60 * wave, 120 - 30 * wave], axis=2).astype(np.uint8)
        frames.append(image)
    return frames


def woven(frames: list[np.ndarray], first_row: int = 0) -> list[np.ndarray]:
    """Every other row from the first of each pair, the rows between from the second."""
    pairs = []
    for first, second in zip(frames[::2], frames[1::2], strict=True):
        image = second.copy()
        image[first_row::2] = first[first_row::2]
        pairs.append(image)
    return pairs


def woven_with_chroma(frames: list[np.ndarray], first_row: int = 0) -> list[av.VideoFrame]:
    """The same in 4:2:0 as cameras write it: each field has colours of its own."""
    height, width = frames[0].shape[:2]
    results = []
    for pair in zip(frames[::2], frames[1::2], strict=True):
        planes = [np.empty((rows, columns), np.uint8) for rows, columns in _plane_shapes(height, width)]
        for row, image in zip((first_row, 1 - first_row), pair, strict=True):
            field = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[row::2]), format="rgb24")
            data, start = field.to_ndarray(format="yuv420p").reshape(-1), 0
            for plane, (rows, columns) in zip(planes, _plane_shapes(height // 2, width), strict=True):
                plane[row::2] = data[start : start + rows * columns].reshape(rows, columns)
                start += rows * columns
        stacked = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, width)
        results.append(av.VideoFrame.from_ndarray(stacked, format="yuv420p"))
    return results


def _plane_shapes(height: int, width: int) -> list[tuple[int, int]]:
    return [(height, width), (height // 2, width // 2), (height // 2, width // 2)]


def error(shown: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(shown.astype(int) - expected)[4:28].mean())


CASES = [
    ("a.mp4", "libx264", "yuv420p", "tff", {"qp": "4"}),
    ("a.mp4", "libx264", "yuv420p", "bff", {"qp": "4"}),
    ("a.mkv", "libx264", "yuv422p", "tff", {"qp": "4"}),
    ("a.mpg", "mpeg2video", "yuv420p", "tff", {"b": "9000k"}),
    ("a.mpg", "mpeg2video", "yuv420p", "bff", {"b": "9000k"}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "fields", "options"), CASES)
def test_each_frame_is_one_moment(tmp_path: Path, name: str, codec: str, pix_fmt: str, fields: str, options: dict):
    moments, first = film(20), int(fields == "bff")
    settings = {"codec": codec, "pix_fmt": pix_fmt, **options}
    weave = woven_with_chroma if pix_fmt == "yuv420p" else woven
    path = write_movie(tmp_path / name, weave(moments, first), fields=fields, **settings)
    told = []
    frames = list(iter_frames(path, tell=told.append))
    assert [frame.index for frame in frames] == list(range(10))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(10) / 25, atol=1e-3)
    assert [remark.kind for remark in told] == ["interlaced"]
    assert [remark.kind for remark in probe(path).remarks] == ["interlaced"]
    for n, frame in enumerate(frames[1:-1], start=1):
        wrong = error(woven(moments, first)[n], moments[2 * n])
        assert error(frame.image, moments[2 * n]) < wrong / 3
        # What stands still stays, but for hard edges of colour: in 4:2:0 each field has half as many lines of it.
        assert np.abs(frame.image.astype(int) - moments[0])[36:60].mean() < 10
    some = list(iter_frames(path, wanted={2, 7}.__contains__))
    assert [frame.index for frame in some] == [2, 7]
    np.testing.assert_array_equal(some[1].image, frames[7].image)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_ones(tmp_path: Path, count: int):
    path = write_movie(tmp_path / "a.mp4", woven(film(2 * count)), fields="tff")
    assert len(list(iter_frames(path))) == count
    assert probe(path).num_frames == count


def test_frames_before_damage_all_come(tmp_path: Path):
    path = write_movie(tmp_path / "a.mkv", woven(film(40)), fields="tff", g="5", bf="0")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    frames = []
    with pytest.raises(DamagedVideoError) as caught:
        frames.extend(iter_frames(path))
    assert 0 < len(frames) == caught.value.frames_read < 20
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_progressive_frames_are_untouched(tmp_path: Path):
    path = write_movie(tmp_path / "a.mp4", film(4), qp="0", pix_fmt="yuv444p", codec="libx264")
    told = []
    for frame, moment in zip(read_frames(path, tell=told.append), film(4), strict=True):
        assert np.abs(frame.image[..., ::-1].astype(int) - moment).max() <= 3
    assert told == []


def test_too_small_to_be_filled_up(tmp_path: Path):
    path = write_movie(tmp_path / "a.mkv", woven(film(4, (2, 16))), codec="mpeg2video", fields="tff")
    assert [frame.image.shape for frame in iter_frames(path)] == [(2, 16, 3)] * 2


def test_pictures_of_one_field_are_heightened(tmp_path: Path):
    fields = [image[::2] for image in film(6, (64, 128))]
    options = {"x265-params": "interlace=tff:log-level=none", "crf": "8"}
    path = write_movie(tmp_path / "a.mp4", fields, codec="libx265", **options)
    told = []
    frames = list(iter_frames(path, tell=told.append))
    assert [frame.image.shape for frame in frames] == [(64, 128, 3)] * 6
    assert [remark.kind for remark in told] == ["fields"]
    assert (probe(path).width, probe(path).height) == (128, 64)


def test_containers_that_say_what_their_pictures_do_not_are_told(tmp_path: Path):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        stream.codec_context.field_order = 2  # the upper field first
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(picture(seed=number), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    told = []
    for number, frame in enumerate(iter_frames(tmp_path / "a.mov", tell=told.append)):
        np.testing.assert_array_equal(frame.image, picture(seed=number))
    assert [remark.kind for remark in told] == ["interlaced?"]


def test_real_interlaced_clip_is_combed_no_more(shared_data: Path):
    def combing(image: np.ndarray) -> float:
        grey = image.astype(float).mean(axis=2)[59:221, 190:290]
        return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())

    frames = list(iter_frames(shared_data / "cases" / "interlaced.mp4"))
    assert len(frames) == 12
    assert np.mean([combing(frame.image) for frame in frames]) < 2.7  # 3.64 as stored, 2.87 before it was interlaced
