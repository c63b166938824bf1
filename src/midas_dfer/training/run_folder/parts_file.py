"""parts.parquet: which clip of a run was in which part."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from midas_dfer.errors import RequestError
from midas_dfer.files import reading, write_file
from midas_dfer.manifest.parquet import read_parquet
from midas_dfer.training.run_folder.run_file import CURE

Part = Literal["train", "validation", "test"]

_SCHEMA = {"video_id": pl.String, "part": pl.String}


def write_parts(path: Path, parts: Mapping[Part, Sequence[str]]) -> str:
    """Write the ids of the clips in each part, each as often as it comes in an epoch; gives a digest of them."""
    rows = [(video_id, part) for part, video_ids in parts.items() for video_id in video_ids]
    table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    content = io.BytesIO()
    table.write_parquet(content)
    write_file(path, content.getvalue())
    return _digest(table)


def read_parts(path: Path, digest: str) -> dict[Part, dict[str, int]]:
    """Read how often each clip of each part comes in an epoch, by video id.

    `digest` is what `write_parts` gave; "" where a version did not keep it.
    """
    with reading(path):
        if not path.exists():
            raise RequestError(f"there is no file {path}; {CURE}")
        path.open("rb").close()  # whether it may be read
    table = read_parquet(path)
    if dict(table.schema) != _SCHEMA or any(table[name].null_count() for name in _SCHEMA):
        raise RequestError(f"{path} is damaged (expected the columns video_id and part, as text); {CURE}")
    names = get_args(Part)
    if wrong := sorted(set(table["part"]) - set(names)):
        raise RequestError(f"{path} is damaged (a part is {wrong[0]!r:.100}; expected {', '.join(names)}); {CURE}")
    if digest not in ("", _digest(table)):
        raise RequestError(
            f"{path} was changed since the run began, as run.json has it: train, validation and test hold other "
            f"clips; {CURE}"
        )
    return {part: dict(Counter(table.filter(pl.col("part") == part)["video_id"].to_list())) for part in names}


def _digest(table: pl.DataFrame) -> str:
    """The same whatever the order of the rows."""
    lines = "\n".join(f"{part}\t{video_id}" for video_id, part in sorted(table.rows()))
    return hashlib.sha256(lines.encode()).hexdigest()
