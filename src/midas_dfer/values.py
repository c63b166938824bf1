"""Is a value that somebody gave the one number that a setting takes? And settings with their ranges.

Ours, because importing pydantic adds 0.2 s to `midas --help`, and jsonargparse checks only what is typed.
"""

import sys
from dataclasses import dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeGuard, get_args, get_origin

from midas_dfer.errors import RequestError

MANY = 1_000_000
"""More epochs or clips than anybody has; far beyond it, libraries fail in ways of their own."""

LARGEST = 2**63 - 1
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "nothing"}


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is one real number, of Python, NumPy or torch; text, lists and true or false are none."""
    if getattr(value, "ndim", 0) == 0 and hasattr(value, "item"):
        value = value.item()
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is one whole number, and not one such as 2.0, which what counts with it would refuse."""
    if getattr(value, "ndim", 0) == 0 and hasattr(value, "item"):
        value = value.item()
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class _Limits:
    low: float = -LARGEST
    high: float = LARGEST
    above: bool = False  # more than `low`

    def hold(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def in_words(self) -> str:
        if self.low == -LARGEST:
            return ""
        if self.above:
            return f" above {self.low:g}" + (f", at most {self.high:,}" if self.high < LARGEST else "")
        return f" from {self.low:g} to {self.high:,}" if self.high < LARGEST else f" of {self.low:g} or more"


def within(default: Any, low: float, high: float = MANY) -> Any:  # noqa: ANN401 - as of dataclasses.field
    """The default of a setting whose numbers must be from `low` to `high`."""
    return field(default=default, metadata={"limits": _Limits(low, high)})


def above(default: Any, low: float, high: float = sys.float_info.max) -> Any:  # noqa: ANN401 - as of dataclasses.field
    """The default of a setting whose numbers must be more than `low`."""
    return field(default=default, metadata={"limits": _Limits(low, high, above=True)})


def check_settings(settings: Any) -> None:  # noqa: ANN401 - any dataclass
    """Refuse values that are not of the kind that a dataclass says of them, or outside of their limits.

    Settings stand between backticks in messages, which the command line shows as flags. Numbers of NumPy and torch
    become those of Python, lists become tuples.

    Raises:
        RequestError: names the first, and what was expected.
    """
    for setting in fields(settings):
        value, limits = getattr(settings, setting.name), setting.metadata.get("limits", _Limits())
        if getattr(value, "ndim", 1) == 0:
            value = value.item()
        elif isinstance(value, list) and get_origin(setting.type) is tuple:
            value = tuple(value)
        object.__setattr__(settings, setting.name, value)
        kinds = get_args(setting.type) if get_origin(setting.type) is UnionType else (setting.type,)
        if isinstance(value, int) and abs(value) > LARGEST:  # Python may refuse to write it down
            raise RequestError(f"`{setting.name}` is larger than {LARGEST:.1e}; expected a smaller number")
        if not any(_is(value, kind, limits) for kind in kinds):
            expected = " or ".join(_in_words(kind, limits) for kind in kinds)
            raise RequestError(f"`{setting.name}` is {value!r}; expected {expected}")


def _is(value: Any, kind: Any, limits: _Limits) -> bool:  # noqa: ANN401 - of typing
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_is(each, get_args(kind)[0], limits) for each in value)
    if kind in (int, float):
        return (is_whole if kind is int else is_number)(value) and limits.hold(value)
    return isinstance(value, kind)


def _in_words(kind: Any, limits: _Limits) -> str:  # noqa: ANN401 - of typing
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return _in_words(get_args(kind)[0], limits).removeprefix("a ").replace("number", "numbers")
    return _WORDS[kind] + (limits.in_words() if kind in (int, float) else "")
