"""What the study's methods are called on its page and in its pictures."""

from collections.abc import Mapping

from midas_dfer.experiments.results import MethodResult

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
