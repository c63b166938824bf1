"""Dataclasses out of JSON: each value is checked against the type of its field."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from midas_dfer.files import json_kind

Proportion = Annotated[float, 0.0, 1.0]
"""A float that must lie in this range."""

_MOST = 2**53
"""Of any other number; NaN is not below it either."""


def from_json(kind: Any, value: object, name: str) -> Any:  # noqa: ANN401 -- a value of `kind`
    """A value of a type, out of what JSON has.

    The type is a dataclass, `tuple[X, ...]`, `dict[str, X]`, `X | None`, a scalar or one of several scalars. A field
    that is missing takes its default; one that no field is of is passed over. Whole numbers are counts.

    Raises:
        ValueError: which value is missing, of another type or out of range.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = tuple(each for each in arguments if each is not NoneType)
        if value is None and NoneType in arguments:
            return None
        if len(inner) == 1:
            return from_json(inner[0], value, name)
        if not isinstance(value, inner):
            raise ValueError(f"its {name} holds {json_kind(value)}")
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"its {name} holds {json_kind(value)}; expected a list")
        return tuple(from_json(arguments[0], each, name) for each in value)
    if origin is dict:
        return {key: from_json(arguments[1], each, f"{name} of {key}") for key, each in _object(value, name).items()}
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"its {name} holds {json_kind(value)}; expected text")
        return value
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
            raise ValueError(f"its {name} holds {json_kind(value)} that is no count")
        return value
    low, high = arguments[1:] if origin is Annotated else (-_MOST, _MOST)
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        expected = f"a share from {low:g} to {high:g}" if origin is Annotated else "a finite number"
        raise ValueError(f"its {name} holds {json_kind(value)}; expected {expected}")
    return float(value)


def _dataclass(kind: Any, value: object, name: str) -> Any:  # noqa: ANN401 -- an instance of `kind`
    found, hints = _object(value, name), get_type_hints(kind, include_extras=True)
    values = {}
    for field in fields(kind):
        if field.name in found:
            values[field.name] = from_json(hints[field.name], found[field.name], field.name)
        elif field.default is MISSING:
            raise ValueError(f"{name} has no {field.name}")
    return kind(**values)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {json_kind(value)}; expected an object")
    return value
