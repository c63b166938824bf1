"""How far predictions are from the truth and from the votes, and which differences are not noise."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from midas_dfer import metrics
from midas_dfer.labels import entropy, votes_to_soft_labels
from midas_dfer.metrics import jensen_shannon, recall_per_class, soft_cross_entropy, total_variation, uar
from midas_dfer.mixing.normalization import implied_vote_shares
from midas_dfer.synthetic import EMOTIONS
from midas_dfer.training.recipes.config import RunConfig
from studies.synthetic_clips.clips import RARE, VOTES, Part
from studies.synthetic_clips.learning import BASE, COUNTS

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
ALPHA = 0.05


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
    """The two distributions that logits can be read as; what the second is worth is in `studies.readings`."""
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
        95 % interval over people (a bootstrap that draws whole people, with the same networks) and the difference of
        each seed. What they say, `judged` tells.
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
            results[method][view] = {
                "mean": statistics.fmean(seeds),
                "interval": [low, high],
                "seeds": seeds,
            }
    return results


@dataclass(frozen=True)
class SeedDifference:
    """A method less soft labels, over the seeds.

    Attributes:
        seeds: the difference of each.
        interval: of `compare`, over people; None where the predictions were not kept.
        p_value: of the paired t test over the seeds; None of one seed.
        corrected: after Holm, for all methods, readings and views.
        clear: whether it is more than noise.
    """

    seeds: tuple[float, ...]
    interval: tuple[float, float] | None
    p_value: float | None
    corrected: float | None = None
    clear: bool = False

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.seeds)


def judged(content: dict[str, Any]) -> dict[tuple[str, str, str, str], SeedDifference]:
    """Which differences from soft labels are more than noise.

    Args:
        content: of `study`.

    Returns:
        by kind (js, tv or error), method, reading of its output and view. The probabilities after a softmax of counts
        are judged beside its vote shares.
    """
    found: dict[tuple[str, str, str, str], SeedDifference] = {}
    stored = content["differences"]
    for kind in ("js", "tv", "error"):
        for method, by_view in stored[kind].items():
            for view, item in by_view.items():
                found[kind, method, "vote_shares", view] = _difference(item["seeds"], tuple(item["interval"]))
        for view in ("usual", "rare") if kind != "error" else ():
            mine, theirs = (
                [run["distances"]["truth"]["probabilities"][kind][view] for run in content["runs"][method]]
                for method in (COUNTS, BASE)
            )
            kept = stored.get(by_probabilities(kind), {}).get(COUNTS, {}).get(view, {}).get("interval")
            seeds = [a - b for a, b in zip(mine, theirs, strict=True)]
            found[kind, COUNTS, "probabilities", view] = _difference(seeds, None if kept is None else tuple(kept))
        family = [key for key, item in found.items() if key[0] == kind and item.p_value is not None]
        for key, corrected in zip(family, metrics.holm([found[key].p_value or 0.0 for key in family]), strict=True):
            interval = found[key].interval
            sure = interval is None or not interval[0] <= 0 <= interval[1]
            found[key] = replace(found[key], corrected=corrected, clear=sure and corrected < ALPHA)
    return found


def by_probabilities(kind: str) -> str:
    """What a distance of the probabilities is called beside one of the vote shares."""
    return f"{kind}, probabilities"


def _difference(seeds: list[float], interval: tuple[float, float] | None) -> SeedDifference:
    p = metrics.paired_runs(seeds, [0.0] * len(seeds)).p_value if len(seeds) > 1 else None
    return SeedDifference(tuple(seeds), interval, p)
