"""JSON files that other tools export, read entry by entry.

Whatever is wrong is said with the file and the number of the entry: a truncated file, deep nesting, a name that
occurs twice in one object, NaN. The entries are handed over one by one, so that only what a reader keeps of them
stays in memory. Ours, because `json.load` holds a file whole and knows no entry in its errors.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from midas_dfer.errors import RequestError, first_line
from midas_dfer.files import near_name

MOST_BYTES = 2**30
"""Files larger than this (1 GiB, some million entries) are refused: they would have to be held in memory whole."""

_BLANKS = re.compile(r"[ \t\r\n]*")


class _RefusedError(ValueError):
    """JSON that Python would read, but whose meaning is not certain."""


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"has the name {twice[:80]!r} twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _RefusedError(f"holds {name}, which is no number in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_each_name_once, parse_constant=_no_constant)


def read_json_entries(
    file: Path,
    entry: str,
    take: Callable[[int, object], None],
    array: str | None = None,
    advice: str = "Export it again as JSON.",
    data: bytes | None = None,
) -> dict[str, object]:
    """Read a JSON file that is a list of entries, or an object one of whose members is such a list.

    Args:
        file: the file, in UTF-8 with or without a byte order mark.
        entry: what messages call an entry, for example "task".
        take: called with the number of each entry, counted from 1, and the entry.
        array: the name of the member that is the list; None where the file is the list.
        advice: what to do if the file is another one; ends the messages.
        data: what is in it, where it lies in an archive.

    Returns:
        The other members of the object; empty where the file is the list.

    Raises:
        RequestError: there is no such file, it is empty, too large, not UTF-8, not JSON, ends too early, or has
            another form; or an object has a name twice. The message names the file and the entry or line.
    """
    reader = _Reader(file, _text_of(file, _read_bytes(file) if data is None else data, advice), advice)
    if array is None:
        if reader.peek() != "[":
            reader.refuse(f"begins with {reader.shown()}, not with a list of {entry}s")
        reader.entries(entry, take)
        members: dict[str, object] = {}
    else:
        if reader.peek() != "{":
            reader.refuse(f"begins with {reader.shown()}, not with an object that holds {array!r}")
        members = reader.members(entry, take, array)
    if reader.peek():
        reader.refuse(f"goes on behind its end (line {reader.line()}): it may be several files in one")
    return members


def clean_text(text: str) -> str:
    """Replace what no UTF-8 text can hold: JSON can name half of a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")


def _read_bytes(file: Path) -> bytes:
    if not file.exists():
        raise RequestError(f"There is no file {file}{near_name(file)}. Give the exported JSON file.")
    if not file.is_file():
        raise RequestError(f"{file} is not a file. Give the exported JSON file.")
    try:
        size = file.stat().st_size
        if size > MOST_BYTES:
            raise RequestError(
                f"{file} is larger than {MOST_BYTES / 2**30:g} GiB. Export it in parts, or make a table of its votes."
            )
        return file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({first_line(error)}). Check its permissions.") from error


def _text_of(file: Path, data: bytes, advice: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RequestError(
            f"{file} is not in UTF-8: line {line} holds the byte 0x{data[error.start]:02x}. {advice}"
        ) from error
    if not text.strip():
        raise RequestError(f"{file} is empty. {advice}")
    return text


class _Reader:
    """A place in a JSON text, and the steps that go on from it."""

    def __init__(self, file: Path, text: str, advice: str) -> None:
        self._file, self._text, self._at, self._advice = file, text, 0, advice

    def refuse(self, what: str) -> NoReturn:
        raise RequestError(f"{self._file} {what}. {self._advice}")

    def line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def peek(self) -> str:
        """Give the next sign that is no blank; "" at the end."""
        match = _BLANKS.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def shown(self) -> str:
        return repr(self._text[self._at : self._at + 20])

    def step(self, allowed: str, where: str) -> str:
        """Go over the next sign, which must be one of `allowed`."""
        sign = self.peek()
        if not sign:
            self.refuse(f"ends within {where}: it is not whole")
        if sign not in allowed:
            self.refuse(f"is not JSON: {where} (line {self.line()}) goes on with {self.shown()}")
        self._at += 1
        return sign

    def value(self, where: str) -> object:
        """Read the value that begins here."""
        self.peek()
        try:
            found: object
            found, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            if error.pos >= len(self._text.rstrip()) or error.msg.startswith("Unterminated string"):
                self.refuse(f"ends within {where}: it is not whole")
            self.refuse(f"is not JSON: {where}, line {error.lineno}, column {error.colno}: {error.msg}")
        except RecursionError:
            self.refuse(f"is nested too deeply: {where}")
        except _RefusedError as error:
            self.refuse(f"cannot be read for certain: {where} {error}")
        except ValueError as error:  # a number of thousands of digits
            self.refuse(f"is not usable: {where} holds {first_line(error)}")
        return found

    def entries(self, entry: str, take: Callable[[int, object], None]) -> None:
        """Read the list that begins here."""
        self.step("[", "the list")
        number = 1
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            take(number, self.value(f"{entry} {number}"))
            if self.step(",]", f"the list behind {entry} {number}") == "]":
                return
            number += 1

    def members(self, entry: str, take: Callable[[int, object], None], array: str) -> dict[str, object]:
        """Read the object that begins here; the list called `array` goes to `take`."""
        self.step("{", "the object")
        found: dict[str, object] = {}
        seen = False
        more = self.peek() != "}"
        while more:
            if self.peek() != '"':
                self.step('"', "the object")
            name = str(self.value("a name"))
            self.step(":", f"the object behind {name[:80]!r}")
            if name in found or (name == array and seen):
                self.refuse(f"cannot be read for certain: it has the name {name[:80]!r} twice")
            if name == array and self.peek() == "[":
                seen = True
                self.entries(entry, take)
            else:
                found[name] = self.value(f"{name[:80]!r}")
            more = self.step(",}", f"the object behind {name[:80]!r}") == ","
        if not found and not seen:
            self.step("}", "the object")
        if not seen:
            self.refuse(f"has no list called {array!r}, only {', '.join(map(repr, list(found)[:10])) or 'nothing'}")
        return found
