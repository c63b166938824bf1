"""Every text is there in every language, with the same things filled in; pages and scripts name no other."""

import re
from pathlib import Path

import pytest

import midas_dfer
from midas_dfer.app.words import all_words, best_language, languages, words_in

FOLDER = Path(midas_dfer.__file__).parent / "app"


def test_every_text_is_in_every_language():
    codes = set(languages())
    assert {"en", "de", "ja"} <= codes
    for name, texts in all_words().items():
        assert set(texts) == codes, name
        filled = {code: set(re.findall(r"\{(\w+)[|}]", text)) for code, text in texts.items()}
        assert len(set(map(frozenset, filled.values()))) == 1, name
        for forms in re.findall(r"\{\w+\|([^}]*)\}", "".join(texts.values())):
            assert re.search(r"(^|\|)other=", forms), name


def test_texts_that_are_used_are_there_and_others_are_not():
    pages = "".join(path.read_text() for path in FOLDER.glob("templates/*"))
    scripts = "".join(path.read_text() for path in FOLDER.glob("static/*.js"))
    known = {name for name in all_words() if not name.startswith("emotion_")} - {"language"}
    asked = set(re.findall(r"words\.(\w+)", pages)) | set(re.findall(r'say\(\s*"(\w+)"', scripts))
    assert asked <= known
    begun = tuple(re.findall(r"say\(`(\w+_)\$\{", scripts))  # such as make_${step.name}
    literal = set(re.findall(r'"(\w+)"', scripts))
    assert {name for name in known - asked - literal if not name.startswith(begun)} == set()
    assert words_in("xx")["cancel"] == "Discard"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr;q=1, ja;q=0.7, en;q=0.9", "en"),
        ("fr", "en"),
        ("", "en"),
        ("ja;q=zero,de;q=0.1", "de"),
        ("JA", "ja"),
    ],
)
def test_the_language_that_a_browser_asks_for(accepted, language):
    assert best_language(accepted) == language
