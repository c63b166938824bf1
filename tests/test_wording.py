"""Counts, shares and lists in words."""

import pytest

from midas_dfer.wording import and_more, count, joined, percent, shortened


def test_counts_agree_with_their_nouns() -> None:
    assert [count(n, "clip") for n in (0, 1, 1204)] == ["0 clips", "1 clip", "1,204 clips"]
    assert [count(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]


def test_shares() -> None:
    assert (percent(0.1249), percent(1), percent(0.1249, 2)) == ("12.5 %", "100.0 %", "12.49 %")


@pytest.mark.parametrize(("names", "text"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_all_names_of_a_list(names: str, text: str) -> None:
    assert joined(list(names)) == text


def test_the_first_names_of_a_list() -> None:
    assert and_more(list("abc"), 3) == "a, b, c"
    assert and_more(list("abcd"), 3) == "a, b, c and 1 more"
    assert and_more(list("abcd"), 2, "; ") == "a; b; and 2 more"
    assert and_more(list("ab"), 5, total=1202) == "a, b and 1,200 more"
    assert and_more([], 3) == ""


def test_long_texts_are_cut() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
    assert shortened("abcdefghij", 8, tail=2, mark=" ... ") == "a ... ij"
