"""Who goes to which part: folds and validation parts that depend on names and a seed alone.

Nothing here depends on the order of rows, on Python's hash seed or on what else is in memory: the order of
groups comes from a hash of (seed, name). So a table that was sorted again keeps its parts.
"""

import hashlib
import heapq
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from midas_dfer.errors import RequestError


def choose_parts(
    split: pl.Series, fold: pl.Series, test_fold: int | None, name: str
) -> tuple[dict[str, Bool[np.ndarray, " N"]], str]:
    """Find the rows `[N]` of "train" and, where there are any, "validation" and "test"; say how they were found.

    The rules are those of `Manifest.partition`.
    """
    folds: list[int] = fold.drop_nulls().unique().sort().to_list()
    if test_fold is not None and test_fold not in folds:
        known = f"Its folds are {_listed(folds)}." if folds else "None of its clips has a fold: leave it out."
        raise RequestError(f"{name} has no clips in fold {test_fold}. {known}")
    if test_fold is not None and len(folds) == 1:
        raise RequestError(
            f"All clips of {name} that have a fold are in fold {test_fold}, so nothing is left for training. "
            "Give the other clips folds too."
        )
    if test_fold is None:
        named = {part: split.eq_missing(part).to_numpy() for part in ("train", "validation", "test")}
        found = {part: rows for part, rows in named.items() if rows.any()}
        if found:
            return {
                "train": named["train"],
                **found,
            }, "the column split says which clips are for training and which for testing"
        if len(folds) < 2:
            everything = np.ones(len(fold), dtype=np.bool_)
            return {"train": everything}, "all clips are for training: neither a split nor a second fold says otherwise"
    tested = folds[0] if test_fold is None else test_fold
    is_test = fold.eq_missing(tested).to_numpy()
    others = [each for each in folds if each != tested]
    rule = f"fold {tested} is for testing, fold{'s' if len(others) > 1 else ''} {_listed(others)} for training"
    return {"train": fold.is_not_null().to_numpy() & ~is_test, "test": is_test}, rule


def _listed(folds: list[int]) -> str:
    return ", ".join(map(str, folds))


def balanced_folds(groups: Sequence[str], k: int, seed: int) -> Int64[np.ndarray, " N"]:
    """Put groups into k folds of about the same number of rows; a group is never divided.

    The largest group goes first, each into the fold that is smallest so far; groups of the same size are
    taken in the order of a hash of (seed, group).
    """
    names, inverse, sizes = _grouped(groups)
    order = sorted(range(len(names)), key=lambda g: (-int(sizes[g]), rank_key(names[g], seed), names[g]))
    smallest = [(0, fold) for fold in range(1, k + 1)]
    fold_of = np.zeros(len(names), dtype=np.int64)
    for group in order:
        size, fold = smallest[0]
        fold_of[group] = fold
        heapq.heapreplace(smallest, (size + int(sizes[group]), fold))
    folds: Int64[np.ndarray, " N"] = fold_of[inverse]
    return folds


