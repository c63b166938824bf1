"""The folder that holds the results of many videos: which of them has one already, and where the others' go.

OUT/
  NAME/              a folder for each video, whole or not at all
    timeline.json, timeline.csv, timeline.png, annotated.mp4
    prediction.json  what it was made from, and how
  summary.csv, summary.parquet   a row for each video and face
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from midas_dfer.errors import RequestError
from midas_dfer.files import is_temporary, make_folder, read_json, reading, to_disk, write_json, writing
from midas_dfer.predict_many.source import Source

RECORD_FILE, TIMELINE_FILE = "prediction.json", "timeline.json"
SUMMARY_FILES = ("summary.csv", "summary.parquet")
FORMAT, VERSION = "midas-dfer prediction", 1

_LONGEST_NAME = 200
_CURE = "delete its folder, or name another --out"


def is_result(folder: Path) -> bool:
    """Whether a folder holds what was read from one video, so that nothing in it is a video to read."""
    return any((folder / name).is_file() for name in (RECORD_FILE, TIMELINE_FILE))


@dataclass(frozen=True)
class Result:
    """What was read from one video, in its folder.

    Attributes:
        source: the video, as an absolute path.
        version: of the file: its size and when it was changed, so that another under the same name is noticed.
        made_with: the settings that it was made with, by the names of their flags.
    """

    folder: Path
    source: str
    version: Mapping[str, int]
    made_with: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Result | None":
        """The result in a folder; None if there is none, or one of earlier versions, which say less."""
        file = folder / RECORD_FILE
        if not file.is_file():
            return None
        content = read_json(file, _CURE)
        try:
            source, version, made_with = content["source"], content["file"], content["made_with"]
            if content["format"] != FORMAT or not (isinstance(version, dict) and isinstance(made_with, dict)):
                raise KeyError("format")
        except KeyError as error:
            raise RequestError(f"{file} is not a record of midas predict (its {error} is missing); {_CURE}") from error
        return cls(folder, str(source), version, made_with)

    def write_record(self, folder: Path) -> None:
        """Write the record of this result into the folder that becomes its own."""
        content = {"format": FORMAT, "version": VERSION, "source": self.source, "file": dict(self.version)}
        write_json(folder / RECORD_FILE, {**content, "made_with": dict(self.made_with)})


@dataclass
class Plan:
    """What there is, and what is to be done.

    Attributes:
        to_read: where the result of each source that has none goes.
        moved: what is to be known of a result whose folder has not the name of its video, in sentences.
    """

    to_read: dict[Source, Path] = field(default_factory=dict)
    read_before: dict[Source, Result] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)


def results_in(out: Path) -> list[Result]:
    """All results in a folder, by the names of theirs."""
    with reading(out):
        folders = sorted(p for p in out.iterdir() if p.is_dir() and not is_temporary(p)) if out.is_dir() else []
    return [found for found in map(Result.read, folders) if found is not None]


def plan_results(sources: Sequence[Source], out: Path, made_with: Mapping[str, Any], *, overwrite: bool) -> Plan:
    """Decide where the result of each source goes, and which are there already.

    A folder in `out` that is not the result of this very source is never written into. A result that was made with
    other settings, or from another version of its file, is refused unless `overwrite` is said.
    """
    earlier = {result.source: result for result in results_in(out)}
    plan = Plan()
    differing: list[str] = []
    for source in sources:
        result = earlier.get(str(source.place))
        if result is None:
            continue
        if overwrite:
            plan.to_read[source] = result.folder
        elif difference := _difference(result, source.version(), made_with):
            differing.append(f"{result.folder} {difference}")
        else:
            plan.read_before[source] = result
    if differing:
        more = f", and {len(differing) - 1} more are not what is asked for now" if len(differing) > 1 else ""
        raise RequestError(
            f"an earlier result would be replaced: {differing[0]}{more}. Say --overwrite to read all again, or name "
            "another --out"
        )
    new = [source for source in sources if source not in plan.to_read and source not in plan.read_before]
    taken = {p.name.casefold() for p in out.iterdir()} if out.is_dir() else set()
    taken |= set(SUMMARY_FILES)
    for source, name in _names(new, taken).items():
        plan.to_read[source] = out / name
        if source.name.casefold() in taken:
            plan.moved.append(f"{out / source.name} is not of {source.path} and is left as it is: see {out / name}")
    plan.to_read = {source: plan.to_read[source] for source in sources if source in plan.to_read}
    return plan


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder; at the end it takes the place of `folder`, with all that was written into it.

    If anything goes wrong inside, it is removed and `folder` is as it was.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    replaced = folder.with_name(f".{folder.name}.replaced.{os.getpid()}.tmp")
    try:
        with writing(folder):
            make_folder(temporary)
            yield temporary
            to_disk(temporary)
            if folder.exists():
                folder.rename(replaced)
            try:
                temporary.rename(folder)
            except OSError:
                if replaced.exists():
                    replaced.rename(folder)
                raise
            to_disk(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def remove_remains(out: Path) -> None:
    """Remove what processes that were killed had begun; only for who holds the folder's lock."""
    for remains in [each for each in out.iterdir() if is_temporary(each)]:
        if remains.is_dir():
            shutil.rmtree(remains, ignore_errors=True)
        else:
            remains.unlink(missing_ok=True)


def _difference(result: Result, version: Mapping[str, int], made_with: Mapping[str, Any]) -> str:
    """How a result was made otherwise than is asked for now; "" if it was not."""
    if version != result.version:
        return "was made from another version of its file, which has changed since"
    changed = [
        f"{name}: {_shown(result.made_with.get(name))}, now {_shown(value)}"
        for name, value in made_with.items()
        if result.made_with.get(name) != value
    ]
    return f"was made with {'; '.join(changed)}" if changed else ""


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names(sources: Sequence[Source], taken: set[str]) -> dict[Source, str]:
    """A name for the folder of each source: the file's, with its suffix or its folder's where that is not enough."""
    names: dict[Source, str] = {}
    taken = set(taken)
    ways: list[Callable[[Source], str]] = [
        lambda source: _short(source.name),
        lambda source: _short(source.place.name),
        lambda source: _short(f"{source.place.parent.name}-{source.name}"),
    ]
    left = list(sources)
    for way in ways:
        wanted = Counter(way(source).casefold() for source in left)
        fitting = [s for s in left if wanted[way(s).casefold()] == 1 and way(s).casefold() not in taken]
        names |= {source: way(source) for source in fitting}
        taken |= {names[source].casefold() for source in fitting}
        left = [source for source in left if source not in names]
    for source in left:
        numbered = (f"{_short(source.name)}-{number}" for number in count(2))
        names[source] = next(name for name in numbered if name.casefold() not in taken)
        taken.add(names[source].casefold())
    return names


def _short(name: str) -> str:
    """A name that leaves room for what is added to it while its folder is written; systems take 255 bytes."""
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore").rstrip()
