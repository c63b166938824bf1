"""Recipe and store -> run folder. A training that was killed resumes as if nothing had happened."""

import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.commands import shell_command
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import is_temporary, only_one, write_file
from midas_dfer.manifest.class_counts import classes_text, count_classes
from midas_dfer.models.clip_model import lay_out_for_speed
from midas_dfer.training.callbacks import BEST_WEIGHTS, EpochLog, RunCheckpoint
from midas_dfer.training.devices import check_precision, choose_device, choose_dtype, computed_on, lightning_precision
from midas_dfer.training.fitting import (
    OwnSignals,
    ResumeCheck,
    go_on_with,
    in_sentences,
    interruptible,
    quiet,
    silent_echo,
)
from midas_dfer.training.fitting import TrainingInterruptedError as TrainingInterruptedError
from midas_dfer.training.learners.making import make_learner
from midas_dfer.training.loading import check_cache, keep_frames, num_workers, part_dataset, part_loader
from midas_dfer.training.mixers import check_compile, make_mixing
from midas_dfer.training.pace import Pace, TrainingBar
from midas_dfer.training.processes.launching import fit_in_processes
from midas_dfer.training.processes.shared_batches import SharedBatches
from midas_dfer.training.processes.world import World, check_processes
from midas_dfer.training.recipes.config import SELECTED_ON_TEST, RunConfig
from midas_dfer.training.recipes.losses import make_loss
from midas_dfer.training.recognizer import Batches, Recognizer
from midas_dfer.training.run_folder.beginning import begin_run, computed_in, opened_store
from midas_dfer.training.run_folder.checkpoint import LastCheckpoint, last_checkpoint
from midas_dfer.training.run_folder.identity import different_settings, recipe_of
from midas_dfer.training.run_folder.origin import (
    take_weights,
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
)
from midas_dfer.training.run_folder.weights_file import parse_weights, read_weights_file

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

    With `config.devices` above 1 as many processes train it, and this one waits for them. In a process that `torchrun`
    started, it is this one's part of the training; only the first process writes and speaks.

    Args:
        config: the recipe; its defaults are the paper's.
        store: the clips, or the folder of their store.
        out: the run folder, which must not exist yet.
        init: a finished run whose weights to start from, including its classifier for the classes that both have.
        bar: show a progress bar on standard error, of one process; otherwise print progress at least every minute.
        say: prints a line: a few at the start, and one for each epoch.

    Returns:
        The finished run.

    Raises:
        RequestError: the recipe does not fit the store or the run of `init`, which must not have been trained on the
            test clips; or `out` exists.
        JobError: the loss became NaN (the message names the last good checkpoint), the disk is full, or one of several
            processes was lost.
    """
    world = World.here()
    with world.joined(choose_device(config.device)):
        if world.is_first:
            with world.telling():
                run, store = begin_run(config, store, Path(out), init, world, say)
        else:
            world.await_first(Path(out) / RUN_FILE)
            run, store = Run.open(out), opened_store(store)
        return _fit(run, store, world, config.devices, bar=bar, say=say)


def resume(
    path: Path | str,
    store: ClipStore | Path | str | None = None,
    *,
    devices: int | None = None,
    bar: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Resume an interrupted training after its last complete epoch.

    On the CPU the final weights are bit-identical to those of an uninterrupted run.

    Args:
        path: the run folder.
        store: where the clips are now, if they were moved.
        devices: how many devices train now, if not as many as `config.devices` says.
        bar: as in `train`.
        say: as in `train`.

    Raises:
        RequestError: there is no run, or the store's content has changed since training began.
        JobError: as in `train`.
    """
    run, world = Run.open(path), World.here()
    _refuse_edited(run)
    if run.finished and store is None:
        return run
    store = opened_store(run.provenance.store if store is None else store)
    devices = run.config.devices if devices is None else devices
    with world.joined(choose_device(run.config.device)):
        if world.is_first:
            with world.telling():
                _take_up(run, store, devices, world, say)
        else:
            world.await_first(run.path / RUN_FILE)
        return run if run.finished else _fit(run, store, world, devices, bar=bar, say=say)


def _take_up(run: Run, store: ClipStore, devices: int, world: World, say: Callable[[str], None]) -> None:
    """Refuse what does not fit the run any more, and write down where it is trained from now on."""
    if store.fingerprint != run.provenance.store_fingerprint:
        raise RequestError(
            f"the store {store.path} is another than that of the run {run.path}, or has changed since (fingerprint "
            f"{store.fingerprint}, was {run.provenance.store_fingerprint}); train again on it"
        )
    _check_classes(run, store)
    if run.finished:
        return
    watched: Part = "test" if run.config.select == "best_test_fold" else "validation"
    processes = check_processes(run.config, devices, world, len(run.times(watched)))
    if run.provenance.recipe is None:
        say(f"note: an earlier version began this run, so it cannot be seen whether {CONFIG_FILE} was edited since")
        run.update(recipe=recipe_of(run.config))
    here = computed_on(run.config.precision, run.config.device)
    check_precision(run.path, run.provenance.precision, here["precision"])
    run.update(**here, processes=_processes_so_far(run, processes))
    say(computed_in(run))


