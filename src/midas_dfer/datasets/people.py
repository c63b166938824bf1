"""Who is who: spellings of one person are one person, and a word for "missing" is nobody.

Two spellings of a person are a leak between training and test, and a word such as "unknown" would put strangers into
one group. What was taken for one is told, and so is what is nearly alike but was not. The films, scenes or sources by
which clips are divided are read the same way.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.rows import refuse_group_columns
from midas_dfer.wording import and_more

# fmt: off
_NOBODY = frozenset((
    "na", "n/a", "n.a.", "n.a", "#n/a", "<na>", "nan", "none", "null", "nil", "unknown", "unk", "not known",
    "not available", "missing", "undefined", "unspecified", "anonymous", "-", "--", "---", "?", "??", "???",
))
# fmt: on
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_SHOWN = 3


@dataclass(frozen=True)
class People:
    """What the names of people mean.

    `one_name` gives the person of each spelling, None for nobody; `notes` what was taken for one person or for nobody,
    and which names are nearly alike.
    """

    one_name: dict[str, str | None]
    notes: tuple[str, ...]

    def of(self, name: str | None) -> str | None:
        """The person of this spelling; None for nobody."""
        return None if name is None else self.one_name[name]

    def in_column(self, names: pl.Series) -> pl.Series:
        """The persons of a column of spellings."""
        if all(name == person for name, person in self.one_name.items()):
            return names
        return names.replace_strict(self.one_name, return_dtype=pl.String)


def find_people(names: Iterable[str | None], what: str) -> People:
    """Find out which spellings are one person.

    Capitals, blanks, the form of accents (NFC, NFD) and a ".0" behind a number do not make another person. Whether
    "01" is "1", or "anna_b" "anna b", is not known: they stay two, and a note says so. Of several spellings the first
    in the order of the alphabet names the person, so that no order of rows matters.
    """
    spellings = sorted({name for name in names if name is not None})
    persons: dict[str, list[str]] = {}
    nobody: list[str] = []
    for spelling in spellings:
        key = _key(spelling)
        if key in _NOBODY or not key:
            nobody.append(spelling)
        else:
            persons.setdefault(key, []).append(spelling)
    one_name: dict[str, str | None] = dict.fromkeys(nobody)
    one_name |= {spelling: same[0] for same in persons.values() for spelling in same}
    several = [same for same in persons.values() if len(same) > 1]
    alike: dict[str, list[str]] = {}
    for key, same in persons.items():
        alike.setdefault(_loosely(key), []).append(same[0])
    near = [found for found in alike.values() if len(found) > 1]
    notes = []
    if several:
        notes.append(f"Spellings that were taken for one {what} each: {_listed(several, ' = ')}.")
    if nobody:
        notes.append(f"Words that were taken for no {what}: {', '.join(map(repr, nobody[: _SHOWN * 2]))}.")
    if near:
        notes.append(
            f"Names of {what}s that are nearly alike, and were taken for different ones: {_listed(near, ', ')}. If "
            "they are one, write them alike."
        )
    return People(one_name, tuple(notes))


def spell_alike(manifest: Manifest, columns: Iterable[str]) -> Manifest:
    """Take spellings of one value of a column for one, as those of one subject are, before clips are divided by it."""
    refuse_group_columns(manifest.table, [*columns], manifest.name)
    for column in columns:
        names = manifest.table[column]
        if column == "subject" or names.dtype != pl.String:
            continue
        found = find_people(names.unique(), column)
        manifest = manifest.with_columns(**{column: found.in_column(names)}).with_notes(*found.notes)
    return manifest


def _key(spelling: str) -> str:
    plain = " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", spelling).casefold()).split())
    whole = _WHOLE.fullmatch(plain)
    return whole[1] if whole else plain


def _loosely(key: str) -> str:
    """Letters without accents and numbers without leading zeros; nothing else."""
    apart = re.sub(r"(?<=\d)[\W_]+(?=\d)", "x", unicodedata.normalize("NFKD", key))
    bare = "".join(c for c in apart if c.isalnum())
    return re.sub(r"(?<!\d)0+(?=\d)", "", bare) or key


def _listed(groups: list[list[str]], between: str) -> str:
    return and_more([between.join(map(repr, group[:_SHOWN])) for group in groups], _SHOWN, "; ")
