"""What the annotations alone tell: subjects in two parts, votes that look odd, clips without a label.

Everything is counted by columns, so that a million rows take a second.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool

from midas_dfer.clips.checking.finding import EXAMPLES, Finding, Severity, found, notes
from midas_dfer.labels import NO_LABEL, majority_labels
from midas_dfer.manifest.folds import how_to_get_folds
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.rows import has_shares
from midas_dfer.manifest.schema import VOTES_SOURCE_COLUMN

USUAL_SHARE = 0.9
"""Where so many clips have the same number of votes, another number is odd; else the numbers just differ."""

MISJOINED_SHARE = 0.1
"""Where more labels than this are not what the votes say, votes and labels were joined wrongly."""


def check_annotations(manifest: Manifest, disjoint: Sequence[str] = ()) -> Iterator[Finding]:
    """What is wrong or odd about a manifest, files apart; errors and notes mixed.

    No value of the columns `disjoint` may be in two parts, nor any subject.
    """
    yield from (Finding("reader", "note", note) for note in manifest.notes)
    yield from _without_label(manifest)
    for column in dict.fromkeys(("subject", *disjoint)):
        yield from _in_two_parts(manifest, column, disjoint)
    yield from _shared_files(manifest)
    yield from _vote_sums(manifest)
    yield from _labels_against_votes(manifest)
    yield from _ties(manifest)
    yield from _nothing_to_test_on(manifest)
    yield from _classes_to_train_on(manifest)


def leak(splits: Iterable[str | None], folds: Iterable[int | None]) -> Severity | None:
    """How bad it is that clips of these parts have something in common (a subject, their pixels).

    "error" if they are in two folds, or in train and another split, so that one is trained on where the other is
    tested; "note" if they are in two other splits; None if they are in one part.
    """
    parts = set(splits) - {None}
    if len(set(folds) - {None}) > 1 or (len(parts) > 1 and "train" in parts):
        return "error"
    return "note" if len(parts) > 1 else None


def parts_of(splits: Iterable[str | None], folds: Iterable[int | None]) -> str:
    """The parts of some clips in words, with numbers of clips: "train 3, test 1" or "fold 1: 2, fold 4: 7"."""
    counted: dict[str, int] = {}
    for split, fold in zip(splits, folds, strict=True):
        part = ", ".join(p for p in (split or "", "" if fold is None else f"fold {fold}") if p) or "no part"
        counted[part] = counted.get(part, 0) + 1
    return "; ".join(f"{part}: {number}" for part, number in sorted(counted.items()))


def _without_label(manifest: Manifest) -> Iterator[Finding]:
    bare = ~manifest.has_votes & (manifest.labels == NO_LABEL) & ~has_shares(manifest.table)
    assigned = (manifest.table["split"].is_not_null() | manifest.table["fold"].is_not_null()).to_numpy()
    harmful = bare & assigned if assigned.any() else bare
    yield from _clips(
        manifest,
        harmful,
        "no_label",
        "error",
        "clips with neither votes nor a label",
        "No model can be trained or scored on them: annotate them or leave their rows out.",
    )
    yield from _clips(
        manifest,
        bare & ~harmful,
        "no_label_no_part",
        "note",
        "clips with neither votes nor a label, in no part",
        "They are neither trained nor tested on.",
    )


def _in_two_parts(manifest: Manifest, column: str, disjoint: Sequence[str]) -> Iterator[Finding]:
    values = manifest.table[column].cast(pl.String).alias("value")
    table = manifest.table.select(values, "split", "fold").drop_nulls("value")
    parts = table.group_by("value").agg(pl.col("split", "fold").drop_nulls().unique()).sort("value")
    torn = parts.filter((pl.col("split").list.len() > 1) | (pl.col("fold").list.len() > 1))
    severities = [(value, leak(splits, folds)) for value, splits, folds in torn.iter_rows()]
    people = column == "subject"
    how = (
        "--folds 5"
        if people and not disjoint
        else f"--folds 5 --disjoint {' '.join(dict.fromkeys((*disjoint, column)))}"
    )
    advice = f"Scores would be too good: part the clips by {column}, for example with {how}."
    them = "subjects who" if people else f"values of the column {column} that"
    wanted: tuple[tuple[Severity, str, str], ...] = (
        ("error", f"{them} are both trained and tested on", advice),
        ("note", f"{them} are in both validation and test", ""),
    )
    for severity, what, advice in wanted:
        torn_values = [value for value, how_bad in severities if how_bad == severity]
        for number, value in enumerate(torn_values[:EXAMPLES]):
            rows = table.filter(pl.col("value") == value)
            torn_values[number] = f"{value} ({parts_of(rows['split'].to_list(), rows['fold'].to_list())})"
        yield from found(severity, "subject_in_two_parts" if people else "in_two_parts", what, torn_values, advice)


def _shared_files(manifest: Manifest) -> Iterator[Finding]:
    paths = manifest.table["path"]
    yield from notes(
        "shared_file",
        "files that are named by more than one clip",
        paths.filter(paths.is_duplicated()).unique(maintain_order=True).to_list(),
        "Each clip gets the whole file: cut the videos if their clips are meant to be parts of them. If they are "
        "about different people in it, a column face says which.",
    )


def _vote_sums(manifest: Manifest) -> Iterator[Finding]:
    sums = manifest.table["votes"].list.sum()
    known = sums.drop_nulls()
    if not len(known):
        return
    usual, number = known.value_counts().sort(["count", known.name], descending=True).row(0)
    odd = (sums != usual).fill_null(value=False).to_numpy()
    if number >= USUAL_SHARE * len(known):
        yield from _clips(
            manifest,
            odd,
            "odd_vote_sum",
            "note",
            f"clips that do not have {usual} votes, as the others have",
            "Soft labels are shares, so any number will do; see that no column of votes is missing.",
            lambda row: f"{sums[row]} votes",
        )


def _labels_against_votes(manifest: Manifest) -> Iterator[Finding]:
    labels = manifest.labels
    rows = np.flatnonzero(manifest.has_votes & (labels != NO_LABEL))
    if not rows.size:
        return
    votes = manifest.select(rows).votes
    wrong = np.zeros(len(manifest), dtype=np.bool_)
    wrong[rows] = votes[np.arange(rows.size), labels[rows]] < votes.max(axis=1)
    apart = VOTES_SOURCE_COLUMN in manifest.table.columns  # others voted, on purpose
    many = bool(wrong.sum() > MISJOINED_SHARE * rows.size) and not apart
    names = manifest.class_names

    def shown(row: int) -> str:
        counts = manifest.table["votes"][row].to_list()
        cast = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True) if count)
        return f"label {names[labels[row]]}, votes {cast}"

    yield from _clips(
        manifest,
        wrong,
        "label_against_votes",
        "error" if many else "note",
        "clips whose label is not the class with the most votes",
        "So many are no accident: votes and labels were joined wrongly. Join them by name, not by row."
        if many
        else "Soft labels follow the votes, scores follow the label.",
        shown,
    )


def _ties(manifest: Manifest) -> Iterator[Finding]:
    rows = np.flatnonzero(manifest.has_votes & (manifest.labels == NO_LABEL))
    if not rows.size:
        return
    tied = np.zeros(len(manifest), dtype=np.bool_)
    tied[rows[majority_labels(manifest.select(rows).votes) == NO_LABEL]] = True
    yield from _clips(
        manifest,
        tied,
        "tie",
        "note",
        "clips without a label whose top classes have equally many votes",
        "Soft labels use them as they are; hard labels, UAR and WAR leave them out. More annotators break ties.",
    )


def _nothing_to_test_on(manifest: Manifest) -> Iterator[Finding]:
    advice = how_to_get_folds(manifest)
    if advice:
        yield Finding("no_test", "note", "There is no part to test on: no clip has a split or a fold", advice=advice)


def _classes_to_train_on(manifest: Manifest) -> Iterator[Finding]:
    partition = manifest.partition()
    train = partition.train
    if not len(train):
        yield Finding(
            "no_training_clips",
            "note",
            "There is no clip to train on",
            advice=f"It can only be used for testing: {partition.rule}.",
        )
        return
    seen = np.zeros(len(manifest.class_names), dtype=np.bool_)
    labels = train.labels
    seen[labels[labels != NO_LABEL]] = True
    voted = train.has_votes
    if voted.any():
        seen |= train.select(voted).votes.sum(axis=0) > 0
    yield from notes(
        "class_without_clips",
        "classes without a clip to train on",
        [name for name, there in zip(manifest.class_names, seen, strict=True) if not there],
        "No model will learn them; UAR is the mean over the classes that are tested.",
    )


def _clips(
    manifest: Manifest,
    chosen: Bool[np.ndarray, " N"],
    kind: str,
    severity: Severity,
    what: str,
    advice: str,
    told: Callable[[int], str] | None = None,
) -> Iterator[Finding]:
    """The finding on the chosen clips, the first of them by name, each with a word on it; nothing if none is chosen."""
    rows: Sequence[int] = np.flatnonzero(chosen)[:EXAMPLES].tolist()
    names = manifest.table["video_id"]
    examples = tuple(f"{names[row]} ({told(row)})" if told else str(names[row]) for row in rows)
    if rows:
        yield Finding(kind, severity, what, int(chosen.sum()), examples, advice)
