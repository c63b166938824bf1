"""A file of predictions as any tool may write it: a row for each clip, a column for each emotion.

It is read as it is: emotions under any spelling known here, with further columns beside them, as shares or in percent,
a row for each clip or for each of its frames. What was read, and how, is told in sentences.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from midas_dfer.datasets.files.json_files import read_json_entries
from midas_dfer.datasets.files.records import MOST_CELLS, Records, read_json_lines, read_records
from midas_dfer.emotions import canonical_name, is_known_emotion
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.wording import and_more, count

ForeignReading = Literal["probabilities", "vote_shares"]
"""What the numbers are taken for."""

_PREFIXES: dict[ForeignReading, tuple[str, ...]] = {
    "probabilities": ("", "probability_", "prob_", "p_", "emotion_", "emotion.", "score_", "vote_share_"),
    "vote_shares": ("", "vote_share_", "probability_", "prob_", "p_", "emotion_", "emotion.", "score_"),
}
"""What tools put in front of the names of emotions; those of our own predictions.csv as the reading wants them."""
_ID_COLUMNS = ("video_id", "clip", "clip_id", "id", "input", "video", "file", "filename", "path", "image", "picture")
_NO_NUMBER = ("", "nan", "none", "null")
_TOLERANCE, _MOST_OF_SHARES = 0.02, 50.0


@dataclass(frozen=True)
class ForeignPredictions:
    """What a file says of the clips of a data set.

    Attributes:
        class_names: those that it has a column for; in the spelling of the data set where that has them.
        rows: of the clips in the manifest that it says something of, each once.
        shares: of the classes, for each of them; rows sum to 1.
        notes: how it was read, in sentences.
    """

    class_names: tuple[str, ...]
    rows: Int64[np.ndarray, " M"]
    shares: Float64[np.ndarray, "M C"]
    notes: tuple[str, ...]


def read_foreign(
    file: Path,
    chosen: Manifest,
    known: Manifest,
    reading: ForeignReading = "probabilities",
    *,
    id_column: str | None = None,
    average_rows: bool = False,
) -> ForeignPredictions:
    """Read a file of predictions; see `evaluate_file`. `known`: all clips, of which `chosen` are asked for."""
    if not file.is_file():
        raise RequestError(f"There is no file {file}. Give a file of predictions: a row a clip, a column an emotion.")
    records = _unfolded(_read_list(file) if file.suffix.lower() == ".json" else read_records(file))
    columns = _class_columns(file, records.table.columns, chosen.class_names, _PREFIXES[reading])
    names = _id_column(file, records.table, id_column, columns)
    shares, said, notes = _shares(file, records, list(columns))
    rows, how, strangers = _matched(records.table[names].to_list(), chosen, known)
    listed = ", ".join(each if each == name else f"{each} ({name})" for each, name in columns.items())
    notes = [f"Classes of {file.name}: {listed}; clips by {names}{how}.", *notes]
    if not (rows >= 0).any():
        wanted, there = and_more(list(chosen.video_ids), 3), and_more(records.table[names].to_list(), 3)
        others = (name for name in records.table.columns if name not in (names, *columns))
        better = [each for each in others if (_matched(records.table[each].to_list(), chosen, known)[0] >= 0).any()]
        advice = f" Its column {better[0]} names some: --id_column {better[0]}." if better else ""
        raise RequestError(
            f"No clip of {file} is among those asked for. It names {there} (in {names}); expected such as {wanted}."
            f"{advice}"
        )
    if strangers:
        notes.append(f"{count(len(strangers), 'row')} of no clip that is known, left out: {and_more(strangers, 3)}.")
    if silent := int((~said & (rows >= 0)).sum()):
        notes.append(f"{count(silent, 'row')} without a number in any class (no face found?), left out.")
    kept = np.flatnonzero(said & (rows >= 0))
    clips, group, counts = np.unique(rows[kept], return_inverse=True, return_counts=True)
    if (counts > 1).any() and not average_rows:
        first = kept[np.unique(group, return_index=True)[1]][group]
        earlier = dict(zip(kept.tolist(), first.tolist(), strict=True))
        problems = RowProblems(records.place)
        again = np.isin(np.arange(len(rows)), kept[first != kept])
        problems.add(again, lambda row: f"the same clip as {records.place(earlier[row])}")
        problems.raise_if_any(str(file), "Give one row a clip, or average the rows of a clip with --average_rows.")
    sums = np.zeros((len(clips), len(columns)))
    np.add.at(sums, group, shares[kept])
    if (counts > 1).any():
        notes.append(f"{count(len(kept), 'row')} averaged to {count(len(clips), 'clip')}.")
    return ForeignPredictions(tuple(columns.values()), clips, sums / counts[:, None], tuple(notes))


def _read_list(file: Path) -> Records:
    """The rows of a JSON file that is a list of objects, or of lists of them, as deepface gives."""
    rows: list[dict[str, object]] = []

    def take(number: int, entry: object) -> None:
        for each in entry if isinstance(entry, list) else [entry]:
            if not isinstance(each, dict):
                kind = type(each).__name__
                raise RequestError(
                    f"{file}: prediction {number} holds {kind}, not an object. Put one object for each clip."
                )
            rows.append(each)

    read_json_entries(file, "prediction", take, advice="Expected a list with an object for each clip.")
    if not any(rows):
        raise RequestError(f"{file} holds no rows. Expected a list with an object for each clip.")
    return replace(read_json_lines(file, "\n".join(map(json.dumps, rows)).encode()), lines=None)


def _cell(value: object) -> str | None:
    text = value if isinstance(value, str) or value is None else json.dumps(value)
    return (text or "").strip() or None


def _unfolded(records: Records) -> Records:
    """The table with a column for each member of a column of objects: `emotion` becomes `emotion.angry` and others."""
    columns: list[pl.Series] = []
    for name in records.table.columns:
        if not records.table[name].str.starts_with("{").any():
            columns.append(records.table[name])
            continue
        cells = [_object(text) for text in records.table[name].to_list()]
        if any(cell is None for cell in cells) or not any(cells):
            columns.append(records.table[name])
            continue
        members = dict.fromkeys(key for cell in cells for key in cell or ())
        if len(members) * len(cells) > MOST_CELLS:
            raise RequestError(f"{records.file}: the objects in {name} have {len(members)} names. Use the same in all.")
        columns += [
            pl.Series(f"{name}.{key}", [_cell((cell or {}).get(key)) for cell in cells], dtype=pl.String)
            for key in members
        ]
    names = [column.name for column in columns]
    if twice := {name for name in names if names.count(name) > 1}:
        raise RequestError(f"{records.file} has {min(twice)} as a column and in an object. Keep one.")
    return replace(records, table=pl.DataFrame(columns))


def _object(text: str | None) -> dict[str, object] | None:
    """What a cell holds that is an object, nothing of an empty one; None of any other."""
    if text is None:
        return {}
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _class_columns(
    file: Path, names: Sequence[str], class_names: Sequence[str], prefixes: Sequence[str]
) -> dict[str, str]:
    """The columns that are classes, and which: all of them under the first prefix that there is."""
    spelling = {canonical_name(name): name for name in class_names}
    for prefix in prefixes:
        found: dict[str, str] = {}
        for column in names:
            rest = column[len(prefix) :] if column.lower().startswith(prefix) else ""
            key = canonical_name(rest)
            if not rest or (key not in spelling and not is_known_emotion(rest)):
                continue
            if (name := spelling.get(key, key)) in found.values():
                other = next(each for each, its in found.items() if its == name)
                raise RequestError(f"{file} has two columns of the class {name}: {other} and {column}. Keep one.")
            found[column] = name
        if len(found) > 1:
            return found
    raise RequestError(
        f"{file} has the columns {and_more(list(names), 12)}; expected one for each class, such as "
        f"{', '.join(class_names)}"
    )


def _id_column(file: Path, table: pl.DataFrame, asked: str | None, classes: dict[str, str]) -> str:
    others = [name for name in table.columns if name not in classes]
    if asked is not None:
        if asked not in others:
            raise RequestError(f"{file} has no column {asked!r} that could name the clips; it has {', '.join(others)}")
        return asked
    lowered = {name.lower(): name for name in others}
    for each in _ID_COLUMNS:
        if each in lowered:
            return lowered[each]
    raise RequestError(
        f"{file} has no column that names the clips, such as video_id or input; say which it is with --id_column: "
        f"{', '.join(others) or 'there is none beside the classes'}"
    )


def _shares(
    file: Path, records: Records, columns: list[str]
) -> tuple[Float64[np.ndarray, "R C"], Bool[np.ndarray, " R"], list[str]]:
    """The numbers, divided by their sum; which rows have some; and what was done to them."""
    text = records.table.select(
        pl.col(name).fill_null("").str.to_lowercase().replace(dict.fromkeys(_NO_NUMBER, None)) for name in columns
    )
    text, notes, percent = _as_written_elsewhere(text)
    numbers = text.select(pl.col(name).cast(pl.Float64, strict=False) for name in columns).to_numpy()
    missing = np.stack([text[name].is_null().to_numpy() for name in columns], axis=1)
    said: Bool[np.ndarray, " R"] = np.logical_not(missing.all(axis=1))
    advice = "Expected numbers of 0 or more that sum to 1, or to 100, in each row."
    problems = RowProblems(records.place)

    def cell(bad: Bool[np.ndarray, "R C"], what: str) -> None:
        rows = pl.Series(bad.any(axis=1))
        problems.add(rows, lambda row: f"{columns[int(bad[row].argmax())]} {what}")

    cell(missing & said[:, None], "is empty where other classes are not")
    cell(~missing & ~np.isfinite(numbers), "is no number")
    cell(numbers < 0, "is below 0 (scores before the softmax?)")
    sums = np.where(said, numbers.sum(axis=1), np.nan)
    known = sums[said]
    hundred = percent or (bool(np.isfinite(known).any()) and float(np.nanmedian(known)) > _MOST_OF_SHARES)
    unit = 100.0 if hundred else 1.0
    problems.add(
        said & ~(np.abs(sums - unit) <= _TOLERANCE * unit),
        lambda row: f"its classes sum to {sums[row]:g}, not {unit:g}",
    )
    problems.raise_if_any(str(file), advice)
    off = int((np.abs(known / unit - 1) > 1e-3).sum())
    notes += ["Read as percent."] if hundred else []
    notes += [f"{count(off, 'row')} not quite summing to {unit:g}, divided by the sum."] if off else []
    return np.where(said[:, None], numbers / np.where(said, sums, 1.0)[:, None], 0.0), said, notes


def _as_written_elsewhere(text: pl.DataFrame) -> tuple[pl.DataFrame, list[str], bool]:
    """Numbers with decimal commas or percent signs as they are read here; what was done; whether they are percent."""
    notes = []
    cells = pl.concat([text[name] for name in text.columns])
    percent = bool(cells.str.ends_with("%").any())
    if percent:
        text = text.with_columns(pl.all().str.strip_suffix("%").str.strip_chars())
        notes.append("Percent signs left out.")
    if cells.str.contains(r"^-?\d*,\d+\s*%?$").any() and not cells.str.contains(".", literal=True).any():
        text = text.with_columns(pl.all().str.replace(",", ".", literal=True))
        notes.append("Decimal commas read as points.")
    return text, notes, percent


def _matched(
    names: Sequence[str | None], chosen: Manifest, known: Manifest
) -> tuple[Int64[np.ndarray, " R"], str, list[str]]:
    """The place of each row's clip among those chosen, -1 for none; in words how names were matched; unknown names.

    By id, else by path, else by the name of the file where only one clip has it, with or without its ending.
    """

    def stem(text: str) -> str:
        return PurePosixPath(text.replace("\\", "/")).stem

    paths = known.table["path"].to_list()
    ways: tuple[tuple[str, dict[str, list[str]]], ...] = (("", {}), (", as paths", {}), (", as file names", {}))
    for video_id, path in zip(known.video_ids, paths, strict=True):
        ways[0][1].setdefault(video_id, []).append(video_id)
        ways[1][1].setdefault(str(path), []).append(video_id)
        for key in {stem(video_id), stem(str(path))}:
            ways[2][1].setdefault(key, []).append(video_id)
    places = {video_id: place for place, video_id in enumerate(chosen.video_ids)}
    found, used, strangers = np.full(len(names), -1, dtype=np.int64), dict.fromkeys(("",), 0), []
    for row, name in enumerate(names):
        text = name or ""
        for words, ids in ways:
            meant = ids.get(stem(text) if words == ", as file names" else text, [])
            if len(meant) == 1:
                found[row] = places.get(meant[0], -1)
                used[words] = used.get(words, 0) + 1
                break
        else:
            strangers.append(text or "(empty)")
    return found, next((words for words, times in used.items() if words and times), ""), strangers
