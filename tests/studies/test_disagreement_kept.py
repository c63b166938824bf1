"""What trainings said is kept, and read back; a file that is something else is refused."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file
from studies.disagreement import __main__ as commands
from studies.disagreement import figures, grid, regularised
from studies.disagreement.figures import Figures
from studies.disagreement.grid import STAGES, Training
from studies.disagreement.kept import is_kept, keep, read_kept
from studies.disagreement.running import plan_jobs, run_all

from midas_dfer.errors import RequestError
from midas_dfer.experiments.jobs import load_result
from tests.support.study import Quick, store_in_parts

_config = Training.config
FACTS = {"copies": 3, "no_emotion": 4, "train": 16, "validation": 3, "test": 5, "few": {"": 1, "happy": 2}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_in_parts(tmp_path_factory.mktemp("kept"))


PLAN = [Quick("midas_softmax", "all", 1), Quick("midas_softmax", "all", 0), Quick("dirichlet_multinomial", "all", 0)]


@pytest.fixture(scope="module")
def done(store, tmp_path_factory):
    """The folder of finished trainings, and that of what is kept of them."""
    out, folder = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("folder")
    jobs = plan_jobs(PLAN, store, out / "all")
    assert not is_kept("all", PLAN[0], folder)
    assert run_all(jobs, out / "all", hours=1, say=lambda line: None) == 0
    assert keep("all", out, folder) == 3
    assert keep("all", out, folder) == 0
    assert all(is_kept("all", each, folder) for each in PLAN)
    return out, folder, jobs


def test_what_is_kept_is_what_was_said(store, done):
    out, folder, jobs = done
    found = read_kept("all", PLAN, store.manifest, folder)
    assert [each.training.seed for each in found["midas_softmax/all"]] == [0, 1]
    for job, training in zip(jobs, PLAN, strict=True):
        scored = load_result(job, out / "all").evaluation
        (result,) = (each for each in found[training.row] if each.training == training)
        said = result.predictions
        table = pl.read_csv(out / "all" / job.name / "evaluation" / "predictions.csv")
        assert list(said.video_ids) == table["video_id"].to_list()
        for kind, values in (("probability", said.probabilities), ("vote_share", said.vote_shares)):
            written = table.select(pl.col(f"^{kind}_.*$")).to_numpy()
            np.testing.assert_allclose(values, written, atol=5e-4, err_msg=f"{training.name} {kind}")
            np.testing.assert_allclose(values.sum(axis=1), 1)
        np.testing.assert_allclose(said.votes, table.select(pl.col("^votes_.*$")).to_numpy(), atol=1e-8)
        assert result.class_names == scored.class_names
        assert result.seconds > 0
        assert (said.concentration is not None) == (training.method == "dirichlet_multinomial")
    softmax = found["midas_softmax/all"][0].predictions
    assert not np.allclose(softmax.probabilities, softmax.vote_shares, atol=1e-2)


def test_a_file_that_is_something_else_is_refused(store, done, tmp_path):
    _, folder, _ = done
    mine = tmp_path / "all" / f"{PLAN[0].name}.safetensors"
    mine.parent.mkdir(parents=True)
    whole = (folder / "all" / f"{PLAN[0].name}.safetensors").read_bytes()

    def read(plan=PLAN[:1], manifest=store.manifest):
        return read_kept("all", plan, manifest, tmp_path)

    mine.write_bytes(whole)
    assert read()
    with pytest.raises(RequestError, match="of other pictures"):
        read(manifest=store.manifest.with_columns(split=["test"] * 24))
    with pytest.raises(RequestError, match="another recipe: --width is 16, there it is 8"):
        read([Training("midas_softmax", "all", 1)])
    for damaged in (whole[:-1], b"", b"no such file"):
        mine.write_bytes(damaged)
        with pytest.raises(RequestError, match="is damaged"):
            read()
    mine.unlink()
    save_file(load_file(folder / "all" / f"{PLAN[0].name}.safetensors"), mine)  # without what was said about it
    with pytest.raises(RequestError, match="is damaged"):
        read()


def test_a_training_that_diverged_is_kept_as_that(store, tmp_path, monkeypatch):
    monkeypatch.setattr(Quick, "learning_rate", 1e30)
    wild = Quick("soft", "all", 0)
    jobs = plan_jobs([wild], store, tmp_path / "out" / "all")
    assert run_all(jobs, tmp_path / "out" / "all", hours=1, say=lambda line: None) == 0
    assert keep("all", tmp_path / "out", tmp_path) == 0
    assert is_kept("all", wild, tmp_path)
    assert read_kept("all", [wild], store.manifest, tmp_path) == {}


def test_trainings_are_done_once_by_whoever_comes(store, tmp_path, monkeypatch, capsys):
    """`run` on one machine, then on another that has what the first one kept; then `score` and `page`."""
    monkeypatch.setattr(Training, "config", lambda self: replace(_config(self), epochs=1, batch_size=4, width=8))
    monkeypatch.setattr(grid, "METHODS", {name: grid.METHODS[name] for name in ("soft", "soft_regularised")})
    regularisers = {name: grid.REGULARISERS[name] for name in ("decay", "crops")}
    for module in (grid, regularised):
        monkeypatch.setattr(module, "REGULARISERS", regularisers)
    monkeypatch.setattr(grid, "SCHEDULES", {name: grid.Schedule(20, None, (0, 1)) for name in grid.SCHEDULES})
    monkeypatch.setattr(commands, "_divided", lambda opened: store.manifest)  # it is too small for ten folds
    monkeypatch.setattr(figures, "facts_of", lambda manifest: FACTS)
    kept, results = tmp_path / "kept", tmp_path / "results.json"

    def command(verb, *words, code=0):
        monkeypatch.setattr("sys.argv", ["disagreement", verb, *map(str, words)])
        assert commands.main() == code
        return capsys.readouterr()

    def run(stage, out, *words, code=0):
        chosen = ("--stage", stage, "--store", store.path, "--out", tmp_path / out, "--kept", kept)
        return command("run", *chosen, *words, code=code).out

    refused = command("run", "--stage", "short", "--store", store.path, "--out", tmp_path / "a", "--kept", kept, code=1)
    assert "run --stage choose to its end" in refused.err
    told = run("choose", "a", "--turn", 1, 2)
    assert "2 trainings, 0 of them ended before" in told
    assert "WAR" not in told
    assert "2 trainings, 0 of them ended before" in run("choose", "b")
    assert "0 trainings, 0 of them" in run("choose", "c")
    run("votes", "b", "--hours", 0, code=3)
    run("short", "b")
    scoring = ("--store", store.path, "--kept", kept, "--results", results)
    command("score", *scoring, code=3)  # most are not there
    found = Figures.read(results)
    assert [found.missing(stage) for stage in STAGES] == [0, 0, 4, 4, 12, 4]
    assert {each.seeds for each in found.comparisons} == {2}
    assert len([each for each in found.comparisons if each.found]) == 3
    first = results.read_text()
    command("score", *scoring, code=3)
    assert results.read_text() == first
    (tmp_path / "docs" / "images").mkdir(parents=True)
    command("page", "--results", results, "--docs", tmp_path / "docs")
    written = " ".join((tmp_path / "docs" / "disagreement.md").read_text().split())
    assert "**Not finished:** 4 of 4 trainings of the stage long, 4 of 4 trainings" in written
    assert "12 of 12 trainings of the stage votes, 4 of 4 trainings of the stage budget." in written
