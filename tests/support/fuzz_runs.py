"""The files of a run as fuzz targets: what is read of a damaged one is what the sound one gave, or it is refused."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import safetensors.torch
import torch

from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.identity import RunIdentity
from midas_dfer.training.run_folder.metrics_file import read_curves
from midas_dfer.training.run_folder.runs import LAST_CHECKPOINT, METRICS_FILE, PARTS_FILE, WEIGHTS_FILE, Run
from midas_dfer.training.train import TrainingInterruptedError, resume, train
from tests.support.factories import make_store
from tests.support.fuzz_targets import Target

SETTINGS = {"width": 8, "size": 24, "num_segments": 2, "num_threads": 1, "precision": "32", "epochs": 3}


@dataclass(frozen=True)
class Read:
    """What a run folder says; None where it was not asked."""

    identity: RunIdentity
    parts: dict[str, dict[str, int]]
    weights: dict[str, torch.Tensor]
    epochs: list[float]

    def same(self, other: "Read") -> bool:
        return (
            (self.identity, self.parts, self.epochs) == (other.identity, other.parts, other.epochs)
            and self.weights.keys() == other.weights.keys()
            and all(torch.equal(value, other.weights[name]) for name, value in self.weights.items())
        )


def write_runs(root: Path) -> None:
    """A store, a training of it that has ended, `done`, and the same after two of three epochs, `begun`."""
    store = make_store(root, clips=12)
    real = Recognizer.training_step

    def step(self: Recognizer, batch: object, number: int) -> object:
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return real(self, batch, number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Recognizer, "training_step", step)
        with pytest.raises(TrainingInterruptedError):
            train(RunConfig(**SETTINGS), store, root / "begun", say=lambda _: None)
    shutil.copytree(root / "begun", root / "done")
    resume(root / "done", say=lambda _: None)


def read_run(path: Path) -> Read:
    """All that others read of a finished run."""
    run = Run.open(path)
    parts = {part: run.times(part) for part in ("train", "validation", "test")}
    weights = {name: value.clone() for name, value in run.load_model().state_dict().items()}
    return Read(run.identity, parts, weights, read_curves(path / METRICS_FILE)["epoch"].tolist())


def read_done(root: Path, file: Path) -> None:
    found, sound = read_run(file.parents[len(file.relative_to(root).parts) - 2]), sound_run(root)
    if not found.same(sound):
        raise AssertionError(f"{file} was read, and something else came of it")


def go_on(root: Path, _: Path) -> None:
    """Go on with the interrupted run, in a copy; the weights are those of the one that was not damaged."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "begun"
        shutil.copytree(root / "begun", path)
        run = resume(path, root / "store", say=lambda _: None)
        weights = safetensors.torch.load_file(run.path / WEIGHTS_FILE)
        sound = sound_run(root).weights
        if any(not torch.equal(value, sound[name]) for name, value in weights.items()):
            raise AssertionError("it went on, and something else came of it")


_SOUND: dict[Path, Read] = {}


def sound_run(root: Path) -> Read:
    """What the sound finished run says, which was read before anything was damaged."""
    if root not in _SOUND:
        raise RuntimeError("read the sound run first: note_sound(root)")
    return _SOUND[root]


def note_sound(root: Path) -> None:
    _SOUND[root] = read_run(root / "done")


def _write(root: Path) -> None:
    write_runs(root)
    note_sound(root)


def _target(name: str, read: Callable[[Path, Path], object], file: str) -> Target:
    return Target(f"run, {name}", _write, read, (file,), rows=False)


RUNS: tuple[Target, ...] = (
    _target("run.json", read_done, "done/run.json"),
    _target("config.yaml", read_done, "done/config.yaml"),
    _target("parts", read_done, f"done/{PARTS_FILE}"),
    _target("weights", read_done, f"done/{WEIGHTS_FILE}"),
    _target("resume, run.json", go_on, "begun/run.json"),
    _target("resume, config.yaml", go_on, "begun/config.yaml"),
    _target("resume, parts", go_on, f"begun/{PARTS_FILE}"),
    _target("resume, metrics", go_on, f"begun/{METRICS_FILE}"),
    _target("resume, checkpoint", go_on, f"begun/{LAST_CHECKPOINT}"),
)
