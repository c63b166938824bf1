"""Which runs stand as one method in a report: those that differ in nothing but seed and fold."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from midas_dfer.comparison.run_results import OF_RUNS, Entry, RunResult, pooled
from midas_dfer.training.run_folder.runs import MACHINE_SETTINGS


def group_runs(runs: Sequence[RunResult]) -> tuple[Entry, ...]:
    """Put together the runs that differ in nothing but seed and fold, as the trainings of a method.

    Two runs of the same recipe with the same fold and seed stay apart, and so do runs that were scored on other
    clips or have not been scored.
    """
    groups: dict[tuple[Any, ...], list[RunResult]] = {}
    for number, each in enumerate(runs):
        alike = _alike(each)
        mine = groups.setdefault((alike, number if alike is None else 0), [])
        if any(other.place == each.place for other in mine):
            mine = groups.setdefault((alike, number + 1), [])
        mine.append(each)
    names = _group_names(list(groups.values()))
    return tuple(pooled(name, group) for name, group in zip(names, groups.values(), strict=True))


def _alike(each: RunResult) -> tuple[Any, ...] | None:
    """What runs of one method have in common; None of a run without scores, or of a model without its run."""
    if each.evaluation is None or each.predictions is None or each.run is None:
        return None
    scored, provenance = each.evaluation, each.run.provenance
    recipe = {k: v for k, v in each.run.config.to_dict().items() if k not in (*OF_RUNS, *MACHINE_SETTINGS)}
    if provenance.num_votes_found:
        del recipe["num_votes"]  # other training clips, another mean; the recipe is the same
    return (
        json.dumps(recipe, sort_keys=True),
        provenance.store_fingerprint,
        provenance.init_weights,
        provenance.class_names,
        (scored.dataset, scored.part, scored.class_names),
        each.run.config.test_fold is None,
    )


def _group_names(runs: Sequence[Sequence[RunResult]]) -> list[str]:
    """What the names of a group's runs begin with, up to the words seed and fold; a single run's own name.

    Where they begin with nothing else, it is the folder that they lie in. Folders at the end that all of them have are
    left out.
    """
    groups = [[each.name for each in group] for group in runs]
    short = [_shared_start(group) if len(group) > 1 else group[0] for group in groups]
    for number, group in enumerate(runs):
        above = {each.path.resolve().parent for each in group}
        short[number] = short[number] or (above.pop().name if len(above) == 1 else "")
    while len(short) > 1 and len({name.rpartition("/")[2] for name in short}) == 1 and all("/" in n for n in short):
        short = [name.rpartition("/")[0] for name in short]  # a folder that all lie in tells nothing
    taken = Counter(short)
    return [
        name if name and taken[name] == 1 else group[0] + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        for name, group in zip(short, groups, strict=True)
    ]


def _shared_start(names: Sequence[str]) -> str:
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in same)
    return re.sub(r"([/_.-]?(seed|fold|run))?[/_. -]*$", "", start)
