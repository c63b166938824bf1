"""run.json, read with every field checked: it may have been damaged or edited since it was written."""

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar

from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.files import json_kind

CURE = "put it back as it was, or train again"

_PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    int: ((int,), "a whole number from 0"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
}
_LARGEST = 2**63 - 1


T = TypeVar("T")


def read_record(kind: type[T], values: Mapping[str, Any], path: Path, *, within: str = "") -> T:
    """Make a dataclass of a JSON object, each value checked against its field's type.

    Args:
        kind: the dataclass; its fields hold text, numbers, names each once, objects, `ExtractSettings`,
            `FaceTemplate`.
        values: the object.
        path: where it was read; for messages.
        within: what leads to the object inside the file, such as "extract."; for messages.

    Raises:
        RequestError: a field is missing, unknown or of another kind; names it.
    """
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    if unknown := sorted(set(values) - set(known)):
        raise RequestError(f"{path} holds {within + unknown[0]!r:.100}, which this version does not know; {CURE}")
    needed = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise RequestError(f"{path} is damaged ({within}{missing[0]} is missing); {CURE}")
    types = typing.get_type_hints(kind)
    return kind(**{name: _checked(types[name], value, within + name, path) for name, value in values.items()})


def _checked(kind: Any, value: Any, name: str, path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, UnionType) and NoneType in parts:
        (kind,) = (each for each in parts if each is not NoneType)
        return None if value is None else _checked(kind, value, name, path)
    if kind is ExtractSettings:
        return _read_settings(_of_kind(value, (dict,), "an object", name, path), name, path)
    if kind is FaceTemplate:
        return _read_template(value, name, path)
    if origin is tuple:
        names = _of_kind(value, (list,), "a list of text", name, path)
        texts = [_of_kind(each, (str,), "text", f"one of {name}", path) for each in names]
        if not texts or len(set(texts)) < len(texts):
            raise RequestError(f"{path} is damaged ({name} is empty, or names one twice); {CURE}")
        return tuple(texts)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if parts[1] is str and isinstance(value, dict):
            return {key: _of_kind(each, (str,), "text", f"{name}.{key:.100}", path) for key, each in value.items()}
        return _of_kind(value, (dict,), "an object", name, path)
    if origin is typing.Literal:
        if value not in parts:
            raise _wrong(name, " or ".join(map(str, parts)), value, path)
        return value
    allowed, expected = _PLAIN[kind]
    found = _of_kind(value, allowed, expected, name, path)
    if kind is int and not 0 <= found <= _LARGEST:
        raise _wrong(name, expected, value, path)
    return found


def _read_settings(values: Mapping[str, Any], name: str, path: Path) -> ExtractSettings:
    try:
        return read_record(ExtractSettings, {"search_every": None, **values}, path, within=f"{name}.")
    except RequestError as error:  # of the settings themselves: they speak of flags, and know no file
        if str(path) in str(error):
            raise
        raise RequestError(f"{path} is damaged ({name}: {error}); {CURE}") from error


def _read_template(values: object, name: str, path: Path) -> FaceTemplate:
    try:
        return FaceTemplate.from_dict(values)
    except RequestError as error:
        raise RequestError(f"{path} is damaged ({name}: {error}); {CURE}") from error


def _of_kind(value: Any, kinds: tuple[type, ...], expected: str, name: str, path: Path) -> Any:  # noqa: ANN401
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise _wrong(name, expected, value, path)
    return value


def _wrong(name: str, expected: str, value: Any, path: Path) -> RequestError:  # noqa: ANN401
    shown = json_kind(value) if isinstance(value, dict | list) else repr(value)[:100]
    return RequestError(f"{path} is damaged ({name} is {shown}; expected {expected}); {CURE}")
