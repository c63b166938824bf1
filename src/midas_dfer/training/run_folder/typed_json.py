"""Dataclasses out of JSON that may have been damaged or edited: each value is checked against the type of its field."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from midas_dfer.errors import RequestError
from midas_dfer.files import json_kind

Proportion = Annotated[float, 0.0, 1.0]
"""A float that must lie in this range."""

T = TypeVar("T")

_PLAIN: dict[Any, tuple[tuple[type, ...], float, float, str]] = {
    str: ((str,), 0, 0, "text"),
    bool: ((bool,), 0, 0, "true or false"),
    int: ((int,), 0, 2**63 - 1, "a whole number from 0"),
    float: ((int, float), -(2**53), 2**53, "a number"),
    Any: ((object,), 0, 0, "anything"),
}
"""What JSON has for a type, the range of its numbers (NaN is in none), and what it is called."""


def read_fields(kind: type[T], value: object, name: str, *, strict: bool = False, within: str = "") -> T:
    """A dataclass out of a JSON object; a field that is missing takes its default.

    `strict` refuses what no field is of; `within` leads to the object inside the file, such as "extract.".

    Raises:
        ValueError: which value is missing, of another type, out of range or refused by the dataclass.
    """
    if not isinstance(value, dict):
        raise _wrong(name, value, "an object")
    known, hints = fields(kind), get_type_hints(kind, include_extras=True)  # type: ignore[arg-type]  # a dataclass
    if strict and (unknown := sorted(value.keys() - hints.keys())):
        raise ValueError(f"it holds {within + unknown[0]!r:.100}, which this version does not know")
    for field in known:
        if field.name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{within}{field.name} is missing")
    there = [field.name for field in known if field.name in value]
    values = {each: from_json(hints[each], value[each], f"{within}{each}", strict=strict) for each in there}
    try:
        return kind(**values)
    except RequestError as error:  # the dataclass speaks of flags, and knows no file
        raise ValueError(f"{name}: {error}") from error


def from_json(kind: Any, value: Any, name: str, *, strict: bool = False) -> Any:  # noqa: ANN401 -- a value of `kind`
    """A value of a type: a dataclass, `tuple[X, ...]`, a mapping, `X | None`, a literal, a scalar or one of several.

    Raises:
        ValueError: as `read_fields`.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = tuple(each for each in parts if each is not NoneType)
        if value is None and NoneType in parts:
            return None
        if len(inner) == 1:
            return from_json(inner[0], value, name, strict=strict)
        if not isinstance(value, inner):
            raise _wrong(name, value, " or ".join(_PLAIN[each][3] for each in inner))
        return value
    if is_dataclass(kind):
        if (own := getattr(kind, "from_dict", None)) is None:
            return read_fields(kind, value, name, strict=strict, within=f"{name}.")  # type: ignore[arg-type]
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object")
        try:
            return own(value)
        except RequestError as error:
            raise ValueError(f"{name}: {error}") from error
    if origin is Literal:
        if value not in parts:
            raise _wrong(name, value, " or ".join(map(str, parts)))
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(name, value, "a list")
        return tuple(from_json(parts[0], each, name, strict=strict) for each in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object")
        return {key: from_json(parts[1], each, f"{name}.{key:.100}", strict=strict) for key, each in value.items()}
    allowed, low, high, expected = _PLAIN[parts[0] if origin is Annotated else kind]
    if origin is Annotated:
        low, high, expected = parts[1], parts[2], f"a share from {parts[1]:g} to {parts[2]:g}"
    fits = isinstance(value, allowed) and not (isinstance(value, bool) and kind not in (bool, Any))
    if not fits or (high and not low <= value <= high):
        raise _wrong(name, value, expected)
    return value


def _wrong(name: str, value: object, expected: str) -> ValueError:
    shown = json_kind(value) if isinstance(value, dict | list) else repr(value)[:100]
    return ValueError(f"{name} is {shown}; expected {expected}")
