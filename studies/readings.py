"""How far each reading of a perfect network is from the annotators' distribution.

A network that has learned all there is gives, for a clip, the mean of the targets that clips like it had. Vote shares
undo the softmax of one label, and not of the mean of several labels' softmaxes: they are biased (Jensen's inequality),
by as much as is computed here. The mean over all ways in which votes can fall is exact.
"""

from itertools import combinations
from math import lgamma

import numpy as np
import torch

from midas_dfer.mixing.normalization import normalize_targets, project_to_simplex


def reading_biases(num_classes: int, num_votes: int = 10, *, distributions: int = 300) -> dict[str, dict[str, float]]:
    """Total variation between the annotators' distribution and what a perfect network's output is read as.

    Args:
        num_classes: K.
        num_votes: of a clip, drawn independently from its distribution.
        distributions: how many are drawn, all equally likely.

    Returns:
        for each normalisation of the label, `vote_shares` and `probabilities`: the mean over distributions.
    """
    truth = np.random.default_rng(0).dirichlet(np.ones(num_classes), distributions)
    votes = _all_votes(num_classes, num_votes)
    log_ways = lgamma(num_votes + 1) - np.array([[lgamma(count + 1) for count in row] for row in votes]).sum(axis=1)
    chances = np.exp(log_ways + np.log(truth) @ votes.T)
    labels = torch.from_numpy(votes / num_votes)
    found = {}
    for name in ("none", "softmax", "softmax_counts"):
        targets = normalize_targets(labels, name, num_votes=num_votes).numpy()
        learned = chances @ targets
        scores = np.log(learned)
        shares = learned
        if name != "none":
            factor = num_votes if name == "softmax_counts" else 1
            centred = (scores - scores.mean(axis=1, keepdims=True)) / factor + 1 / num_classes
            shares = project_to_simplex(torch.from_numpy(centred)).numpy()
        found[name] = {
            reading: float(np.abs(read - truth).sum(axis=1).mean() / 2)
            for reading, read in (("vote_shares", shares), ("probabilities", learned))
        }
    return found


def _all_votes(num_classes: int, num_votes: int) -> np.ndarray:
    """Every way in which votes can fall on classes, ``[M, K]``."""
    bars = np.array(list(combinations(range(num_votes + num_classes - 1), num_classes - 1)))
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, num_votes + num_classes - 1)))
    return np.diff(edges, axis=1) - 1
