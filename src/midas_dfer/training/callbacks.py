"""What happens around the training steps: checkpoints, the log, and a line for each epoch."""

import time
from collections.abc import Mapping
from itertools import chain
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint

from midas_dfer.files import replacing
from midas_dfer.training.pace import Pace
from midas_dfer.training.parts import watched_part
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import DivergedError, Recognizer
from midas_dfer.training.run_folder.checkpoint import seal
from midas_dfer.training.run_folder.metrics_file import COLUMNS, VALIDATION_COLUMNS, read_epochs, write_epochs
from midas_dfer.training.run_folder.runs import METRICS_FILE, Run, write_weights

BEST_WEIGHTS = "checkpoints/best.safetensors"


class RunCheckpoint(Checkpoint):
    """Keeps the last epoch's state to resume from, and the best epoch's weights where they are asked for.

    A checkpoint takes the place of the one before only when it is whole. The epoch's line is printed after it: who
    reads the line, or no longer does, finds the epoch saved.
    """

    def __init__(self, run: Run, log: "EpochLog") -> None:
        self.run, self.lines = run, log
        self.best_uar, self.best_epoch = -1.0, 0

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save, unless the weights are no longer numbers."""
        for name, values in chain(pl_module.named_parameters(), pl_module.named_buffers()):
            if not torch.isfinite(values).all():
                raise DivergedError(f"the weights {name} are no longer finite after epoch {trainer.current_epoch + 1}")
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.run.last_checkpoint)  # writes nothing: the first process writes, and all wait
            return
        uar = trainer.callback_metrics.get("val_uar")
        if uar is not None and float(uar) > self.best_uar:
            self.best_uar, self.best_epoch = float(uar), trainer.current_epoch + 1
            if self.run.config.select != "last":
                model = cast(Recognizer, pl_module).kept_model
                write_weights(self.run.path / BEST_WEIGHTS, model, self.run.identity)
        with replacing(self.run.last_checkpoint) as temporary:
            trainer.save_checkpoint(temporary)
        self.run.update(epochs_done=trainer.current_epoch + 1)
        self.lines.speak()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say in the checkpoint which training it is of."""
        if trainer.is_global_zero:
            seal(checkpoint, self.run.identity)

    def state_dict(self) -> dict[str, Any]:
        """What is remembered across a resume."""
        return {"best_uar": self.best_uar, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.best_uar, self.best_epoch = state_dict["best_uar"], state_dict["best_epoch"]


class EpochLog(Callback):
    """Writes a line per epoch to logs/metrics.csv; after a resume it continues without gap or repeat."""

    def __init__(self, run: Run, pace: Pace, epochs_done: int = 0) -> None:
        self.path = run.path / METRICS_FILE
        self.config = run.config
        self.pace = pace
        self.rows = read_epochs(self.path, epochs_done)
        self._began = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epoch's line."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        metrics["train_loss"] = metrics.get("train_loss_epoch", metrics.get("train_loss", float("nan")))
        row = {
            "epoch": str(trainer.current_epoch + 1),
            "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}",
            "seconds": f"{time.monotonic() - self._began:.2f}",
        }
        names = [n for n in (*COLUMNS, *VALIDATION_COLUMNS) if n in metrics]
        row.update((name, f"{metrics[name]:.6f}") for name in names)
        self.rows.append(row)
        if trainer.is_global_zero:
            write_epochs(self.path, self.rows)

    def speak(self) -> None:
        """Say the line of the last epoch."""
        self.pace.say(epoch_line(self.rows[-1], self.config, self.pace.left()))


def epoch_line(row: Mapping[str, str], config: RunConfig, left: str) -> str:
    """An epoch's loss and scores in words that tell which clips they are of, and about how long is `left`."""
    clips = "training, mixed clips" if config.mixes_pairs else "training clips"
    line = f"epoch {row['epoch']:>{len(str(config.epochs))}} of {config.epochs}  {clips}: "
    line += f"loss {float(row['train_loss']):.4f}, {_uar_and_war(row, 'train')}"
    if "val_uar" in row:
        line += f"  {watched_part(config)}: {_uar_and_war(row, 'val')}"
    return f"{line}  {float(row['seconds']):.1f} s{', ' if left else ''}{left}"


def _uar_and_war(row: Mapping[str, str], part: str) -> str:
    return f"UAR {100 * float(row[f'{part}_uar']):.1f} %, WAR {100 * float(row[f'{part}_war']):.1f} %"
