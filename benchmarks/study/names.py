"""What the study's methods are called on its page and in its pictures."""

from collections.abc import Mapping

from benchmarks.study.grid import SCALES, Schedule
from midas_dfer.experiments.results import MethodResult
from midas_dfer.training.config import RunConfig

NAMES: Mapping[str, str] = {
    "hard": "hard",
    "soft": "soft",
    "midas_hard": "MIDAS, hard labels",
    "midas_none": "MIDAS, no normalisation",
    "midas_counts": "MIDAS, softmax of counts",
    "midas_softmax": "MIDAS, softmax of probabilities",
}


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
