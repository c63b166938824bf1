"""What was named on a command line -> the videos and pictures that are to be read, and what each was taken for.

A folder may hold videos, photographs, or the frames of one video, and nothing in it says which. So it is guessed by
the files' names and sizes, the guess is told, and `pictures` says it where the guess is wrong.
"""

import glob
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from midas_dfer.errors import RequestError
from midas_dfer.files import cannot_read, near_name
from midas_dfer.predict_many.results import is_result
from midas_dfer.predict_many.source import Source
from midas_dfer.video.pictures import FOLDER_FRAME_RATE, natural_order
from midas_dfer.video.suffixes import CLIP_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES
from midas_dfer.wording import count

Pictures = Literal["auto", "frames", "single"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")
_STRAY = 0.1  # of a folder's pictures: where fewer have other names than the frames, nobody can say what it is
_LOOKED_AT = 5  # pictures of a folder that are compared with the next ones
# Mean difference of neighbours in grey, 16x16 pixels: of 20 real videos at most 4 from frame to frame and 16 a second
# apart; of 200 stretches of FER+'s aligned faces of other people, all of one size, at least 47.
_UNLIKE = 30.0
_CAMERA, _TAKEN_AT = 271, 36867  # EXIF: the camera's maker, and when the picture was taken


@dataclass
class Sources:
    """What is to be read.

    Attributes:
        found: each once, in the order of the names, and of the files in them.
        nothing: why there is nothing to read in a folder or file, by its name.
        told: what each folder was taken for, and what was left out, in sentences.
        pictures_in_folders: whether a folder held pictures, of which had to be decided what they are.
    """

    found: list[Source] = field(default_factory=list)
    nothing: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    pictures_in_folders: bool = False


def find_sources(names: Sequence[str], out: Path, pictures: Pictures = "auto") -> Sources:
    """Find what is to be read: files, folders, and patterns such as `videos/*.mp4` (`**` for all folders below).

    What lies in `out` is never read. `pictures` says what pictures in a folder are: frames of one video, single ones,
    or whatever they look like.
    """
    sources = Sources()
    known: set[Path] = set()
    twice = 0
    for name in names:
        for path in _named(name):
            if not os.path.lexists(path):
                sources.nothing[name] = f"{name}: no such file{near_name(path)}"
                continue
            for source in _look_at(path, out, pictures, sources):
                if not _is_text(source.path):
                    named = str(source.path).encode(errors="backslashreplace").decode()
                    sources.nothing[named] = f"{named}: the name is not in UTF-8; rename it and try again"
                    continue
                twice += source.place in known
                if source.place not in known:
                    known.add(source.place)
                    sources.found.append(source)
    if not sources.found:
        raise RequestError("; ".join(sources.nothing.values()))
    if twice:
        sources.told.append(f"{twice} of the files {'was' if twice == 1 else 'were'} named twice, and read once")
    if pictures != "auto" and not sources.pictures_in_folders:
        raise RequestError(
            f"--pictures {pictures} would have no effect: it says what the pictures in a folder are, and no folder "
            "with pictures was named; leave it out"
        )
    return sources


def _named(name: str) -> list[Path]:
    """The paths that a name stands for: itself, or what fits a pattern."""
    path = Path(name)
    if os.path.lexists(path):
        return [path]
    if name.lower().startswith("file:/"):
        raise RequestError(f"{name} is an address; name the file itself, without file://")
    if _ADDRESS.match(name):
        raise RequestError(f"{name} is an address; a file is wanted: download the video and name its file")
    if name.isdecimal():
        raise RequestError(
            f"{name}: there is no such file, and cameras are not read here; a file is wanted. Record one, or see "
            "examples/webcam.py, which reads a camera"
        )
    if name == "-":
        raise RequestError("-: standard input is not read; a file is wanted")
    if not glob.has_magic(name):
        return [path]
    fitting = [Path(each) for each in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207 - also of absolute names
    fitting = [each for each in fitting if each.is_dir() or each.suffix.lower() in CLIP_SUFFIXES]
    if "**" in name:  # it lists folders, and then what is in them
        fitting = [each for each in fitting if not each.is_dir()]
    if not fitting:
        raise RequestError(f"{name}: no video, picture or folder has such a name")
    return fitting


def _is_text(path: Path) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in str(path))


def _look_at(path: Path, out: Path, pictures: Pictures, sources: Sources) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(path, "picture" if path.suffix.lower() in PICTURE_SUFFIXES else "video")
        return
    counts: Counter[str] = Counter()
    found = []
    for folder in _folders(path, out, sources, counts):
        counts["folders"] += 1
        found += _in_folder(folder, pictures, sources, counts)
    if found:
        sources.told.append(f"{path}: {_in_words(counts, pictures, found)}")
    elif str(path) not in sources.nothing:
        held = f"; it holds {_others(counts)}" if _others(counts) else ""
        sources.nothing[str(path)] = f"{path}: no video and no picture in this folder{held}"
    yield from found


def _folders(top: Path, out: Path, sources: Sources, counts: Counter[str]) -> Iterator[Path]:
    """A folder and those below it, but not results, nor what is hidden."""
    waiting, seen = [top], set()
    while waiting:
        folder = waiting.pop(0)
        real = folder.resolve()
        if real in seen:  # links may lead in a circle
            continue
        seen.add(real)
        if folder != top and is_result(folder):
            counts["results"] += 1
            continue
        try:
            below = [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]
        except OSError as error:
            sources.nothing[str(folder)] = f"{folder}: {str(cannot_read(folder, error)).removeprefix(f'{folder} ')}"
            continue
        yield folder
        waiting += sorted(each for each in below if each.resolve() != out.resolve())


def _in_folder(folder: Path, pictures: Pictures, sources: Sources, counts: Counter[str]) -> list[Source]:
    """What is to be read of the files in one folder."""
    files = sorted((p for p in folder.iterdir() if not p.is_dir() and not p.name.startswith(".")), key=natural_order)
    videos = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
    stills = [p for p in files if p.suffix.lower() in PICTURE_SUFFIXES]
    counts["videos"] += len(videos)
    counts["other files"] += len(files) - len(videos) - len(stills)
    found = [Source(each, "video") for each in videos]
    if not stills:
        return found
    sources.pictures_in_folders = True
    if videos and pictures == "auto":
        counts["pictures left out"] += len(stills)
        return found
    taken_for = _taken_for(stills) if pictures == "auto" else pictures
    if taken_for == "frames":
        counts["folders of frames"] += 1
        counts["frames"] += len(stills)
        return [*found, Source(folder, "frames")]
    if taken_for == "single":
        counts["pictures"] += len(stills)
        return found + [Source(each, "picture") for each in stills]
    sources.nothing[str(folder)] = f"{folder}: {taken_for}"
    return found


def _taken_for(stills: Sequence[Path]) -> str:
    """Whether pictures are "frames" of one video or "single"; a sentence where it is not to be seen."""
    if len(stills) < 2:
        return "single"
    patterns: dict[tuple[str, str], list[int]] = {}
    strays = []
    for each in stills:
        numbered = _NUMBERED.fullmatch(each.name)
        if numbered is None:
            strays.append(each)
        else:
            patterns.setdefault((numbered[1], numbered[3]), []).append(int(numbered[2]))
    numbers = max(patterns.values(), key=len, default=[])
    others = len(stills) - len(numbers)
    if others > _STRAY * len(stills) or len(numbers) < 2:
        return "single"
    if others:
        return (
            f"{len(numbers)} of the {len(stills)} pictures in this folder are numbered as the frames of a video are, "
            f"and {others} {'is' if others == 1 else 'are'} not; say --pictures frames or --pictures single"
        )
    places = {round(i * (len(stills) - 2) / (_LOOKED_AT - 1)) for i in range(_LOOKED_AT)}
    differences = [_difference(stills[place], stills[place + 1]) for place in sorted(places)]
    known = sorted(each for each in differences if each is not None)
    alike = not known or known[len(known) // 2] < _UNLIKE
    return "frames" if alike and not _from_a_camera(stills[0]) else "single"


def _difference(one: Path, other: Path) -> float | None:
    """How unlike two pictures are, 0 to 255; of two sizes, as unlike as can be. None where one cannot be read."""
    seen, sizes = [], set()
    for path in (one, other):
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
                sizes.add(opened.size)
                opened.draft("L", (64, 64))  # a JPEG need not be decoded in full
                grey = opened.convert("L").resize((16, 16), Image.Resampling.BOX)
        except Exception:  # of a damaged file: reading it reports that
            return None
        seen.append(np.asarray(grey, dtype=np.float64))
    return float(np.abs(seen[0] - seen[1]).mean()) if len(sizes) == 1 else 255.0


def _from_a_camera(picture: Path) -> bool:
    """Whether its EXIF data say which camera took it, or when: no frame of a video has them."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(picture) as opened:
            exif = opened.getexif()
            return _CAMERA in exif or _TAKEN_AT in exif.get_ifd(0x8769)
    except Exception:  # of a damaged file
        return False


def _in_words(counts: Counter[str], pictures: Pictures, found: Sequence[Source]) -> str:
    """What a folder was taken for, what was left out, and which flag changes it."""
    parts = []
    if counts["videos"]:
        parts.append(count(counts["videos"], "video"))
    if counts["pictures"]:
        other = " (--pictures frames: the frames of one video)" if pictures == "auto" else ""
        parts.append(f"{count(counts['pictures'], 'picture')}, each read by itself{other}")
    if counts["folders of frames"]:
        which = "one video" if counts["folders of frames"] == 1 else f"{counts['folders of frames']} videos"
        other = " (--pictures single: each by itself)" if pictures == "auto" else ""
        parts.append(
            f"{count(counts['frames'], 'picture')}, taken for the frames of {which} at {FOLDER_FRAME_RATE:g} per "
            f"second{other}"
        )
    text = ", and ".join(parts)
    if len({source.path.parent for source in found}) > 1:
        text += f", in {count(counts['folders'], 'folder')}"
    left = []
    if counts["pictures left out"]:
        left.append(
            f"{count(counts['pictures left out'], 'picture')} beside videos left out (--pictures single reads "
            f"{'it' if counts['pictures left out'] == 1 else 'them'}, too)"
        )
    if others := _others(counts):
        left.append(f"{others} passed over")
    return "; ".join([text, *left])


def _others(counts: Counter[str]) -> str:
    others = [count(counts["other files"], "other file")] if counts["other files"] else []
    results = [count(counts["results"], "result") + " of midas predict"] if counts["results"] else []
    return " and ".join(others + results)
