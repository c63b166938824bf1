"""Recipe and store -> run folder. A training that was killed resumes as if nothing had happened."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.commands import shell_command
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import is_temporary, only_one
from midas_dfer.manifest.class_counts import classes_text, count_classes
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.models.clip_model import lay_out_for_speed
from midas_dfer.models.pretrained import load_pretrained
from midas_dfer.training.callbacks import BEST_WEIGHTS, EpochLog, RunCheckpoint
from midas_dfer.training.devices import check_precision, choose_device, choose_dtype, computed_on, lightning_precision
from midas_dfer.training.fitting import ResumeCheck, in_sentences, interruptible, quiet
from midas_dfer.training.fitting import TrainingInterruptedError as TrainingInterruptedError
from midas_dfer.training.loading import num_workers, part_dataset, part_loader
from midas_dfer.training.losses import make_loss
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.pace import Pace, TrainingBar
from midas_dfer.training.parts import part_clips
from midas_dfer.training.recipes.config import SELECTED_ON_TEST, RunConfig
from midas_dfer.training.recipes.long_recipes import few_epochs
from midas_dfer.training.recognizer import Batches, Recognizer
from midas_dfer.training.run_folder.checkpoint import LastCheckpoint, last_checkpoint
from midas_dfer.training.run_folder.identity import different_settings, recipe_of
from midas_dfer.training.run_folder.origin import (
    keep_learned,
    open_origin,
    refuse_tested_clips,
    take_weights,
    told_differences,
)
from midas_dfer.training.run_folder.run_file import CURE
from midas_dfer.training.run_folder.runs import (
    CONFIG_FILE,
    LAST_CHECKPOINT,
    METRICS_FILE,
    RUN_FILE,
    TENSORBOARD_FOLDER,
    Part,
    Run,
    check_is_free,
    new_model,
)
from midas_dfer.training.run_folder.weights_file import parse_weights, read_weights_file
from midas_dfer.training.scoring.readings import votes_learned
from midas_dfer.training.scoring.scores import in_words

LOCK_PATIENCE = 10.0
"""Seconds to wait for a run's lock: the reading processes of a training that was killed hold it a little longer."""


