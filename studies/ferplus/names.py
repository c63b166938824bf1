"""What the study's methods and scores are called on its page and in its pictures, and how outputs are read."""

from collections.abc import Mapping
from pathlib import Path

from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.training.recipes.config import RunConfig
from studies.ferplus.grid import SCALES, Schedule

NAMES: Mapping[str, str] = {
    "hard": "hard",
    "soft": "soft",
    "midas_hard": "MIDAS, hard labels",
    "midas_none": "MIDAS, no normalisation",
    "midas_counts": "MIDAS, softmax of counts",
    "midas_softmax": "MIDAS, softmax of probabilities",
}


DISTANCES: Mapping[str, str] = {"CE": "soft_cross_entropy", "JSD": "jensen_shannon", "TV": "total_variation"}
"""Distances from the votes; the smaller the better."""


def readings_of(method: MethodResult) -> tuple[str, ...]:
    """The readings of the network's output by which its distance from the votes is judged; the first is shown first.

    Vote shares undo the softmax of one label, but a network learns the mean of many labels' softmaxes. For the softmax
    of probabilities that hardly matters. After the softmax of counts neither reading is the annotators' distribution
    (`studies.readings` measures it), so there both count, where both are known. Without a softmax both are the same.
    """
    first = method.results[0]
    config = first.job.config
    if config.mixer != "midas" or config.normalization == "none":
        return ("probabilities",)
    if config.normalization == "softmax":
        return ("vote_shares",)
    return tuple(name for name in ("vote_shares", "probabilities") if name in (first.evaluation.agreement or {}))


def method_name(method: MethodResult) -> str:
    """The method in words, without its schedule."""
    return NAMES[method.name.partition("/")[0]]


def rate_of(method: MethodResult) -> str:
    """The learning rate, such as 0.2, or 0.2 × 5.66 where a method has a factor of its own."""
    part = next(part for part in method.name.partition("/")[2].split("-") if part.startswith("lr"))
    rate, _, factor = part.removeprefix("lr").partition("x")
    return f"{rate} × {factor}" if factor else rate


def label_of(method: MethodResult) -> str:
    """The method in words, with the factor of its learning rate."""
    factor = rate_of(method).partition(" × ")[2]
    return method_name(method) + (f", rate × {factor}" if factor else "")


def changes_of(config: RunConfig) -> str:
    """In which settings a schedule is not the study's own; "as in the first table" if in none."""
    base = Schedule()
    found = {
        "epochs": (config.epochs, base.epochs),
        "batch": (config.batch_size, base.batch_size),
        "weight decay": (config.weight_decay, base.weight_decay),
        "dropout": (config.dropout, base.dropout),
        "smallest crop": (min(config.scales), max(min(SCALES), base.smallest_crop)),
    }
    told = [f"{name} {mine:g}" for name, (mine, usual) in found.items() if mine != usual]
    told += [f"{config.model}, its weights to begin with"] * (config.weights is not None)
    return ", ".join(told) or "as in the first table"


def by_reading(name: str, method: MethodResult, reading: str) -> str:
    """A method's name, with the reading of its output where several are shown."""
    several = len(readings_of(method)) > 1
    return f"{name}, by its {reading.replace('_', ' ')}" if several else name


def config_of(result: ExperimentResult) -> RunConfig:
    """The recipe of the first training; what a schedule is, all of them have in common."""
    return result.methods[0].results[0].job.config


def plain_schedule(slug: str) -> str:
    """A schedule without the factor of its learning rate."""
    return "-".join(part.partition("x")[0] if part.startswith("lr") else part for part in slug.split("-"))


def trained_on(result: ExperimentResult) -> str:
    """How many training pictures there were, those that a method cannot use among them."""
    names = {Path(each.job.store).name.rpartition("-")[2] for m in result.methods for each in m.results}
    return " or ".join(f"{int(name):,}" if name.isdecimal() else name for name in sorted(names))


def schedule_name(result: ExperimentResult) -> str:
    """Such as 2,500 pictures, 90 epochs."""
    config = config_of(result)
    batch = f", batches of {config.batch_size}" * (config.batch_size != Schedule().batch_size)
    return f"{trained_on(result)} pictures, {config.epochs} epochs{batch}"
