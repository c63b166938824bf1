"""The reader's temperature, against a search over a grid."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from studies.reader.calibration import fit_temperature


def cross_entropy(logits: torch.Tensor, votes: torch.Tensor, temperature: float) -> float:
    return float(-(votes * (logits / temperature).log_softmax(dim=1)).sum(dim=1).mean())


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30.0), sharpness=st.floats(0.2, 5.0))
def test_no_other_temperature_is_nearer_to_the_votes(seed, scale, sharpness):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(60, 5, generator=generator, dtype=torch.float64)
    truth = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    votes = (sharpness * (truth + logits / scale)).softmax(dim=1)
    found = fit_temperature(logits, votes)
    assert 0.05 <= found <= 20
    best = cross_entropy(logits, votes, found)
    for other in np.geomspace(0.05, 20, 60):
        assert best <= cross_entropy(logits, votes, float(other)) + 1e-9


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.7])
def test_the_temperature_that_made_the_votes_is_found(temperature):
    logits = 2 * torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert fit_temperature(logits, (logits.double() / temperature).softmax(dim=1)) == pytest.approx(
        temperature, rel=1e-6
    )
