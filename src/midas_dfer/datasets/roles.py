"""Which column of a table of votes is what: found by its name, and never guessed from numbers alone."""

import re
from collections.abc import Collection
from typing import Literal

import polars as pl

from midas_dfer.datasets.face_choice import FACE_COLUMN
from midas_dfer.datasets.files.records import UNNAMED, Records
from midas_dfer.emotions import canonical_name, is_known_emotion
from midas_dfer.errors import RequestError

ROLES: dict[str, tuple[str, ...]] = {
    "video_id": ("video_id", "videoid", "clip_id"),
    "path": ("path", "file_path", "filepath", "file", "filename", "file_name", "video", "video_name", "clip"),
    "label": ("label", "emotion", "class"),
    "vote": ("vote", "emotion", "label", "class"),
    "annotator": ("annotator", "rater", "worker", "annotator_id", "rater_id", "worker_id"),
    "subject": ("subject", "subject_id", "actor", "actor_id", "person", "speaker", "participant"),
    "split": ("split", "partition", "subset"),
    "fold": ("fold", "test_fold"),
    "face": (FACE_COLUMN,),
}
"""The names of the column for each role, the first that is there; "emotion" may be both label and vote."""

# fmt: off
COUNTS = frozenset((
    "count", "counts", "cnt", "vote", "votes", "vote_count", "votes_count", "count_votes", "num_votes", "n_votes",
    "number_of_votes", "n", "num", "nb", "size", "len", "0", "freq", "freqs", "frequency", "frequencies", "weight",
    "weights", "tally", "times", "occurrences",
))
"""Columns of a long table that say how many votes a row stands for; "0" and "len" are what pandas and polars write."""

_MAYBE_COUNTS = frozenset((
    "total", "totals", "total_votes", "sum", "sums", "amount", "number", "support", "agree", "n_agree", "observers",
    "annotators", "raters", "workers", "people", "responses", "num_responses", "numresponses",
))
_HOW_MANY = re.compile(r"(?:n|num|nr|no|number_of|count_of|total)_(?:of_)?[a-z_]*|[a-z_]*_(?:count|counts|total|freq)")
_PHYSICAL = frozenset(("frame", "frames", "clip", "clips", "face", "faces", "face_count", "season", "episode", "scene"))

_MEASURES = frozenset((
    "age", "agreement", "angle", "annotators", "apex", "arousal", "batch", "beard", "begin", "block", "bytes", "cam",
    "camera", "chapter", "cluster", "code", "cohort", "condition", "confidence", "count", "country", "date", "day",
    "delay", "difficulty", "dominance", "duration", "end", "entropy", "episode", "ethnicity", "fold", "fps",
    "fraction", "frame", "frames", "gender", "glasses", "group", "has", "height", "hit", "hour", "id", "idx", "index",
    "intensity", "is", "key", "language", "latency", "length", "level", "mask", "max", "mean", "min", "minutes",
    "month", "ms", "n", "no", "nr", "num", "number", "observers", "offset", "onset", "order", "part", "pct", "people",
    "percent", "percentage", "position", "prob", "probability", "proportion", "quality", "race", "rank", "rate",
    "raters", "rating", "ratio", "repetition", "responses", "revision", "row", "rt", "scene", "score", "season",
    "sec", "seconds", "seed", "session", "sex", "share", "shot", "site", "size", "split", "start", "std", "stop",
    "sum", "take", "task", "time", "timestamp", "total", "trial", "unnamed", "valence", "var", "version", "view",
    "visit", "votes", "week", "width", "workers", "x", "y", "year", "z",
))
# fmt: on
"""Words in the names of columns of numbers that are known to be something else than votes for a class."""


_SHARES = frozenset(
    ("share", "shares", "fraction", "proportion", "percent", "percentage", "pct", "ratio", "prob", "probability")
)


_NUMBERS = ("whole", "numbers")


