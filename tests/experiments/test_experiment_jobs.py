"""Jobs of an experiment: done once, gone on with, read back; several at a time, of which some fail."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.experiments import engines, jobs
from midas_dfer.experiments.engines import LocalEngine
from midas_dfer.experiments.jobs import JOB_FILE, Job, JobResult, load_result, once, run_job
from midas_dfer.experiments.local_shares import gpus_here, places
from midas_dfer.manifest.classes import DroppedClass, MappingReport
from midas_dfer.processes import AT_ONCE
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
    with pytest.raises(RequestError, match="--devices trains one model on several devices, --jobs several models"):
        LocalEngine(2).run([job_on(store, "a", devices=2), job_on(store, "b")], tmp_path, say=quietly)


@pytest.mark.parametrize(
    ("at_once", "gpus", "expected"),
    [
        (3, [], [(None, 1.0)] * 3),
        (2, ["0", "1", "2"], [("0", 1.0), ("1", 1.0)]),
        (3, ["GPU-a", "GPU-b"], [("GPU-a", 0.45), ("GPU-b", 1.0), ("GPU-a", 0.45)]),
        (4, ["3"], [("3", 0.225)] * 4),
    ],
)
def test_gpus_are_given_out_in_turn_and_their_memory_is_divided(at_once, gpus, expected):
    made = places(at_once, 16, gpus)
    assert [(place.gpu, pytest.approx(place.memory)) for place in made] == expected
    assert {(place.threads, place.readers) for place in made} == {(16 // at_once, 16 // at_once)}
    assert places(40, 16, gpus)[0].threads == places(40, 16, gpus)[0].readers == 1
    assert places(2, 64, gpus)[0].readers == 8  # one training takes 16 at most


def test_the_gpus_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_here() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5")
    assert gpus_here() == ["3", "GPU-5"]


def test_each_process_is_told_its_place(store, tmp_path, monkeypatch):
    """Also the one that follows another at its place."""
    told = []

    def start(module, request, threads, environment):
        told.append((request["job"]["config"]["num_workers"], request["memory"], environment))
        return subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(engines, "start_child", start)
    monkeypatch.setattr(engines, "gpus_here", lambda: ["7"])
    monkeypatch.setattr(engines, "available_cores", lambda: 8)
    wanted = [job_on(store, name, num_workers=-1) for name in "ab"]
    with pytest.raises(JobError, match="3 of 3 jobs failed"):
        LocalEngine(2).run([*wanted, job_on(store, "on_the_cpu", device="cpu")], tmp_path, say=quietly)
    of_two = {AT_ONCE: "2"}
    assert told == [(4, 0.45, {**of_two, "CUDA_VISIBLE_DEVICES": "7"})] * 2 + [(0, 1.0, of_two)]


def test_a_job_that_does_not_fit_on_a_gpu_says_so():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert jobs.reason(error, never) == (
        "it does not fit into the GPU's memory, or into its share of it; take fewer --jobs, a smaller --batch_size or "
        "a smaller model (CUDA out of memory)"
    )


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
