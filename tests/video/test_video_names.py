"""Whatever a file is called, it is that file which is read, and none of those that its name could mean."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midas_dfer.clips.preparing.extract import read_frames
from midas_dfer.errors import VideoError
from midas_dfer.video.read import iter_frames, probe
from tests.support.media import save_still, write_movie

GREY, DECOY = 60, 200

# A name (without suffix), and one that a program would read instead if it took the name for a pattern.
NAMES = [
    ("p%d", "p1"),
    ("p%03d", "p001"),
    ("p%2d", "p 1"),
    ("100%done", "1001one"),
    ("50%", "50"),
    ("%%", "%"),
    ("a*", "ab"),
    ("a?", "ab"),
    ("a[bc]", "ab"),
    ("a{b,c}", "ab"),
    ("-i", "i"),
    ("a b", "a"),
    (" a", "a"),
    ("it's", "its"),
    ('say "a"', "say a"),
    ("back\\slash", "backslash"),
    ("new\nline", "new"),
    ("concat:a|b", "a"),
    ("subfile,,start,0,end,9,,:a", "a"),
    ("http:a", "a"),
    ("file:a", "a"),
    ("data:a", "a"),
    ("pipe:0", "0"),
    ("$HOME", "HOME"),
    ("~", "home"),
    (".hidden", "hidden"),
    ("café", "cafe"),
]


def plain(level: int) -> np.ndarray:
    return np.full((16, 16, 3), level, np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, int], None]:
    """Writes a file of one grey level, of the kind that its suffix says."""
    folder = tmp_path_factory.mktemp("made")

    def write(path: Path, level: int) -> None:
        source = folder / f"{level}{path.suffix}"
        if not source.exists():
            save_still(source, plain(level)) if path.suffix != ".mp4" else write_movie(source, [plain(level)] * 2)
        path.write_bytes(source.read_bytes())

    return write


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".gif", ".mp4"])
def test_names_are_taken_literally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made, suffix: str):
    for number, (name, decoy) in enumerate(NAMES):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        made(folder / (decoy + suffix), DECOY)
        made(folder / (name + suffix), GREY)
        for path in (folder / (name + suffix), Path(name + suffix)):
            frames = list(iter_frames(path))
            assert [abs(float(frame.image.mean()) - GREY) < 3 for frame in frames] == [True] * len(frames), name
            assert len(frames) == (2 if suffix == ".mp4" else 1)
            assert (probe(path).width, probe(path).height) == (16, 16)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".gif", ".mp4", ".pgm"])
def test_junk_is_refused_whatever_lies_beside_it(tmp_path: Path, made, suffix: str):
    for number, (name, decoy) in enumerate(NAMES[:9]):
        folder = tmp_path / str(number)
        folder.mkdir()
        if suffix == ".pgm":
            (folder / (decoy + suffix)).write_bytes(b"P5 2 2 255\nabcd")
        else:
            made(folder / (decoy + suffix), DECOY)
        (folder / (name + suffix)).write_bytes(b"junk")
        for read in (probe, lambda path: list(iter_frames(path))):
            with pytest.raises(VideoError):
                read(folder / (name + suffix))


def test_names_in_a_folder_of_pictures(tmp_path: Path, made):
    for n, (name, _) in enumerate(NAMES):
        made(tmp_path / f"{name}.png", 4 * n)
    levels = [round(float(frame.image.mean())) for frame in read_frames(tmp_path)]
    assert sorted(levels) == [4 * n for n in range(len(NAMES))]


@pytest.mark.parametrize("name", ["http://localhost/a.mp4", "concat:a.mp4|b.mp4", "rtsp://a", "pipe:0"])
def test_addresses_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made, name: str):
    made(tmp_path / "a.mp4", GREY)
    made(tmp_path / "b.mp4", GREY)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match="no such file"):
        probe(Path(name))
