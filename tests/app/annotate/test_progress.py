"""What the organiser sees: soft labels, agreement beside its oracles, and the habits of five simulated people."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.app.annotate.progress import voting_progress
from midas_dfer.app.annotate.reliability import fleiss, krippendorff
from midas_dfer.app.annotate.votes import Annotator
from midas_dfer.labels import fleiss_kappa, krippendorff_alpha
from midas_dfer.labels.expected_change import expected_change
from tests.support.annotation import CLASSES, Person, project_in_memory

COUNTS = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=15)


def answers_of(counts):
    return [[frozenset([CLASSES[k]]) for k, number in enumerate(row) for _ in range(number)] for row in counts]


@given(COUNTS)
def test_alpha_is_that_of_the_library(counts):
    found = krippendorff(answers_of(counts))
    pairable = [row for row in counts if sum(row) > 1]
    if found.value is None:
        assert not pairable or sum(map(bool, np.sum(pairable, axis=0))) == 1
        return
    assert found.value == pytest.approx(krippendorff_alpha([row for row in counts if sum(row)]), abs=1e-9)
    assert (found.low is None) == (found.clips < 10)
    if found.low is not None:
        assert found.low <= found.high


@given(st.integers(2, 6).flatmap(lambda n: st.lists(st.lists(st.integers(0, 2), min_size=n, max_size=n), min_size=1)))
def test_kappa_is_fleiss(chosen):
    counts = np.stack([np.bincount(row, minlength=3) for row in chosen])
    found = fleiss(answers_of(counts))
    if len({k for row in chosen for k in row}) > 1:
        assert found.value == pytest.approx(fleiss_kappa(counts))
    else:
        assert "one class" in found.why


def test_sets_of_emotions_agree_by_what_they_share():
    both, one, other = frozenset(["happy", "sad"]), frozenset(["happy"]), frozenset(["angry"])
    half = krippendorff([[both, one], [other, other]])
    # Observed: (2 * 1/2 + 0) / 4. Expected, over the 12 ordered pairs of four answers: (2 * 1/2 + 8 * 1) / 12.
    assert half.value == pytest.approx(1 - (1 / 4) / (9 / 12))
    assert krippendorff([[both, both], [other, other]]).value == 1
    assert "several emotions" in fleiss([[both, one]]).why
    assert "different numbers" in fleiss([[one, one], [one, one, other]]).why
    assert krippendorff([[one]]).why == fleiss([]).why == "no clip has two votes yet"


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)

    def drawn(clips):
        right = generator.integers(0, 3, (clips, 1))
        return np.where(generator.random((clips, 4)) < 0.7, right, generator.integers(0, 3, (clips, 4)))

    def counts(chosen):
        return np.stack([(chosen == k).sum(axis=1) for k in range(3)], axis=1)

    truth = fleiss_kappa(counts(drawn(100_000)))
    found = [krippendorff(answers_of(counts(drawn(30)))) for _ in range(60)]
    assert sum(each.low <= truth <= each.high for each in found) >= 52  # 93.5 % of 400 by another seed


def test_five_people_are_told_apart():
    project = project_in_memory(40, 4, repeats=0.25)
    generator, votes = np.random.default_rng(1), []
    truth = {clip.path: clip.gold or CLASSES[int(generator.integers(3))] for clip in project.clips}
    skill = {1: 0.95, 2: 0.9, 3: 0.85, 4: 0.8, 5: 0.0}  # the fifth always says the same
    for who, right in skill.items():
        person = Person(project, who)
        while (clip := person.next()) is not None:
            said = (
                truth[clip.path]
                if generator.random() < right
                else CLASSES[1 if who == 5 else int(generator.integers(3))]
            )
            votes.append(person.answer(clip, (said,)))
    people = [Annotator(who, f"p{who}") for who in skill]
    found = voting_progress(project, people, votes)
    assert found.votes == 5 * 40
    assert [each.votes for each in found.people] == [40] * 5
    assert [each.repeats for each in found.people] == [9] * 5
    assert [each.by_habit for each in found.people] == [False] * 4 + [True]
    assert found.people[0].kappa > 0.5 > 0.2 > found.people[4].kappa
    assert [found.people[who].self_agreement > 0.7 for who in (0, 4)] == [True, True]
    assert (found.people[0].gold_score, found.people[4].gold_score) == (1, 0)
    assert found.people[4].shares == (0, 1, 0)
    assert found.people[0].seconds == 0.9
    assert found.alpha.low < found.alpha.value < found.alpha.high
    assert found.alpha.clips == found.kappa.clips == 36
    for clip in found.clips:
        assert clip.people == sum(clip.votes) == 5
        assert clip.soft_label == pytest.approx([n / 5 for n in clip.votes])
        assert clip.expected_change == pytest.approx(expected_change([clip.votes])[0])
        assert clip.needs_more == (not clip.settled) == (clip.expected_change > found.threshold)
    assert any(clip.settled for clip in found.clips)
    assert not found.enough
    assert found.votes_left >= sum(clip.needs_more for clip in found.clips) > 0


def test_what_is_undone_repeated_or_unsure_is_no_vote():
    project = project_in_memory(4, repeats=0.5, votes_wanted=1)
    person = Person(project, 1)
    first, second = person.next(), None
    votes = [person.answer(first, ("sad", "angry"))]
    second = person.next()
    unsure = person.answer(second, ())
    found = voting_progress(project, [Annotator(1, "p")], [*votes, unsure])
    clip = next(each for each in found.clips if each.path == first.path)
    assert (clip.people, clip.votes, clip.needs_more) == (1, (0, 1, 1), False)
    blank = next(each for each in found.clips if each.path == second.path)
    assert (blank.people, blank.unsure, blank.soft_label, blank.needs_more) == (0, 1, None, True)
    assert (found.votes, found.votes_left, found.people[0].unsure) == (2, 3, 1)
    nobody = voting_progress(project, [Annotator(1, "p"), Annotator(2, "q")], [])
    assert nobody.alpha.value is None
    assert nobody.people[1].kappa is None
