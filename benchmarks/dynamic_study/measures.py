"""How far predictions are from the truth and from the votes, and which differences are not noise."""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.dynamic_study.clips import RARE, VOTES, Part
from benchmarks.dynamic_study.learning import BASE
from midas_dfer.datasets.synthetic import EMOTIONS
from midas_dfer.labels import entropy, votes_to_soft_labels
from midas_dfer.metrics import jensen_shannon, recall_per_class, soft_cross_entropy, total_variation, uar
from midas_dfer.mixing.normalization import implied_vote_shares
from midas_dfer.training.config import RunConfig

REFERENCES: dict[str, Callable[[Part], np.ndarray]] = {
    "truth": lambda part: part.truth,
    "votes": lambda part: votes_to_soft_labels(part.votes),
    "seen": lambda part: part.seen,
}
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "kl": lambda p, q: soft_cross_entropy(p, q, "none") - entropy(q),
    "js": lambda p, q: jensen_shannon(p, q, "none"),
    "tv": lambda p, q: total_variation(p, q, "none"),
}
Distances = dict[str, dict[str, float]]


def views(part: Part) -> dict[str, np.ndarray]:
    """Weights of the clips: as common as in training; and those whose true mode is a rare class, its classes alike."""
    modes = part.truth.argmax(axis=1)
    counts = np.bincount(modes, minlength=len(EMOTIONS))
    rare = np.isin(modes, [EMOTIONS.index(name) for name in RARE]) / counts[modes]
    return {"usual": part.weights / part.weights.sum(), "rare": rare / max(rare.sum(), 1e-12)}


def distances(predicted: np.ndarray, reference: np.ndarray, part: Part) -> Distances:
    """How far distributions ``[N, K]`` are from others, by each measure, over each view of the clips."""
    found = {name: measure(predicted, reference) for name, measure in MEASURES.items()}
    return {
        name: {view: float(weights @ values) for view, weights in views(part).items()} for name, values in found.items()
    }


def recognition(outputs: np.ndarray, part: Part) -> dict[str, Any]:
    """How often the true mode has the largest output, in per cent: UAR over the part, WAR as common as in training."""
    modes = part.truth.argmax(axis=1)
    right = (outputs.argmax(axis=1) == modes).astype(np.float64)
    recalls = recall_per_class(modes, outputs)
    return {
        "uar": 100 * uar(modes, outputs),
        "war": 100 * float(views(part)["usual"] @ right),
        "rare": 100 * float(views(part)["rare"] @ right),
        "recalls": {name: None if np.isnan(r) else 100 * float(r) for name, r in zip(EMOTIONS, recalls, strict=True)},
    }


def readings(logits: Any, config: RunConfig) -> dict[str, np.ndarray]:  # noqa: ANN401 - nested lists of JSON
    """The two distributions that logits can be read as; see `midas_dfer.training.scores.Evaluation`."""
    values = torch.tensor(logits, dtype=torch.float64)
    normalization = config.normalization if config.mixer == "midas" else "none"
    shares = implied_vote_shares(values, normalization, config.temperature, num_votes=config.num_votes)
    return {
        "probabilities": values.softmax(dim=1).numpy(),
        "vote_shares": shares.numpy(),
    }


def score(logits: Any, config: RunConfig, part: Part) -> dict[str, Any]:  # noqa: ANN401 - nested lists of JSON
    """All scores of a training on one part."""
    found = readings(logits, config)
    return {
        **recognition(found["probabilities"], part),
        "distances": {
            name: {reading: distances(p, reference(part), part) for reading, p in found.items()}
            for name, reference in REFERENCES.items()
        },
    }


def bounds(part: Part, train: Part) -> dict[str, Any]:
    """What the networks are to be measured by: how far a few annotators' votes are from the truth, and the prior.

    Votes are drawn from a clip's ten without replacement, 20 times over where they are fewer than ten. A class without
    a vote would make KL infinite: for it alone, one vote is added to each class.
    """
    generator = np.random.default_rng(0)
    single = np.repeat(np.tile(np.arange(len(EMOTIONS)), len(part)), part.votes.ravel()).reshape(len(part), VOTES)
    annotators = {}
    for count in range(1, VOTES + 1):
        draws = []
        for _ in range(1 if count == VOTES else 20):
            asked = generator.permuted(single, axis=1)[:, :count]
            votes = (asked[..., None] == np.arange(len(EMOTIONS))).sum(axis=1)
            plain = distances(votes_to_soft_labels(votes), part.truth, part)
            plain["kl"] = distances(votes_to_soft_labels(votes, "laplace"), part.truth, part)["kl"]
            draws.append(plain)
        annotators[str(count)] = {
            name: {view: statistics.fmean(draw[name][view] for draw in draws) for view in ("usual", "rare")}
            for name in MEASURES
        }
    prior = np.tile(votes_to_soft_labels(train.votes).mean(axis=0), (len(part), 1))
    return {
        "annotators": annotators,
        "ten_votes": recognition(part.votes, part),
        "truth_to_votes": distances(part.truth, REFERENCES["votes"](part), part),
        "truth_to_seen": distances(part.truth, part.seen, part),
        "prior": distances(prior, part.truth, part),
        "prior_to_votes": distances(prior, REFERENCES["votes"](part), part),
    }


def compare(runs: dict[str, list[np.ndarray]], part: Part, *, draws: int = 2000) -> dict[str, Any]:
    """Compare each method with soft labels, clip by clip.

    Args:
        runs: of each method, per seed, what each clip of `part` costs ``[N]``: a distance to the truth, or 1 for a
            class that was not found.
        part: the clips.
        draws: of the bootstrap.

    Returns:
        for each other method and view: the mean difference over clips and seeds (negative: better than soft labels), a
        95 % interval over people (a bootstrap that draws whole people, with the same networks), the difference of each
        seed, and whether the interval leaves out 0 and all seeds agree.
    """
    subjects, places = np.unique(part.subjects, return_inverse=True)
    times = np.random.default_rng(0).multinomial(len(subjects), [1 / len(subjects)] * len(subjects), size=draws)
    results: dict[str, Any] = {}
    for method, values in runs.items():
        if method == BASE:
            continue
        change = np.array([a - b for a, b in zip(values, runs[BASE], strict=False)])  # [S, N]
        results[method] = {}
        for view, weights in views(part).items():
            sums = np.bincount(places, weights * change.mean(axis=0), len(subjects))
            totals = np.bincount(places, weights, len(subjects))
            means = (times @ sums) / np.maximum(times @ totals, 1e-12)
            low, high = np.quantile(means, [0.025, 0.975]).tolist()
            seeds = (change @ weights).tolist()
            same = len(seeds) > 1 and len({bool(value > 0) for value in seeds}) == 1
            results[method][view] = {
                "mean": statistics.fmean(seeds),
                "interval": [low, high],
                "seeds": seeds,
                "clear": bool(same and (low > 0 or high < 0)),
            }
    return results