def _processes_so_far(run: Run, now: str) -> str:
    """How many processes trained a run, and from which epoch on others do."""
    was, alone = run.provenance.processes, "1 process"
    if not run.provenance.epochs_done:
        return now
    if (was.rpartition(" on ")[2] or alone) == (now or alone):
        return was
    return f"{was or alone}; from epoch {run.provenance.epochs_done + 1} on {now or alone}"


def fit_part(path: Path, store: Path, *, say: Callable[[str], None]) -> None:
    """What one of several processes does in a training that another has begun."""
    world, run, clips = World.here(), Run.open(path), ClipStore.open(store)
    if clips.fingerprint != run.provenance.store_fingerprint:
        raise RequestError(f"the store {store} is not what is on the disk; prepare it, or train with one device")
    with world.joined(choose_device(run.config.device)):
        _fit(run, clips, world, world.size, bar=False, say=say)


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


def _fit(run: Run, store: ClipStore, world: World, devices: int, *, bar: bool, say: Callable[[str], None]) -> Run:
    if devices > world.size:
        with interruptible(run):
            fit_in_processes(run.path, store.path, devices, say, go_on_with(run))
        return Run.open(run.path)
    config = run.config
    device = choose_device(config.device)
    check_cache(config, device)
    check_compile(config, device)
    if config.num_threads:
        torch.set_num_threads(max(1, config.num_threads // world.on_this_machine))
    if not world.is_first:
        say = _say_nothing
    if not (os.access(run.path, os.W_OK) and os.access(run.path / CONFIG_FILE, os.W_OK)):
        raise JobError(f"the run {run.path} may not be written to by this user, so training cannot go on in it")
    busy = f"another process trains the run {run.path}; wait for it or end it"
    alone = only_one(run.path / CONFIG_FILE, busy, LOCK_PATIENCE) if world.is_first else nullcontext()
    with silent_echo(world), interruptible(run), alone, quiet():
        if world.is_first:
            _remove_remains(run.path)
        checkpoint = last_checkpoint(run)
        epochs_done = 0 if checkpoint is None else checkpoint.epochs_done
        train_set = part_dataset(run, store, "train", say)
        say(f"classes: {classes_text(count_classes(train_set.manifest))}")
        mixing = make_mixing(config, train_set.video_ids, train_set.soft_labels, processes=world.size)
        workers = num_workers(config, device, train_set, mixing, say, world)
        watched: Part = "test" if config.select == "best_test_fold" else "validation"
        watched_set = part_dataset(run, store, watched, say) if run.times(watched) else None
        datasets = [train_set] if watched_set is None else [watched_set, train_set]
        cache = keep_frames(config, device, datasets, workers, mixing, say, world)
        if world.is_first:
            run.update(cache=cache, compiled=config.compile)
        train_loader = part_loader(train_set, config, device, workers, shuffle=True, mixing=mixing, share=world.share)
        validation_loader = None
        if watched_set is not None:
            validation_loader = part_loader(watched_set, config, device, workers, shuffle=False, share=world.share)
        model = run.new_model(pretrained=checkpoint is None)
        if checkpoint is None and run.provenance.init:
            take_weights(model, Run.open(run.provenance.init), run.provenance.class_names, run.provenance.init_weights)
        lay_out_for_speed(model)
        num_steps = config.epochs * len(train_loader)
        loss = make_loss(config, train_set.soft_labels)
        shared = SharedBatches(train_loader.order, train_set) if world.size > 1 else None
        learner = make_learner(config, model, loss, train_set)
        num_classes = len(run.provenance.class_names)
        recognizer = Recognizer(model, config, num_classes, num_steps, mixing, loss, shared, learner)
        if config.compile:
            recognizer.compile_network(device)
        pace = (TrainingBar if bar else Pace)(say, config.epochs, len(train_loader))
        log = EpochLog(run, pace, epochs_done)
        if checkpoint is not None:
            _tell_what_is_unknown(checkpoint, log, say)
        left = f", {num_steps - epochs_done * len(train_loader):,} left" if epochs_done else ""
        say(f"steps: {len(train_loader):,} an epoch, {num_steps:,} in all{left}")
        kept = RunCheckpoint(run, log)
        check = ResumeCheck(checkpoint, len(train_loader))
        signals = OwnSignals()
        callbacks: list[Callback] = [signals, check, pace, log, kept]
        trainer = lightning.Trainer(
            **world.trainer_settings(device),
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
        with in_sentences(run, check), signals:
            trainer.fit(
                recognizer,
                datamodule=Batches(train_loader, validation_loader),
                ckpt_path=None if checkpoint is None else checkpoint.path,
                weights_only=True,
            )
            if trainer.interrupted:
                raise KeyboardInterrupt
        if world.is_first:
            for name, content in ({} if learner is None else learner.files()).items():
                write_file(run.path / name, content)
            if learner is not None and (learned := learner.outcome()):
                say(learned)
                run.update(learned=learned)
            run.finish(*_kept_weights(run, recognizer.kept_model, kept.best_epoch))
    return run


def _say_nothing(text: str) -> None:
    pass


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
