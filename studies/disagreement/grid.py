"""The trainings of docs/disagreement_protocol.md: methods, schedules, seeds, and how many votes are used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from midas_dfer.experiments.jobs import Job
from midas_dfer.training.recipes.config import RunConfig
from studies.disagreement.data import FEW, Scored

METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "hard": {"labels": "hard", "mixer": "none"},
        "soft": {"mixer": "none"},
        "soft_regularised": {"mixer": "none"},
        "midas_none": {"normalization": "none"},
        "midas_softmax": {"normalization": "softmax"},
        "midas_counts": {"normalization": "softmax_counts"},
        "votes": {"labels": "votes", "mixer": "none"},
        "dirichlet_multinomial": {"loss": "dirichlet_multinomial", "mixer": "none"},
        "midas_none_regularised": {"normalization": "none"},
        "midas_softmax_regularised": {"normalization": "softmax"},
    }
)
"""The settings in which the methods differ; mixers are midas, labels soft, where nothing else is said."""

REGULARISERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "decay": {"weight_decay": 5e-3},
        "crops": {"scales": (1.0, 0.875, 0.75, 0.66)},
        "decay_and_crops": {"weight_decay": 5e-3, "scales": (1.0, 0.875, 0.75, 0.66)},
    }
)
"""What is tried on the validation part for `soft_regularised`."""

REGULARISED = ("soft_regularised", "midas_none_regularised", "midas_softmax_regularised")
"""Methods that have the regulariser that was chosen for the first of them."""

VOTES_PER_PICTURE = 10
"""By which the epochs of `votes` are fewer, so that all methods take as many steps."""

Stage = Literal["choose", "short", "long", "all", "votes", "budget"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Schedule:
    """How long is trained, on how many pictures, and with which seeds.

    Attributes:
        num_train: of the training pictures; None for all.
    """

    epochs: int
    num_train: int | None
    seeds: tuple[int, ...]


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "short": Schedule(90, FEW, tuple(range(5))),
        "long": Schedule(360, FEW, tuple(range(5))),
        "all": Schedule(15, None, tuple(range(3))),
    }
)

CHOICE_OF: Mapping[str, str] = MappingProxyType({"short": "short", "long": "long", "all": "short"})
"""On which schedule the regulariser of each is chosen: "all" has about as many steps as "short"."""

CHOICE_SEED = 100

VOTES_USED = (1, 2, 3, 5)
"""Fewer votes than the ten that there are."""
VOTES_SEEDS = tuple(range(3))
NOT_WITH_FEWER_VOTES = (*REGULARISED, "midas_counts")
BUDGET_METHODS = ("soft", "midas_none")
"""Methods that are trained on one vote of all pictures."""
SAME_WITH_ONE_VOTE = ("hard", "votes", "dirichlet_multinomial")
"""Methods that are `soft` where a picture has one vote."""


@dataclass(frozen=True)
class Training:
    """One training of the study.

    Attributes:
        method: one of `METHODS`.
        schedule: one of `SCHEDULES`.
        seed: of all that is drawn, the votes that are used among it.
        regulariser: one of `REGULARISERS`, of the methods `REGULARISED`.
        votes_used: how many votes of each picture; None for all.
        scored: on which part.
    """

    method: str
    schedule: str
    seed: int
    regulariser: str | None = None
    votes_used: int | None = None
    scored: Scored = "test"

    @property
    def num_train(self) -> int | None:
        """Training pictures; None for all."""
        return SCHEDULES[self.schedule].num_train

    @property
    def row(self) -> str:
        """The same training with any seed."""
        fewer = "" if self.votes_used is None else f"-votes-{self.votes_used}"
        tried = f"-{self.regulariser}" if self.scored == "validation" else ""
        return f"{self.method}{tried}/{self.schedule}{fewer}"

    @property
    def name(self) -> str:
        """Of its job."""
        return f"{self.row}/seed-{self.seed}"

    def config(self) -> RunConfig:
        """The recipe: stills as they are, 32 pixels, a ResNet-10 for small pictures, on one thread."""
        epochs = SCHEDULES[self.schedule].epochs
        settings: dict[str, Any] = {
            "model": "still_resnet10",
            "width": 16,
            "dropout": 0.0,
            "num_segments": 1,
            "size": 32,
            "scales": (1.0, 0.875),
            "epochs": epochs // (self.votes_used or VOTES_PER_PICTURE) if self.method == "votes" else epochs,
            "batch_size": 64,
            "learning_rate": 0.2,
            "weight_decay": 5e-4,
            "votes_used": self.votes_used,
            "seed": self.seed,
            "precision": "bf16",
            "device": "cpu",
            "num_threads": 1,
            "num_workers": 0,
            "cache": "ram",
            "cache_gb": 1.0,
        }
        regulariser = REGULARISERS[self.regulariser] if self.regulariser is not None else {}
        return RunConfig(**{**settings, **METHODS[self.method], **regulariser})

    def job(self, store: Path) -> Job:
        """The job, in a store of `study_store`."""
        return Job(self.name, self.row, self.config(), str(store))


def trainings(stage: Stage, chosen: Mapping[str, str]) -> list[Training]:
    """The trainings of a stage, seed by seed, so that all methods have as many seeds whenever it is stopped.

    Args:
        stage: choose, of the regulariser; a schedule; votes, for how many votes are needed; or budget, for whether as
            many are worth more on more pictures.
        chosen: the regulariser of each schedule that one was chosen on; not needed to choose it.
    """
    if stage == "choose":
        tried = [(schedule, name) for schedule in ("short", "long") for name in REGULARISERS]
        return [
            Training("soft_regularised", schedule, CHOICE_SEED, name, scored="validation") for schedule, name in tried
        ]
    if stage == "votes":
        methods = [name for name in METHODS if name not in NOT_WITH_FEWER_VOTES]
        pairs = [(m, n) for n in VOTES_USED for m in methods if n > 1 or m not in SAME_WITH_ONE_VOTE]
        return [Training(m, "short", seed, votes_used=n) for seed in VOTES_SEEDS for m, n in pairs]
    if stage == "budget":
        return [Training(m, "all", seed, votes_used=1) for seed in SCHEDULES["all"].seeds for m in BUDGET_METHODS]
    return [
        Training(method, stage, seed, chosen[CHOICE_OF[stage]] if method in REGULARISED else None)
        for seed in SCHEDULES[stage].seeds
        for method in METHODS
    ]
