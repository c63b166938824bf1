"""The human line and the noise of few votes: by enumeration, by simulation, and on the votes of FER+."""

import itertools
import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multinomial, multivariate_hypergeom

from midas_dfer.errors import RequestError
from midas_dfer.metrics import (
    corrected_squared_distance,
    corrected_total_variation,
    emotion_distances,
    jensen_shannon,
    noise_floor,
    split_halves,
    total_variation,
    wasserstein,
)
from midas_dfer.metrics.people import drawn_votes
from tests.metrics.test_metrics import random_distributions


def panels_and_votes(clips, votes, seed=0, concentration=0.4, classes=4):
    generator = np.random.default_rng(seed)
    panels = generator.dirichlet(np.full(classes, concentration), clips)
    return panels, generator.multinomial(votes, panels)


def test_votes_are_drawn_as_from_an_urn():
    cast = np.array([3, 2, 1])
    drawn = drawn_votes(np.tile(cast, (20_000, 1)), np.full(20_000, 3), np.random.default_rng(0))
    outcomes, times = np.unique(drawn, axis=0, return_counts=True)
    chances = multivariate_hypergeom.pmf(outcomes, cast, 3)
    assert chances.sum() == pytest.approx(1)
    assert np.abs(times / 20_000 - chances).max() < 4 * np.sqrt(0.25 / 20_000)
    theirs = np.random.default_rng(1).multivariate_hypergeometric(cast, 3, 20_000)
    np.testing.assert_allclose(drawn.mean(axis=0), theirs.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(theirs.T), atol=0.03)


@pytest.mark.parametrize("size", [1, 2])
def test_split_halves_are_the_mean_over_all_ways_to_halve(size):
    """Also where votes are left over; `noise_floor` takes the mean without drawing."""
    for cast in ([3, 1, 0], [2, 1, 1], [1, 1, 3]):
        ballots = np.repeat(range(3), cast)
        ways = []
        for order in itertools.permutations(ballots):
            first, second = (np.bincount(part, minlength=3) for part in (order[:size], order[size : 2 * size]))
            ways.append(np.abs(first - second).sum() / size / 2)
        found = split_halves(np.tile(cast, (4000, 1)), size=size, draws=1)
        assert (found.sizes == size).all()
        assert found.mean == found.values.mean() == pytest.approx(np.mean(ways), abs=0.03)
        assert noise_floor([cast], size=size).halves == pytest.approx(np.mean(ways))


def test_split_halves_of_any_measure_and_of_unequal_numbers_of_votes():
    _, votes = panels_and_votes(50, 10)
    votes[0] = [3, 0, 0, 2]
    votes[1] = [0, 1, 0, 0]
    halves = split_halves(votes)
    assert halves.has_halves.tolist() == [True, False, *[True] * 48]
    assert halves.sizes.tolist() == [2, *[5] * 48]
    assert split_halves(votes).mean == halves.mean != split_halves(votes, seed=1).mean
    moved = split_halves(votes, partial(wasserstein, ground=1 - np.eye(4)), draws=1).mean
    assert moved == pytest.approx(split_halves(votes, total_variation, draws=1).mean, abs=1e-7)
    emotions = partial(wasserstein, ground=emotion_distances(("happy", "sad", "fear", "angry")))
    assert split_halves(votes, emotions, size=5, draws=1).values.shape == (48,)
    assert split_halves([[4, 0], [0, 6]], jensen_shannon).mean == 0


@settings(deadline=None)
@given(
    st.integers(2, 5),
    st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any),
    st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any),
)
def test_the_corrected_squared_distance_is_exactly_unbiased(n, panel, guess):
    r, p = (np.array(each) / sum(each) for each in (panel, guess))
    outcomes = [o for o in itertools.product(range(n + 1), repeat=3) if sum(o) == n]
    values = corrected_squared_distance(np.tile(p, (len(outcomes), 1)), outcomes, "none")
    assert multinomial.pmf(outcomes, n, r) @ values == pytest.approx(((p - r) ** 2).sum(), abs=1e-9)


def test_the_corrected_squared_distance_of_the_worked_example():
    p, votes = np.array([[0.2, 0.2, 0.6]]), np.array([[1, 2, 7]])
    assert ((p - votes / 10) ** 2).sum() - corrected_squared_distance(p, votes) == pytest.approx(0.0511, abs=5e-5)


