"""Files of settings: read safely, whoever wrote them.

YAML lets a few lines stand for gigabytes (aliases of aliases), and nest to any depth. Settings need neither.
"""

from pathlib import Path
from typing import Any

import yaml

from midas_dfer.errors import RequestError
from midas_dfer.files import cannot_read

_MOST_BYTES = 2**16
_MOST_LEVELS = 4  # settings by name, and lists of numbers in them


def read_settings_text(path: Path) -> str:
    """Read the text of a file of settings, and see that it is one.

    Raises:
        RequestError: it is not there, may not be read, is no text, or `check_settings_text` refuses it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise RequestError(f"cannot read the configuration {path}: there is no such file") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    except UnicodeDecodeError as error:
        if len(content) <= _MOST_BYTES:
            raise RequestError(f"{path} is not text in UTF-8; expected lines such as: epochs: 450") from error
        text = ""
    if len(content) > _MOST_BYTES:
        raise RequestError(f"{path} is larger than {_MOST_BYTES >> 10} KiB, and no configuration; name another file")
    check_settings_text(text, str(path))
    return text


def read_settings_file(path: Path) -> dict[Any, Any]:
    """Read settings by name.

    Raises:
        RequestError: as `read_settings_text`, or a value is none.
    """
    return parse_settings(read_settings_text(path), str(path))


def parse_settings(text: str, name: str) -> dict[Any, Any]:
    """Settings by name, of a text that `check_settings_text` has seen.

    Raises:
        RequestError: a value is none.
    """
    try:
        values: dict[Any, Any] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number or a date that Python cannot make
        raise RequestError(f"cannot read the configuration {name}: {_one_line(error)}") from error
    return values


def check_settings_text(text: str, name: str) -> None:
    """Refuse a text that is not settings by name, each once, before anything is made of it.

    Args:
        text: YAML or JSON.
        name: what it is called in a message.

    Raises:
        RequestError: it is not YAML, holds anchors or aliases, is nested deeply, or names a setting twice.
    """
    if len(text) > _MOST_BYTES:
        raise RequestError(f"{name} is larger than {_MOST_BYTES >> 10} KiB, and no configuration")
    try:
        names = _names(text, name)
    except yaml.YAMLError as error:
        raise RequestError(f"cannot read the configuration {name}: {_one_line(error)}") from error
    if names is None:
        raise RequestError(f"{name} is no configuration; expected lines such as: epochs: 450")
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise RequestError(f"{name} says {twice[0]} twice; leave one of them out")


def _names(text: str, name: str) -> list[str] | None:
    """The keys of the outermost mapping; None where there is none. Stops at what settings do not hold."""
    level, names, is_key, is_mapping = 0, [], True, False
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            line = "" if event.start_mark is None else f", line {event.start_mark.line + 1},"
            raise RequestError(f"{name}{line} has a YAML anchor or alias (& or *); write the values out")
        if isinstance(event, yaml.DocumentStartEvent) and is_mapping:
            raise RequestError(f"{name} holds several YAML documents; expected one")
        begins = isinstance(event, yaml.CollectionStartEvent)
        if level == 1 and is_mapping and (begins or isinstance(event, yaml.ScalarEvent)):
            if is_key and isinstance(event, yaml.ScalarEvent):
                names.append(event.value)
            is_key = not is_key
        if begins:
            is_mapping = is_mapping or (level == 0 and isinstance(event, yaml.MappingStartEvent))
            level += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
        if level > _MOST_LEVELS:
            raise RequestError(f"{name} is nested too deeply for a configuration; expected lines such as: epochs: 450")
    return names if is_mapping else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
