"""Recipe and store -> run folder. A training that was killed goes on as if nothing had happened."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import safetensors.torch
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors import SafetensorError

from midas_dfer.clips.dataset import ClipDataset, ClipLoader, ClipView
from midas_dfer.clips.prepare import available_cores
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import cannot_write, only_one
from midas_dfer.models.clip_model import lay_out_for_speed
from midas_dfer.models.packaged import PACKAGED
from midas_dfer.models.weights import load_trunk
from midas_dfer.training.callbacks import BEST_WEIGHTS, EpochBar, EpochLog, RunCheckpoint
from midas_dfer.training.config import SELECTED_ON_TEST, RunConfig
from midas_dfer.training.criteria import make_loss
from midas_dfer.training.devices import (
    check_precision,
    choose_device,
    choose_dtype,
    computed_on,
    lightning_precision,
)
from midas_dfer.training.mixers import Mixing, make_mixing
from midas_dfer.training.parts import part_clips
from midas_dfer.training.readings import votes_learned
from midas_dfer.training.recognizer import Batches, DivergedError, Recognizer
from midas_dfer.training.runs import CONFIG_FILE, TENSORBOARD_FOLDER, Part, Run, check_is_free, new_model
from midas_dfer.training.scores import in_words

LOCK_PATIENCE = 10.0
"""Seconds to wait for a run's lock: the reading processes of a training that was killed hold it a little longer."""


class TrainingInterruptedError(JobError):
    """Ctrl-C or SIGTERM ended a training; it can be gone on with."""


