"""Which names are classes without being asked for: known emotions. All others are the user's to name."""

from collections.abc import Callable, Iterable, Sequence

from midas_dfer.emotions import canonical_name, is_known_emotion, is_no_emotion, names_several_emotions, near_emotion
from midas_dfer.errors import RequestError
from midas_dfer.wording import and_more

_NAMED = 5


def unknown_classes(names: Iterable[str]) -> list[str]:
    """Give the names that are no known emotions, each once, in their order."""
    return [name for name in dict.fromkeys(names) if not is_known_emotion(name)]


def refuse_unknown_classes(
    where: str, what: str, names: Iterable[str], place: Callable[[str], str] | None = None
) -> None:
    """Refuse names of classes that are no known emotions, where nobody said what the classes are.

    A word such as "unknown" may be an answer or a class, a column `session` may be anything: to guess would give
    wrong votes without a word.
    """
    spelled = list(dict.fromkeys(names))
    unknown = unknown_classes(spelled)
    if not unknown:
        return
    first = [repr(name[:60]) + (f" ({place(name)})" if place else "") for name in unknown[:_NAMED]]
    shown = and_more(first, _NAMED, total=len(unknown))
    which = "which is no known emotion" if len(unknown) == 1 else "which are no known emotions"
    hints = " ".join(filter(None, map(_hint, unknown[:_NAMED])))
    raise RequestError(f"{where} has {what} {shown}, {which}. {hints}{' ' * bool(hints)}{_cure(spelled)}")


def _hint(name: str) -> str:
    if names_several_emotions(name):
        return f"{name[:60]!r} names several: one vote is for one class."
    if is_no_emotion(name):
        return f"{name[:60]!r} is no emotion."
    if name.strip().lstrip("-").isdecimal():
        return f"{name[:60]!r} is a number: what it means differs between lists, so classes are known by names."
    near = near_emotion(name)
    return "" if near is None else f"Is {name[:60]!r} meant to be {near}? Then correct it."


def _cure(names: Sequence[str]) -> str:
    """Say what to type; a mistake in spelling is no class, and not to be passed over either."""
    no_votes = [name for name in names if is_no_emotion(name)]
    mistakes = [name for name in names if name not in no_votes and _hint(name)]
    usable = (name for name in names if name not in no_votes and name not in mistakes)
    classes = list(dict.fromkeys(canonical_name(name) if is_known_emotion(name) else name for name in usable))
    text = "Say which classes there are (--classes)"
    if len(classes) > 1:
        text = f'Say which classes there are: --classes "[{", ".join(classes[:12])}{", ..." * (len(classes) > 12)}]"'
    others = no_votes or [name for name in unknown_classes(names) if name not in mistakes]
    if others:
        text += f'; or which of these are none: --ignore "[{", ".join(others[:_NAMED])}]"'
    return f"Else say{text[3:]}." if mistakes else f"{text}."
