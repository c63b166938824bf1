"""Orders: everybody's own, balanced, with repeats far enough apart, gold spread, and taken up again."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.app.annotate.order import APART
from tests.support.annotation import Person, project_in_memory

SIZES = st.integers(1, 40)
SHARES = st.floats(0, 0.5)
GOLDS = st.integers(0, 4)


@given(SIZES, GOLDS, SHARES, st.integers(1, 5), st.integers(0, 3))
def test_every_clip_once_the_repeats_once_more_and_far_enough(number, golds, share, who, seed):
    golds = min(golds, number)
    project = project_in_memory(number, golds, repeats=share, seed=seed)
    person = Person(project, who)
    votes = person.finish()
    shown = Counter(vote.presentation for vote in votes)
    plain = number - golds
    assert (shown["gold"], shown["first"], shown["repeat"]) == (golds, plain, round(share * plain))
    assert max(Counter(vote.clip for vote in votes).values()) <= 2
    places = {vote.clip: place for place, vote in enumerate(votes) if vote.presentation == "first"}
    for place, vote in enumerate(votes):
        if vote.presentation == "repeat":
            assert place - places[vote.clip] >= min(APART, plain // 2)
    assert person.left == list(range(len(votes), -1, -1))


@given(SIZES, SHARES, st.data())
def test_an_order_is_taken_up_again_and_undo_leads_back(number, share, data):
    project = project_in_memory(number, min(2, number), repeats=share)
    straight, other = Person(project, 1), Person(project, 1)
    wanted = straight.finish()
    for place, vote in enumerate(wanted):
        back = data.draw(st.integers(0, min(3, place)))
        for _ in range(back):
            other.undo()
        for again in wanted[place - back : place]:
            clip = other.next()
            assert clip.path == again.clip
            other.answer(clip)
        clip = other.next()
        assert clip.path == vote.clip
        other.answer(clip)
    assert other.next() is None


@given(st.integers(2, 20), st.integers(1, 6), st.integers(1, 4), st.lists(st.integers(1, 6), max_size=200))
def test_clips_get_as_many_votes_as_are_wanted_and_those_with_fewest_come_first(number, people, wanted, turns):
    project = project_in_memory(number, votes_wanted=wanted)
    persons = {who: Person(project, who) for who in range(1, people + 1)}
    said = {who: set() for who in persons}
    for who in [*(turn for turn in turns if turn in persons), *[who for who in persons for _ in range(number)]]:
        others = Counter(clip for other, clips in said.items() if other != who for clip in clips)
        clip = persons[who].next(others)
        if clip is None:
            continue
        unseen = [each.path for each in project.clips if each.path not in said[who]]
        assert others[clip.path] == min(others[path] for path in unseen) < wanted
        persons[who].answer(clip)
        said[who].add(clip.path)
    totals = Counter(clip for clips in said.values() for clip in clips)
    assert set(totals.values()) == {min(wanted, people)}


def test_people_have_orders_of_their_own_and_gold_is_spread():
    project = project_in_memory(40, 4)
    orders = [[vote.clip for vote in Person(project, who).finish()] for who in range(1, 6)]
    assert len({tuple(order) for order in orders}) == 5
    for order in orders:
        golds = [order.index(f"{n}.mp4") for n in range(4)]
        quarters = sorted(place // 10 for place in golds)
        assert quarters == [0, 1, 2, 3] or len(set(quarters)) >= 3
    assert orders[0] == [vote.clip for vote in Person(project_in_memory(40, 4), 1).finish()]
    assert orders[0] != [vote.clip for vote in Person(project_in_memory(40, 4, seed=1), 1).finish()]
