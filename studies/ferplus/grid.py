"""Which trainings the study does, in the order in which it does them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from midas_dfer.experiments.jobs import Job
from midas_dfer.training.recipes.config import RunConfig
from studies.disagreement.data import FEW, Scored

METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "hard": {"labels": "hard", "mixer": "none"},
        "soft": {"labels": "soft", "mixer": "none"},
        "midas_hard": {"labels": "hard", "mixer": "midas", "normalization": "none"},
        "midas_none": {"labels": "soft", "mixer": "midas", "normalization": "none"},
        "midas_counts": {"labels": "soft", "mixer": "midas", "normalization": "softmax_counts", "num_votes": 10.0},
        "midas_softmax": {"labels": "soft", "mixer": "midas", "normalization": "softmax"},
    }
)
"""The settings in which the methods differ."""

SCALES = (1.0, 0.875, 0.75, 0.66)
"""Sides of the random crops in the paper's recipe. A third less is much where a face fills its 48 pixels."""

FLAT = "midas_softmax"
"""The method whose targets are so flat that its gradients are smaller than all others'."""

_ORDERED = tuple(method for method in METHODS if method != "midas_hard")
"""The methods whose order is looked for: hard, soft, and MIDAS under each normalisation."""

FLATNESS = 5.66
"""(e + 7) / (e - 1): by how much the softmax of probabilities shrinks what a one-hot label of 8 classes asks for."""


@dataclass(frozen=True)
class Schedule:
    """What the paper leaves open, or what our trainings may need otherwise.

    Attributes:
        epochs, learning_rate, batch_size, weight_decay, dropout, width: as in `RunConfig`.
        smallest_crop: of the paper's scales (`SCALES`) those that are not smaller.
        factor: of the learning rate, beside the common one.
        pretrained: begin with the weights of SFace, a network for faces, in the place of a small one's random ones.
    """

    epochs: int = 90
    learning_rate: float = 0.2
    batch_size: int = 64
    weight_decay: float = 5e-4
    dropout: float = 0.0
    width: int = 16
    smallest_crop: float = 0.875
    factor: float = 1.0
    pretrained: bool = False

    @property
    def slug(self) -> str:
        """A name for folders and rows, such as e90-lr0.2x5-b64-wd0.0005-do0-w16-c0.875."""
        factor = f"x{self.factor:g}" if self.factor != 1 else ""
        return (
            f"e{self.epochs}-lr{self.learning_rate:g}{factor}-b{self.batch_size}-wd{self.weight_decay:g}"
            f"-do{self.dropout:g}-w{self.width}-c{self.smallest_crop:g}" + "-sface" * self.pretrained
        )


@dataclass(frozen=True)
class Training:
    """One training of the study.

    Attributes:
        method: one of `METHODS`.
        schedule: how.
        seed: of all that is drawn.
        scored: on which part.
        num_train: of how many pictures; None for all.
    """

    method: str
    schedule: Schedule
    seed: int
    scored: Scored
    num_train: int | None

    @property
    def row(self) -> str:
        """The row of the table: the same method and schedule, of any seed."""
        return f"{self.method}/{self.schedule.slug}"

    def config(self) -> RunConfig:
        """The recipe: stills as they are, 48 pixels, a ResNet-10 for small pictures, on one thread."""
        schedule = self.schedule
        return RunConfig(
            **METHODS[self.method],
            model="tsm_sface" if schedule.pretrained else "still_resnet10",
            weights="packaged" if schedule.pretrained else None,
            width=schedule.width,
            dropout=schedule.dropout,
            num_segments=1,
            size=48,
            scales=tuple(scale for scale in SCALES if scale >= schedule.smallest_crop),
            epochs=schedule.epochs,
            batch_size=schedule.batch_size,
            learning_rate=schedule.learning_rate * schedule.factor,
            weight_decay=schedule.weight_decay,
            seed=self.seed,
            precision="bf16",
            device="cpu",
            num_threads=1,
            num_workers=0,
        )

    def job(self, store: Path) -> Job:
        """The job, in a store of `study_store`."""
        return Job(f"{self.row}/seed-{self.seed}", self.row, self.config(), str(store))


def look(seeds: int = 1) -> list[Training]:
    """2,500 stills, scored on the test part: all methods, the flat targets also at a rate that makes up for it."""
    return _by_seed(_all_methods(Schedule()), range(seeds), "test", FEW)


def first() -> list[Training]:
    """Schedules, scored on the validation part: 2,500 stills, one seed; the most informative ones come first."""
    base = Schedule()
    slow = replace(base, learning_rate=0.05, weight_decay=1e-4, dropout=0.2)
    changes = [
        replace(slow, smallest_crop=0.66),
        replace(base, epochs=180),
        replace(base, epochs=30),
        replace(base, batch_size=8, learning_rate=0.02),
        replace(base, epochs=6, learning_rate=0.02, width=64, pretrained=True),
        replace(base, dropout=0.5),
        replace(base, weight_decay=5e-3),
        replace(base, smallest_crop=0.66),
        replace(base, epochs=360),
        replace(base, weight_decay=1e-4),
        slow,
    ]
    pairs = _all_methods(base) + [(method, change) for change in changes for method in _ORDERED]
    return _by_seed(pairs, [0], "validation", FEW)


def full(
    schedule: Schedule, seeds: int, num_train: int | None, methods: Sequence[str] = tuple(METHODS)
) -> list[Training]:
    """Every method with one schedule and one rate, scored on the test part; seed by seed."""
    return _by_seed([(method, schedule) for method in methods], range(seeds), "test", num_train)


def _all_methods(schedule: Schedule) -> list[tuple[str, Schedule]]:
    return [*((method, schedule) for method in METHODS), (FLAT, replace(schedule, factor=FLATNESS))]


def _by_seed(
    pairs: Sequence[tuple[str, Schedule]], seeds: Sequence[int], scored: Scored, num_train: int | None
) -> list[Training]:
    """Seed by seed: whenever the study is stopped, every row has as many seeds as any other, give or take one."""
    return [Training(method, schedule, seed, scored, num_train) for seed in seeds for method, schedule in pairs]
