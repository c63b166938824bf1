"""Counts, shares and lists in words: "1,204 clips", "12.5 %", "a, b and 3 more"."""

import unicodedata
from collections.abc import Sequence


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 clip", "1,204 clips"; `many` where the plural is not formed with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float, decimals: int = 1) -> str:
    """A share from 0 to 1: "12.5 %"."""
    return f"{100 * share:.{decimals}f} %"


def joined(names: Sequence[str], word: str = "and") -> str:
    """All names as a sentence lists them: "a", "a and b", "a, b and c"."""
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def and_more(names: Sequence[str], most: int, separator: str = ", ", *, total: int | None = None) -> str:
    """The first names, and how many are left out: "a, b and 3 more", or with another separator "a; b; and 3 more".

    Args:
        names: at least the first `most` of them.
        most: so many are named.
        separator: between the names.
        total: how many there are, where `names` holds only the first.
    """
    left = (len(names) if total is None else total) - len(names[:most])
    if left <= 0:
        return separator.join(names)
    return f"{separator.join(names[:most])}{' ' if separator == ', ' else separator}and {left:,} more"


def shortened(text: str, longest: int, tail: int = 0, mark: str = "\u2026") -> str:
    """The text in at most `longest` characters; a mark stands for what is cut, `tail` characters before the end."""
    return text if len(text) <= longest else text[: longest - tail - len(mark)] + mark + text[len(text) - tail :]


def setting_text(value: object) -> str:
    """The value of a setting: "not set", "yes", "0.1, 0.2"."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def harmless(text: str) -> str:
    """Text on one line that can be shown: no controls, no halves of characters, nothing that turns its direction."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _does_harm(c) else c for c in " ".join(text.split()))


def _does_harm(character: str) -> bool:
    steers = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return steers or unicodedata.category(character) in ("Cc", "Cs")