def train(
    config: RunConfig,
    store: ClipStore | Path | str,
    out: Path | str,
    *,
    init: Run | Path | str | None = None,
    bar: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Train a model on the training set of a store.

    Args:
        config: the recipe; its defaults are the paper's.
        store: the clips, or the folder of their store.
        out: the run folder, which must not exist yet.
        init: a finished run whose weights to start from, including its classifier for the classes that both have.
        bar: show a progress bar on standard error; otherwise print progress at least every minute.
        say: prints a line: a few at the start, and one for each epoch.

    Returns:
        The finished run.

    Raises:
        RequestError: the recipe does not fit the store or the run of `init`, which must not have been trained on the
            test clips; or `out` exists.
        JobError: the loss became NaN (the message names the last good checkpoint), or the disk is full.
    """
    out = Path(out)
    check_is_free(out)
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    choose_device(config.device)  # this and what follows refuse before anything is written
    partition = part_clips(store.manifest, config)
    dataset = ClipDataset(
        store, partition.train, labels=config.labels, method=config.label_method, votes_used=config.votes_used
    )
    if config.mixer != "none" and len(dataset) < 2:
        raise RequestError("there is one training clip, and none to mix it with; train with --mixer none")
    origin = None if init is None else open_origin(init, config)
    watched = "" if origin is None else refuse_tested_clips(origin, partition, store.dataset)
    loaded = _check_model(config, store.class_names, origin)
    found = config.normalization == "softmax_counts" and config.num_votes is None
    if found:
        config = replace(config, num_votes=_mean_votes(partition.train, config.votes_used))
    run = Run.create(out, config, store, partition, num_votes_found=found)
    run.update(**votes_learned(dataset, config), **computed_on(config.precision, config.device))
    if origin is not None:
        keep_learned(run, origin)
        run.update(init=str(origin.path.resolve()), init_weights=origin.provenance.weights_digest)
    pending = sum(each.status == "pending" for each in store.outcomes.values())
    if pending:
        say(f"note: {pending} clips of the store {store.path} are not cut yet, and not in this training")
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    repeated = "" if partition.times is None else f" in {partition.times.sum()} samples"
    say(f"{config.model}, {config.method_name}, {len(partition.train)} clips{repeated}, {epochs}: {out}")
    say(f"clips: {run.provenance.partition}")
    say(f"computed in {in_words(run.provenance.precision)} on {run.provenance.device}")
    if run.provenance.aggregated:
        say(
            f"labels: those that {run.provenance.aggregated} made of single annotators' votes; scores are of the counts"
        )
    say(f"weights: {loaded}")
    if origin is not None and (changed := told_differences(origin, config)):
        say(f"settings that are not those of {origin.path}: {changed}")
    if watched:
        say(f"note: {watched}")
    if few := few_epochs(config, len(store.class_names)):
        say(f"note: {few}")
    if config.labels == "soft" and not dataset.manifest.has_votes.any():
        say("note: no training clip has votes, so soft labels are the single labels, as with --labels hard")
    return _fit(run, store, bar=bar, say=say)


def resume(
    path: Path | str,
    store: ClipStore | Path | str | None = None,
    *,
    bar: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Resume an interrupted training after its last complete epoch.

    On the CPU the final weights are bit-identical to those of an uninterrupted run.

    Args:
        path: the run folder.
        store: where the clips are now, if they were moved.
        bar: as in `train`.
        say: as in `train`.

    Raises:
        RequestError: there is no run, or the store's content has changed since training began.
        JobError: as in `train`.
    """
    run = Run.open(path)
    _refuse_edited(run)
    if run.finished and store is None:
        return run
    if not isinstance(store, ClipStore):
        store = ClipStore.open(run.provenance.store if store is None else store)
    if store.fingerprint != run.provenance.store_fingerprint:
        raise RequestError(
            f"the store {store.path} is another than that of the run {run.path}, or has changed since (fingerprint "
            f"{store.fingerprint}, was {run.provenance.store_fingerprint}); train again on it"
        )
    _check_classes(run, store)
    if run.finished:
        return run
    if run.provenance.recipe is None:
        say(f"note: an earlier version began this run, so it cannot be seen whether {CONFIG_FILE} was edited since")
        run.update(recipe=recipe_of(run.config))
    here = computed_on(run.config.precision, run.config.device)
    check_precision(run.path, run.provenance.precision, here["precision"])
    run.update(**here)
    say(f"computed in {in_words(here['precision'])} on {here['device']}")
    return _fit(run, store, bar=bar, say=say)


def _check_classes(run: Run, store: ClipStore) -> None:
    names = run.provenance.class_names
    if names != store.class_names:
        raise RequestError(
            f"{run.path / RUN_FILE} names the classes {', '.join(names)}, the store {store.path} "
            f"{', '.join(store.class_names)}; {CURE}"
        )


def _refuse_edited(run: Run) -> None:
    """Refuse a run whose config.yaml no longer says what it said when training began."""
    began = run.provenance.recipe
    if began is not None and (found := different_settings(began, run.config.to_dict())):
        told = "; ".join(f"{name} is {now}, it was {was}" for name, was, now in found)
        raise RequestError(
            f"{run.path / CONFIG_FILE}, or the recipe in {RUN_FILE}, was edited since the run began: {told}. Put it "
            "back as it was, or train again "
            f"with {shell_command('--config', run.path / CONFIG_FILE)}"
        )


def _check_model(config: RunConfig, class_names: Sequence[str], origin: Run | None) -> str:
    """Make the model once before anything is written; says what it starts from."""
    model = new_model(config, class_names)
    if origin is not None:
        return take_weights(model, origin, class_names)
    if config.weights is not None:
        return load_pretrained(model, config.model, config.weights, class_names)
    return "random; the paper's ResNet-18 begins with ImageNet's (--weights FILE)"


def _mean_votes(manifest: Manifest, votes_used: int | None) -> float:
    votes = manifest.votes[manifest.has_votes]
    if not len(votes):
        raise RequestError("--normalization softmax_counts needs votes, and these clips have none; give --num_votes")
    totals = votes.sum(axis=1)
    return float((totals if votes_used is None else totals.clip(max=votes_used)).mean())


def _fit(run: Run, store: ClipStore, *, bar: bool, say: Callable[[str], None]) -> Run:
    config = run.config
    device = choose_device(config.device)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    if not (os.access(run.path, os.W_OK) and os.access(run.path / CONFIG_FILE, os.W_OK)):
        raise JobError(f"the run {run.path} may not be written to by this user, so training cannot go on in it")
    busy = f"another process trains the run {run.path}; wait for it or end it"
    with interruptible(run), only_one(run.path / CONFIG_FILE, busy, LOCK_PATIENCE), quiet():
        _remove_remains(run.path)
        checkpoint = last_checkpoint(run)
        epochs_done = 0 if checkpoint is None else checkpoint.epochs_done
        train_set = part_dataset(run, store, "train", say)
        say(f"classes: {classes_text(count_classes(train_set.manifest))}")
        mixing = make_mixing(config, train_set.video_ids, train_set.soft_labels)
        workers = num_workers(config, device, train_set, mixing, say)
        train_loader = part_loader(train_set, config, device, workers, shuffle=True, mixing=mixing)
        validation_loader = None
        watched: Part = "test" if config.select == "best_test_fold" else "validation"
        if run.times(watched):
            validation_loader = part_loader(
                part_dataset(run, store, watched, say), config, device, workers, shuffle=False
            )
        model = run.new_model(pretrained=checkpoint is None)
        if checkpoint is None and run.provenance.init:
            take_weights(model, Run.open(run.provenance.init), run.provenance.class_names, run.provenance.init_weights)
        lay_out_for_speed(model)
        num_steps = config.epochs * len(train_loader)
        loss = make_loss(config, train_set.soft_labels)
        recognizer = Recognizer(model, config, len(run.provenance.class_names), num_steps, mixing, loss)
        pace = (TrainingBar if bar else Pace)(say, config.epochs, len(train_loader))
        log = EpochLog(run, pace, epochs_done)
        if checkpoint is not None:
            _tell_what_is_unknown(checkpoint, log, say)
        left = f", {num_steps - epochs_done * len(train_loader):,} left" if epochs_done else ""
        say(f"steps: {len(train_loader):,} an epoch, {num_steps:,} in all{left}")
        kept = RunCheckpoint(run, log)
        check = ResumeCheck(checkpoint, len(train_loader))
        callbacks: list[Callback] = [check, pace, log, kept]
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            precision=lightning_precision(choose_dtype(config.precision, device)),
            max_epochs=config.epochs,
            gradient_clip_val=config.clip_gradient,
            callbacks=callbacks,
            logger=TensorBoardLogger(run.path, name="", version=TENSORBOARD_FOLDER),
            log_every_n_steps=max(1, min(50, len(train_loader))),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=run.path,
        )
        with in_sentences(run, check):
            trainer.fit(
                recognizer,
                datamodule=Batches(train_loader, validation_loader),
                ckpt_path=None if checkpoint is None else checkpoint.path,
                weights_only=True,
            )
            if trainer.interrupted:
                raise KeyboardInterrupt
        run.finish(*_kept_weights(run, recognizer.kept_model, kept.best_epoch))
    return run


