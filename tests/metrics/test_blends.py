"""Presence and salience accuracy against BLEMORE's published rules, told again clip by clip."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.metrics import (
    blend_thresholds,
    constant_blends,
    predicted_blends,
    presence_accuracy,
    salience_accuracy,
)

NAMES = ("ang", "disg", "fea", "hap", "sad", "neu")
NEUTRAL = 5


def told(vector, presence, salience):
    """The published rule for one clip: {emotion: percent} of the two most probable classes."""
    top = sorted(range(6), key=lambda k: (-vector[k], k))[:2]
    there = sorted(k for k in top if vector[k] >= presence and vector[k] > 0)
    if vector[top[0]] < presence:
        return {NAMES[top[0]]: 100}
    if len(there) == 1:
        return {NAMES[there[0]]: 100}
    if NEUTRAL in there:
        return {NAMES[there[0] if vector[there[0]] >= vector[NEUTRAL] else NEUTRAL]: 100}
    (i, j), (p, q) = there, (vector[there[0]], vector[there[1]])
    first, second = (50, 50) if abs(p - q) <= salience else (70, 30) if p > q else (30, 70)
    return {NAMES[i]: first, NAMES[j]: second}


def as_dict(shares):
    return {NAMES[k]: round(100 * share) for k, share in enumerate(shares) if share > 0}


def shares_of(*clips):
    rows = np.zeros((len(clips), 6))
    for row, clip in zip(rows, clips, strict=True):
        for name, percent in clip.items():
            row[NAMES.index(name)] = percent / 100
    return rows


PROBABILITIES = st.lists(
    st.lists(st.integers(0, 20), min_size=6, max_size=6).filter(any).map(lambda w: np.array(w) / sum(w)),
    min_size=1,
    max_size=8,
).map(np.array)
THRESHOLD = st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.95])


@settings(deadline=None)
@given(PROBABILITIES, THRESHOLD, THRESHOLD)
def test_blends_are_found_by_the_published_rule(probabilities, presence, salience):
    found = predicted_blends(probabilities, neutral=NEUTRAL, presence_threshold=presence, salience_threshold=salience)
    assert [as_dict(row) for row in found] == [told(row, presence, salience) for row in probabilities]
    assert np.allclose(found.sum(axis=1), 1)


CLIP = st.sampled_from(
    [{name: 100} for name in NAMES]
    + [{a: p, b: 100 - p} for n, a in enumerate(NAMES[:5]) for b in NAMES[n + 1 : 5] for p in (30, 50, 70)]
)


@settings(deadline=None)
@given(st.lists(st.tuples(CLIP, CLIP), min_size=1, max_size=12))
def test_accuracies_are_the_published_means(pairs):
    guess, true = shares_of(*(a for a, _ in pairs)), shares_of(*(b for _, b in pairs))
    assert presence_accuracy(guess, true) == pytest.approx(np.mean([a.keys() == b.keys() for a, b in pairs]))
    blends = [a == b for a, b in pairs if len(b) == 2]
    if blends:
        assert salience_accuracy(guess, true) == pytest.approx(np.mean(blends))
    else:
        with pytest.raises(RequestError, match="no clip shows two emotions"):
            salience_accuracy(guess, true)


def test_the_published_codes_own_example():
    """`main` of accuracy_funcs.py: 12 clips, 6 of them blends."""
    ang, disg, fea, hap, neu = ({name: 100} for name in ("ang", "disg", "fea", "hap", "neu"))
    true = shares_of(
        *(ang, ang, disg, disg, fea, fea),
        *({"disg": 50, "hap": 50}, {"disg": 70, "hap": 30}, {"ang": 30, "hap": 70}, {"ang": 50, "hap": 50}),
        *({"ang": 30, "hap": 70}, {"ang": 50, "hap": 50}),
    )
    guess = shares_of(
        *(neu, ang, fea, disg, hap, fea),
        *({"disg": 50, "hap": 50}, {"disg": 30, "hap": 70}, {"ang": 30, "hap": 70}, {"ang": 50, "hap": 50}),
        *({"ang": 30, "hap": 70}, {"ang": 30, "hap": 70}),
    )
    assert presence_accuracy(guess, true) == pytest.approx(9 / 12)
    assert salience_accuracy(guess, true) == pytest.approx(4 / 6)


def test_thresholds_of_the_published_codes_own_example():
    """`main` of post_process.py, whose comment gives thresholds and accuracies."""
    probabilities = np.array(
        [
            [0.7, 0.1, 0.05, 0.03, 0.02, 0.1],
            [0.2, 0.6, 0.05, 0.03, 0.02, 0.1],
            [0.1, 0.1, 0.6, 0.05, 0.05, 0.1],
            [0.0, 0.0, 0.0, 0.0, 0.4, 0.6],
            [0.9, 0.0, 0.0, 0.0, 0.0, 0.1],
        ]
    )
    true = shares_of(
        {"ang": 70, "disg": 30}, {"disg": 50, "fea": 50}, {"fea": 50, "sad": 50}, {"neu": 100}, {"ang": 100}
    )
    best = blend_thresholds(probabilities, true, neutral=NEUTRAL)
    assert (best.presence_threshold, best.salience_threshold) == (0.05, 0.05)
    assert (best.presence_accuracy, best.salience_accuracy) == pytest.approx((0.6, 1 / 3))


def test_constant_guesses_on_blemores_design_give_its_published_baselines():
    """As many clips as published, in equal numbers of each kind: .074 to .078 and .057, .000 and .035 are published."""
    singles = [{name: 100} for name in NAMES]
    blends = [{a: p, b: 100 - p} for n, a in enumerate(NAMES[:5]) for b in NAMES[n + 1 : 5] for p in (30, 50, 70)]
    true = shares_of(*(singles[n % 6] for n in range(1390)), *(blends[n % 30] for n in range(1660)))
    made = constant_blends(true, len(true))
    assert {name: as_dict(rows[0]) for name, rows in made.items()} == {
        "single": {"ang": 100},
        "blend": {"ang": 50, "disg": 50},
        "salient_blend": {"ang": 70, "disg": 30},
    }
    assert presence_accuracy(made["single"], true) == pytest.approx(0.076, abs=0.003)
    assert salience_accuracy(made["single"], true) == 0
    assert presence_accuracy(made["blend"], true) == pytest.approx(0.057, abs=0.003)
    assert salience_accuracy(made["salient_blend"], true) == pytest.approx(0.035, abs=0.002)
    assert constant_blends(true[:6], 2).keys() == {"single"}


def test_what_is_no_distribution_is_refused():
    with pytest.raises(RequestError):
        predicted_blends(np.array([[0.5, 0.6]]))
    with pytest.raises(RequestError, match="needs two classes"):
        predicted_blends(np.ones((2, 1)))
    with pytest.raises(RequestError):
        presence_accuracy(np.eye(3).tolist(), np.eye(2).tolist())
