"""logs/metrics.csv: a line for each epoch, read again when a training is resumed."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from midas_dfer.errors import RequestError
from midas_dfer.files import csv_text, read_text, write_file

COLUMNS = ("epoch", "learning_rate", "seconds", "train_loss", "train_uar", "train_war")
VALIDATION_COLUMNS = ("val_loss", "val_uar", "val_war")

_NEEDED = ("epoch", "train_loss")

Curves = dict[str, Float64[np.ndarray, " E"]]
"""Column -> a value for each epoch; NaN where there is none."""

_CURE = "put it back as it was, or delete it to go on without the lines of these epochs"


def read_epochs(path: Path, epochs_done: int) -> list[dict[str, str]]:
    """Read the lines of the epochs that a training has finished.

    Lines of later epochs, which a kill left behind, do not count. The first ones are missing where an earlier file was
    deleted. What is not the lines of successive epochs is refused.
    """
    if not epochs_done or not path.exists():
        return []
    rows: list[dict[str, str]] = []
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, _CURE)), strict=True)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise RequestError(f"{path} is damaged (it has no column {missing[0]}); {_CURE}")
        for row in reader:
            _check(row, f"{path}, line {reader.line_num},")
            rows.append(row)
    except csv.Error as error:
        raise RequestError(f"{path} is damaged ({error}); {_CURE}") from error
    rows = [row for row in rows if int(row["epoch"]) <= epochs_done]
    for number, row in enumerate(reversed(rows)):
        if int(row["epoch"]) != epochs_done - number:
            raise RequestError(
                f"{path} is damaged (epoch {epochs_done - number} is missing, or not in its place); {_CURE}"
            )
    if not rows:
        raise RequestError(f"{path} is damaged (epoch {epochs_done} is missing); {_CURE}")
    return rows


def _check(row: Mapping[str | None, str | None], where: str) -> None:
    for name, cell in row.items():
        if name is None or cell is None:
            raise RequestError(f"{where} is damaged (it has another number of cells than the first line); {_CURE}")
        try:
            value = float(cell) if cell else 0.0
            if name == "epoch" and (value != int(cell) or value < 1):
                raise ValueError("not an epoch")
        except ValueError as error:
            raise RequestError(f"{where} is damaged ({name[:100]} is {cell[:100]!r}); {_CURE}") from error


def write_epochs(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Rewrite all lines."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_file(path, csv_text([columns, *([row.get(name, "") for name in columns] for row in rows)]))


def read_curves(metrics_csv: Path) -> Curves:
    """Read logs/metrics.csv of a run; cells that are empty or missing are NaN."""
    try:
        with metrics_csv.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{metrics_csv} cannot be read ({error}); name the metrics.csv of a run") from error
    if not rows:
        raise RequestError(f"{metrics_csv} holds no epoch; train for one epoch at least")
    missing = [name for name in _NEEDED if name not in rows[0]]
    if missing:
        raise RequestError(f"{metrics_csv} has no column {' or '.join(missing)}; name the metrics.csv of a run")
    try:
        columns = [name for name in rows[0] if name is not None]
        curves = {name: np.array([float(row.get(name) or "nan") for row in rows]) for name in columns}
    except ValueError as error:
        raise RequestError(f"{metrics_csv} is damaged ({error}); name the metrics.csv of a run") from error
    if not np.isfinite(curves["epoch"]).all():
        raise RequestError(f"{metrics_csv} is damaged (an epoch has no number); name the metrics.csv of a run")
    return curves
