"""Folds for a dataset that was published without any."""

from collections.abc import Iterable, Sequence

import numpy as np

from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.rows import subject_groups
from midas_dfer.wording import joined


def add_folds(manifest: Manifest, k: int = 5, seed: int = 0, columns: Sequence[str] = ("subject",)) -> Manifest:
    """Divide the clips into k folds, by subject (or other columns) where it is known, classes alike in all of them."""
    published = manifest.fold_numbers
    if published:
        raise RequestError(
            f"{manifest.name} has folds already: {', '.join(map(str, published))}. Leave out --folds to use them."
        )
    divided = manifest.with_subject_folds(k, seed, stratified=True, columns=columns)
    named = [
        f"{column} ({manifest.table[column].drop_nulls().n_unique()} {'subjects' if column == 'subject' else 'values'})"
        for column in columns
    ]
    by = f"by {joined(named)}"
    if len(columns) > 1:
        by += f", {len(set(subject_groups(manifest.table, (), columns)))} groups of clips that share one"
    bare = [(column, manifest.table[column].null_count()) for column in columns]
    if [*columns] == ["subject"] and bare[0][1] == len(manifest):
        by, bare = "by clip (no subject is known)", []
    notes = [f"{k} folds of {_sizes(divided)} clips were made, {by}, stratified by class, seed {seed}."]
    for column, number in bare:
        if number:
            notes.append(f"{number} clips without a {column} were divided as if each had its own.")
    if manifest.table["split"].is_not_null().any():
        notes.append("The split of the data set stays: the folds count only where a fold is named (--test_fold).")
    return divided.with_notes(*notes)


def how_to_get_folds(manifest: Manifest) -> str:
    """Say what to do where nothing could be tested: no clip has a part or a fold; "" where something can."""
    if not len(manifest) or any(manifest.table[column].is_not_null().any() for column in ("split", "fold")):
        return ""
    subjects = manifest.table["subject"]
    known = subjects.drop_nulls().n_unique()
    groups = known + subjects.null_count()
    by = "subject, so that nobody is both trained and tested on" if known else "clip"
    if groups < 2:
        return "All clips are of one subject: add clips of others to test on."
    return f"Add --folds {min(5, groups)} to midas prepare: it divides them by {by}; what is cut is not cut again."


def keep_together(
    manifest: Manifest,
    together: Iterable[Sequence[str]],
    k: int,
    seed: int = 0,
    columns: Sequence[str] = ("subject",),
) -> Manifest:
    """Remake the folds of `add_folds` where they tear clips apart that belong together, such as copies."""
    groups = [tuple(ids) for ids in together]
    fold_of = dict(zip(manifest.video_ids, manifest.table["fold"].to_list(), strict=True))
    torn = [ids for ids in groups if len({fold_of[each] for each in ids if each in fold_of}) > 1]
    if not torn:
        return manifest
    divided = manifest.with_subject_folds(k, seed, stratified=True, together=groups, columns=columns)
    return divided.with_notes(
        f"{len(torn):,} groups of clips with the same pixels were in more than one fold: the folds were remade with "
        f"each group in one, {_sizes(divided)} clips a fold."
    )


def _sizes(divided: Manifest) -> str:
    sizes = np.bincount(divided.table["fold"].to_numpy())[1:].tolist()
    return str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
