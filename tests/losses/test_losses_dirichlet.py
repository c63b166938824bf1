"""Losses of a Dirichlet distribution, beside SciPy's distributions and an integral by drawing."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.errors import RequestError
from midas_dfer.losses import LOSSES, DirichletMultinomialLoss, EvidentialLoss
from midas_dfer.metrics import dirichlet_multinomial_nll
from midas_dfer.models.clip_model import log_concentrations


def case(seed, batch=4, classes=5):
    drawn = np.random.default_rng(seed)
    concentrations = 1 + drawn.gamma(1.0, 20.0, (batch, classes))
    votes = np.array([drawn.multinomial(n, drawn.dirichlet(np.ones(classes))) for n in drawn.integers(1, 30, batch)])
    return concentrations, votes


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31))
def test_the_likelihood_of_votes_is_scipys_and_the_measures(seed):
    a, votes = case(seed)
    n = votes.sum(axis=1)
    logits, shares = torch.from_numpy(np.log(a)), torch.from_numpy(votes / n[:, None])
    loss = DirichletMultinomialLoss()(logits, shares, torch.from_numpy(n).float()).item()
    expected = -np.mean(
        [scipy.stats.dirichlet_multinomial.logpmf(v, row, v.sum()) for v, row in zip(votes, a, strict=True)]
    )
    assert loss == pytest.approx(expected, abs=1e-9)
    assert loss == pytest.approx(dirichlet_multinomial_nll(a, votes), abs=1e-9)


def test_the_check_value_and_a_fixed_number_of_votes():
    shares = torch.tensor([[0.1, 0.2, 0.7]])
    for a, expected in ((shares * 10, 2.8873), (shares * 100, 2.2286)):
        assert DirichletMultinomialLoss(10)(a.log(), shares).item() == pytest.approx(expected, abs=1e-4)
    # float32 logits of a very sure network: the logarithms of gamma are computed in float64
    sure = DirichletMultinomialLoss(10)((shares * 1e6).log(), shares).item()
    assert sure == pytest.approx(2.1321, abs=1e-3)


def test_a_single_vote_teaches_the_mean_alone():
    a, _ = case(3)
    logits = torch.from_numpy(np.log(a)).requires_grad_()
    targets = torch.eye(5, dtype=torch.float64)[:4]
    loss = DirichletMultinomialLoss(1)(logits, targets)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, targets))


@pytest.mark.parametrize("epoch", [0, 3, 10, 99])
def test_the_evidential_loss_is_the_expected_squared_distance(epoch):
    a, _ = case(1)
    targets = torch.eye(5, dtype=torch.float64)[[0, 2, 2, 4]]
    loss = EvidentialLoss()
    loss.epoch = epoch
    drawn = np.random.default_rng(0)
    distance, cost = [], []
    for row, target in zip(a, targets.numpy(), strict=True):
        panels = drawn.dirichlet(row, 40_000)
        distance.append(((panels - target) ** 2).sum(axis=1).mean())
        misleading = target + (1 - target) * row
        points = drawn.dirichlet(misleading, 40_000)
        uniform = scipy.stats.dirichlet(np.ones(5)).logpdf(points.T)
        cost.append((scipy.stats.dirichlet(misleading).logpdf(points.T) - uniform).mean())
    expected = np.mean(distance) + min(1, epoch / 10) * np.mean(cost)
    assert loss(torch.from_numpy(np.log(a)), targets).item() == pytest.approx(expected, rel=0.02)


def test_concentrations_and_their_mean():
    scores = torch.tensor([[-3.0, 0.0, 5.0]], dtype=torch.bfloat16)
    a = 1 + np.log1p(np.exp([-3.0, 0.0, 5.0]))
    given = log_concentrations(scores)
    assert given.dtype == torch.float32
    assert given[0].tolist() == pytest.approx(np.log(a), abs=1e-6)
    assert given.softmax(dim=1)[0].tolist() == pytest.approx(a / a.sum(), abs=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DirichletMultinomialLoss(0), "number of votes is 0"),
        (lambda: EvidentialLoss(-1), "warm-up is -1"),
        (lambda: DirichletMultinomialLoss()(torch.zeros(1, 2), torch.full((1, 2), 0.5)), "num_votes"),
        (lambda: DirichletMultinomialLoss()(torch.zeros(1, 2), torch.full((1, 2), 0.5), torch.ones(2)), r"\[1\]"),
    ],
)
def test_refused(make, words):
    with pytest.raises(RequestError, match=words):
        make()


def test_all_losses_of_concentrations_say_so():
    assert {name for name, each in LOSSES.own.items() if each.concentrations} == {"dirichlet_multinomial", "evidential"}