def train(
    config: RunConfig,
    store: ClipStore | Path | str,
    out: Path | str,
    *,
    bar: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Train a model on the training part of a store.

    Args:
        config: the recipe; its defaults are the paper's.
        store: the clips, or the folder of their store.
        out: the run folder, which must not be there yet.
        bar: show a progress bar with loss, UAR and WAR; if not, say a line for each epoch.
        say: prints a line.

    Returns:
        The finished run.

    Raises:
        RequestError: the recipe does not fit the store, or `out` is taken.
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
    loaded = _check_model(config, len(store.class_names))
    found = config.normalization == "softmax_counts" and config.num_votes is None
    if found:
        config = replace(config, num_votes=_mean_votes(partition.train, config.votes_used))
    run = Run.create(out, config, store, partition, num_votes_found=found)
    run.update(**votes_learned(dataset, config), **computed_on(config.precision, config.device))
    repeated = "" if partition.times is None else f" in {partition.times.sum()} samples"
    say(f"{config.model}, {config.method_name}, {len(partition.train)} clips{repeated}, {config.epochs} epochs: {out}")
    say(f"computed in {in_words(run.provenance.precision)} on {run.provenance.device}")
    if loaded:
        say(f"weights: {loaded}")
    return _fit(run, store, bar=bar, say=say)


def resume(
    path: Path | str,
    store: ClipStore | Path | str | None = None,
    *,
    bar: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Go on with a training that was interrupted, from the end of its last whole epoch.

    On the CPU the final weights are bit by bit those of the run that was never interrupted.

    Args:
        path: the run folder.
        store: where the clips are now, if they were moved.
        bar: as in `train`.
        say: as in `train`.

    Raises:
        RequestError: there is no run, or the store's content is another than when training began.
        JobError: as in `train`.
    """
    run = Run.open(path)
    if run.finished:
        return run
    if not isinstance(store, ClipStore):
        store = ClipStore.open(run.provenance.store if store is None else store)
    if store.fingerprint != run.provenance.store_fingerprint:
        raise RequestError(
            f"the store {store.path} has changed since the run {run.path} began (fingerprint "
            f"{store.fingerprint}, was {run.provenance.store_fingerprint}); train anew on it"
        )
    here = computed_on(run.config.precision, run.config.device)
    check_precision(run.path, run.provenance.precision, here["precision"])
    run.update(**here)
    say(f"computed in {in_words(here['precision'])} on {here['device']}")
    return _fit(run, store, bar=bar, say=say)


def _check_model(config: RunConfig, num_classes: int) -> str:
    """Make the model once before anything is written; says what became of the file of weights, "" without one."""
    if config.weights is None or config.weights == PACKAGED:
        new_model(config, num_classes, pretrained=True)
        return "" if config.weights is None else f"those that are packaged with {config.model}"
    return str(load_trunk(new_model(config, num_classes), config.weights))


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
    busy = f"another process trains the run {run.path}; wait for it or end it"
    with only_one(run.path / CONFIG_FILE, busy, LOCK_PATIENCE), _quiet():
        train_set = _dataset(run, store, "train", say)
        mixing = make_mixing(config, train_set.video_ids, train_set.soft_labels)
        train_loader = _loader(train_set, config, device, shuffle=True, mixing=mixing)
        validation_loader = None
        watched: Part = "test" if config.select == "best_test_fold" else "validation"
        if run.times(watched):
            validation_loader = _loader(_dataset(run, store, watched, say), config, device, shuffle=False)
        checkpoint = _last_checkpoint(run)
        model = run.new_model(pretrained=checkpoint is None)
        lay_out_for_speed(model)
        num_steps = config.epochs * len(train_loader)
        loss = make_loss(config, train_set.soft_labels)
        recognizer = Recognizer(model, config, len(run.provenance.class_names), num_steps, mixing, loss)
        callbacks: list[Callback] = [EpochLog(run, None if bar else say), RunCheckpoint(run)]
        if bar:
            callbacks.append(EpochBar(config.epochs))
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            precision=lightning_precision(choose_dtype(config.precision, device)),
            max_epochs=config.epochs,
            gradient_clip_val=config.clip_gradient,
            callbacks=callbacks,
            logger=TensorBoardLogger(run.path, name="", version=TENSORBOARD_FOLDER),
            log_every_n_steps=max(1, min(50, len(train_loader))),
            enable_progress_bar=bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=run.path,
        )
        try:
            trainer.fit(
                recognizer,
                datamodule=Batches(train_loader, validation_loader),
                ckpt_path=checkpoint,
                weights_only=True,
            )
        except DivergedError as error:
            raise JobError(f"{error}. {_last_good(run)}; train again with a smaller --learning_rate") from error
        except MisconfigurationException as error:
            raise JobError(" ".join(str(error).split())) from error
        except SystemExit as error:  # Lightning leaves so at Ctrl-C and at SIGTERM, at the latter with status 0
            raise TrainingInterruptedError(f"interrupted; go on with: midas train --resume {run.path}") from error
        except BrokenPipeError:
            raise
        except OSError as error:  # of TensorBoard's writer
            raise cannot_write(run.path, error) from error
        if trainer.interrupted:
            raise TrainingInterruptedError(f"interrupted; go on with: midas train --resume {run.path}")
    kept = "last"
    if config.select != "last":
        try:
            model.load_state_dict(safetensors.torch.load_file(run.path / BEST_WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise JobError(f"{run.path / BEST_WEIGHTS} is missing or damaged; train anew") from error
        best = next(c for c in callbacks if isinstance(c, RunCheckpoint)).best_epoch
        kept = f"epoch {best}, best UAR on the validation part"
        if config.select == "best_test_fold":
            kept = f"epoch {best}, {SELECTED_ON_TEST}"
    run.finish(model.cpu(), kept)
    return run


def _dataset(run: Run, store: ClipStore, part: Part, say: Callable[[str], None]) -> ClipDataset:
    config = run.config
    counts = run.times(part)
    manifest = store.manifest.select([i for i, name in enumerate(store.manifest.video_ids) if name in counts])
    times = np.array([counts[name] for name in manifest.video_ids], dtype=np.int64)
    is_train = part == "train"
    view = ClipView(
        num_segments=config.num_segments,
        frames_per_segment=config.frames_per_segment,
        size=config.size,
        train=is_train,
        scales=config.scales,
        flip=config.flip,
        seed=config.seed,
    )
    labels = config.labels if is_train else "soft"
    dataset = ClipDataset(
        store,
        manifest,
        view=view,
        labels=labels,
        method=config.label_method,
        votes_used=config.votes_used if is_train else None,
        times=times,
    )
    if dataset.left_out:
        say(f"{dataset.left_out} clips have no single label (their top votes are tied): not in this training")
    return dataset


def _loader(
    dataset: ClipDataset, config: RunConfig, device: torch.device, *, shuffle: bool, mixing: Mixing | None = None
) -> ClipLoader:
    def find_partners(epoch: int, number: int, places: Sequence[int]) -> Sequence[int]:
        video_ids = [dataset.video_ids[place] for place in places]
        partners: list[int] = mixing.plan(epoch, number, video_ids).partner.tolist() if mixing else []
        return partners

    return ClipLoader(
        dataset,
        config.batch_size,
        shuffle=shuffle,
        seed=config.seed,
        num_workers=_num_workers(config, device),
        pin_memory=device.type == "cuda",
        partners=find_partners if mixing is not None and mixing.pool is not None else None,
    )


def _num_workers(config: RunConfig, device: torch.device) -> int:
    if config.num_workers >= 0:
        return config.num_workers
    if device.type == "cuda":
        return min(available_cores(), 16)
    return 0  # on the CPU the model's own threads take the cores; reading is a few per cent of the time


def _last_checkpoint(run: Run) -> Path | None:
    """The checkpoint to go on from; None if there is none yet."""
    path = run.last_checkpoint
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        expected = {f"model.{name}": value.shape for name, value in run.new_model().state_dict().items()}
        found = {name: value.shape for name, value in state.items() if name.startswith("model.")}
    except Exception as error:  # a damaged file can fail anywhere in the reader: IndexError, KeyError, EOFError ...
        raise RequestError(f"{path} is damaged; delete it, and --resume begins at the first epoch") from error
    if found != expected:
        raise RequestError(
            f"{path} holds the weights of another network than {CONFIG_FILE} describes; "
            "delete it, and --resume begins at the first epoch"
        )
    return path


def _last_good(run: Run) -> str:
    if not run.last_checkpoint.exists():
        return "There is no good checkpoint yet"
    return f"The last good checkpoint is {run.last_checkpoint}, after epoch {run.provenance.epochs_done}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's tips, which speak of Lightning's settings and not of ours, off the user's screen."""
    names = ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", module=r"lightning\..*", category=category)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
