"""Golden manifests: a readable CSV of the manifest of a made-up copy and its notes; pictures that cost nothing."""

from pathlib import Path

import numpy as np
import polars as pl

from midas_dfer.manifest.manifest import Manifest

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_text(manifest: Manifest, rows: int = 1000) -> str:
    """The classes, the notes and the rows as text; columns that are empty everywhere are left out."""
    votes = pl.col("votes").list.eval(pl.element().cast(pl.String)).list.join(" ")
    table = manifest.table.head(rows).with_columns(votes)
    table = table.select(series for series in table if series.null_count() < table.height)
    head = [f"# {manifest.name}, {len(manifest)} clips: {' '.join(manifest.class_names)}"]
    return "\n".join([*head, *(f"# note: {note}" for note in manifest.notes), table.write_csv()])


def assert_golden(manifest: Manifest, name: str, rows: int = 1000) -> None:
    """Compare with `tests/golden/<name>.csv`; remove the file and run the test twice to renew it."""
    file = GOLDEN / f"{name}.csv"
    text = golden_text(manifest, rows)
    if not file.exists():
        file.write_text(text, encoding="utf-8")
        raise AssertionError(f"{file} was not there and has been written; look at it and run the test again.")
    assert text == file.read_text(encoding="utf-8")


def plain_frames(emotion: str, *, seed: tuple[int, ...], frames: int) -> list[np.ndarray]:
    """Stand in for `drawn_clips.draw_frames` where nobody looks at the faces: grey pictures."""
    return [np.full((96, 128, 3), (sum(seed) + len(emotion)) % 256, dtype=np.uint8)] * frames
