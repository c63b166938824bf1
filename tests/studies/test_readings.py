import numpy as np
import pytest
from studies.readings import reading_biases


@pytest.mark.parametrize("classes", [7, 8])
def test_biases_of_the_readings_equal_a_network_that_averages_drawn_labels(classes):
    """Draw votes and average the targets, where `reading_biases` adds up over all votes; plain formulas."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.ones(classes), 300)
    found = {"softmax": [], "softmax_counts": []}
    for row in truth[:60]:
        votes = rng.multinomial(10, row, 20_000)
        for name, scale in (("softmax", 0.1), ("softmax_counts", 1.0)):
            targets = np.exp(votes * scale)
            learned = (targets / targets.sum(axis=1, keepdims=True)).mean(axis=0)
            scores = np.log(learned) / (10 * scale)
            centred = scores - scores.mean() + 1 / classes
            low, high = -1.0, 1.0  # the shift with which what is left above 0 adds up to 1
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if np.maximum(centred - middle, 0).sum() > 1 else (low, middle)
            shares = np.maximum(centred - low, 0)
            found[name].append([np.abs(read - row).sum() / 2 for read in (shares, learned)])
    biases = reading_biases(classes, distributions=60)
    rng = np.random.default_rng(0)
    assert np.allclose(rng.dirichlet(np.ones(classes), 60), truth[:60])
    for name, values_of in found.items():
        expected = [biases[name]["vote_shares"], biases[name]["probabilities"]]
        assert np.mean(values_of, axis=0) == pytest.approx(expected, abs=2e-3)
    assert max(biases["none"].values()) < 1e-12
    assert reading_biases(classes)["softmax"]["vote_shares"] == pytest.approx(0.010, abs=1e-3)