def plain_name(column: str) -> str:
    """Give the name of a column in lower case and with "_" between its words: "numVotes", "Num votes" are num_votes."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return "_".join(apart.lower().replace("-", " ").replace("_", " ").split())


def is_measure(column: str) -> bool:
    """Say whether a column of numbers is known by its name to be no class: `session`, `clip_number`, `has_glasses`."""
    plain = plain_name(column)
    words = {word.rstrip("0123456789") or word for word in plain.split("_")}
    if any(map(is_known_emotion, words)):  # happy_votes, percent_sad
        return False
    return plain.startswith((plain_name(UNNAMED), "unnamed:")) or not words.isdisjoint(_MEASURES)


def may_be_count(column: str) -> bool:
    """Say whether a column of whole numbers beside single votes might say how many votes a row stands for."""
    plain = plain_name(column)
    if not _PHYSICAL.isdisjoint(plain.split("_")):
        return False
    return plain in COUNTS or plain in _MAYBE_COUNTS or _HOW_MANY.fullmatch(plain) is not None


def is_share(column: str) -> bool:
    """Say whether a column is called like a part of a whole, as the share of the votes."""
    return not _SHARES.isdisjoint(plain_name(column).split("_"))


def kind_of(cells: pl.Series) -> Literal["whole", "numbers", "text", "empty"]:
    """Say what most filled cells of a column of text hold: whole numbers of 0 or more, other numbers, or text."""
    filled = len(cells) - cells.null_count()
    numbers = cells.cast(pl.Float64, strict=False).drop_nulls()
    if not filled:
        return "empty"
    if 2 * len(numbers) < filled:
        return "text"
    finite = numbers.filter(numbers.is_finite())
    return "whole" if len(finite) and ((finite >= 0) & (finite == finite.floor())).all() else "numbers"


def same_name(column: str, name: str) -> bool:
    """Say whether a column or a class is called so, in any spelling."""
    return plain_name(column) == plain_name(name) or canonical_name(column) == canonical_name(name)


def find_roles(records: Records, ignored: Collection[str]) -> dict[str, str]:
    """Find which column plays which role."""
    usable = [column for column in records.table.columns if column not in ignored]
    plain: dict[str, str] = {}
    aliases = {alias for names in ROLES.values() for alias in names}
    for column in usable:
        name = plain_name(column)
        if name in plain and name in aliases:
            raise RequestError(
                f"{records.file}: the columns {plain[name]!r} and {column!r} have one name but for its spelling. Keep "
                f'one of them, or leave one out: --ignore "[{column}]".'
            )
        plain.setdefault(name, column)
    roles = {
        role: plain[found]
        for role, names in ROLES.items()
        if (found := next((alias for alias in names if alias in plain), None)) is not None
    }
    if "video_id" not in roles and "path" in roles:
        others = (plain[alias] for alias in ("video", "video_name", "clip") if alias in plain)
        second = next((column for column in others if column != roles["path"]), None)
        if second is not None:
            roles["video_id"] = second
    where = roles.get("path", "")
    if "video_id" in roles and plain_name(where) in ROLES["path"][3:] and kind_of(records.table[where]) in _NUMBERS:
        raise RequestError(
            f"{records.file}: the column {where!r} holds numbers: are they the names of the files? Then call it path; "
            f'if not: --ignore "[{where}]".'
        )
    for role in ("vote", "label"):
        texts = [plain[a] for a in ROLES[role] if a in plain and kind_of(records.table[plain[a]]) in ("text", "empty")]
        if texts:
            roles[role] = texts[0]
    return roles


def told_roles(roles: dict[str, str]) -> list[str]:
    """Say which column was taken for the subject, the part and the fold, where its name is another."""
    taken = [f"{role}: {roles[role]}" for role in ("subject", "split", "fold") if roles.get(role, role) != role]
    return [f"Columns that were found under other names: {', '.join(taken)}."] if taken else []


def other_vote_columns(records: Records, vote: str, ignored: Collection[str]) -> list[str]:
    """Give the columns that may hold the votes of a long table as well: called so, and most cells are emotions."""
    found = []
    for column in records.table.columns:
        if column in (vote, *ignored) or records.table[column].equals(records.table[vote]):
            continue
        cells = records.table[column].drop_nulls().unique().to_list()
        known = sum(map(is_known_emotion, cells[:1000]))
        if plain_name(column) in ROLES["vote"] and 2 * known > len(cells[:1000]):
            found.append(column)
    return found
