"""What the exports of annotation tools have in common: addresses of videos, single votes, complaints about entries."""

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl

from midas_dfer.datasets.files.columns import MEDIA_SUFFIX, SPLITS
from midas_dfer.datasets.files.json_files import clean_text
from midas_dfer.datasets.known_classes import refuse_unknown_classes
from midas_dfer.emotions import canonical_name, check_class_names, is_known_emotion
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.manifest.schema import CORE_COLUMNS, add_id_and_path_problems

SeveralClasses = Literal["each", "leave_out"]
"""What an annotator who names several classes for one video counts: a vote for each, or nothing."""

_MEDIA = re.compile(MEDIA_SUFFIX)
_DRIVE = re.compile(r"^[A-Za-z]:[/\\]+")


def split_of(name: str) -> str | None:
    """Give "train", "validation" or "test" for any of their usual names, None for other names."""
    return SPLITS.get(name.strip().lower())


def names_media(address: str) -> bool:
    """Say whether an address ends with the suffix of a video or picture."""
    return _MEDIA.search(path_of(address)) is not None


def path_of(address: str) -> str:
    r"""Give the path of a video by the path part of its address; it may still lead out of its folder.

    - `folder/clip.mp4`, `/folder/clip.mp4`, `C:\folder\clip.mp4`: without a slash or drive in front.
    - `https://host/folder/clip.mp4?token=1`, `s3://bucket/folder/clip.mp4`: without the host or bucket.
    - `/data/local-files/?d=folder/clip.mp4`: what is behind `d=`.
    - `/data/upload/3/1a2b3c4d-clip.mp4`, `upload/3/1a2b3c4d-clip.mp4`: `3/1a2b3c4d-clip.mp4`.
    """
    text = path = clean_text(address.strip())
    if _DRIVE.match(text):
        path = _DRIVE.sub("", text)
    elif text.startswith(("http://", "https://", "/")):
        try:
            parts = urlsplit(text)
        except ValueError:  # an impossible host
            return ""
        local = parse_qs(parts.query).get("d", [""])[0] if "local-files" in parts.path else ""
        path = local or unquote(parts.path)
    elif "://" in text:
        path = text.split("://", 1)[1].partition("/")[2]
    path = path_inside(path)
    for prefix in ("data/upload/", "upload/"):
        if path.startswith(prefix):
            return path[len(prefix) :]
    return path


def path_inside(path: str) -> str:
    """Write a path with "/", without a slash in front and without empty and "." parts; "" where there is none."""
    plain = clean_text(path.strip()).replace("\\", "/").lstrip("/")
    normal = posixpath.normpath(plain) if plain else ""
    return normal if normal != "." else ""


def name_annotator(who: object) -> str | None:
    """Give a number or a name as text; None for what names nobody."""
    named = isinstance(who, int | str) and not isinstance(who, bool) and str(who).strip()
    return clean_text(named) if named else None


def refuse_paths(where: str, paths: Sequence[str], place: Callable[[int], str]) -> None:
    """Refuse a file some of whose paths are missing or lead out of the folder of the videos."""
    problems = RowProblems(place)
    names = pl.Series("video_id", ["any"] * len(paths), dtype=pl.String)
    add_id_and_path_problems(problems, names, pl.Series("path", paths, dtype=pl.String), place, one_row_each=False)
    problems.raise_if_any(where, "Each entry needs the path of its video.")


def names_of_paths(paths: Sequence[str]) -> list[str]:
    """Name each video by its path without its suffix, or with it where two would have the same name."""
    names = [_MEDIA.sub("", path) for path in paths]
    often = Counter(names)
    kept = [name if often[name] == 1 else path for name, path in zip(names, paths, strict=True)]
    return kept if len(set(kept)) == len(kept) else list(paths)


@dataclass
class SingleVotes:
    """Votes as annotators cast them, one entry per vote.

    `classes` are named as in the annotator's tool; `about` holds, by the path of a video, what else is known: values of
    the columns split, fold and subject.
    """

    paths: list[str] = field(default_factory=list)
    annotators: list[str | None] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    about: dict[str, dict[str, object]] = field(default_factory=dict)

    def add(self, path: str, annotator: str | None, classes: Iterable[str]) -> None:
        """Add the votes of one annotator on a video."""
        for name in classes:
            self.paths.append(path)
            self.annotators.append(annotator)
            self.classes.append(name)

    def to_manifest(self, class_names: Sequence[str], name: str) -> Manifest:
        """Count the votes of each video."""
        own = {canonical_name(each): each for each in class_names}
        spelled = {each: own[canonical_name(each)] for each in set(self.classes)}
        columns = {"path": self.paths, "annotators": self.annotators}
        columns["annotator_votes"] = [spelled[each] for each in self.classes]
        votes = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        votes_of = ((pl.col("annotator_votes") == each).sum().cast(pl.Int64) for each in class_names)
        table = votes.group_by("path", maintain_order=True).agg(
            pl.col("annotators", "annotator_votes"), pl.concat_list(*votes_of).alias("votes")
        )
        paths = table["path"].to_list()
        about = {
            column: pl.Series(column, [self.about.get(path, {}).get(column) for path in paths], CORE_COLUMNS[column])
            for column in ("split", "fold", "subject")
        }
        video_id = pl.Series(names_of_paths(paths), dtype=pl.String)
        return Manifest(class_names, table.with_columns(video_id=video_id, **about), name).with_majority_labels()


def refuse_none(where: Path, votes: SingleVotes, notes: Sequence[str]) -> None:
    """Refuse an export of which no vote counts."""
    if not votes.classes:
        passed_over = " ".join(notes) or "Export it when annotators have chosen classes."
        raise RequestError(f"{where} holds no votes that count. {passed_over}")


def choose_classes(
    where: str,
    found: Sequence[str],
    class_names: Sequence[str] | None,
    declared: Sequence[str] = (),
    place: Callable[[str], str] | None = None,
) -> tuple[str, ...]:
    """Find the classes of the votes that were cast."""
    spelled: dict[str, str] = {}
    for each in found:
        spelled.setdefault(canonical_name(each), each)
    if class_names is not None:
        check_class_names(tuple(class_names))
        known = {canonical_name(each) for each in class_names}
        others = [repr(each) for plain, each in spelled.items() if plain not in known]
        if others:
            raise RequestError(
                f"{where} holds votes for {', '.join(others[:5])}{' and others' if len(others) > 5 else ''}, not among "
                f"the classes {', '.join(class_names)}. Add them, or say that they are no votes (--ignore)."
            )
        return tuple(class_names)
    refuse_unknown_classes(where, "votes for", spelled.values(), place)
    offered = (name for name in map(canonical_name, declared) if name in spelled or is_known_emotion(name))
    names = tuple(dict.fromkeys([*offered, *sorted(spelled)]))
    if len(names) < 2:
        raise RequestError(
            f"{where} holds votes for {names[0]!r} only. Name all the classes that could be chosen (--classes)."
        )
    return names


def most_frames(classes_of_frames: Iterable[str]) -> str | None:
    """Give the class that is on the most frames of a video; None where two are on equally many."""
    often = Counter(classes_of_frames).most_common(2)
    return None if len(often) > 1 and often[0][1] == often[1][1] else often[0][0]
