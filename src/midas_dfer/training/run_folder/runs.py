"""The run folder: all that is needed to repeat a training, to resume it, and to use what it learned.

RUN/
  config.yaml               the recipe; `midas train --config` takes it
  run.json                  data set, classes, store and its fingerprint, versions, git revision, status
  parts.parquet             which clip was in which part: train, validation, test; more than once if over-sampled
  soft_labels.parquet       those that other runs predicted for the training clips, where it learns from such
  weights.safetensors       the model, when training has ended
  checkpoints/last.ckpt     to resume from, after each epoch
  logs/metrics.csv          loss and scores of each epoch
  logs/tensorboard/         the same for TensorBoard
  calibration.json          written by `midas evaluate --calibrate`: what logits are divided by
  evaluation/               written by `midas evaluate`: scores on the run's own test part
  evaluation-STORE-PART/    the same, on other clips
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.clips.store.clip_store import ClipStore, is_store
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import is_temporary, make_folder, near_name, read_json, reading, write_file, write_json
from midas_dfer.losses import LOSSES
from midas_dfer.manifest.manifest import Partition
from midas_dfer.models.clip_model import ClipModel, lay_out_for_speed
from midas_dfer.models.weights import check_finite_weights
from midas_dfer.models.zoo import create_model
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.identity import MACHINE_SETTINGS as MACHINE_SETTINGS
from midas_dfer.training.run_folder.identity import RunIdentity, recipe_of
from midas_dfer.training.run_folder.parts_file import Part as Part
from midas_dfer.training.run_folder.parts_file import read_parts, write_parts
from midas_dfer.training.run_folder.provenance import Provenance as Provenance
from midas_dfer.training.run_folder.provenance import git_revision, now, versions
from midas_dfer.training.run_folder.run_file import CURE, read_record
from midas_dfer.training.run_folder.weights_file import parse_weights, read_weights_file
from midas_dfer.training.run_folder.weights_file import write_weights as write_weights

CONFIG_FILE, RUN_FILE, PARTS_FILE = "config.yaml", "run.json", "parts.parquet"
WEIGHTS_FILE, LAST_CHECKPOINT = "weights.safetensors", "checkpoints/last.ckpt"
METRICS_FILE, TENSORBOARD_FOLDER, EVALUATION_FOLDER = "logs/metrics.csv", "logs/tensorboard", "evaluation"


class Run:
    """A run folder. Make one with `Run.create`, open one with `Run.open`.

    Attributes:
        path: the folder.
        config: the recipe.
        provenance: what the run was made of and with.
    """

    def __init__(self, path: Path, config: RunConfig, provenance: Provenance) -> None:
        self.path, self.config, self.provenance = path, config, provenance
        self._times: dict[Part, dict[str, int]] = {}

    @classmethod
    def create(
        cls, path: Path, config: RunConfig, store: ClipStore, partition: Partition, *, num_votes_found: bool = False
    ) -> "Run":
        """Make the folder and write down what is known before training; arguments as in `Run` and `Provenance`."""
        check_is_free(path)
        parts: dict[Part, list[str]] = {
            "train": partition.train.video_ids,
            "validation": [] if partition.validation is None else partition.validation.video_ids,
            "test": [] if partition.test is None else partition.test.video_ids,
        }
        provenance = Provenance(
            dataset=store.dataset,
            class_names=store.class_names,
            store=str(store.path.resolve()),
            store_fingerprint=store.fingerprint,
            extract=store.settings,
            partition=partition.rule,
            num_train=len(parts["train"]),
            num_validation=len(parts["validation"]),
            num_test=len(parts["test"]),
            versions=versions(config),
            git_revision=git_revision(),
            started=now(),
            num_votes_found=num_votes_found,
            recipe=recipe_of(config),
            template=store.template,
        )
        make_folder(path / Path(LAST_CHECKPOINT).parent)
        make_folder(path / Path(METRICS_FILE).parent)
        write_file(path / CONFIG_FILE, config.to_yaml())
        if partition.times is not None:
            parts["train"] = np.repeat(parts["train"], partition.times).tolist()
        digest = write_parts(path / PARTS_FILE, parts)
        run = cls(path, config, replace(provenance, parts_digest=digest))
        run._write()
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder.

        Raises:
            RequestError: there is none at `path`, or its files are damaged.
        """
        path = Path(path)
        file = path / RUN_FILE
        with reading(file):  # the folder may not be entered
            if not file.is_file():
                raise RequestError(not_a_run(path))
        provenance = read_record(Provenance, read_json(file, CURE), file)
        try:
            config = RunConfig.from_yaml(path / CONFIG_FILE)
        except RequestError as error:
            raise RequestError(f"{path / CONFIG_FILE} is missing or damaged ({error}); {CURE}") from error
        return cls(path, config, provenance)

    @property
    def finished(self) -> bool:
        """Whether training has ended."""
        return self.provenance.finished is not None

    @property
    def last_checkpoint(self) -> Path:
        """Where training resumes from."""
        return self.path / LAST_CHECKPOINT

    def part(self, name: Part) -> set[str]:
        """The video ids of a part."""
        return set(self.times(name))

    def times(self, name: Part) -> dict[str, int]:
        """How often each clip of a part comes in an epoch, by video id; more than once where it is over-sampled."""
        if not self._times:
            self._times = read_parts(self.path / PARTS_FILE, self.provenance.parts_digest)
        return self._times[name]

    @property
    def identity(self) -> RunIdentity:
        """What ties the files of this run together, as they are now."""
        made = self.provenance
        return RunIdentity(
            recipe=recipe_of(self.config),
            class_names=made.class_names,
            store_fingerprint=made.store_fingerprint,
            extract=asdict(made.extract),
            parts=made.parts_digest,
        )

    def check_identity(self, was: RunIdentity, file: Path) -> None:
        """Refuse a run whose recipe, classes or clips are no longer those of its training, as `file` says they were."""
        if differences := was.differences(self.identity):
            raise RequestError(
                f"{self.path / CONFIG_FILE} or {RUN_FILE} was edited, or {file.name} is of another run: "
                f"{'; '.join(differences)}. Put back what was changed, or train again"
            )

    def update(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Provenance
        """Write down what has become known; see `Provenance` for the names."""
        self.provenance = replace(self.provenance, **changes)
        self._write()

    def finish(self, model: nn.Module, kept: str) -> None:
        """Write the weights, and that training has ended."""
        write_weights(self.path / WEIGHTS_FILE, model, self.identity)
        digest = hashlib.sha256((self.path / WEIGHTS_FILE).read_bytes()).hexdigest()
        self.update(finished=now(), kept=kept, epochs_done=self.config.epochs, weights_digest=digest)

    def new_model(self, *, pretrained: bool = False) -> nn.Module:
        """The architecture with fresh weights; see `new_model`. An error names the recipe's file."""
        try:
            return new_model(
                self.config, self.provenance.class_names, self.provenance.annotators, pretrained=pretrained
            )
        except RequestError as error:
            raise RequestError(f"{self.path / CONFIG_FILE}: {error}") from error

    def load_model(self) -> nn.Module:
        """The trained model, in evaluation mode, on the CPU."""
        path = self.path / WEIGHTS_FILE
        try:
            content = read_weights_file(path)
        except FileNotFoundError as error:
            if self.finished:
                raise RequestError(f"{path} is gone; {CURE}") from error
            go_on = shell_command("midas", "train", "--resume", self.path)
            raise RequestError(f"{self.path} holds no trained weights yet; go on with: {go_on}") from error
        model = self.new_model()
        try:
            state, about = parse_weights(content)
            model.load_state_dict(state)
        except (ValueError, RuntimeError) as error:
            what = "is damaged" if isinstance(error, ValueError) else "holds the weights of another network"
            raise RequestError(
                f"{path} {what}: expected those of {self.config.model} with --width {self.config.width} and "
                f"{len(self.provenance.class_names)} classes, as {CONFIG_FILE} and {RUN_FILE} say; train again"
            ) from error
        check_finite_weights(state, path)
        if about is not None:
            self.check_identity(about, path)
        if self.provenance.weights_digest not in ("", hashlib.sha256(content).hexdigest()):
            raise RequestError(f"{path} was changed since training ended, as {RUN_FILE} has it; {CURE}")
        lay_out_for_speed(model)
        return model.eval()

    def _write(self) -> None:
        values = asdict(self.provenance)
        if self.provenance.template is None:  # earlier versions do not know it
            del values["template"]
        write_json(self.path / RUN_FILE, values)


def not_a_run(path: Path) -> str:
    """Say what is there in the place of a run folder."""
    makes = "midas train --store STORE --out RUN makes one"
    if not path.exists():
        return f"there is no folder {path}{near_name(path)}; name a run folder ({makes})"
    if not path.is_dir():
        return f"{path} is a file, not a run folder"
    if is_store(path):
        return f"{path} is a clip store, not a run folder; train on it with: midas train --store STORE --out RUN"
    if below := sorted(each.parent for each in [*path.glob(f"*/{RUN_FILE}"), *path.glob(f"*/*/{RUN_FILE}")]):
        runs = "a run lies" if len(below) == 1 else f"{len(below)} runs lie"
        return f"{path} is not a run folder, but {runs} in it; name one, such as {below[0]}"
    return f"{path} is not a run folder: it has no {RUN_FILE}; {makes}"


def new_model(
    config: RunConfig, class_names: Sequence[str], annotators: int = 0, *, pretrained: bool = False
) -> ClipModel:
    """The architecture with fresh weights, drawn from the seed; if `pretrained` it starts from `config.weights`."""
    weights = config.weights if pretrained else None
    model = create_model(
        config.model,
        num_classes=len(class_names),
        class_names=class_names,
        num_frames=config.num_frames,
        dropout=config.dropout,
        width=config.width,
        weights=weights,
        annotators=annotators,
        generator=generator_for(config.seed, 0, "", purpose="weights"),
    )
    model.gives_evidence = LOSSES[config.loss].concentrations
    return model


def check_is_free(path: Path) -> None:
    """Refuse a folder that holds something, before any work is done."""
    if (path / RUN_FILE).exists():
        raise RequestError(
            f"{path} holds a run already; go on with {shell_command('--resume', path)}, or name another --out"
        )
    if path.exists() and (not path.is_dir() or not all(_is_beginning(each) for each in path.iterdir())):
        raise RequestError(f"{path} is not an empty folder; name another --out")


def _is_beginning(path: Path) -> bool:
    """Whether this is what `Run.create` leaves where a full disk or a kill ended it before run.json was written."""
    if path.is_dir():
        return path.name in ("checkpoints", "logs") and not any(path.iterdir())
    return path.name in (CONFIG_FILE, PARTS_FILE) or is_temporary(path)
