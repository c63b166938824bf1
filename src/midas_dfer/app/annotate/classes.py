"""What people can answer: the classes of a project; and the right answers of its gold clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from midas_dfer.app.annotate.videos import listed
from midas_dfer.datasets.roles import ROLES, plain_name
from midas_dfer.datasets.table import read_table
from midas_dfer.datasets.tools.exports import names_of_paths
from midas_dfer.emotions import canonical_name, check_class_names, is_known_emotion, is_no_emotion
from midas_dfer.errors import RequestError
from midas_dfer.wording import count, harmless

MOST_CLASSES = 36
"""One key each: digits and letters."""

_LONGEST_CLASS = 40
_COLUMNS = frozenset(alias for names in ROLES.values() for alias in names)


def checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes under their usual names; refuses those that no key, page or table could tell apart."""
    names = tuple(canonical_name(name) if is_known_emotion(name) else " ".join(name.split()) for name in classes)
    check_class_names(names)
    if not 2 <= len(names) <= MOST_CLASSES:
        raise RequestError(f"{count(len(names), 'class', 'classes')} were given; give from 2 to {MOST_CLASSES}")
    for name in names:
        shown = repr(name[: 2 * _LONGEST_CLASS])
        if (
            len(name) > _LONGEST_CLASS
            or harmless(name) != name
            or set(name) & set(",;[]{}'\"")
            or not name[0].isalnum()
        ):
            raise RequestError(
                f"the class {shown} cannot be used: a name begins with a letter or digit, has no commas, quotes or "
                f"brackets, and at most {_LONGEST_CLASS} characters"
            )
        if is_no_emotion(name):
            raise RequestError(f"the class {shown} is no emotion: leave it out, and allow the answer unsure instead")
        if plain_name(name) in _COLUMNS:
            raise RequestError(f"the class {shown} is called like a column of a table of votes: choose another name")
    return names


def read_gold(file: Path, classes: Sequence[str]) -> dict[str, str]:
    """Right answers from a table with the columns `path` and `emotion`, by path."""
    manifest = read_table(file, class_names=checked_classes(classes))
    rows = manifest.table.select("path", "label").rows()
    undecided = [path for path, label in rows if label is None]
    if undecided:
        raise RequestError(f"{file} names several emotions for {listed(undecided)}: a gold clip has one right answer")
    return dict(rows)


def checked_gold(gold: Mapping[str, str], paths: Sequence[str], classes: tuple[str, ...]) -> dict[str, str]:
    """Right answers by the full path of each clip, under the names of the classes."""
    called = dict(zip(names_of_paths(paths), paths, strict=True)) | {path: path for path in paths}
    own = {canonical_name(name): name for name in classes}
    missing = [path for path in gold if path not in called]
    if missing:
        raise RequestError(f"gold clips that are not among the videos: {listed(missing)}")
    wrong = [answer for answer in gold.values() if canonical_name(answer) not in own]
    if wrong:
        raise RequestError(f"right answers that are no class: {listed(wrong)}. The classes are {', '.join(classes)}.")
    return {called[path]: own[canonical_name(answer)] for path, answer in gold.items()}
