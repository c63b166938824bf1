"""A training that starts from a finished one, with other settings: `midas train --init RUN`."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from torch import nn

from midas_dfer.commands import shell_command
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import read_json, write_json
from midas_dfer.manifest.manifest import Partition
from midas_dfer.models.clip_model import ClipModel
from midas_dfer.models.pretrained import take_start
from midas_dfer.readers.start import CONFIG_FILE, Start, named_reader
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.identity import different_settings
from midas_dfer.training.run_folder.run_file import CURE
from midas_dfer.training.run_folder.runs import RUN_FILE, WEIGHTS_FILE, Part, Run

OF_THE_NETWORK = ("model", "width", "size")
"""Settings that are those of the run that a training begins from, unless they are typed."""
_CHOSEN_BY: Mapping[str, Part] = {"best_validation": "validation", "best_test_fold": "test"}
"""The part whose scores chose the weights, by `select`."""
LEARNED_BEFORE_FILE = "learned_before.json"
"""In a run that began from others, or learned from what they predict: the clips that all before it learned from."""


def open_run(path: Path | str) -> Run:
    """Open the run that --init names; another trained model is named with --weights."""
    path = Path(path)
    if not (path / RUN_FILE).exists():
        what = "a packaged reader" if named_reader(path) is not None else "an exported model"
        if what == "a packaged reader" or (path / CONFIG_FILE).is_file():
            raise RequestError(f"--init: {path} is {what}, not a run; begin from it with --weights {path}")
    try:
        return Run.open(path)
    except RequestError as error:
        raise RequestError(f"--init: {error}") from error


def open_origin(path: Run | Path | str, config: RunConfig) -> Run:
    """Open the run that a training begins from: finished, and of the same network as the recipe."""
    run = path if isinstance(path, Run) else open_run(path)
    if not run.finished:
        go_on = shell_command("midas", "train", "--resume", run.path)
        raise RequestError(
            f"--init {run.path}: its training has not ended ({run.provenance.epochs_done} of {run.config.epochs} "
            f"epochs); go on with: {go_on}"
        )
    if config.weights is not None:
        raise RequestError(
            f"--init {run.path} and --weights {config.weights} both say what the training begins from; leave out one"
        )
    if (config.model, config.width) != (run.config.model, run.config.width):
        raise RequestError(
            f"--init {run.path} is of --model {run.config.model} --width {run.config.width}, and {config.model} of "
            f"width {config.width} was asked for; leave both out"
        )
    return run


def refuse_tested_clips(origin: Run, partition: Partition, dataset: str) -> str:
    """Refuse a training whose test clips were learned from, in the run that it begins from or in one before that.

    Gives a sentence where that is so of validation clips, or cannot be known; else "".
    """
    learned, unknown = clips_learned(origin, dataset)
    tested = set() if partition.test is None else set(partition.test.video_ids)
    if known := tested & learned:
        raise RequestError(
            f"{len(known)} of the {len(tested)} clips that would be tested were used to train {origin.path}, or to "
            "choose its weights, so that their scores would say nothing; take the same --test_fold, or a store without "
            "these clips"
        )
    watched = set() if partition.validation is None else set(partition.validation.video_ids)
    if not (known := watched & learned):
        return unknown
    return (
        f"{len(known)} of the {len(watched)} validation clips were used to train {origin.path}, or to choose its "
        "weights: how well they are recognised does not say how well others are"
    )


def clips_learned(run: Run, dataset: str) -> tuple[set[str], str]:
    """The clips of a data set that a run learned from, and those before it, by video id.

    Gives a sentence, too, where a run is gone, so that they may be more; else "".
    """
    learned, unknown = _learned(run, set())
    return learned.get(dataset, set()), unknown


def keep_learned(run: Run, before: Sequence[Run]) -> None:
    """Keep in a new run what those before it learned from, so that it is known when these are gone."""
    clips: dict[str, set[str]] = {}
    found = [_learned(each, set()) for each in before]
    for dataset, ids in chain.from_iterable(learned.items() for learned, _ in found):
        clips.setdefault(dataset, set()).update(ids)
    unknown = "; ".join(dict.fromkeys(why for _, why in found if why))
    content = {"clips": {dataset: sorted(ids) for dataset, ids in clips.items()}, "unknown": unknown}
    write_json(run.path / LEARNED_BEFORE_FILE, content)


def _learned(run: Run, seen: set[Path]) -> tuple[dict[str, set[str]], str]:
    """By data set, what a run and those before it learned from; and what of it is not known."""
    seen.add(run.path.resolve())
    learned, unknown = _learned_before(run, seen)
    learned.setdefault(run.provenance.dataset, set()).update(clips_of_training(run))
    return learned, unknown


def clips_of_training(run: Run) -> set[str]:
    """The clips that a run was trained on, and those that chose its weights; not those that it was only watched by."""
    chosen_by = _CHOSEN_BY.get(run.config.select)
    return run.part("train") | (set() if chosen_by is None else run.part(chosen_by))


def _learned_before(run: Run, seen: set[Path]) -> tuple[dict[str, set[str]], str]:
    file = run.path / LEARNED_BEFORE_FILE
    if file.is_file():
        content = read_json(file, CURE)
        try:
            return {name: set(map(str, ids)) for name, ids in content["clips"].items()}, str(content["unknown"])
        except (KeyError, TypeError, AttributeError) as error:
            raise RequestError(f"{file} is damaged ({error!r}); {CURE}") from error
    if not (init := run.provenance.init) or Path(init).resolve() in seen:
        return {}, ""
    try:
        return _learned(Run.open(init), seen)
    except (MidasError, OSError):
        return ({}, f"{init}, which {run.path} began from, cannot be read; clips may have been learned from there")


def take_weights(model: nn.Module, origin: Run, class_names: Sequence[str], digest: str = "") -> str:
    """Give a fresh model the weights of a finished run: all of them, or all but those of classes that it has not.

    `digest` is the SHA-256 that the run's weights had, "" for any. Gives in words what was taken.
    """
    if digest not in ("", origin.provenance.weights_digest):
        raise RequestError(f"{origin.path} has other weights than when the training began from it; train again")
    trained = origin.load_model()
    names = origin.provenance.class_names
    done = origin.provenance.epochs_done
    title = f"the run {origin.path} ({done} epoch{'' if done == 1 else 's'} on {origin.provenance.dataset})"
    if tuple(class_names) != names and isinstance(model, ClipModel):
        made = origin.config
        start = Start(title, origin.path, made.model, made.width, made.size, names, WEIGHTS_FILE)
        return take_start(model, start, class_names)
    try:
        model.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise RequestError(
            f"the weights of {origin.path} do not fit: it sees {origin.config.num_segments} segments of "
            f"{origin.config.frames_per_segment} frames; ask for the same --num_segments and --frames_per_segment"
        ) from error
    return f"all those of {title}"


def told_differences(origin: Run, config: RunConfig) -> str:
    """Which settings are not those of the run that a training begins from, in words; "" if none."""
    found = different_settings(origin.config.to_dict(), config.to_dict())
    return ", ".join(f"{name} {now} ({was})" for name, was, now in found if name != "weights")
