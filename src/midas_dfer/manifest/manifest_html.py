"""How a notebook shows a manifest: what is in it, its classes, and the first clips."""

from collections.abc import Sequence

import polars as pl

from midas_dfer.notebook import Cell, Share, Table, notebook_html

_CLIPS_SHOWN, _NOTES_SHOWN = 5, 10


def manifest_html(class_names: Sequence[str], table: pl.DataFrame, name: str, notes: Sequence[str]) -> str:
    """Write a manifest for a notebook."""
    voted = table.filter(pl.col("votes").is_not_null())
    facts = [f"{table.height:,} clips, {voted.height:,} with votes, {table['label'].count():,} with a single label"]
    if subjects := table["subject"].drop_nulls().n_unique():
        facts.append(f"{subjects:,} subjects")
    for column, what in (("split", "parts"), ("fold", "folds")):
        counts = table[column].drop_nulls().value_counts().sort(column).rows()
        if counts:
            facts.append(f"{what}: {', '.join(f'{part} ({count:,} clips)' for part, count in counts)}")
    labels = dict(table["label"].drop_nulls().value_counts().rows())
    votes = [sum(row[k] for row in voted["votes"].to_list()) for k in range(len(class_names))]
    rows: list[tuple[Cell, ...]] = [
        (each, f"{labels.get(each, 0):,}", f"{votes[k]:,}", Share(votes[k] / max(1, sum(votes))))
        for k, each in enumerate(class_names)
    ]
    first = [
        (str(row["video_id"]), row["label"] or "-", _votes(row["votes"], class_names))
        for row in table.head(_CLIPS_SHOWN).iter_rows(named=True)
    ]
    tables = [
        Table(("class", "clips with it as label", "votes", "of all votes"), tuple(rows)),
        Table(("video_id", "label", "votes"), tuple(first), f"The first {len(first)} clips"),
    ]
    more = f"and {len(notes) - _NOTES_SHOWN} notes more" if len(notes) > _NOTES_SHOWN else ""
    shown = [f"note: {note}" for note in notes[:_NOTES_SHOWN]]
    return notebook_html(f"Manifest {name}", facts, tables, [*shown, more])


def _votes(votes: Sequence[int] | None, class_names: Sequence[str]) -> str:
    if votes is None:
        return "-"
    return ", ".join(f"{name} {count}" for name, count in zip(class_names, votes, strict=True) if count)
