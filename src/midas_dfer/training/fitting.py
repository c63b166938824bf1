"""How Lightning's fit begins and ends: quietly, from a checkpoint that it took up rightly, and in a sentence."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from midas_dfer.clips.batches.reading_processes import ReaderError, is_of_reader, reader_error
from midas_dfer.commands import shell_command
from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.files import cannot_write
from midas_dfer.training.processes.world import LostProcessError, World, is_of_lost_process
from midas_dfer.training.recognizer import Batches, DivergedError
from midas_dfer.training.run_folder.checkpoint import LastCheckpoint
from midas_dfer.training.run_folder.runs import CONFIG_FILE, Run


class TrainingInterruptedError(JobError):
    """Ctrl-C, a signal or a closed output ended a training; it can be resumed."""


class OwnSignals(Callback):
    """Lets Ctrl-C, SIGTERM and SIGHUP end a training between two batches; used as a context around the fit.

    Raised wherever a signal happens to come, KeyboardInterrupt can leave a lock closed for which the end of the fit
    would wait forever: that of the queue of TensorBoard's writer, for one. Before the first batch, and at a second
    Ctrl-C, it is raised at once. Of several processes each ends by itself: Lightning's own handler of SIGTERM would
    wait for all of them to be told, and one may be gone.
    """

    def __init__(self) -> None:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        here = threading.current_thread() is threading.main_thread()
        known = {number: signal.getsignal(number) for number in numbers if here}
        self.before = {number: handler for number, handler in known.items() if handler is not None}
        self.came: signal.Signals | None = None

    def __enter__(self) -> "OwnSignals":
        """As `__init__` left it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Put back what was there before.

        Raises:
            KeyboardInterrupt: other processes, which the signal ended too, were missed before the next batch.
        """
        for number, before in self.before.items():
            signal.signal(number, before)
        if self.came is not None and isinstance(error, RuntimeError | ReaderError):
            raise KeyboardInterrupt from error

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From here on, wait for the next batch; who had a signal ignored, as nohup does, is not disturbed."""
        for number, before in self.before.items():
            if callable(before):
                signal.signal(number, self._keep)
            elif number == signal.SIGTERM and trainer.world_size > 1:
                signal.signal(number, before)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.came is not None:
            self._handle(signal.SIGINT, frame)
        self.came = signal.Signals(number)
        if number == signal.SIGINT and os.isatty(2):
            os.write(2, b"\nends after this batch; Ctrl-C again ends it at once\n")  # print may be what was interrupted

    def _handle(self, number: signal.Signals, frame: FrameType | None) -> None:
        handler = self.before[number]
        if callable(handler):
            handler(number, frame)

    def _end_if_asked(self) -> None:
        if self.came is not None:
            self._handle(self.came, None)

    def on_train_batch_start(self, *of: object) -> None:
        """End here if that was asked for; an epoch whose last batch has been learned is saved first."""
        self._end_if_asked()

    def on_validation_batch_start(self, *of: object) -> None:
        """End here if that was asked for."""
        self._end_if_asked()

    def on_train_end(self, *of: object) -> None:
        """What came too late to end anything is not lost."""
        self._end_if_asked()


