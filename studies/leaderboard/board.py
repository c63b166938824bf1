"""All figures of the board, as results.json holds them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, majority_labels
from studies.leaderboard.measures import REPEATS, run_tests, scores
from studies.leaderboard.peers import Port
from studies.leaderboard.pictures import Pictures
from studies.leaderboard.readers import Reader
from studies.leaderboard.speed import ROUNDS, faces_a_second
from studies.leaderboard.trials import CONSTANT, PEOPLE, SECOND_PANEL, all_copies, floor, make_trials


def make_board(
    pictures: Pictures,
    readers: Sequence[Reader],
    *,
    port: Port | None = None,
    repeats: int = REPEATS,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Score all readers and people, test them against the first reader, and time those that can be run.

    Args:
        pictures: the test pictures.
        readers: the first is the one that the others are held against.
        port: how the port of face-api differs from the original, if that was looked at.
        repeats: of the bootstrap and of the randomisation tests.
        rounds: turns in which readers are timed.

    Raises:
        RequestError: two readers have the same name, or that of a row of people.
    """
    names = [reader.name for reader in readers]
    if len({*names, *PEOPLE, CONSTANT}) < len(names) + len(PEOPLE) + 1:
        raise RequestError(f"The readers are called {', '.join(names)}. Give each a name of its own.")
    trials = make_trials(pictures, {reader.name: reader.shares for reader in readers})
    speeds = faces_a_second({r.name: r.read for r in readers if r.read is not None}, pictures.images, rounds=rounds)
    lowest = floor(pictures.counts)
    labels = majority_labels(pictures.counts)
    everywhere = all_copies(pictures) if pictures.all_copies else None
    return {
        "pictures": {
            "test": len(pictures.names),
            "groups": len(np.unique(pictures.groups)),
            "tied": int((labels == NO_LABEL).sum()),
            "parts": {part: list(pictures.part_of.values()).count(part) for part in ("train", "validation", "test")},
            "classes": {name: int((labels == n).sum()) for n, name in enumerate(pictures.class_names)},
        },
        "readers": {
            r.name: {"learned_from": r.learned_from, "ours": r.ours, "speed": speeds.get(r.name)} for r in readers
        },
        "port": port and asdict(port),
        "trials": {
            key: {
                "pictures": len({each.partition(" ")[0] for each in trial.ids}),
                "scores": {name: scores(trial, name, repeats) for name in trial.predictions},
            }
            for key, trial in trials.items()
        },
        "floor": lowest and asdict(lowest),
        "all_copies": everywhere and scores(everywhere, SECOND_PANEL, repeats),
        "tests": [asdict(each) for each in run_tests(trials, names[0], repeats)],
    }
