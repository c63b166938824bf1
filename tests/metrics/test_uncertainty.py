"""The parts of the entropy of a prediction: they add up, and are what sampling and integration give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import dirichlet, entropy

from midas_dfer.errors import RequestError
from midas_dfer.metrics import dirichlet_uncertainty, ensemble_uncertainty


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), members=st.integers(1, 6), classes=st.integers(2, 8), spread=st.floats(0.05, 5))
def test_the_parts_of_an_ensemble(seed, members, classes, spread):
    p = np.random.default_rng(seed).dirichlet([spread] * classes, size=(members, 9))
    found = ensemble_uncertainty(p)
    np.testing.assert_allclose(found.expected_disagreement, entropy(p, axis=2).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(sum(found), entropy(p.mean(axis=0), axis=1), atol=1e-12)
    # The mutual information is the mean divergence of the members from their mean.
    np.testing.assert_allclose(found.not_knowing, entropy(p, p.mean(axis=0)[None], axis=2).mean(axis=0), atol=1e-9)
    assert (found.not_knowing >= 0).all()
    if members == 1:
        np.testing.assert_allclose(found.not_knowing, 0, atol=1e-12)


def test_members_that_agree_and_members_that_do_not():
    divided, contradicting = [[0.5, 0.5]], ([[1.0, 0.0]], [[0.0, 1.0]])
    assert ensemble_uncertainty(np.array([divided, divided])) == pytest.approx((np.log(2), 0.0))
    assert ensemble_uncertainty(np.array(contradicting)) == pytest.approx((0.0, np.log(2)))


@pytest.mark.parametrize("parameters", [(0.3, 0.5, 2.0), (5.0, 5.0, 5.0, 5.0), (40.0, 1.0)])
def test_dirichlet_against_sampling(parameters):
    drawn = dirichlet.rvs(parameters, size=200_000, random_state=1)
    found = dirichlet_uncertainty(np.array([parameters]))
    assert found.expected_disagreement[0] == pytest.approx(entropy(drawn, axis=1).mean(), abs=4e-3)
    assert found.not_knowing[0] == pytest.approx(entropy(drawn, drawn.mean(axis=0)[None], axis=1).mean(), abs=4e-3)


def test_refusals():
    with pytest.raises(RequestError, match="Give those of one member"):
        ensemble_uncertainty([])
    with pytest.raises(RequestError, match="a row must sum to 1"):
        ensemble_uncertainty(np.ones((2, 3, 4)))
    with pytest.raises(RequestError, match="finite numbers over 0"):
        dirichlet_uncertainty(np.array([[1.0, 0.0]]))