def test_the_expectations_of_the_floor_are_those_of_a_simulation():
    from midas_dfer.metrics.people import _between_halves, _to_panel

    panels, generator = random_distributions(3, 3, 4), np.random.default_rng(0)
    sizes = np.array([3, 5, 5])
    first, second = (generator.multinomial(sizes, panels, (20_000, 3)) / sizes[:, None] for _ in range(2))
    np.testing.assert_allclose(
        _between_halves(panels, sizes), np.abs(first - second).sum(axis=2).mean(axis=0) / 2, atol=0.006
    )
    np.testing.assert_allclose(
        _to_panel(panels, sizes), np.abs(first - panels).sum(axis=2).mean(axis=0) / 2, atol=0.006
    )


@pytest.mark.parametrize("votes", [4, 10])
def test_the_floor_is_what_a_perfect_prediction_scores(votes):
    panels, cast = panels_and_votes(3000, votes)
    floor = noise_floor(cast)
    true = total_variation(panels, cast / votes)
    assert floor.mean == pytest.approx(true, rel=0.06)
    assert floor.mean < split_halves(cast).mean
    assert corrected_total_variation(panels, cast, floor) == pytest.approx(0, abs=0.06 * true)
    flat = np.full_like(panels, 1 / 4)
    corrected = corrected_total_variation(flat, cast, floor)
    assert corrected <= total_variation(flat, panels) + 0.01  # a lower bound
    np.testing.assert_allclose(
        corrected_total_variation(flat, cast, floor, "none"), total_variation(flat, cast / votes, "none") - floor.values
    )


def test_a_floor_of_very_many_votes_takes_little_memory():
    rng = np.random.default_rng(3)
    cast = np.array([rng.multinomial(10_000 if i % 2 else 900, rng.dirichlet([1.0] * 7)) for i in range(40)])
    tracemalloc.start()
    floor = noise_floor(cast)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    n, panels = cast.sum(axis=1), cast / cast.sum(axis=1, keepdims=True)
    drawn = [rng.multinomial(*each, 200) / each[0] for each in zip(n.tolist(), panels, strict=True)]
    simulated = [np.abs(d - panel).sum(axis=1).mean() / 2 for d, panel in zip(drawn, panels, strict=True)]
    assert floor.mean == pytest.approx(np.mean(simulated), rel=0.05)


def test_the_floor_at_its_limits():
    assert noise_floor([[4, 0], [0, 6]]).mean == 0  # nobody disagrees
    alike = np.random.default_rng(0).multinomial(4, [0.5, 0.5], 2000)
    assert noise_floor(alike).shrinkage > 20  # all clips have the same panel
    assert noise_floor([[1, 1]] * 30).shrinkage == 1e6  # two people who never agree differ by more than chance
    assert noise_floor([[600, 600], [1100, 100]], size=3).mean == pytest.approx(0.010, abs=0.002)  # many votes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_halves([[1, 0], [0, 1]]), "No clip has 2 votes"),
        (lambda: split_halves([[3, 0]], size=2), "No clip has 4 votes"),
        (lambda: split_halves([[3, 0]], size=0), "Halves of 0 votes"),
        (lambda: split_halves([[3, 0]], draws=0), "0 draws"),
        (lambda: split_halves([[0.5, 0.5]]), "whole numbers of votes"),
        (lambda: corrected_squared_distance([[0.5, 0.5]], [[0, 1]]), "needs two of them a clip"),
        (
            lambda: corrected_total_variation([[0.5, 0.5]], [[1, 1]], noise_floor([[2, 2], [4, 0]])),
            "The floor is of 2 clips",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()


def test_as_many_other_people_and_other_numbers_of_votes_by_simulation():
    panels, votes = panels_and_votes(300, 8)
    floor = noise_floor(votes)
    generator = np.random.default_rng(5)
    for number in (3, 8, 60, 150):
        size = np.full(300, number)
        first, second = (np.stack([generator.multinomial(number, floor.panels) for _ in range(40)]) for _ in range(2))
        apart = np.abs(first - second).sum(axis=2).mean(axis=0) / 2 / number
        assert floor.between_panels(size).mean() == pytest.approx(apart.mean(), rel=0.03)
        off = np.abs(first / number - floor.panels).sum(axis=2).mean(axis=0) / 2
        assert floor.of_votes(size).mean() == pytest.approx(off.mean(), rel=0.03)
    assert floor.of_votes(np.full(300, 8)).tolist() == floor.values.tolist()
    # What is estimated from one panel of eight is what two independent panels of eight show.
    again = [np.array([generator.multinomial(8, each) for each in panels]) / 8 for _ in range(20)]
    between = np.mean([total_variation(one, votes / 8) for one in again])
    assert floor.between_panels(np.full(300, 8)).mean() == pytest.approx(between, abs=0.015)
