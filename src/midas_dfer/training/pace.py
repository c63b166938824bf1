"""How far a training is and how long it will take: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from midas_dfer.progress import about

LINE_SECONDS = 50.0
"""A log says something at least every minute, as long as a step takes less than ten seconds."""
_FIRST_STEPS, _FIRST_SECONDS, _LATEST_SECONDS = 4, 2.0, 20.0
_WORTH_SAYING = 30.0  # seconds left
_LOSS_EVERY = 1.0  # on a GPU a look at the loss waits for the device


class Pace(Callback):
    """Counts the steps of a training and says where it is; what others have to say of it goes through `say`."""

    def __init__(self, tell: Callable[[str], None], epochs: int, steps: int) -> None:
        self.tell, self.epochs, self.steps = tell, epochs, steps
        self.total = epochs * steps
        self._clock = (0.0, 0)  # when the first step of this process was done, and how many then were
        self._done = 0
        self._told = self._began = time.monotonic()
        self._promised = False

    def say(self, text: str) -> None:
        """Print a line of somebody else's."""
        self._told = time.monotonic()
        self.tell(text)

    def left(self) -> str:
        """About how long it will take from here, in words; "" where that is not known yet, or not worth a word."""
        seconds = self._seconds_left()
        return "" if seconds is None or seconds < _WORTH_SAYING else f"about {about(seconds)} left"

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._done = trainer.global_step
        self._told = self._began = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Count a step."""
        now = time.monotonic()
        self._done += 1
        if not self._clock[1]:
            self._clock = (now, self._done)
        self._step(trainer.current_epoch + 1, outputs)

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's own
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Report progress, where validation takes long."""
        if time.monotonic() - self._told >= LINE_SECONDS:
            self.say(
                f"epoch {trainer.current_epoch + 1} of {self.epochs}, batch {batch_idx + 1} of those it is scored on"
            )

    def _step(self, epoch: int, outputs: Any) -> None:  # noqa: ANN401
        now = time.monotonic()
        first = not self._promised and self._enough(now)
        if first and (left := self.left()):
            self.say(f"{left} after {self._done:,} of {self.total:,} steps")
        elif now - self._told >= LINE_SECONDS:
            left = self.left()
            self.say(
                f"epoch {epoch} of {self.epochs}, step {self._done:,} of {self.total:,}: loss {_loss(outputs)}"
                f"{', ' if left else ''}{left}"
            )
        self._promised = self._promised or first

    def _enough(self, now: float) -> bool:
        """Whether enough steps are done to say how long the others take."""
        since, seconds = self._done - self._clock[1], now - self._began
        return seconds >= (_FIRST_SECONDS if since >= _FIRST_STEPS else _LATEST_SECONDS) and since >= 1

    def _seconds_left(self) -> float | None:
        began, first = self._clock
        if self._done <= first or not first:
            return None
        return (time.monotonic() - began) / (self._done - first) * (self.total - self._done)


class TrainingBar(Pace):
    """A bar for the whole training; lines scroll by above it."""

    def __init__(self, tell: Callable[[str], None], epochs: int, steps: int) -> None:
        super().__init__(tell, epochs, steps)
        self._bar: tqdm[Any] | None = None
        self._looked = 0.0

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode(file=sys.stderr):
            super().say(text)

    def left(self) -> str:
        """The bar says that."""
        return ""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw the bar."""
        super().on_train_start(trainer, pl_module)
        self._bar = tqdm(
            total=self.total,
            initial=self._done,
            desc=f"epoch {trainer.current_epoch + 1}/{self.epochs}",
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0.0,  # the mean over the whole training: the time left does not jump where an epoch ends
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave the bar as it stands."""
        self._close()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar as it stands: what went wrong is said below it."""
        self._close()

    def _step(self, epoch: int, outputs: Any) -> None:  # noqa: ANN401 - Lightning's own
        if self._bar is None:
            return
        self._bar.set_description_str(f"epoch {epoch}/{self.epochs}", refresh=False)
        if time.monotonic() - self._looked >= _LOSS_EVERY:
            self._looked = time.monotonic()
            self._bar.set_postfix_str(f"loss {_loss(outputs)}", refresh=False)
        self._bar.update()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _loss(outputs: Any) -> str:  # noqa: ANN401 - Lightning's own: the loss by name
    return f"{float(outputs['loss']):.4f}" if isinstance(outputs, Mapping) and "loss" in outputs else "unknown"
