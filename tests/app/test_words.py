"""Every text is there in every language, with the same things filled in; pages and scripts name no other."""

import re
from pathlib import Path

import pytest

import midas_dfer
from midas_dfer.app import words
from midas_dfer.app.annotate.reliability import fleiss, krippendorff
from midas_dfer.app.words import all_words, best_language, languages, translated, untranslated, words_in
from midas_dfer.errors import RequestError
from midas_dfer.predict.predictor import Predictor

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
    known = {name for name in all_words() if not name.startswith(("emotion_", "said_"))} - {"language"}
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


@pytest.fixture
def other_words(tmp_path, monkeypatch):
    """Words of somebody who adds a language."""
    monkeypatch.setattr(words, "WORDS_FILE", tmp_path / "words.toml")

    def write(text):
        all_words.cache_clear()
        languages.cache_clear()
        (tmp_path / "words.toml").write_text(text, encoding="utf-8")

    yield write
    for cached in (all_words, languages):
        cached.cache_clear()


def test_what_a_new_language_lacks_is_told(other_words):
    assert untranslated() == {}
    other_words('[language]\nen = "English"\nar = "العربية"\n[cancel]\nen = "Stop"\n[save]\nen = "Save"\nar = "حفظ"\n')
    assert untranslated() == {"العربية": ["cancel"]}
    assert words_in("ar") == {"language": "العربية", "cancel": "Stop", "save": "حفظ"}
    for text, wrong in (
        ("[language", "cannot be read"),
        ('[language]\nfr = "Français"\n', "has no 'en' of 'language'"),
    ):
        other_words(text)
        with pytest.raises(RequestError, match=wrong):
            untranslated()


def test_sentences_of_the_server_are_translated_where_pages_show_them():
    one = frozenset({"happy"})
    for found in (krippendorff([]), fleiss([[one, one], [one]]), fleiss([[one, one], [one, one, one]])):
        if found.why:
            assert translated(found.why, "de") != found.why
    predictor = Predictor.from_pretrained("ferplus", abstain=0.05)
    for told in (predictor.read_by, predictor.abstention.held_out.caution):
        assert translated(told, "ja") != told
    assert translated("'Ada' is among the annotators already: choose another name", "de").startswith("'Ada' nimmt")
    assert translated("a sentence that nobody wrote", "de") == "a sentence that nobody wrote"
