"""Which runs stand as one method, those that differ in nothing but seed and fold; and how methods are compared."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from midas_dfer.comparison.differences import Difference, comparable, find_differences, pairs_with
from midas_dfer.comparison.paired_tests import COMPARED, FURTHER_COMPARED
from midas_dfer.comparison.predictions import pool_predictions
from midas_dfer.comparison.run_results import FOLD_AND_SEED, Entry, RunResult, pooled
from midas_dfer.training.run_folder.runs import MACHINE_SETTINGS
from midas_dfer.wording import and_more


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


def compare_runs(
    entries: Sequence[Entry], baseline: Entry, people: Mapping[str, str]
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Compare runs or methods with a baseline, on the clips that both were scored on.

    Where all are single runs, each stands for one training, whichever its fold and seed; methods of several runs are
    compared over the seeds that both have. Gives the differences, and a sentence for each entry that cannot be
    compared. `people`: who is in each clip, as far as that is known.
    """
    known = {each.name: each.predictions for each in entries if each.predictions is not None}
    if all(len(each.runs) == 1 for each in entries):
        known = {name: pool_predictions(each.class_names, [(each, None, 0)]) for name, each in known.items()}
    pairs = pairs_with(baseline.name, [each.name for each in entries])
    refused = tuple(
        f"{first} cannot be compared with {second}: "
        f"there are no predictions of {' or '.join(name for name in (first, second) if name not in known)}."
        for first, second in pairs
        if not known.keys() >= {first, second}
    )
    found, unlike = comparable(known, [pair for pair in pairs if known.keys() >= set(pair)])
    shown = "vote_shares" if any(each.vote_shares is not None for each in known.values()) else "probabilities"
    measures = (*COMPARED, *(each for each in FURTHER_COMPARED if each.reading == shown))
    return find_differences(known, found, measures=measures, people=people or None), (*refused, *unlike)


def _alike(each: RunResult) -> tuple[Any, ...] | None:
    """What runs of one method have in common; None of a run without scores, or of a model without its run."""
    if each.evaluation is None or each.predictions is None or each.run is None:
        return None
    scored, provenance = each.evaluation, each.run.provenance
    recipe = {k: v for k, v in each.run.config.to_dict().items() if k not in (*FOLD_AND_SEED, *MACHINE_SETTINGS)}
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
        name if name and taken[name] == 1 else and_more(group, 1) for name, group in zip(short, groups, strict=True)
    ]


def _shared_start(names: Sequence[str]) -> str:
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in same)
    return re.sub(r"([/_.-]?(seed|fold|run))?[/_. -]*$", "", start)
