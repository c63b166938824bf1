"""From votes to a model that reads: prepare, train, evaluate and report, by the commands, one after the other."""

import json
import re
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

from midas_dfer.app.annotate.export import prepare_flags
from midas_dfer.app.annotate.project import Project
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file

MODELS = "models"
"""Folder of the project's models, each in one with a number."""
FEWEST_CLIPS = 8
MOST_FOLDS = 5
WEIGHTS = "weights.safetensors"
"""What a finished run has, as `training.run_folder` names it, which would import torch."""
_LINES = 40

State = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass
class Step:
    """One command, and what it said last."""

    name: str
    command: list[str]
    state: State = "waiting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    def told(self) -> dict[str, Any]:
        """For a page."""
        shown = shell_command(*self.command)
        return {"name": self.name, "state": self.state, "lines": list(self.lines), "command": shown}


class Pipeline:
    """Makes models of a project's votes; `run` is the command that `midas` is."""

    def __init__(self, project: Project, run: Sequence[str] = (sys.executable, "-m", "midas_dfer")) -> None:
        self.project, self._run = project, tuple(run)
        self.steps: list[Step] = []
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._lock = Lock()
        self._thread: Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a model is being made."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def models(self) -> list[int]:
        """The numbers of the models that are whole."""
        found = [int(path.name) for path in (self.project.folder / MODELS).glob("*") if path.name.isdecimal()]
        return sorted(number for number in found if (self._run_folder(number) / WEIGHTS).is_file())

    def _run_folder(self, number: int) -> Path:
        return self.project.folder / MODELS / str(number) / f"model-{number}"

    def run_of(self, number: int) -> Path:
        """The run folder of a model."""
        if number not in self.models:
            raise RequestError(f"there is no model {number}")
        return self._run_folder(number)

    def begin(self, votes: str, num_clips: int) -> None:
        """Make a model of these votes.

        Args:
            votes: votes.csv.
            num_clips: how many clips they are on.

        Raises:
            RequestError: one is being made already, or there are too few clips to learn from some and test on others.
        """
        if num_clips < FEWEST_CLIPS:
            raise RequestError(
                f"{num_clips} clips have votes; train when {FEWEST_CLIPS} or more have some, so that there are some to "
                "learn from and some to test on"
            )
        with self._lock:
            if self.running:
                raise RequestError("a model is being made already; wait for it, or stop it")
            taken = [int(path.name) for path in (self.project.folder / MODELS).glob("*") if path.name.isdecimal()]
            number = max(taken, default=0) + 1
            folder = self.project.folder / MODELS / str(number)
            make_folder(folder)
            write_file(folder / "votes.csv", votes)
            folds = min(MOST_FOLDS, num_clips // 2)
            self.steps, self._stopped = self._plan(folder, self._run_folder(number), folds), False
            self._thread = Thread(target=self._work, name="midas-pipeline", daemon=True)
            self._thread.start()

    def _plan(self, folder: Path, place: Path, folds: int) -> list[Step]:
        store, run = str(folder / "store"), str(place)
        table = [str(folder / "votes.csv"), *prepare_flags(self.project)]
        commands = {
            "prepare": ["prepare", "table", *table, "--out", store, "--folds", str(folds)],
            "train": ["train", "--recipe", "finetune_reader", "--store", store, "--out", run],
            "evaluate": ["evaluate", run, "--store", store],
            "report": ["report", run, "--out", str(folder / "report")],
        }
        return [Step(name, command) for name, command in commands.items()]

    def stop(self) -> None:
        """End what is running; what was finished stays."""
        self._stopped = True
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                process.terminate()

    def close(self) -> None:
        """Stop, and wait for it."""
        self.stop()
        if self._thread is not None:
            self._thread.join(30)

    def told(self) -> dict[str, Any]:
        """How far it is, for a page."""
        return {"running": self.running, "steps": [step.told() for step in self.steps], "models": self.models}

    def scores_of(self, number: int) -> dict[str, Any]:
        """UAR, WAR and total variation of a model on the clips that it was not trained on."""
        path = self.run_of(number) / "evaluation" / "evaluation.json"
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        reading = (values.get("agreement") or {}).get("vote_shares") or {}
        return {
            "clips": values.get("num_clips"),
            "uar": values.get("uar"),
            "war": values.get("war"),
            "total_variation": reading.get("total_variation"),
        }

    def report_of(self, number: int) -> Path:
        """The page that `midas report` wrote."""
        path = self.run_of(number).parent / "report" / "report.html"
        if not path.is_file():
            raise RequestError(f"model {number} has no report yet")
        return path

    def _work(self) -> None:
        for step in self.steps:
            if self._stopped:
                step.state = "stopped"
                continue
            step.state = "running"
            status = self._do(step)
            step.state = "done" if status == 0 else "stopped" if self._stopped else "failed"
            if status:
                return

    def _do(self, step: Step) -> int:
        with subprocess.Popen(  # noqa: S603 - our own program
            [*self._run, *step.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        ) as process:
            self._process = process
            if self._stopped:
                process.terminate()
            for line in process.stdout or ():
                if text := re.sub(r"\x1b\[[0-9;]*\w", "", line).strip():
                    step.lines.append(text[-500:])
        self._process = None
        return process.returncode
