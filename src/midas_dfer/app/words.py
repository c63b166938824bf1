"""The texts of the pages, in several languages: all in `words.toml`, one table for each text.

A language is added there and nowhere else: give each text a line with the language's code. Tables whose names begin
with `said_` are sentences of the server that people meet who vote: where it says one, it is translated.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from midas_dfer.errors import RequestError

WORDS_FILE = Path(__file__).with_name("words.toml")
FALLBACK = "en"


@cache
def all_words() -> Mapping[str, Mapping[str, str]]:
    """Every text by its name, in each language by its code."""
    try:
        words: dict[str, dict[str, str]] = tomllib.loads(WORDS_FILE.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestError(f"{WORDS_FILE} cannot be read: {error}") from error
    without = next((name for name, texts in words.items() if FALLBACK not in texts), None)
    if without is not None:
        raise RequestError(f"{WORDS_FILE} has no {FALLBACK!r} of {without!r}, which stands for missing translations")
    return words


def untranslated() -> dict[str, list[str]]:
    """The texts that are missing in each language, by its name, where there are any."""
    missing = {
        called: [name for name, texts in all_words().items() if code not in texts]
        for code, called in languages().items()
    }
    return {called: names for called, names in missing.items() if names}


def translated(sentence: str, language: str) -> str:
    """A sentence of the server in a language, if the words know it; as it is otherwise."""
    for pattern, texts in _sentences():
        if (found := pattern.fullmatch(sentence)) is not None and language in texts:
            return texts[language].format(**found.groupdict())
    return sentence


@cache
def _sentences() -> list[tuple[re.Pattern[str], Mapping[str, str]]]:
    """Patterns of the sentences, whose {names} stand for anything, and their translations."""
    known = [texts for name, texts in all_words().items() if name.startswith("said_")]
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(texts[FALLBACK])), re.DOTALL), texts)
        for texts in known
    ]


@cache
def languages() -> Mapping[str, str]:
    """The languages, by code, each by its own name; English first."""
    return all_words()["language"]


def words_in(language: str) -> dict[str, str]:
    """Every text in a language, by name; in English where one is missing."""
    return {name: texts.get(language, texts[FALLBACK]) for name, texts in all_words().items()}


def best_language(accepted: str) -> str:
    """The first of our languages that a browser's Accept-Language names, by its weights; English if it names none."""
    wanted: list[tuple[float, str]] = []
    for place, part in enumerate(accepted.split(",")[:20]):
        code, _, weight = part.partition(";q=")
        try:
            wanted.append((-float(weight or 1) + place * 1e-6, code.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return next((code for _, code in sorted(wanted) if code in languages()), FALLBACK)
