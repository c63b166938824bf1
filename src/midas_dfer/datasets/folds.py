"""Folds for a dataset that was published without any."""

import numpy as np

from midas_dfer.datasets.manifest import Manifest
from midas_dfer.errors import RequestError


def add_folds(manifest: Manifest, k: int = 5, seed: int = 0) -> Manifest:
    """Divide the clips into k folds, by subject where subjects are known, the classes alike in all of them.

    Args:
        manifest: clips that have no folds.
        k: number of folds, 2 or more.
        seed: which of the many divisions.

    Returns:
        The same clips with folds (see `Manifest.with_subject_folds`), and a note that says what was done.

    Raises:
        RequestError: some clips have folds already, k is under 2, or there are fewer subjects than folds.
    """
    published = manifest.fold_numbers
    if published:
        raise RequestError(
            f"{manifest.name} has folds already: {', '.join(map(str, published))}. Leave out --folds to use them."
        )
    divided = manifest.with_subject_folds(k, seed, stratified=True)
    sizes = np.bincount(divided.table["fold"].to_numpy())[1:].tolist()
    known = manifest.table["subject"].drop_nulls()
    by = f"by subject ({known.n_unique()} subjects)" if len(known) else "by clip (no subject is known)"
    notes = [f"{k} folds of {min(sizes)} to {max(sizes)} clips were made, {by}, stratified by class, seed {seed}."]
    if 0 < len(known) < len(manifest):
        notes.append(f"{len(manifest) - len(known)} clips without a subject were divided as if each had its own.")
    if manifest.table["split"].is_not_null().any():
        notes.append("The split of the data set stays: the folds count only where a fold is named (--test_fold).")
    return divided.with_notes(*notes)
