import pytest

from midas_dfer.emotions import (
    AFEW,
    CREMA_D,
    DFEW,
    FERPLUS,
    FERV39K,
    MAFW,
    Vocabulary,
    canonical_name,
    check_class_names,
    is_known_emotion,
    match_classes,
)
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


@pytest.mark.parametrize(
    ("other", "places", "dropped"),
    [
        (AFEW, (0, 1, 2, 3, 4, 5, 6), ()),
        (FERV39K, (0, 1, 2, 3, 4, 5, 6), ()),
        (CREMA_D, (3, 5, 6, 0, 2, 1), ("surprise",)),
        (MAFW, (3, 5, 6, 0, 2, 1, 4, None, None, None, None), ()),
        (FERPLUS, (2, 0, 4, 1, 3, 5, 6, None), ()),
    ],
)
def test_dfew_against_the_other_data_sets_and_back(other, places, dropped):
    match = match_classes(DFEW.names, other.names)
    assert match.places == places
    assert match.dropped == dropped
    assert match.absent == tuple(name for name, place in zip(other.names, places, strict=True) if place is None)
    assert len(match.common) == 7 - len(dropped)
    back = match_classes(other.names, DFEW.names)
    assert (back.dropped, back.absent) == (match.absent, match.dropped)
    assert set(back.common) == set(match.common)
    for number, place in enumerate(places):
        assert place is None or back.places[place] == number


def test_classes_are_matched_in_any_spelling_and_named_as_wanted():
    match = match_classes(("Anger", "joy", "awe"), ("HAPPY", "angry", "fear"))
    assert match.places == (1, 0, None)
    assert (match.common, match.dropped, match.absent) == (("HAPPY", "angry"), ("awe",), ("fear",))
    with pytest.raises(RequestError, match="mean the same class"):
        match_classes(("joy", "happy"), ("sad",))
