"""Training on from a finished run (--init), and going on with one (--resume)."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from midas_dfer.cli import main
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError, RequestError
from midas_dfer.evaluation.evaluate import choose_clips
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import open_trained
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.origin import LEARNED_BEFORE_FILE
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.sharing.test_trained import TINY, refused, told
from tests.support.factories import make_store, prepare_store, write_dataset

CONFIG = replace(TINY, device="cpu", precision="32")
FLAGS = ("--num_segments", "2", "--epochs", "1", "--num_threads", "1", "--num_workers", "0", "--test_fold", "1")


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("origin")
    train(CONFIG, make_store(folder, clips=12), folder / "run", say=quiet)
    return folder


def first_weights(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """The weights that trainings begin with, from here on."""
    seen: list[dict[str, torch.Tensor]] = []
    real = Recognizer.on_train_epoch_start

    def watched(self):
        if self.current_epoch == 0:
            seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        real(self)

    monkeypatch.setattr(Recognizer, "on_train_epoch_start", watched)
    return seen


def test_it_begins_with_all_weights_and_tells_what_is_other(made, tmp_path, capsys, monkeypatch):
    seen = first_weights(monkeypatch)
    new = tmp_path / "new"
    flags = ["--init", made / "run", "--store", made / "store", "--out", new, *FLAGS, "--learning_rate", "0.001"]
    out, _ = told(capsys, "train", *flags)
    theirs = load_file(made / "run" / "weights.safetensors")
    assert seen[0].keys() == theirs.keys()
    assert all(torch.equal(seen[0][name], theirs[name]) for name in theirs)
    assert f"weights: all those of the run {made / 'run'} (1 epoch on toy)\n" in out
    assert f"settings that are not those of {made / 'run'}: " in out
    assert "learning_rate 0.001 (0.02)" in out
    assert "width" not in out  # the run's own, which was not typed
    run = Run.open(new)
    assert (run.config.width, run.config.size, run.config.weights) == (8, 32, None)
    assert run.provenance.init == str((made / "run").resolve())
    assert run.provenance.init_weights == Run.open(made / "run").provenance.weights_digest
    save_pretrained(run, tmp_path / "exported")
    assert "| began with | the run run, " in (tmp_path / "exported" / "README.md").read_text()


def test_with_other_classes_what_both_have_is_taken(made, tmp_path, monkeypatch):
    seen = first_weights(monkeypatch)
    manifest = write_dataset(tmp_path / "videos", clips=9, seed=3)
    names = ("sad", "bored", "happy")
    other = prepare_store(tmp_path, Manifest.from_samples(names, list(manifest), "other"))
    said: list[str] = []
    train(CONFIG, other, tmp_path / "new", init=made / "run", say=said.append)
    (line,) = (each for each in said if each.startswith("weights: "))
    assert "the trunk of the run" in line
    assert line.endswith(", with its classes sad, happy; new are bored")
    theirs = load_file(made / "run" / "weights.safetensors")
    (head,) = (name for name in theirs if name.endswith("fc.weight"))
    assert torch.equal(seen[0][head][[0, 2]], theirs[head][[1, 0]])
    assert not torch.equal(seen[0][head][1], theirs[head][2])
    assert torch.equal(seen[0]["layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])


def test_a_kill_in_the_first_epoch_begins_from_it_again(made, tmp_path, monkeypatch):
    whole = train(CONFIG, made / "store", tmp_path / "whole", init=made / "run", say=quiet)
    shutil.copytree(made / "run", tmp_path / "before")
    real = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        raise JobError("the lights went out")

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(CONFIG, made / "store", tmp_path / "broken", init=tmp_path / "before", say=quiet)
    monkeypatch.setattr(Recognizer, "training_step", real)
    again = resume(tmp_path / "broken", say=quiet)
    ours, theirs = (load_file(each.path / "weights.safetensors") for each in (again, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(CONFIG, made / "store", tmp_path / "torn", init=tmp_path / "before", say=quiet)
    monkeypatch.undo()
    content = json.loads((tmp_path / "before" / "run.json").read_text())
    (tmp_path / "before" / "run.json").write_text(json.dumps({**content, "weights_digest": "0" * 64}))
    with pytest.raises(RequestError, match="has other weights than when the training began from it"):
        resume(tmp_path / "torn", say=quiet)


def test_clips_that_were_learned_from_are_not_tested(made, tmp_path):
    """Also where they were learned from two runs before."""
    with pytest.raises(RequestError, match=r"3 of the 3 clips that would be tested were used to train .*run, or"):
        train(replace(CONFIG, test_fold=2), made / "store", tmp_path / "new", init=made / "run", say=quiet)
    assert not (tmp_path / "new").exists()
    manifest = write_dataset(tmp_path / "videos", clips=6, seed=3)
    samples = [replace(each, video_id=f"other/{each.video_id}", fold=None) for each in manifest]
    other = prepare_store(tmp_path, Manifest.from_samples(manifest.class_names, samples, "other"))
    between = train(replace(CONFIG, test_fold=None), other, tmp_path / "between", init=made / "run", say=quiet)
    with pytest.raises(RequestError, match=r"3 of the 3 clips that would be tested were used to train .*between"):
        train(replace(CONFIG, test_fold=3), made / "store", tmp_path / "new", init=between, say=quiet)
    gone = Run.open(between.path)  # what was learned before is known without the run
    gone.update(init=str(tmp_path / "gone"))
    with pytest.raises(RequestError, match=r"3 of the 3 clips that would be tested were used to train .*between"):
        train(replace(CONFIG, test_fold=3), made / "store", tmp_path / "new", init=gone, say=quiet)
    kept = (between.path / LEARNED_BEFORE_FILE).rename(tmp_path / "kept.json")  # as in runs of earlier versions
    heard: list[str] = []
    train(replace(CONFIG, test_fold=3), made / "store", tmp_path / "unknown", init=gone, say=heard.append)
    assert any("gone, which " in line and "cannot be read; clips may have been learned" in line for line in heard)
    caution = choose_clips(open_trained(tmp_path / "unknown"), ClipStore.open(made / "store"), "auto").caution
    assert "gone, which " in caution
    kept.rename(between.path / LEARNED_BEFORE_FILE)
    gone.update(init=str(made / "run"))
    store = ClipStore.open(made / "store")
    assert choose_clips(open_trained(between), store, "all").caution.startswith("9 of these 12 clips ")
    said: list[str] = []
    config = replace(CONFIG, validation_fraction=0.4)
    train(config, made / "store", tmp_path / "new", init=made / "run", say=said.append)
    (note,) = (each for each in said if "validation clips" in each)
    assert note.startswith("note: 3 of the 3 validation clips were used to train ")


@pytest.mark.parametrize(("select", "learned"), [("last", False), ("best_validation", True)])
def test_clips_that_a_run_was_watched_by_count_where_they_chose_its_weights(select, learned, made, tmp_path):
    config = replace(CONFIG, validation_fraction=0.4, select=select)
    watched = train(config, made / "store", tmp_path / "watched", say=quiet)
    said: list[str] = []
    train(config, made / "store", tmp_path / "new", init=watched, say=said.append)
    assert any("validation clips were used to train" in each for each in said) == learned


def test_what_does_not_go_together_is_refused(made, tmp_path, capsys):
    new = ("--store", made / "store", "--out", tmp_path / "new", *FLAGS)
    run = made / "run"
    save_pretrained(run, tmp_path / "exported")
    (tmp_path / "empty").mkdir()
    answers = {
        ("--init", run, "--resume", run): "--resume goes on with a run as it is, --init begins a new one from it",
        ("--init", run, "--weights", "reader", *new): "--weights would have no effect: --init says",
        ("--init", run, "--width", "16", *new): "and tsm_resnet18 of width 16 was asked for; leave both out",
        ("--init", run, "--model", "tsm_resnet34", *new): "and tsm_resnet34 of width 8 was asked for",
        ("--init", tmp_path / "nowhere", *new): f"there is no folder {tmp_path / 'nowhere'}",
        ("--init", tmp_path / "empty", *new): f"{tmp_path / 'empty'} is not a run folder",
        ("--init", tmp_path / "exported", *new): "is an exported model, not a run; begin from it with --weights ",
        ("--init", "ferplus", *new): "ferplus is a packaged reader, not a run; begin from it with --weights ferplus",
        ("--init", run, "--print_config"): "--init would have no effect: --print_config",
        ("--init", run, "--store", made / "store"): "name the store and the run folder",
    }
    for words, answer in answers.items():
        assert answer in refused(capsys, "train", *words)
    assert not (tmp_path / "new").exists()
    with pytest.raises(RequestError, match="both say what the training begins from"):
        train(replace(CONFIG, weights="ferplus"), made / "store", tmp_path / "new", init=run, say=quiet)


def test_a_file_of_settings_gives_way_to_init(made, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(replace(CONFIG, weights=str(made / "run" / "weights.safetensors")).to_yaml())
    asked = ("--config", path, "--init", made / "run", "--store", made / "store", "--out", tmp_path / "new")
    out, _ = told(capsys, "train", *asked)
    assert "note: the setting weights (" in out
    assert Run.open(tmp_path / "new").config.weights is None


def test_resume_refuses_settings_that_differ_and_names_them(made, tmp_path, capsys):
    run = Path(shutil.copytree(made / "run", tmp_path / "run"))
    said = refused(capsys, "train", "--resume", run, "--epochs", "99", "--learning_rate", "7", "--width", "8")
    assert f"the recipe of {run}: --epochs is 99, there it is 1; --learning_rate is 7.0, there it is 0.02; " in said
    assert f"a finished run is trained on with: midas train --init {run} " in said
    assert "width" not in said
    assert "--num_threads is 2, there it is 1" in refused(capsys, "train", "--resume", run, "--num_threads", "2")
    assert "--epochs is 0; expected a whole number from 1 to 1,000,000" in refused(
        capsys, "train", "--resume", run, "--epochs", "0"
    )
    assert "--out would have no effect" in refused(capsys, "train", "--resume", run, "--out", tmp_path / "x")
    (tmp_path / "other.yaml").write_text(replace(CONFIG, seed=5, num_workers=1).to_yaml())
    said = refused(capsys, "train", "--resume", run, "--config", tmp_path / "other.yaml")
    assert "--seed is 5, there it is 0" in said
    assert "num_workers" not in said  # which may differ
    assert main(["train", "--resume", str(run), "--epochs", "1", "--config", str(run / "config.yaml")]) == 0
    assert (
        "has ended already; its weights are there. To train on from it: midas train --init " in capsys.readouterr().out
    )
