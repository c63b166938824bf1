"""The trainings of the study, each made once, and what they show."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.labels import majority_labels
from midas_dfer.metrics import uar
from midas_dfer.training.recipes.config import RunConfig
from studies.synthetic_clips.clips import Corpus, make_parts
from studies.synthetic_clips.learning import METHODS, Training, config_of, learn
from studies.synthetic_clips.measures import (
    MEASURES,
    REFERENCES,
    bounds,
    by_probabilities,
    compare,
    distances,
    readings,
    score,
)


def study(
    corpus: Corpus, training: Training, work: Path, *, say: Callable[[str], None] = print
) -> Iterator[dict[str, Any]]:
    """Make what is missing of the study; after each seed, give what is known by then.

    Args:
        corpus: the clips.
        training: the networks.
        work: folder of pictures and trainings; those that are there are not made again.
        say: prints a line.

    Raises:
        RequestError: the folder is of other settings.
    """
    settings = {"corpus": asdict(corpus), "training": asdict(training), "methods": METHODS}
    settings = json.loads(json.dumps(settings))
    mark = work / "settings.json"
    make_folder(work)
    if mark.is_file() and json.loads(mark.read_text())["corpus"] != settings["corpus"]:
        raise RequestError(f"{work} holds pictures of another corpus; remove it, or name another --work")
    write_file(mark, json.dumps(settings, indent=1) + "\n")
    parts = make_parts(corpus, work)
    train, others = parts["train"], {name: parts[name] for name in ("validation", "test")}

    def run(method: str, rate: float, seed: int) -> dict[str, Any]:
        config = config_of(method, rate, seed, training)
        file = work / f"{method.replace(',', '').replace(' ', '_')}-{rate:g}-{seed}.json"
        if file.is_file():
            kept: dict[str, Any] = json.loads(file.read_text())
            if RunConfig.from_dict(kept["config"]) != config:
                raise RequestError(f"{file} is of another recipe; remove it, or name another --work")
            return kept
        found = {"config": config.to_dict(), **learn(config, train, others)}
        write_file(file, json.dumps(found) + "\n")
        loss = "not finite" if found["loss"] is None else f"{found['loss']:.3f}"
        say(f"{method:<26} rate {rate:<5g} seed {seed}: loss {loss}, {found['seconds']:.0f} s")
        return found

    def on_validation(method: str, rate: float) -> dict[str, float]:
        """Distance to the votes, and UAR by the label that most annotators gave, as one has them for real clips."""
        found = run(method, rate, training.seeds[0])
        if found["logits"] is None:
            return {"js": float("inf"), "uar": 0.0}
        part, logits = others["validation"], found["logits"]["validation"]
        shares = readings(logits, RunConfig.from_dict(found["config"]))["vote_shares"]
        distance = distances(shares, REFERENCES["votes"](part), part)["js"]["usual"]
        return {"js": distance, "uar": 100 * uar(majority_labels(part.votes), np.array(logits))}

    tried = {method: {f"{rate:g}": on_validation(method, rate) for rate in training.rates} for method in METHODS}
    chosen = {method: min(training.rates, key=lambda rate: rates[f"{rate:g}"]["js"]) for method, rates in tried.items()}
    fixed = {
        **settings,
        "validation": tried,
        "chosen": chosen,
        "bounds": bounds(others["test"], train),
        "clips": {name: {"clips": len(part), "people": len(set(part.subjects))} for name, part in parts.items()},
    }
    methods: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    costs: dict[str, dict[str, list[np.ndarray]]] = {
        kind: {method: [] for method in METHODS}
        for kind in ("js", "tv", "error", by_probabilities("js"), by_probabilities("tv"))
    }
    truth = others["test"].truth
    for seed in training.seeds:
        for method, rate in chosen.items():
            found = run(method, rate, seed)
            if found["logits"] is None:
                raise JobError(f"{method} diverged at rate {rate:g} with seed {seed}; take smaller --rates")
            config, logits = RunConfig.from_dict(found["config"]), found["logits"]["test"]
            scores = score(logits, config, others["test"])
            methods[method].append({"seed": seed, "seconds": found["seconds"], "loss": found["loss"], **scores})
            read = readings(logits, config)
            for kind in ("js", "tv"):
                costs[kind][method].append(MEASURES[kind](read["vote_shares"], truth))
                costs[by_probabilities(kind)][method].append(MEASURES[kind](read["probabilities"], truth))
            costs["error"][method].append(np.array(logits).argmax(axis=1) != truth.argmax(axis=1))
            costs["error"][method][-1] = costs["error"][method][-1].astype(np.float64)
        differences = {kind: compare(runs, others["test"]) for kind, runs in costs.items()}
        yield {**fixed, "runs": {method: list(found) for method, found in methods.items()}, "differences": differences}
