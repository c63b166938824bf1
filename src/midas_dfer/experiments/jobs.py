"""One training of an experiment, from its first epoch to its scores; done again, it goes on where it stopped."""

import hashlib
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import read_json, write_json
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, MACHINE_SETTINGS, METRICS_FILE, RUN_FILE, Run
from midas_dfer.training.run_folder.typed_json import read_fields
from midas_dfer.training.scoring.readings import vote_reading
from midas_dfer.training.scoring.scores import EVALUATION_FILE, PREDICTIONS_FILE, Evaluation
from midas_dfer.training.scoring.scores_file import read_evaluation
from midas_dfer.training.train import resume, train
from midas_dfer.wording import percent

JOB_FILE = f"{EVALUATION_FOLDER}/job.json"
"""Written in the run folder when its scores are there: the job, the clips' fingerprint, and the scores' hashes."""

_EVALUATION_FILES = (EVALUATION_FILE, PREDICTIONS_FILE)
_OF_ALL_JOBS = ("computed in ", "weights: ", "note: ")
_CURE = "remove its folder and do the same again"
_NAME = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*")


@dataclass(frozen=True)
class Job:
    """A training and its evaluation.

    Attributes:
        name: folder of the run below the experiment's, with slashes, such as `soft/fold-1-seed-0`.
        method: the row of the table that it belongs to, such as `soft`.
        config: the recipe, with the fold that is tested and the seed.
        store: folder of the clips.
        evaluate_on: folder of another store to be scored on; None for the test part of `store`.
    """

    name: str
    method: str
    config: RunConfig
    store: str
    evaluate_on: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or {".", ".."} & set(self.name.split("/")):
            raise RequestError(
                f"a job is named {self.name!r}; expected the folder of its run, such as soft/fold-1-seed-0"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Job":
        """The inverse of `to_dict`."""
        return read_fields(cls, values, "a job")


@dataclass(frozen=True)
class JobResult:
    """What came of a job: its run folder and scores; `seconds`: how long its epochs took, interrupted ones as well."""

    job: Job
    run: str
    evaluation: Evaluation
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "job": self.job.to_dict(), "evaluation": self.evaluation.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "JobResult":
        """The inverse of `to_dict`. Of an earlier version's scores, vote shares that are none are left out."""
        result = read_fields(cls, values, "a result")
        why_not = vote_reading(result.job.config).why_not
        if not why_not or result.evaluation.no_vote_shares:
            return result
        return replace(result, evaluation=result.evaluation.without_vote_shares(why_not))


def run_job(job: Job, out: Path, *, say: Callable[[str], None] = print) -> JobResult:
    """Do what is left of a job in `out / job.name`: train, resume, evaluate, or read the scores back.

    A job that is done already gives the same scores, without training or predicting again.

    Raises:
        RequestError: the run folder holds a training of another recipe or on other clips, or the recipe does not
            fit the store.
        JobError: as `midas_dfer.training.train.train`.
    """
    store = ClipStore.open(job.store)
    check_job(job, out, store.fingerprint)
    path = out / job.name
    if job.config.num_threads:
        torch.set_num_threads(job.config.num_threads)
    if not (path / RUN_FILE).exists():
        run = train(job.config, store, path, say=say)
    else:
        run = Run.open(path)
        if not run.finished:
            say(f"goes on after epoch {run.provenance.epochs_done} of {job.config.epochs}")
            run = resume(path, store, say=say)
    scored = store if job.evaluate_on is None else ClipStore.open(job.evaluate_on)
    done = load_result(job, out)
    if done is not None and read_json(path / JOB_FILE, _CURE).get("fingerprint") == scored.fingerprint:
        say(f"is done already: {_scores(done.evaluation)}")
        return done
    evaluation, _ = evaluate(run, scored, out=path / EVALUATION_FOLDER, device=job.config.device)
    marker = {"job": job.to_dict(), "fingerprint": scored.fingerprint, "files": _hashes(path)}
    write_json(path / JOB_FILE, marker)  # last: what it vouches for is there by now
    say(f"done: {_scores(evaluation)}")
    return JobResult(job, str(path), evaluation, _seconds(run))


def load_result(job: Job, out: Path) -> JobResult | None:
    """Read what came of a job; None if it is not done, the scores were rewritten since, or the folder is another job's.

    Raises:
        RequestError: the folder is damaged.
    """
    path = out / job.name
    if not (path / JOB_FILE).is_file():
        return None
    marker = read_json(path / JOB_FILE, _CURE)
    try:
        scored, hashes = Job.from_dict(marker["job"]), marker["files"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        damaged = f"{path / EVALUATION_FOLDER} is damaged ({error!r})"
        raise RequestError(f"{damaged}; remove it and do the same again") from error
    if scored.evaluate_on != job.evaluate_on or different_setting(job.config, scored.config) or hashes != _hashes(path):
        return None
    run = Run.open(path)
    evaluation = read_evaluation(run)
    return None if evaluation is None else JobResult(job, str(path), evaluation, _seconds(run))


def check_job(job: Job, out: Path, fingerprint: str | None = None) -> None:
    """Refuse a job whose folder holds the training of another recipe, or on other clips than `fingerprint` is of.

    Raises:
        RequestError: names the setting that differs.
    """
    path = out / job.name
    if not (path / RUN_FILE).exists():
        return
    run = Run.open(path)
    difference = different_setting(job.config, run.config)
    if difference:
        raise RequestError(f"{path} holds a run with another recipe: {difference}; name another --out")
    if fingerprint not in (None, run.provenance.store_fingerprint):
        raise RequestError(
            f"{path} holds a run on other clips than those of {job.store} (fingerprint "
            f"{run.provenance.store_fingerprint}, now {fingerprint}); name another --out"
        )


def check_each_once(**named: Sequence[int]) -> None:
    """Refuse folds or seeds of which there are none, or one is named twice; by the names of their flags."""
    for name, values in named.items():
        if not values or len(set(values)) < len(values):
            raise RequestError(f"--{name} is {list(values)}; expected one or more, each once")


def different_setting(wanted: RunConfig, found: RunConfig) -> str:
    """Say in which setting a training differs from the one that is wanted; "" if in none.

    The machine's settings do not count, nor does a number of votes that the training itself found.
    """
    for setting in fields(RunConfig):
        name = setting.name
        asked, there = getattr(wanted, name), getattr(found, name)
        if asked == there or name in MACHINE_SETTINGS or (name == "num_votes" and asked is None):
            continue
        return f"--{name} is {asked}, there it is {there}"
    return ""


def _hashes(run: Path) -> dict[str, str]:
    files = {name: run / EVALUATION_FOLDER / name for name in _EVALUATION_FILES}
    return {n: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for n, path in files.items()}


def _seconds(run: Run) -> float:
    try:
        total = pl.read_csv(run.path / METRICS_FILE)["seconds"].sum()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RequestError(f"{run.path / METRICS_FILE} is missing or damaged; train again") from error
    return round(float(total), 2)


def _scores(evaluation: Evaluation) -> str:
    if evaluation.uar is None or evaluation.war is None:
        return f"{evaluation.num_clips} clips, none with a single label"
    return f"UAR {percent(evaluation.uar)}, WAR {percent(evaluation.war)} on {evaluation.num_clips} clips"


def once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Leave out what an earlier job said in the same words behind its name: device, start weights, notes."""
    said: set[str] = set()

    def say_new(text: str) -> None:
        line = text.partition(": ")[2]
        if line not in said:
            say(text)
        if line.startswith(_OF_ALL_JOBS):
            said.add(line)

    return say_new


def reason(error: Exception, say: Callable[[str], None]) -> str:
    """The sentence of an error; one that nobody foresaw is said with all that leads to its place."""
    if isinstance(error, MidasError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return (
            "it does not fit into the GPU's memory, or into its share of it; take fewer --jobs, a smaller --batch_size "
            f"or a smaller model ({str(error).partition('.')[0]})"
        )
    for line in "".join(traceback.format_exception(error)).splitlines():
        say(line)
    return f"{type(error).__name__}: {error}"
