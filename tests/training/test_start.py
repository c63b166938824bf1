"""A network starts from the trunk of a trained one: a packaged reader, or an exported folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from midas_dfer.cli import main
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.models import create_model
from midas_dfer.models.pretrained import load_pretrained
from midas_dfer.readers import DEFAULT_READER
from midas_dfer.readers.start import CONFIG_FILE, WEIGHTS_FILE, find_start
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import train
from tests.support.factories import make_store

READER = json.loads((DEFAULT_READER.folder / CONFIG_FILE).read_text())
NETWORK = (READER["architectures"][0], READER["width"], READER["image_size"])
QUICK = {"num_segments": 2, "epochs": 1, "precision": "32", "device": "cpu", "num_threads": 1, "num_workers": 0}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("start"), clips=12)


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(DEFAULT_READER.folder, tmp_path / "exported"))


def network(config: RunConfig) -> tuple[str, int, int]:
    return config.model, config.width, config.size


def test_what_is_not_given_is_the_readers():
    config = RunConfig(weights="reader")
    assert network(config) == NETWORK
    assert config.weights == DEFAULT_READER.name  # another version may have another reader
    assert config == RunConfig(weights=DEFAULT_READER.name)
    assert RunConfig(weights="reader", size=64).size == 64
    assert network(RunConfig()) == network(RunConfig(weights="imagenet.pth")) == ("tsm_resnet18", 64, 224)


def test_the_trunk_is_taken_and_nameless_classes_stay_behind():
    there = load_file(DEFAULT_READER.folder / WEIGHTS_FILE)
    for classes in (3, READER["num_classes"]):  # of the same number, but who knows whether the same ones
        model = create_model(NETWORK[0], classes, weights="reader", generator=torch.Generator().manual_seed(0))
        drawn = create_model(NETWORK[0], classes, width=NETWORK[1], generator=torch.Generator().manual_seed(0))
        for name, value in model.state_dict().items():
            expected = drawn.fc.state_dict()[name[3:]] if name.startswith("fc.") else there[name].float()
            assert torch.equal(value.float(), expected), name


def test_classes_that_both_have_are_taken_by_name():
    there = load_file(DEFAULT_READER.folder / WEIGHTS_FILE)
    names = ("anger", "bored", "happiness")
    model = create_model(NETWORK[0], 3, weights="reader", class_names=names)
    for own, theirs in ((0, "angry"), (2, "happy")):
        place = READER["label2id"][theirs]
        assert torch.equal(model.fc.weight[own], there["fc.weight"][place].float())
        assert torch.equal(model.fc.bias[own], there["fc.bias"][place].float())
    assert model.fc.bias[1] == 0  # as drawn
    said = load_pretrained(model, NETWORK[0], "reader", names)
    assert said.endswith("with its classes anger, happiness; new are bored")
    said = load_pretrained(model, NETWORK[0], "reader", ("bored", "tired", "alert"))
    assert said.endswith("classifier starts at random")


def test_a_run_says_what_it_took_and_opens_without_it(store, folder, tmp_path):
    said: list[str] = []
    train(RunConfig(weights=str(folder), mixer="none", **QUICK), store, tmp_path / "run", say=said.append)
    (line,) = (line for line in said if line.startswith("weights: "))
    assert f"the exported model {folder} ({NETWORK[0]}, width {NETWORK[1]}, pictures of {NETWORK[2]} pixels)" in line
    assert line.endswith(", with its classes happy, sad, angry")
    shutil.rmtree(folder)
    run = Run.open(tmp_path / "run")
    assert network(run.config) == NETWORK
    assert run.load_model().fc.out_features == 3


@pytest.mark.parametrize("settings", [{"model": "tsm_resnet18"}, {"width": 16}])
def test_another_network_is_refused_before_anything_is_written(settings, store, folder, tmp_path):
    config = RunConfig(weights=str(folder), **settings, **QUICK)
    with pytest.raises(
        RequestError, match=f"or ask for --model {NETWORK[0]} --width {NETWORK[1]}|leave the width at 64"
    ):
        train(config, store, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RequestError, match="does not fit the --model or --width"):
        create_model("tsm_resnet18", 3, weights=folder)
    with pytest.raises(RequestError, match="does not fit the --model or --width"):  # a recipe names its network
        train(replace(RunConfig(**QUICK), weights="reader"), store, tmp_path / "run")


def test_a_damaged_file_is_told_from_another_network(folder):
    (folder / WEIGHTS_FILE).write_bytes((folder / WEIGHTS_FILE).read_bytes()[:-9])
    with pytest.raises(RequestError, match="not a whole safetensors file"):
        create_model(NETWORK[0], 3, weights=folder)
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(RequestError, match="no weight file"):
        create_model(NETWORK[0], 3, weights=folder)


def test_what_is_no_start_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=f"--weights ferplis is not there; .*{DEFAULT_READER.name}"):
        RunConfig(weights="ferplis")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"a folder without config\.json"):
        find_start("empty")
    (tmp_path / "empty" / "run.json").touch()
    with pytest.raises(RequestError, match=r"is a run; export it.*midas export empty --out DIR"):
        find_start("empty")
    (tmp_path / "empty" / CONFIG_FILE).write_text("{}")
    with pytest.raises(RequestError, match="does not say which model it is"):
        find_start("empty")
    assert find_start("packaged") is find_start("file.pth") is None


def test_a_path_that_leads_somewhere_wins(folder, tmp_path, monkeypatch):
    values = READER | {"image_size": 40}
    (folder / CONFIG_FILE).write_text(json.dumps(values))
    folder.rename(tmp_path / "reader")
    monkeypatch.chdir(tmp_path)
    config = RunConfig(weights="reader")
    assert (config.weights, config.size) == ("reader", 40)


def test_the_reader_is_not_mistaken_for_a_folder_that_is_called_as_it_is(folder, tmp_path, monkeypatch):
    folder.rename(tmp_path / "ferplus")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=r"packaged reader ferplus, and a file .* here, too; .*`weights` \./ferplus"):
        RunConfig(weights="reader")
    assert RunConfig(weights="./ferplus").weights == "./ferplus"
    saved = RunConfig(weights="ferplus", model="still_resnet18", width=32, size=48)
    assert saved.weights == "ferplus"  # a run that has begun opens wherever one is


def test_the_command_shows_what_it_takes(capsys):
    assert main(["train", "--weights", "reader", "--size", "64", "--print_config"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["model"], shown["width"], shown["size"]) == (*NETWORK[:2], 64)
    assert main(["train", "--weights", "nobody", "--print_config"]) == 2
    assert "expected a packaged reader's name" in capsys.readouterr().err
