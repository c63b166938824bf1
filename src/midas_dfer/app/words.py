"""The texts of the pages, in several languages: all in `words.toml`, one table for each text.

A language is added there and nowhere else: give each text a line with the language's code.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

WORDS_FILE = Path(__file__).with_name("words.toml")
FALLBACK = "en"


@cache
def all_words() -> Mapping[str, Mapping[str, str]]:
    """Every text by its name, in each language by its code."""
    words: dict[str, dict[str, str]] = tomllib.loads(WORDS_FILE.read_text(encoding="utf-8"))
    return words


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