def stratified_folds(
    groups: Sequence[str], strata: Int64[np.ndarray, " N"], k: int, seed: int
) -> Int64[np.ndarray, " N"]:
    """Put groups into k folds that are alike in size and in their share of every stratum; no group is divided.

    Greedy, as scikit-learn's StratifiedGroupKFold, but balanced in size too and the same for the same names:
    the largest group goes first, each into the fold that holds least of what the group is made of, measured
    in shares of the whole. Two things are certain:

    - no fold is larger than another by more than the largest group;
    - where every row is a group of its own, folds differ by at most one row, in all and in every stratum.
    """
    names, inverse, sizes = _grouped(groups)
    keys = [rank_key(name, seed) for name in names]
    if len(names) == len(groups):  # what the rule below comes to, for a million rows in two seconds
        order = np.lexsort((np.array(names), np.array(keys, dtype=np.uint64), strata))
        dealt = np.empty(len(groups), dtype=np.int64)
        dealt[order] = np.arange(len(groups)) % k + 1
        return dealt
    pairs, counts = np.unique(np.stack([inverse, strata]), axis=1, return_counts=True)
    content: list[list[tuple[int, int]]] = [[] for _ in names]
    for group, stratum, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        content[group].append((stratum, count))
    totals: list[int] = np.bincount(strata).tolist()
    kinds = sum(total > 0 for total in totals)
    held = [[0] * len(totals) for _ in range(k)]
    filled = [0] * k
    largest = int(sizes.max())

    def load(fold: int, group: int) -> float:
        same_kind: float = sum(count * held[fold][stratum] / totals[stratum] ** 2 for stratum, count in content[group])
        return same_kind / kinds + int(sizes[group]) * filled[fold] / len(groups) ** 2

    def rank(group: int) -> tuple[int, int, int, str]:
        main = max(content[group], key=lambda part: (part[1], -part[0]))[0]
        return -int(sizes[group]), main, keys[group], names[group]

    fold_of = np.zeros(len(names), dtype=np.int64)
    for group in sorted(range(len(names)), key=rank):
        most = min(filled) + largest - int(sizes[group])
        fold = min((f for f in range(k) if filled[f] <= most), key=lambda f: (load(f, group), filled[f], f))
        fold_of[group] = fold + 1
        filled[fold] += int(sizes[group])
        for stratum, count in content[group]:
            held[fold][stratum] += count
    folds: Int64[np.ndarray, " N"] = fold_of[inverse]
    return folds


def draw_groups(groups: Sequence[str], fraction: float, seed: int) -> Bool[np.ndarray, " N"]:
    """Draw whole groups until about a fraction of the rows is drawn; at least one group, never all."""
    names, inverse, sizes = _grouped(groups)
    order = sorted(range(len(names)), key=lambda g: (rank_key(names[g], seed), names[g]))
    totals = np.cumsum(sizes[order])
    count = 1 + int(np.abs(totals - fraction * len(groups)).argmin())
    drawn = np.zeros(len(names), dtype=np.bool_)
    drawn[order[: min(count, len(names) - 1)]] = True
    rows: Bool[np.ndarray, " N"] = drawn[inverse]
    return rows


def draw_stratified(
    names: Sequence[str], strata: Int64[np.ndarray, " N"], fraction: float, seed: int
) -> Bool[np.ndarray, " N"]:
    """Draw about a fraction of the rows of every stratum; at least one row in all, never all rows.

    Every stratum gives its share, rounded up or down (largest remainders first), so that the total is the
    rounded fraction of all rows. Which rows of a stratum are drawn is decided by a hash of (seed, name).
    """
    total = len(names)
    wanted = min(max(round(fraction * total), 1), total - 1)
    keys = np.array([rank_key(name, seed) for name in names], dtype=np.uint64)
    quotas: dict[int, int] = {}
    remainders: list[tuple[float, int]] = []
    for stratum, size in zip(*np.unique(strata, return_counts=True), strict=True):
        share = wanted * int(size) / total
        quotas[int(stratum)] = int(share)
        remainders.append((int(share) - share, int(stratum)))
    for _, stratum in sorted(remainders)[: wanted - sum(quotas.values())]:
        quotas[stratum] += 1
    drawn = np.zeros(total, dtype=np.bool_)
    for stratum, quota in quotas.items():
        rows = np.flatnonzero(strata == stratum)
        drawn[rows[np.argsort(keys[rows], kind="stable")[:quota]]] = True
    return drawn


def rank_key(name: str, seed: int) -> int:
    """Hash (seed, name) to a number of 64 bits; the same on every machine and in every version."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "big")


def _grouped(groups: Sequence[str]) -> tuple[list[str], Int64[np.ndarray, " N"], Int64[np.ndarray, " G"]]:
    numbers: dict[str, int] = {}
    inverse = np.fromiter((numbers.setdefault(name, len(numbers)) for name in groups), np.int64, len(groups))
    return list(numbers), inverse, np.bincount(inverse, minlength=len(numbers)).astype(np.int64)
