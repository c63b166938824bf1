"""One table over the results of many videos: a row for each video and face, and for each video that gave none."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from midas_dfer.errors import RequestError
from midas_dfer.files import csv_cell, read_json, write_together
from midas_dfer.predict_many.results import SUMMARY_FILES, TIMELINE_FILE, Result, results_in
from midas_dfer.predict_many.source import Source

_COLUMNS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("video", "result", "status"), pl.String),
    "face": pl.Int64,
    **dict.fromkeys(("start", "end", "duration"), pl.Float64),
    **dict.fromkeys(("num_frames", "num_faces"), pl.Int64),
    **dict.fromkeys(("predicted", "note", "read_by"), pl.String),
}
"""Before the shares of each class."""


def write_summary(out: Path, failures: Mapping[Source, tuple[str, str]]) -> list[Path]:
    """Write summary.csv and summary.parquet over all results in a folder.

    ```text
    video, result, status       path of the video; the folder of its result; read, no face, unreadable, failed
    face, start, end            number of the face from 1; seconds
    duration, num_frames, num_faces     of the video
    predicted                   the class of the largest share
    note                        of a video that was read, what is to be known of it; of another, why it was not
    read_by                     the model
    probability_CLASS, vote_share_CLASS     means over the face's time in view, as in timeline.json; no value where
                                            there are no vote shares
    ```
    """
    results = list(results_in(out))
    failed = {str(source.place): outcome for source, outcome in failures.items()}
    rows = [row for result in results for row in _rows(result)]
    rows += _failed_before(out, {*failed, *(result.source for result in results)})
    rows += [{"video": video, "status": status, "note": reason} for video, (status, reason) in failed.items()]
    shares = {name: pl.Float64 for row in rows for name in row if name not in _COLUMNS}
    order = sorted(shares, key=lambda name: name.startswith("vote_share"))  # stable: classes keep their order
    table = pl.DataFrame(rows, schema={**_COLUMNS, **dict.fromkeys(order, pl.Float64)})
    parquet, csv = io.BytesIO(), io.BytesIO()
    table.write_parquet(parquet)
    table.with_columns(pl.col(pl.String).map_elements(csv_cell, return_dtype=pl.String)).write_csv(csv)
    files = [out / name for name in SUMMARY_FILES]
    write_together({files[0]: csv.getvalue(), files[1]: parquet.getvalue()})
    return files


def _failed_before(out: Path, known: set[str]) -> list[dict[str, Any]]:
    """The rows of an earlier table on videos that have no result yet, and of which nothing new is known."""
    try:
        table = pl.read_parquet(out / SUMMARY_FILES[1], columns=["video", "status", "note"])
        failed = table.filter(pl.col("status") != "read").unique("video", keep="last", maintain_order=True)
    except (OSError, pl.exceptions.PolarsError):  # there is none, or it is no table of ours: it is rewritten
        return []
    return [row for row in failed.iter_rows(named=True) if row["video"] not in known and Path(row["video"]).exists()]


def read_timeline(folder: Path) -> dict[str, Any]:
    """The content of the timeline.json in the folder of a result."""
    return read_json(folder / TIMELINE_FILE, "delete its folder, or name another --out")


def _rows(result: Result) -> Sequence[Mapping[str, Any]]:
    content = read_timeline(result.folder)
    try:
        names = content["class_names"]
        about = {
            "video": result.source,
            "result": result.folder.name,
            "status": "read",
            "duration": float(content["duration"]),
            "num_frames": content["num_frames"],
            "num_faces": len(content["tracks"]),
            "note": content["note"],
            "read_by": content["read_by"].partition(": ")[0],
        }
        return [
            {
                **about,
                **{"face": track["track"], "start": float(track["start"]), "end": float(track["end"])},
                "predicted": track["predicted"],
                **{f"probability_{n}": float(v) for n, v in zip(names, track["probabilities"], strict=True)},
                **{f"vote_share_{n}": float(v) for n, v in zip(names, track["vote_shares"] or (), strict=False)},
            }
            for track in content["tracks"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestError(
            f"{result.folder / TIMELINE_FILE} is not what midas predict wrote ({error}); delete its folder, or name "
            "another --out"
        ) from error