def _tell_what_is_unknown(checkpoint: LastCheckpoint, log: EpochLog, say: Callable[[str], None]) -> None:
    if not checkpoint.is_sealed:
        say(f"note: {checkpoint.path} is of an earlier version, so it cannot be seen whether it fits {CONFIG_FILE}")
    if missing := checkpoint.epochs_done - len(log.rows):
        say(f"note: {log.path} has no lines of the epochs 1 to {missing}, and will have none")


def _remove_remains(folder: Path) -> None:
    """Remove what a training that was killed left half-written; nobody else writes while we hold the run's lock."""
    for place in (folder, folder / Path(LAST_CHECKPOINT).parent, folder / Path(METRICS_FILE).parent):
        for remains in filter(is_temporary, place.iterdir() if place.is_dir() else ()):
            with suppress(OSError):
                remains.unlink()


def _kept_weights(run: Run, model: nn.Module, best_epoch: int) -> tuple[nn.Module, str]:
    """The model with the weights that the recipe keeps, and a word on which they are."""
    select = run.config.select
    if select == "last":
        return model.cpu(), "last"
    path = run.path / BEST_WEIGHTS
    try:
        state, about = parse_weights(read_weights_file(path))
        model.load_state_dict(state)
    except (OSError, ValueError, RuntimeError) as error:
        raise JobError(f"{path} is missing or damaged; train again") from error
    if about is not None:
        run.check_identity(about, path)
    of = SELECTED_ON_TEST if select == "best_test_fold" else "best UAR on the validation part"
    return model.cpu(), f"epoch {best_epoch}, {of}"
