"""Names of emotion classes: one spelling for each, and the class lists of the datasets in their own order.

Class *names* decide everywhere in this project. The number of a class differs between datasets, and between
copies of the same dataset, so a number is only ever an index into a list of names that travels with it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from midas_dfer.errors import RequestError

_ALIASES: dict[str, tuple[str, ...]] = {
    "happy": ("happiness", "joy", "joyful", "happily"),
    "sad": ("sadness", "sorrow"),
    "neutral": ("neutrality", "no emotion"),
    "angry": ("anger",),
    "surprise": ("surprised",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid", "scared"),
    "contempt": ("contemptuous",),
    "anxiety": ("anxious",),
    "helplessness": ("helpless",),
    "disappointment": ("disappointed",),
}
_CANONICAL: dict[str, str] = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}

# fmt: off
_NO_EMOTIONS = frozenset((
    "", "?", "na", "nf", "nil", "nan", "none", "null", "unknown", "unk", "other", "others", "else", "misc",
    "notaface", "notface", "noface", "nofaces", "noneoftheabove", "noneofthese", "notapplicable", "notavailable",
    "notsure", "unsure", "notclear", "unclear", "uncertain", "undecided", "undefined", "unspecified", "ambiguous",
    "mixed", "multiple", "dontknow", "donotknow", "idk", "cannottell", "canttell", "cannotsay", "cantsay", "skip",
    "skipped", "pass", "missing", "invalid", "error", "noanswer", "noresponse", "nolabel", "novote", "unlabeled",
    "unlabelled", "occluded", "blank", "empty", "reject", "rejected", "discard", "discarded", "ignore", "ignored",
    "tbd", "todo",
))
# fmt: on
"""What annotators say who name no emotion, in lower case and without blanks and marks."""

_SEVERAL = re.compile(r"[;|,/+&\n\t_-]|\band\b|\bor\b", re.IGNORECASE)


def canonical_name(name: str) -> str:
    """Give the one spelling under which a class is known here: "Anger " becomes "angry"."""
    plain = " ".join(name.split()).lower()
    return _CANONICAL.get(plain, plain)


def is_known_emotion(name: str) -> bool:
    """Say whether a name is that of an emotion known here, under any of its spellings."""
    return canonical_name(name) in _ALIASES


def is_no_emotion(name: str) -> bool:
    """Say whether a name is a word for a missing or another answer, such as "unknown", "n/a" or "Not sure"."""
    plain = re.sub(r"[^\w?]|_", "", unicodedata.normalize("NFKC", name).casefold())
    return not is_known_emotion(name) and (plain in _NO_EMOTIONS or set(plain) == {"?"})


def near_emotion(name: str) -> str | None:
    """Give the known spelling of an emotion that a name is nearly, such as "happiness" for "Hapiness"; else None."""
    if is_known_emotion(name) or is_no_emotion(name):
        return None
    near = get_close_matches(canonical_name(name), list(_CANONICAL), n=1, cutoff=0.8)
    return near[0] if near else None


def names_several_emotions(text: str) -> bool:
    """Say whether a text names more than one emotion, as "happy;sad" or "happy and sad" do."""
    parts = [part.strip(" []()\"'") for part in _SEVERAL.split(text)]
    return len(parts) > 1 and all(map(is_known_emotion, parts))


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a dataset, in its order.

    The position of a name is the number of its class.
    """

    name: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        check_class_names(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def index(self, name: str) -> int:
        """Find the number of a class by its name; case, outer blanks and aliases do not matter."""
        wanted = canonical_name(name)
        for position, own in enumerate(self.names):
            if canonical_name(own) == wanted:
                return position
        raise RequestError(f"{name!r} is not a class of {self.name}. The classes are: {', '.join(self.names)}.")


def check_class_names(names: tuple[str, ...]) -> None:
    """Refuse a list of class names that could not tell its classes apart."""
    if not names:
        raise RequestError("There are no class names. Name the classes, for example happy, sad, neutral.")
    seen: dict[str, str] = {}
    for name in names:
        key = canonical_name(name)
        if not key:
            raise RequestError(f"One of the class names {list(names)} is empty. Give each class a name.")
        if key in seen:
            raise RequestError(f"The class names {seen[key]!r} and {name!r} mean the same class. Name each class once.")
        seen[key] = name


@dataclass(frozen=True)
class ClassMatch:
    """Which classes of two lists are the same, by name; see `match_classes`.

    `places` holds for each class of `target`, those that are wanted, its number in `source`, or None.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    places: tuple[int | None, ...]

    @property
    def common(self) -> tuple[str, ...]:
        """The classes of `target` that `source` has too, in the order and spelling of `target`."""
        return tuple(name for name, place in zip(self.target, self.places, strict=True) if place is not None)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The classes of `source` that `target` does not have."""
        return tuple(name for place, name in enumerate(self.source) if place not in self.places)

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes of `target` that `source` does not have."""
        return tuple(name for name, place in zip(self.target, self.places, strict=True) if place is None)


def match_classes(source: Sequence[str], target: Sequence[str]) -> ClassMatch:
    """Find the classes of one list in another; names decide, in any spelling known here, never numbers.

    No class is taken for a related one: FER+'s contempt is not disgust, MAFW's helplessness is not sad.
    """
    check_class_names(tuple(source))
    check_class_names(tuple(target))
    numbers = {canonical_name(name): number for number, name in enumerate(source)}
    return ClassMatch(tuple(source), tuple(target), tuple(numbers.get(canonical_name(name)) for name in target))


DFEW = Vocabulary("dfew", ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear"))
"""The seven classes of DFEW (Jiang et al. 2020), in the order of its vote columns."""

CREMA_D = Vocabulary("crema_d", ("angry", "disgust", "fear", "happy", "neutral", "sad"))
"""The six classes of CREMA-D (Cao et al. 2014), in the order of its vote columns A, D, F, H, N, S."""

BLEMORE = Vocabulary("blemore", ("angry", "disgust", "fear", "happy", "sad", "neutral"))
"""The six classes of BLEMORE (Lachmann et al. 2026), in the order of its evaluation code; neutral is never blended."""

FERV39K = Vocabulary("ferv39k", DFEW.names)
"""The seven classes of FERV39k (Wang et al. 2022); copies number them in two orders, so the names decide."""

AFEW = Vocabulary("afew", DFEW.names)
"""The seven classes of AFEW (Dhall et al. 2012)."""

MAFW = Vocabulary(
    "mafw",
    (
        *("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
        *("contempt", "anxiety", "helplessness", "disappointment"),
    ),
)
"""The eleven classes of MAFW (Liu et al. 2022), in the order in which the publication names them."""

FERPLUS = Vocabulary("ferplus", ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"))
"""The eight classes of FER+ (Barsoum et al. 2016), in the order of its vote columns; then unknown and not a face."""
