"""midas crossval: every fold once, means and pooled as by hand, killed and gone on with, refusals."""

import csv
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midas_dfer import metrics
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.experiments.crossval import cross_validate, crossval_jobs
from midas_dfer.experiments.fold_scores import fold_scores
from midas_dfer.experiments.jobs import JobResult
from midas_dfer.experiments.results import Difference, ExperimentResult, MethodResult
from midas_dfer.metrics import MeanScore
from midas_dfer.training.recipes.config import SELECTED_ON_TEST, RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import train
from tests.support.factories import make_store, plain_environment

SETTINGS = {"width": 8, "size": 32, "num-segments": 1, "epochs": 1, "batch-size": 6, "precision": 32}
FLAGS = [f"--{name}={value}" for name, value in {**SETTINGS, "num-threads": 1, "num-workers": 0}.items()]
SMALL = RunConfig(
    width=8, size=32, num_segments=1, epochs=1, batch_size=6, precision="32", num_threads=1, num_workers=0
)


def midas(*arguments: object) -> int:
    command = importlib.import_module("midas_dfer.cli.main")
    command.VERBS.setdefault("crossval", (importlib.import_module("midas_dfer.cli.verbs.crossval"), "folds"))
    return command.main([str(each) for each in arguments])


AS_PROGRAM = "import sys; from tests.experiments.test_crossval import midas; sys.exit(midas(*sys.argv[1:]))"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("crossval"))


@pytest.fixture(scope="module")
def done(store, tmp_path_factory) -> tuple[MethodResult, Path]:
    """Two folds, two seeds."""
    out = tmp_path_factory.mktemp("done") / "out"
    return cross_validate(SMALL, store, out, folds=[1, 2], seeds=[0, 3], say=lambda text: None), out


def untested(store: ClipStore) -> ClipStore:
    flat = ClipStore.open(store.path)
    flat.manifest = flat.manifest.with_columns(fold=[None] * 24)
    return flat


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "evaluation" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def by_hand(rows: list[dict[str, str]]) -> tuple[float, float]:
    """UAR and WAR of rows of predictions.csv, counted one by one."""
    rows = [row for row in rows if row["label"]]
    recalls = []
    for name in {row["label"] for row in rows}:
        of_class = [row for row in rows if row["label"] == name]
        recalls.append(sum(row["predicted"] == name for row in of_class) / len(of_class))
    return sum(recalls) / len(recalls), sum(row["predicted"] == row["label"] for row in rows) / len(rows)


def test_scores_are_those_counted_by_hand(done):
    result, out = done
    assert result.name == "MIDAS"
    assert result.folds == (1, 2)
    assert result.seeds == (0, 3)
    means: dict[str, list[float]] = {"uar": [], "war": []}
    for seed in (0, 3):
        tables = [rows_of(out / f"fold-{fold}-seed-{seed}") for fold in (1, 2)]
        pooled = result.pooled(seed)
        assert pooled is not None
        assert pooled.num_clips == len({row["video_id"] for table in tables for row in table}) == 12
        for place, measure in enumerate(("uar", "war")):
            folds = [by_hand(table)[place] for table in tables]
            over = result.over_folds(measure, seed)
            assert over is not None
            assert over.values == pytest.approx(folds)
            assert over.mean == pytest.approx(sum(folds) / 2)
            assert over.deviation == pytest.approx(statistics.stdev(folds))
            assert getattr(pooled, measure) == pytest.approx(by_hand([*tables[0], *tables[1]])[place])
            means[measure].append(over.mean)
    for measure, values in means.items():
        over = result.over_seeds(measure)
        assert over is not None
        assert over.values == pytest.approx(values)
        assert result.interval(measure) == metrics.seed_interval(values)


def test_pooled_predictions_and_their_agreement_with_the_votes(done):
    result, _ = done
    pooled = result.predictions()
    assert len(pooled.video_ids) == 24
    assert set(zip(pooled.fold.tolist(), pooled.seed.tolist(), strict=True)) == {(1, 0), (2, 0), (1, 3), (2, 3)}
    of_seed = pooled.seed == 3
    scores = result.pooled(3)
    assert scores is not None
    assert scores.num_voted == 12
    confusion = metrics.confusion_matrix(pooled.labels[of_seed], pooled.predicted[of_seed], 3)
    assert scores.confusion == tuple(map(tuple, confusion.tolist()))
    for reading in ("probabilities", "vote_shares"):
        predicted, votes = getattr(pooled, reading)[of_seed], pooled.votes[of_seed]
        for measure in ("soft_cross_entropy", "jensen_shannon", "total_variation"):
            expected = getattr(metrics, measure)(predicted, votes)
            assert getattr(scores.agreement[reading], measure) == pytest.approx(expected, abs=1e-8)


