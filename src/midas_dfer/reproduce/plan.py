"""From a table and a store to trainings: which folds, which rows can be made, and what is not as in the paper."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import polars as pl

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.experiments.fold_scores import EPOCH_KEPT
from midas_dfer.experiments.jobs import Job, check_each_once
from midas_dfer.labels import NO_LABEL
from midas_dfer.models.pretrained import load_pretrained
from midas_dfer.reproduce.rows import Experiment, Method, check_settings
from midas_dfer.reproduce.substores import few_clips, other_clips, write_substore
from midas_dfer.training.devices import computed_on
from midas_dfer.training.parts import part_clips
from midas_dfer.training.recipes import recipe
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.long_recipes import few_epochs
from midas_dfer.training.run_folder.runs import MACHINE_SETTINGS, new_model
from midas_dfer.training.scoring.scores import in_words

SMOKE_CLIPS = 24
"""At most so many clips of a fold or part at toy size."""

_MANY_ROWS = 8

SMOKE_SETTINGS: Mapping[str, Any] = {
    "width": 8,
    "size": 32,
    "epochs": 1,
    "batch_size": 8,
    "warmup_epochs": 0,
    "num_workers": 0,
    "weights": None,
}
SMOKE = (
    "SMOKE: a few clips, a tiny network and one epoch, to see that all works and what comes of it. These figures "
    "say nothing of any method."
)

_NOT_OF_THE_METHOD = (*MACHINE_SETTINGS, "test_fold", "seed", "weights", "select")


@dataclass(frozen=True)
class Request:
    """What is asked for, beside which table.

    Attributes:
        store: the clips that are trained on, and scored, fold by fold.
        out: folder for runs and results.
        test_store: the clips that table 5 is scored on.
        smoke: at toy size.
        folds: which folds are tested; None for all, at toy size for two.
        seeds: of everything that is drawn.
        settings: of `RunConfig`, in place of the recipes'.
    """

    store: Path
    out: Path
    test_store: Path | None = None
    smoke: bool = False
    folds: tuple[int, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self.settings)
        check_each_once(seeds=self.seeds, **({} if self.folds is None else {"folds": self.folds}))


@dataclass(frozen=True)
class Plan:
    """The trainings of each row of a table that can be made, and what a reader must know of them.

    `people`: who is seen in which of the clips that are tested; None where that is not known of any.
    """

    jobs: tuple[tuple[Method, tuple[Job, ...]], ...]
    notes: tuple[str, ...]
    people: Mapping[str, str] | None


def plan_table(experiment: Experiment, request: Request) -> Plan:
    """Find out what can be trained; refuses a table of which nothing can."""
    if experiment.across:
        _check_test_store(request)
    grouped = any(recipe(method.recipe).config().group != "all" for method in experiment.methods)
    store, words = open_clips(request, of_clear_classes=grouped)
    evaluate_on, tested = None, f"{words}, and scored on those of them that were kept for testing"
    if experiment.across:
        other, what = _other_store(store, request)
        evaluate_on = str(other.path.resolve())
        tested = f"{words}; scored on {len(other)} clips of {other.dataset} ({what})"
    folds = _folds(experiment, store, request)
    if request.smoke and request.folds is None and len(experiment.methods) > _MANY_ROWS:
        folds = folds[:1]  # it is to take under a minute
    settings = {**(SMOKE_SETTINGS if request.smoke else {}), **request.settings}
    planned, left_out = [], []
    for method in experiment.methods:
        own = dict(settings)
        if request.smoke and recipe(method.recipe).config().group_size is not None:
            own.setdefault("group_size", SMOKE_CLIPS // 2)
        try:
            config = method.config(own)
            jobs = [
                _job(method, replace(config, test_fold=fold, seed=seed), store, evaluate_on, request)
                for seed in request.seeds
                for fold in folds
            ]
            for job in jobs[: len(folds)]:
                _check(job.config, store)
            planned.append((method, tuple(jobs)))
        except RequestError as error:
            left_out.append((method.words, str(error).rstrip(".")))
    if not planned:
        reasons = list(dict.fromkeys(reason for _, reason in left_out))
        size = f" at toy size, of {len(store)} clips" if request.smoke else ""
        raise RequestError(f"{experiment.name} cannot be made{size}: {'; '.join(reasons)}")
    table, papers_data = experiment.printed, ""
    if table is not None:
        scored = "" if table.trained_on == table.tested_on else f", scored on {table.tested_on}"
        papers_data = f" The paper: {'trained on ' if scored else ''}{table.trained_on}{scored}."
    too_short = (f"{said}." for _, jobs in planned if (said := few_epochs(jobs[0].config, len(store.class_names))))
    notes = [
        *([SMOKE] if request.smoke else []),
        f"Ours: trained on {tested}.{papers_data}",
        _folds_in_words(folds, request.seeds, experiment),
        *_settings_in_words([(method, jobs[0].config) for method, jobs in planned]),
        *([] if request.smoke else dict.fromkeys(too_short)),
        *(f"Left out: {row}: {reason}." for row, reason in left_out),
    ]
    seen = store.manifest if evaluate_on is None else ClipStore.open(evaluate_on).manifest
    people = {each.video_id: each.subject for each in seen if each.subject is not None}
    return Plan(tuple(planned), tuple(notes), people or None)


def open_clips(request: Request, *, of_clear_classes: bool = False) -> tuple[ClipStore, str]:
    """The store that is trained on, at toy size a substore of it; and what it holds, in words."""
    store = ClipStore.open(request.store)
    whole = len(store)
    if not request.smoke:
        return store, f"{store.dataset}, {whole} clips"
    seed = request.seeds[0]
    clips = few_clips(store.manifest, SMOKE_CLIPS, seed, of_clear_classes=of_clear_classes)
    place = request.out / ("smoke-store-of-groups" if of_clear_classes else "smoke-store")
    before, kept = set(store.manifest.labels.tolist()), set(clips.labels.tolist())
    missing = [store.class_names[label] for label in sorted(before - kept - {NO_LABEL})] if of_clear_classes else []
    store = write_substore(store, clips, place)
    without = f", without those of {', '.join(missing)}, of which too few are clear" if missing else ""
    return store, f"{len(store)} of the {whole} clips of {store.dataset}{without}"


def _check_test_store(request: Request) -> Path:
    if request.test_store is None:
        raise RequestError("table-5 is trained on one data set and scored on another; name that with --test_store")
    if request.test_store.resolve() == request.store.resolve():
        raise RequestError("--test_store is the store that is trained on; name that of another data set")
    return request.test_store


def _other_store(store: ClipStore, request: Request) -> tuple[ClipStore, str]:
    """The clips that another data set is scored on, as a store without folds and parts, so that all of it is."""
    other = ClipStore.open(_check_test_store(request))
    clips, what = other_clips(other)
    if request.smoke:
        clips = few_clips(clips, SMOKE_CLIPS, request.seeds[0])
    nothing = [None] * len(clips)
    clips = clips.with_columns(
        split=pl.Series("split", nothing, dtype=pl.String), fold=pl.Series("fold", nothing, dtype=pl.Int64)
    )
    name = other.dataset if other.dataset != store.dataset else f"{other.dataset} of {other.path.resolve().name}"
    place = request.out / ("smoke-test-store" if request.smoke else "test-store")
    return write_substore(other, clips, place, dataset=name), what


def _folds(experiment: Experiment, store: ClipStore, request: Request) -> tuple[int | None, ...]:
    there = store.manifest.fold_numbers
    has_parts = bool((store.manifest.table["split"] == "test").any())
    own_parts = (experiment.published_split and has_parts) or len(there) < 2
    if request.folds is not None:
        if missing := [fold for fold in request.folds if fold not in there or len(there) < 2]:
            names = f"there are {', '.join(map(str, there))}" if len(there) > 1 else "it has no folds"
            size = " at toy size" if request.smoke else ""
            raise RequestError(f"--folds: fold {missing[0]} cannot be tested on {request.store}{size}; {names}")
        return request.folds
    if not own_parts:
        return there
    if not has_parts and not experiment.across:
        only = f"has only fold {there[0]}, and nothing beside it to train on" if there else ""
        has = only or "has neither folds nor a test part"
        raise RequestError(
            f"{experiment.name} needs clips to train and to test on, but {request.store} {has}; prepare more clips, or "
            "make folds when preparing them: midas prepare ... --folds 5"
        )
    return (None,)


def _job(method: Method, config: RunConfig, store: ClipStore, evaluate_on: str | None, request: Request) -> Job:
    fold = "split" if config.test_fold is None else f"fold-{config.test_fold}"
    name = f"{'smoke/' if request.smoke else ''}{method.name}/{fold}-seed-{config.seed}"
    return Job(name, method.name, config, str(store.path.resolve()), evaluate_on)


def _check(config: RunConfig, store: ClipStore) -> None:
    """Refuse a training that cannot be done, as votes, clips or weights are missing, before any is begun."""
    train = part_clips(store.manifest, config).train
    if not train.has_votes.any():
        if config.labels == "soft":
            raise RequestError(f"soft labels need votes, and the training clips of {store.path} have none")
        if config.normalization == "softmax_counts" and config.num_votes is None:
            raise RequestError(f"a softmax of counts needs votes, and {store.path} has none; give --num_votes")
    if config.group != "all" and not (train.has_votes & (train.labels != NO_LABEL)).any():
        raise RequestError(f"clear and mixed groups need clips with votes and a single label; {store.path} has none")
    if config.votes_used is not None:
        most = int(train.votes[train.has_votes].sum(axis=1).max()) if train.has_votes.any() else 0
        if config.votes_used > most:
            raise RequestError(f"no training clip has more than {most} votes")
    ClipDataset(store, train, labels=config.labels, method=config.label_method, votes_used=config.votes_used)
    model = new_model(config, store.class_names)
    if config.weights is not None:
        try:
            load_pretrained(model, config.model, config.weights, store.class_names)
        except RequestError as error:  # which weights do not fit would fill a page for each row
            raise RequestError(str(error).split(": ", maxsplit=1)[0]) from error


def _folds_in_words(folds: Sequence[int | None], seeds: Sequence[int], experiment: Experiment) -> str:
    place = "the data set's own parts" if folds[0] is None else f"fold{'s' if len(folds) > 1 else ''} {_listed(folds)}"
    if len(seeds) > 1:
        what = f"mean ± standard deviation over the seeds {_listed(seeds)}, of each the mean over {place}"
    elif len(folds) > 1:
        what = f"mean ± standard deviation over {place}, seed {seeds[0]}"
    else:
        what = f"a single training, tested on {place}, seed {seeds[0]}"
    if experiment.layout == "matrix":
        word = "seeds" if len(seeds) > 1 else "seed"
        return f"Ours: the sum of all trainings, tested on {place}, {word} {_listed(seeds)}."
    table = experiment.printed
    papers = ""
    if table is not None:
        papers = {
            1: " The paper: one training on the data set's own parts.",
            None: " The paper does not say how many trainings its figures are of.",
        }.get(table.folds, f" The paper: mean over {table.folds} folds.")
    return f"Ours: {what}.{papers}"


def _settings_in_words(chosen: Sequence[tuple[Method, RunConfig]]) -> list[str]:
    """Say which settings are not those of the recipes, and which weights the networks began with."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for method, config in chosen:
        published = method.config()
        for name in (setting.name for setting in fields(RunConfig) if setting.name not in _NOT_OF_THE_METHOD):
            ours, theirs = getattr(config, name), getattr(published, name)
            if ours != theirs:
                both = found.setdefault(name, (set(), set()))
                both[0].add(_value(ours))
                both[1].add(_value(theirs))
    parts = (f"{name} {_either(ours)} (recipe: {_either(theirs)})" for name, (ours, theirs) in found.items())
    same = "All settings are the recipes'; what the paper leaves open is as docs/recipes.md says."
    machine = {(on["precision"], on["device"]) for _, c in chosen for on in (computed_on(c.precision, c.device),)}
    places = _either({f"{in_words(precision)} on {device}" for precision, device in machine})
    kept = _either({EPOCH_KEPT[config.select] for _, config in chosen})
    weights = sorted({config.weights for _, config in chosen if config.weights is not None})
    return [
        f"Settings that are not the recipes': {', '.join(parts)}." if found else same,
        f"On this machine trainings are computed in {places}, and scored in float32; the paper says neither.",
        f"Epoch kept: {kept}. The paper does not say which.",
        f"The networks began with the weights {', '.join(weights)}; the paper's with ImageNet's."
        if weights
        else "Our networks began with random weights; the paper's ResNet-18 with ImageNet's (section 4.3).",
    ]


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "none" if not value else f"[{_listed(value)}]"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _either(values: set[str]) -> str:
    return " or ".join(sorted(values, key=lambda value: (len(value), value)))  # 8 before 16


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
