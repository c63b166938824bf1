"""Jobs of an experiment: done once, gone on with, read back; several at a time, of which some fail."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.experiments import engines, jobs
from midas_dfer.experiments.engines import LocalEngine
from midas_dfer.experiments.jobs import JOB_FILE, Job, JobResult, load_result, once, run_job
from midas_dfer.manifest.classes import DroppedClass, MappingReport
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.scores import Evaluation, VoteAgreement
from midas_dfer.training.train import TrainingInterruptedError
from tests.support.factories import make_store

SMALL = RunConfig(
    width=8, size=32, num_segments=1, epochs=1, batch_size=6, precision="32", num_threads=1, num_workers=0, test_fold=1
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("jobs"))


def job_on(store: ClipStore, name: str = "soft/fold-1-seed-0", **settings) -> Job:
    return Job(name, "soft", replace(SMALL, **settings), str(store.path))


def quietly(text: str) -> None:
    """Say nothing."""


def never(*_: object, **__: object) -> None:
    raise AssertionError("this was to be left alone")


def break_at(monkeypatch, epoch: int, error: Exception) -> None:
    """Let training fail at the first step of an epoch."""
    real = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if self.current_epoch == epoch:
            raise error
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)


def test_a_result_goes_through_json_and_back(store):
    agreement = VoteAgreement(1.5, 0.2, 0.3, None, 0.4, None)
    mapping = MappingReport("toy", ("a", "b", "x"), ("a", "b"), ("c",), (DroppedClass("x", 4, 3, 2),), 9, 2, 0, 40)
    confusion, recall = ((3, 1), (0, 0)), (0.75, None)
    scores = ("soft", "tsm", "toy", ("a", "b"), "test", "", 5, 4, 5, 0.75, 0.75, recall, confusion, 1.1)
    for evaluation in (
        Evaluation(*scores, {"probabilities": agreement, "vote_shares": agreement}, mapping),
        Evaluation(*scores, None),
    ):
        result = JobResult(job_on(store, milestones=(3, 5), schedule="step"), "run", evaluation, 2.5)
        assert JobResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@pytest.mark.parametrize("name", ["", "/abs", "a/../../b", "a//b", "..", "a b"])
def test_a_job_stays_below_the_folder_of_its_experiment(store, name):
    with pytest.raises(RequestError, match="named"):
        job_on(store, name)


def test_a_job_is_done_once_and_then_read_back(store, tmp_path, monkeypatch):
    job = job_on(store)
    assert load_result(job, tmp_path) is None
    first = run_job(job, tmp_path, say=quietly)
    assert first.run == str(tmp_path / "soft" / "fold-1-seed-0")
    assert (first.evaluation.part, first.evaluation.precision) == ("test", "32")
    assert first.seconds > 0
    for name in ("train", "resume", "evaluate"):
        monkeypatch.setattr(jobs, name, never)
    assert run_job(job, tmp_path, say=quietly) == first
    assert load_result(job, tmp_path) == first
    assert run_job(replace(job, config=replace(job.config, num_workers=1)), tmp_path, say=quietly).seconds
    assert load_result(job_on(store, epochs=2), tmp_path) is None


def test_a_finished_run_is_only_evaluated(store, tmp_path, monkeypatch):
    job = job_on(store)
    first = run_job(job, tmp_path, say=quietly)
    for name in ("train", "resume"):
        monkeypatch.setattr(jobs, name, never)
    (Path(first.run) / JOB_FILE).unlink()
    assert run_job(job, tmp_path, say=quietly) == first
    evaluate(
        first.run, store, part="all", out=Path(first.run) / "evaluation"
    )  # scores of other clips, written over those of the job
    assert load_result(job, tmp_path) is None
    assert run_job(job, tmp_path, say=quietly) == first
    (Path(first.run) / JOB_FILE).write_text("[]")
    with pytest.raises(RequestError, match="damaged"):
        load_result(job, tmp_path)


def test_an_interrupted_job_goes_on(store, tmp_path, monkeypatch):
    job = job_on(store, epochs=3)
    whole = run_job(job, tmp_path / "whole", say=quietly)
    break_at(monkeypatch, 2, JobError("the lights went out"))
    with pytest.raises(JobError, match="lights"):
        run_job(job, tmp_path, say=quietly)
    monkeypatch.undo()
    monkeypatch.setattr(jobs, "train", never)
    said: list[str] = []
    assert run_job(job, tmp_path, say=said.append).evaluation == whole.evaluation
    assert "goes on after epoch 2 of 3" in said


def test_another_recipe_or_other_clips_are_refused(store, tmp_path):
    job = job_on(store)
    run_job(job, tmp_path, say=quietly)
    with pytest.raises(RequestError, match=r"--learning_rate is 0\.1, there it is 0\.02"):
        run_job(job_on(store, learning_rate=0.1), tmp_path, say=quietly)
    other = make_store(tmp_path / "other", clips=12)
    with pytest.raises(RequestError, match="other clips"):
        run_job(job_on(other), tmp_path, say=quietly)


def test_scored_on_another_store(store, tmp_path):
    other = make_store(tmp_path / "other", clips=12)
    job = replace(job_on(store), evaluate_on=str(other.path))
    there = run_job(job, tmp_path, say=quietly)
    assert run_job(job, tmp_path, say=quietly) == there
    here = run_job(replace(job, evaluate_on=None), tmp_path, say=quietly)
    assert here.evaluation != there.evaluation
    assert load_result(job, tmp_path) is None


def test_a_number_of_votes_that_was_found_is_no_other_recipe(store, tmp_path):
    job = job_on(store, normalization="softmax_counts")
    first = run_job(job, tmp_path, say=quietly)
    assert Run.open(first.run).config.num_votes is not None
    assert run_job(job, tmp_path, say=quietly) == first


def test_one_failure_does_not_stop_the_others(store, tmp_path, monkeypatch):
    good, bad = job_on(store, "good"), job_on(store, "bad", weights="/nowhere/weights.pt")
    with pytest.raises(JobError, match=r"1 of 2 jobs failed; the others are done(.|\n)*bad: .*nowhere"):
        LocalEngine().run([bad, good], tmp_path, say=quietly)
    assert load_result(good, tmp_path) is not None
    break_at(monkeypatch, 0, ZeroDivisionError("by zero"))
    said: list[str] = []
    with pytest.raises(JobError, match="odd: ZeroDivisionError: by zero"):
        LocalEngine().run([job_on(store, "odd")], tmp_path, say=said.append)
    assert any("in breaks" in line for line in said)


def test_an_interruption_stops_all(store, tmp_path, monkeypatch):
    break_at(monkeypatch, 0, TrainingInterruptedError("interrupted"))
    with pytest.raises(JobError, match="run the same command to go on"):
        LocalEngine().run([job_on(store, "a"), job_on(store, "b")], tmp_path, say=quietly)
    assert not (tmp_path / "b").exists()


def test_wrong_requests(store, tmp_path):
    with pytest.raises(RequestError, match="--jobs is 0"):
        LocalEngine(0)
    with pytest.raises(RequestError, match="two jobs have the name a"):
        LocalEngine().run([job_on(store, "a"), job_on(store, "a")], tmp_path, say=quietly)


@pytest.mark.slow
def test_processes_of_which_one_is_killed_and_one_refused(store, tmp_path, monkeypatch):
    """The same scores as in this process; what failed is named, and done by a second call."""
    good, bad = job_on(store, "good"), job_on(store, "bad", weights="/nowhere/weights.pt")
    killed = job_on(store, "killed", epochs=40)
    processes = []
    real = engines.subprocess.Popen

    def remembered(*arguments, **settings):
        processes.append(real(*arguments, **settings))
        return processes[-1]

    monkeypatch.setattr(engines.subprocess, "Popen", remembered)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("killed: epoch  2"):
            processes[0].kill()

    with pytest.raises(JobError) as told:
        LocalEngine(2).run([killed, bad, good], tmp_path, say=say)
    assert "2 of 3 jobs failed" in str(told.value)
    assert "  killed: killed by SIGKILL" in str(told.value)
    assert "  bad: " in str(told.value)
    assert "/nowhere/weights.pt" in str(told.value)
    assert all(process.poll() is not None for process in processes)
    alone = run_job(good, tmp_path / "alone", say=quietly)
    there = load_result(good, tmp_path)
    assert there is not None
    assert there.evaluation == alone.evaluation
    assert Run.open(tmp_path / "killed").provenance.epochs_done >= 1

    def stop(text: str) -> None:
        if text.startswith("killed: epoch"):
            raise KeyboardInterrupt  # as Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        LocalEngine(2).run([killed, good], tmp_path, say=stop)
    assert all(process.poll() is not None for process in processes)


def test_what_holds_for_all_jobs_is_said_once():
    heard: list[str] = []
    say = once(heard.append)
    for name in ("fold_1", "fold_2"):
        for line in ("computed in float32 on cpu", "weights: random", f"note: of {name}", "epoch 1 of 1"):
            say(f"{name}: {line}")
    assert heard == [
        "fold_1: computed in float32 on cpu",
        "fold_1: weights: random",
        "fold_1: note: of fold_1",
        "fold_1: epoch 1 of 1",
        "fold_2: note: of fold_2",
        "fold_2: epoch 1 of 1",
    ]