def test_results_are_written_read_and_moved(done, tmp_path):
    result, out = done
    written = json.loads((out / "results.json").read_text())
    assert written["methods"][0]["war"]["mean"] == pytest.approx(result.over_seeds("war").mean)
    read = ExperimentResult.read(out)
    assert read.methods == (result,)
    difference = Difference("MIDAS", "soft", "UAR", "paired bootstrap", {"low": -0.1, "clips": 12}, "inside the noise")
    moved = ExperimentResult("table-2", (result,), (difference,), ("a note",))
    moved.write(tmp_path)
    assert ExperimentResult.read(tmp_path) == moved  # the runs stayed where they were
    out.rename(tmp_path / "elsewhere")
    try:
        assert len(ExperimentResult.read(tmp_path / "elsewhere").methods[0].predictions().video_ids) == 24
    finally:
        (tmp_path / "elsewhere").rename(out)
    (tmp_path / "results.json").write_text('{"name": "x"}')
    with pytest.raises(RequestError, match="damaged"):
        ExperimentResult.read(tmp_path)


def test_the_same_clips_are_not_pooled_twice(done):
    result, _ = done
    first = result.of_seed(0)[0]
    again = JobResult(replace(first.job, name="again"), first.run, first.evaluation, 1.0)
    twice = MethodResult("twice", (first, again))
    assert twice.pooled(0) is None
    assert twice.why_not_pooled(0) == "not pooled: 6 clips are tested by more than one run"
    assert "not pooled" in fold_scores(twice)
    assert twice.to_dict()["seeds"][0]["pooled"] is None
    with pytest.raises(RequestError, match="no results"):
        MethodResult("none", ())


def test_a_mean_needs_all_its_values():
    assert MeanScore.of([0.5, None]) is None
    assert MeanScore.of([]) is None
    assert MeanScore.of([0.5]) == MeanScore(0.5, None, (0.5,))


