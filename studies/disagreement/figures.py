"""All figures of the study, as results.json holds them, and how they come of its trainings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.machine import machine

from midas_dfer.comparison.pairing import align
from midas_dfer.errors import RequestError
from midas_dfer.files import read_json, write_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.run_folder.typed_json import read_fields
from studies.disagreement.data import facts_of
from studies.disagreement.grid import (
    BUDGET_METHODS,
    METHODS,
    NOT_WITH_FEWER_VOTES,
    SAME_WITH_ONE_VOTE,
    SCHEDULES,
    STAGES,
    VOTES_PER_PICTURE,
    Stage,
    Training,
    trainings,
)
from studies.disagreement.kept import KEPT, Result, read_kept
from studies.disagreement.measured import TESTED, Comparison, Scores, compared, complete, of_seeds, pooled, scores_of
from studies.disagreement.regularised import best_regularisers
from studies.disagreement.running import FAILED_FILE, read_failed
from studies.disagreement.uncertainty import SeedNoise, by_seed, level_of
from studies.pages import broken_json

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Point:
    """A method that was trained on some votes of each picture: a score, the mean over seeds, and its 95 % interval."""

    schedule: str
    method: str
    votes_used: int
    score: str
    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Figures:
    """What the page is written from.

    Attributes:
        machine: what all was measured on.
        data: see `data.facts_of`.
        class_names: in the order of recalls.
        chosen: the regulariser of each schedule that one was chosen on.
        planned: how many trainings each stage has.
        failed: trainings whose loss became NaN, and what was said of each.
        trainings: of all stages; of the first, on the validation part.
        comparisons: of all schedules, over the seeds that all of its methods have.
        points: of the curves of votes needed, and of one vote or all votes of all pictures.
    """

    machine: dict[str, Any]
    data: dict[str, Any]
    class_names: tuple[str, ...]
    chosen: dict[str, str]
    planned: dict[str, int]
    failed: dict[str, str]
    trainings: dict[str, tuple[Scores, ...]]
    comparisons: tuple[Comparison, ...]
    points: tuple[Point, ...]

    def write(self, path: Path) -> None:
        """As JSON, a record on each line."""
        write_file(path, broken_json(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Figures":
        """Of a file that `write` wrote.

        Raises:
            RequestError: it is not there, or damaged.
        """
        again = "write it again: python -m studies.disagreement score"
        try:
            return read_fields(cls, read_json(path, again), path.name)
        except ValueError as error:
            raise RequestError(f"{path} is damaged ({error}); {again}") from error

    def missing(self, stage: str) -> int:
        """How many trainings of a stage are neither finished nor failed."""
        done = {(each.row, each.seed) for each in self.trainings[stage]}
        failed = sum(name.startswith(f"{stage}: ") for name in self.failed)
        return self.planned[stage] - len(done) - failed


def collect_figures(
    divided: Manifest, say: Callable[[str], None], *, folder: Path = KEPT, repeats: int = 10_000
) -> Figures:
    """Read and test all that is kept.

    Args:
        divided: all pictures, dealt into parts.
        say: prints a line.
        folder: where trainings are kept.
        repeats: resamples of the pictures.
    """
    plan, chosen = plan_of(divided, folder)
    kept: dict[str, dict[str, tuple[Result, ...]]] = {
        stage: read_kept(stage, plan[stage], divided, folder) for stage in STAGES
    }
    if not kept["short"]:
        raise RequestError(
            f"no training of the schedule short is kept in {folder}; do: python -m studies.disagreement run"
        )
    common = {name: complete(kept[name]) for name in SCHEDULES}
    say("the differences between methods, which take some minutes")
    comparisons = compared({name: each for name, each in common.items() if each}, repeats=repeats)
    say("the curves of votes needed")

    def points(stage: Stage, full: Stage, methods: Collection[str]) -> list[Point]:
        with_all = {row: each for row, each in kept[full].items() if each[0].training.method in methods}
        return curves(kept[stage], with_all, seeds_of_all(plan[stage], kept[stage]), repeats=repeats)

    return Figures(
        machine=machine(),
        data=facts_of(divided),
        class_names=divided.class_names,
        chosen=chosen,
        planned={stage: len(plan[stage]) for stage in STAGES},
        failed={
            f"{stage}: {name}": told
            for stage in STAGES
            for name, told in read_failed(folder / stage / FAILED_FILE).items()
        },
        trainings={
            stage: tuple(each for row in rows.values() for one in row for each in scores_of(one))
            for stage, rows in kept.items()
        },
        comparisons=tuple(comparisons),
        points=(
            *points("votes", "short", METHODS.keys() - {*NOT_WITH_FEWER_VOTES}),
            *points("budget", "all", BUDGET_METHODS),
        ),
    )


def seeds_of_all(plan: Sequence[Training], kept: Mapping[str, Sequence[Result]]) -> list[int]:
    """The seeds that all rows of a plan have."""
    rows = ({each.training.seed for each in kept.get(row, ())} for row in {each.row for each in plan})
    return sorted(set.intersection(*rows))


def plan_of(divided: Manifest, folder: Path = KEPT) -> tuple[dict[Stage, list[Training]], dict[str, str]]:
    """The trainings of each stage, and the regularisers that were chosen."""
    choice = trainings("choose", {})
    chosen = best_regularisers(each for row in read_kept("choose", choice, divided, folder).values() for each in row)
    return {stage: trainings(stage, chosen) for stage in STAGES}, chosen


def curves(
    fewer: Mapping[str, Sequence[Result]],
    full: Mapping[str, Sequence[Result]],
    seeds: Sequence[int],
    *,
    repeats: int = 10_000,
) -> list[Point]:
    """The scores over the number of votes that were used; with one, some methods are soft labels, and get their point.

    All rows are of one schedule, and the noise of training is taken from all of them together. Fewer than two seeds say
    nothing of it, and give no curves. There is no TV where a method gives no vote shares and does so with more votes,
    as MIDAS with softmax and one vote.

    Args:
        fewer: the trainings of each row with fewer votes.
        full: of each row with all votes.
        seeds: which are taken; those that all rows have.
        repeats: resamples of the pictures.

    Raises:
        RequestError: trainings were scored on other pictures.
    """
    if len(seeds) < 2:
        return []
    rows = {}
    for row in (*fewer.values(), *full.values()):
        training, kept = row[0].training, of_seeds(row, seeds)
        if kept:
            aligned = align(pooled(kept))
            if aligned is None:
                raise RequestError(f"{training.row}: its trainings were not all scored on the same pictures")
            rows[training.schedule, training.method, training.votes_used or VOTES_PER_PICTURE] = aligned
    found: list[Point] = []
    for score in TESTED:
        noise = SeedNoise.of_means(np.stack([by_seed(aligned, score) for aligned in rows.values()]))
        for key, aligned in rows.items():
            method = key[1]
            if score == "TV" and not aligned.implied and method != "hard":
                continue
            generator = np.random.default_rng(0)
            each = level_of(aligned, score, noise, repeats=repeats, generator=generator)
            found.append(Point(*key, score, each.difference, each.low, each.high, len(seeds)))
    alone = [each for each in found if each.method == "soft" and each.votes_used == 1]
    return found + [replace(each, method=name) for name in SAME_WITH_ONE_VOTE for each in alone]
