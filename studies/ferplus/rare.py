"""The recall of FER+'s rare classes."""

from collections.abc import Sequence
from statistics import fmean

from midas_dfer.experiments.results import MethodResult
from studies.disagreement.data import RARE


def rare_classes(class_names: Sequence[str]) -> tuple[str, ...]:
    """Those of `RARE` that the data set has."""
    return tuple(name for name in RARE if name in class_names)


def rare_recalls(method: MethodResult, rare: Sequence[str], seeds: Sequence[int] | None = None) -> list[float]:
    """The mean recall of the rare classes that occur, of each seed; nothing where there are none."""
    chosen = [result for seed in (method.seeds if seeds is None else seeds) for result in method.of_seed(seed)]
    places = [method.class_names.index(name) for name in rare]
    recalls = [[each.evaluation.recall[place] for place in places] for each in chosen]
    known = [[recall for recall in row if recall is not None] for row in recalls]
    return [fmean(row) for row in known if row]