class ResumeCheck(Callback):
    """Checks that a training resumes where its checkpoint says; `steps` are those of an epoch.

    Attributes:
       passed: whether all of the checkpoint has been restored.
    """

    def __init__(self, checkpoint: LastCheckpoint | None, steps: int) -> None:
        self.checkpoint, self.steps = checkpoint, steps
        self.passed = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compare epoch and step."""
        if self.checkpoint is not None:
            done, batches = self.checkpoint.epochs_done, trainer.datamodule  # type: ignore[attr-defined]
            next_epoch = batches.next_epoch if isinstance(batches, Batches) else None
            if (trainer.current_epoch, trainer.global_step, next_epoch) != (done, done * self.steps, done):
                raise self.damaged()
        self.passed = True

    def damaged(self) -> RequestError:
        """The error of a checkpoint that cannot be restored."""
        path = None if self.checkpoint is None else self.checkpoint.path
        return RequestError(f"{path} is damaged; delete it, and --resume begins at the first epoch")


@contextmanager
def silent_echo(world: World) -> Iterator[None]:
    """Leave it to the first of several processes to say what ends all of them alike."""
    try:
        yield
    except JobError as error:
        if world.is_first or not isinstance(error.__cause__, DivergedError | KeyboardInterrupt):
            raise
        raise SystemExit(1) from error


@contextmanager
def interruptible(run: Run) -> Iterator[None]:
    """Say how to resume where Ctrl-C, a signal or a closed output ends a training."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise TrainingInterruptedError(f"interrupted; go on with: {go_on_with(run)}") from error
    except BrokenPipeError as error:
        raise TrainingInterruptedError(f"nobody reads the output any more; go on with: {go_on_with(run)}") from error


@contextmanager
def in_sentences(run: Run, check: ResumeCheck) -> Iterator[None]:
    """Turn what ends a fit into a sentence."""
    try:
        yield
    except DivergedError as error:
        raise JobError(f"{error}. {_last_good(run)}; train again with a smaller --learning_rate") from error
    except ReaderError as error:
        raise _reader_died(run, error) from error
    except MidasError:
        raise
    except MisconfigurationException as error:
        raise JobError(" ".join(str(error).split())) from error
    except SystemExit as error:  # Lightning leaves so at Ctrl-C and at SIGTERM, at the latter with status 0
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        raise
    except OSError as error:  # of TensorBoard's writer
        raise cannot_write(run.path, error) from error
    except Exception as error:
        hidden = _hidden(error)
        if isinstance(hidden, ReaderError):
            raise _reader_died(run, hidden) from error
        if hidden is not None:
            raise hidden from error
        if is_of_lost_process(error):
            raise LostProcessError(
                f"another process of this training was lost. Go on with: {go_on_with(run)}"
            ) from error
        if isinstance(error, RuntimeError) and is_of_reader(error):
            raise _reader_died(run, reader_error(error)) from error
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            first = str(error).strip().partition("\n")[0]
            raise JobError(
                f"the network could not be compiled here ({first}); set compile to false in {run.path / CONFIG_FILE} "
                f"and go on with: {go_on_with(run)}"
            ) from error
        if check.checkpoint is not None and not check.passed:  # whatever Lightning fails with at what it finds there
            raise check.damaged() from error
        raise


def go_on_with(run: Run) -> str:
    """The command that resumes a run."""
    return shell_command("midas", "train", "--resume", run.path)


def _reader_died(run: Run, error: ReaderError) -> JobError:
    return JobError(
        f"{error}. What was finished is kept; num_workers in {run.path / CONFIG_FILE} may be changed. Go on with: "
        f"{go_on_with(run)}"
    )


def _hidden(error: BaseException) -> MidasError | None:
    """Our own error behind one that Lightning raised while it dealt with ours."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, MidasError):
        behind = behind.__cause__ or behind.__context__
    return behind


def _last_good(run: Run) -> str:
    if not run.last_checkpoint.exists():
        return "There is no good checkpoint yet"
    return f"The last good checkpoint is {run.last_checkpoint}, after epoch {run.provenance.epochs_done}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what is not for the user off the screen.

    That is Lightning's tips, which speak of Lightning's settings and not of ours, and the trace that TensorBoard's
    thread prints on a full disk, which the training finds, too, and says in a sentence.
    """
    names = ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    usual = threading.excepthook

    def of_thread(told: threading.ExceptHookArgs) -> None:
        if not isinstance(told.exc_value, OSError):
            usual(told)

    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", module=r"lightning\..*", category=category)
        warnings.filterwarnings("ignore", module=r"torch\.utils\.data\.", category=UserWarning)  # of many processes
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        threading.excepthook = of_thread
        try:
            yield
        finally:
            threading.excepthook = usual
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
