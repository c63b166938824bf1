"""Who is who: spellings of one person, words for nobody, names that are nearly alike."""

import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.datasets.people import find_people


@pytest.mark.parametrize(
    "spellings",
    [
        ("Anna", "anna", "ANNA", " Anna ", "anna\t"),
        ("Anna Maria", "anna  maria"),
        ("1", "1.0", "1.00"),
        (unicodedata.normalize("NFC", "José"), unicodedata.normalize("NFD", "josé")),
        ("Strasse", "STRASSE"),
    ],
)
def test_spellings_of_one_person_are_one_and_told(spellings):
    people = find_people([*spellings, "somebody else", None], "subject")
    assert len({people.of(each) for each in spellings}) == 1
    assert people.of(spellings[0]) in spellings
    assert people.of("somebody else") == "somebody else"
    assert len(people.notes) == 1
    assert people.notes[0].startswith("Spellings that were taken for one subject each: ")


@pytest.mark.parametrize("word", ["NA", "n/a", "NaN", "None", "null", "Unknown", "-", "?", " ", "#N/A", "missing"])
def test_words_for_missing_are_nobody(word):
    people = find_people([word, "Nadia"], "subject")
    assert people.of(word) is None
    assert people.of("Nadia") == "Nadia"
    assert people.notes == (f"Words that were taken for no subject: {word!r}.",)


@pytest.mark.parametrize(
    "alike", [("01", "1"), ("anna_b", "Anna B"), ("s-1", "S01"), ("José", "jose"), ("p1_2", "p1-2")]
)
def test_names_that_are_nearly_alike_stay_two_and_are_told(alike):
    people = find_people(alike, "annotator")
    assert people.one_name == {name: name for name in alike}
    assert people.notes[0].startswith("Names of annotators that are nearly alike, and were taken for different ones: ")


@pytest.mark.parametrize("apart", [("1_1", "11"), ("anna", "anne"), ("1", "10"), ("1.5", "15"), ("-1", "1 1")])
def test_others_are_others(apart):
    people = find_people(apart, "subject")
    assert (people.one_name, people.notes) == ({name: name for name in apart}, ())


@given(st.lists(st.sampled_from(["Anna", "anna", "1", "1.0", "01", "NA", "?", "bob", "Bob ", "b"]), min_size=1))
def test_no_order_matters_and_a_person_is_their_own_name(names):
    people = find_people(names, "subject")
    assert people == find_people(sorted(names, reverse=True), "subject")
    column = people.in_column(pl.Series("subject", [*names, None], dtype=pl.String))
    assert column.to_list() == [people.of(name) for name in [*names, None]]
    again = find_people(column.to_list(), "subject")
    assert again.in_column(column).equals(column)