def test_the_verb_and_the_same_command_again(store, done, tmp_path, capsys):
    result, _ = done
    command = ["crossval", "--store", store.path, "--out", tmp_path / "out", *FLAGS, "--folds", 1, 2, "--seeds", 3]
    assert midas(*command) == 0
    told = capsys.readouterr()
    lines = {line.split()[0]: line.split()[1:] for line in told.out.splitlines() if line and line[0] != " "}
    for each in result.of_seed(3):
        uar, war = each.evaluation.uar, each.evaluation.war
        assert uar is not None
        assert war is not None
        judged = each.evaluation.judged
        assert judged is not None
        far = [f"{judged.soft_cross_entropy:.3f}", f"{judged.total_variation:.3f}"]
        assert lines[str(each.job.config.test_fold)] == ["6", f"{100 * uar:.2f}", f"{100 * war:.2f}", *far]
    guesses = [each.evaluation.baselines for each in result.of_seed(3)]
    assert None not in guesses
    war = np.mean([each.majority.war for each in guesses])
    far = np.mean([each.mean_vote.total_variation for each in guesses])
    assert f"{100 * war:.2f}" in lines["majority"]
    assert f"{far:.3f}" in lines["mean"]
    assert "The last two are constant guesses, made from each fold's training clips." in told.out
    assert "epoch kept: the last" in told.out
    assert all(len(line) <= 80 for line in told.out.splitlines() if not line.startswith(("fold-", " ")))
    weights = tmp_path / "out" / "fold-1-seed-3" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert midas(*command, "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["uar"]["mean"] == pytest.approx(result.over_folds("uar", 3).mean)
    assert "is done already" in told.err
    assert weights.stat().st_mtime_ns == before
    assert midas(*command, "--learning-rate", 0.5) == 2
    assert "another recipe: --learning_rate is 0.5, there it is 0.02" in capsys.readouterr().err
    run = tmp_path / "out" / "fold-1-seed-3"
    assert midas(*[run if each == tmp_path / "out" else each for each in command]) == 2
    assert "is a run folder" in capsys.readouterr().err


def test_settings_come_from_recipes_and_from_the_configuration_of_a_run(store, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    file.write_text(replace(SMALL, labels="hard", mixer="none", test_fold=4, seed=9).to_yaml())
    assert midas("crossval", "--store", store.path, "--out", tmp_path / "a", "--config", file, "--folds", 2) == 0
    run = Run.open(tmp_path / "a" / "fold-2-seed-0")
    assert run.config == replace(SMALL, labels="hard", mixer="none", test_fold=2)
    capsys.readouterr()
    assert midas("crossval", "--store", store.path, "--out", tmp_path / "b", "--config", tmp_path / "none.yaml") == 2
    assert "cannot read the configuration" in capsys.readouterr().err
    assert midas("crossval", "--store", store.path, "--out", tmp_path / "b", "--recipe", "nothing") == 2
    assert "There is no recipe 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--folds", "1", "7"], "no fold 7; there are 1, 2, 3, 4"),
        (["--folds", "1", "1"], "each once"),
        (["--seeds", "1", "1"], "each once"),
        (["--seeds", "-1"], "--seeds is -1"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--jobs", "2", "--ray", "local"], "leave out one"),
        (["--test-fold", "1"], "--test_fold"),
        (["--seed", "1"], "--seed"),
        (["--select", "best_validation"], "validation_fraction"),
        (["--select", "best_test_fold", "--validation-fraction", "0.2"], "leave out --validation_fraction"),
    ],
)
def test_wrong_requests(flags, named, store, tmp_path, capsys):
    assert midas("crossval", "--store", store.path, "--out", tmp_path / "out", *FLAGS, *flags) == 2
    told = capsys.readouterr()
    assert named in told.err
    assert told.out == ""
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_something_else_and_stores_without_folds(store, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert midas("crossval", "--store", store.path, "--out", tmp_path, *FLAGS) == 2
    assert "not an empty folder" in capsys.readouterr().err
    with pytest.raises(RequestError, match=r"no folds.*--folds 5"):
        crossval_jobs(SMALL, untested(store))


def test_chosen_on_the_test_fold_only_by_that_name_and_said_so(store, tmp_path):
    config = replace(SMALL, select="best_test_fold", epochs=3, mixer="none", learning_rate=0.05)
    result = cross_validate(config, store, tmp_path / "out", folds=[1], say=lambda text: None)
    run = Run.open(tmp_path / "out" / "fold-1-seed-0")
    with (run.path / "logs" / "metrics.csv").open() as file:
        watched = [float(row["val_uar"]) for row in csv.DictReader(file)]
    best = watched.index(max(watched)) + 1
    assert run.provenance.kept == f"epoch {best}, {SELECTED_ON_TEST}"
    assert result.results[0].evaluation.caution == SELECTED_ON_TEST
    assert result.results[0].evaluation.uar == pytest.approx(max(watched), abs=1e-5)
    assert SELECTED_ON_TEST in fold_scores(result)
    assert SELECTED_ON_TEST in ExperimentResult.read(tmp_path / "out").notes
    said: list[str] = []
    plain = train(replace(SMALL, test_fold=1, select="last"), store, tmp_path / "plain", say=said.append)
    assert evaluate(plain, store)[0].caution == ""
    with pytest.raises(RequestError, match="needs a test part"):
        train(replace(config, test_fold=None), untested(store), tmp_path / "none")


@pytest.mark.slow
def test_kill_9_and_the_same_command_again(store, tmp_path):
    """Its processes end with it; the second command finishes, and no bit differs from a run without a break."""
    flags = [*FLAGS, "--epochs", "12", "--folds", "1", "2"]
    command = ["crossval", "--store", str(store.path), "--out", str(tmp_path / "out"), *flags, "--jobs", "2"]
    program = [sys.executable, "-c", AS_PROGRAM, *command]
    root = Path(__file__).parents[2]
    environment = {**plain_environment(), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=root, env=environment) as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if "epoch  2 of 12" in line:
                break
        os.kill(killed.pid, signal.SIGKILL)
    runs = [tmp_path / "out" / f"fold-{fold}-seed-0" for fold in (1, 2)]
    assert not (tmp_path / "out" / "results.json").exists()
    again = subprocess.run(program, capture_output=True, text=True, cwd=root, env=environment, check=False)
    assert again.returncode == 0, again.stderr
    assert "goes on after epoch" in again.stdout
    whole = cross_validate(replace(SMALL, epochs=12), store, tmp_path / "whole", folds=[1, 2], say=lambda text: None)
    for run, each in zip(runs, whole.results, strict=True):
        same = Path(each.run) / "weights.safetensors"
        assert (run / "weights.safetensors").read_bytes() == same.read_bytes()
        assert rows_of(run) == rows_of(Path(each.run))
    assert len(ExperimentResult.read(tmp_path / "out").methods[0].results) == 2
