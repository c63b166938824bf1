import pytest

from midas_dfer.emotions import CREMA_D, DFEW, Vocabulary, canonical_name, check_class_names, is_known_emotion
from midas_dfer.errors import RequestError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Anger", "angry"),
        (" HAPPINESS ", "happy"),
        ("Sadness", "sad"),
        ("surprised", "surprise"),
        ("fearful", "fear"),
        ("neutral", "neutral"),
        ("  Quite   Bored ", "quite bored"),
    ],
)
def test_aliases_and_spellings_become_one_name(given, expected):
    assert canonical_name(given) == expected


def test_orders_are_those_of_the_datasets():
    assert [DFEW.index(name) for name in DFEW] == list(range(7))
    assert DFEW.index("happiness") == 0
    assert DFEW.index("Anger") == 3
    assert CREMA_D.index("ANGER") == 0
    assert len(CREMA_D) == 6
    assert "surprise" not in CREMA_D.names


def test_vocabulary_written_with_aliases_is_found_by_any_spelling():
    assert Vocabulary("mine", ("Joy", "Anger")).index("angry") == 1


def test_unknown_name_lists_the_classes():
    with pytest.raises(RequestError, match=r"'bored' is not a class of dfew.*happy, sad, neutral"):
        DFEW.index("bored")


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "no class names"), (("happy", " "), "is empty"), (("happy", "joy"), "mean the same class")],
)
def test_names_that_cannot_be_told_apart_are_refused(names, message):
    with pytest.raises(RequestError, match=message):
        check_class_names(names)


def test_known_emotions():
    assert is_known_emotion("Disgusted")
    assert not is_known_emotion("duration")
