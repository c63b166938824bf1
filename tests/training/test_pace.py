"""What a training says at its start, on its way, and of its epochs."""

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import JobError
from midas_dfer.progress import about
from midas_dfer.reproduce.substores import write_substore
from midas_dfer.training import pace
from midas_dfer.training.callbacks import epoch_line
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.long_recipes import few_epochs
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.train import resume, train
from tests.sharing.test_trained import TINY
from tests.support.factories import make_store

ROW = {"epoch": "3", "train_loss": "1.94521", "train_uar": "0.208", "train_war": "0.238", "seconds": "12.04"}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("pace"), clips=12)


class Clock:
    """Stands for the time: each look at it is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def tiny(**changes) -> RunConfig:
    return replace(TINY, **{"device": "cpu", "precision": "32", **changes})


def test_what_is_said_at_the_start(store, tmp_path):
    said: list[str] = []
    train(tiny(epochs=2, batch_size=3), store, tmp_path / "run", say=said.append)
    assert said[0] == f"tsm_resnet18, MIDAS, 9 clips, 2 epochs: {tmp_path / 'run'}"
    assert said[1].startswith("clips: fold 1 is for testing")  # before the training, not only behind it
    assert said[2] == "computed in float32 on cpu"
    assert said[3] == "weights: random; the paper's ResNet-18 begins with ImageNet's (--weights FILE)"
    assert "steps: 3 an epoch, 6 in all" in said
    assert [each for each in said if " left" in each] == []  # a training of a second


def test_labels_that_stand_for_votes_are_told(store, tmp_path):
    labelled = store.manifest.select([row for row, label in enumerate(store.manifest.labels) if label >= 0])
    nothing = pl.Series("votes", [None] * len(labelled), dtype=labelled.table["votes"].dtype)
    voteless = write_substore(store, labelled.with_columns(votes=nothing), tmp_path / "voteless")
    for labels, times in (("soft", 1), ("hard", 0)):
        said: list[str] = []
        train(tiny(epochs=1, labels=labels), voteless, tmp_path / labels, say=said.append)
        assert sum("no training clip has votes" in each for each in said) == times


def test_lines_at_least_every_minute_and_the_time_left(store, tmp_path, monkeypatch):
    """Eight steps an epoch, 32 in all, of two or three seconds by a clock of our own."""
    monkeypatch.setattr(pace, "time", Clock())
    monkeypatch.setattr(pace, "LINE_SECONDS", 10.0)
    said: list[str] = []
    train(tiny(epochs=4, batch_size=1, mixer="none"), store, tmp_path / "run", say=said.append)
    promised = [each for each in said if re.fullmatch(r"about \d+ s left after \d+ of 32 steps", each)]
    assert len(promised) == 1
    steps = [each for each in said if re.match(r"epoch \d of 4, step \d+ of 32: loss \d\.\d{4}", each)]
    assert len(steps) == 3  # beside the lines of the epochs
    left = [int(found) for each in said for found in re.findall(r"about (\d+) s left", each)]
    assert left == sorted(left, reverse=True)
    assert left[0] < 32 * 4


def test_after_a_resume_only_what_is_left_is_counted(store, tmp_path, monkeypatch):
    real = Recognizer.training_step

    def breaks(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise JobError("the lights went out")
        return real(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", breaks)
    with pytest.raises(JobError, match="lights"):
        train(tiny(epochs=3, batch_size=3), store, tmp_path / "run", say=lambda line: None)
    monkeypatch.undo()
    monkeypatch.setattr(pace, "time", Clock())
    said: list[str] = []
    resume(tmp_path / "run", say=said.append)
    assert "steps: 3 an epoch, 9 in all, 6 left" in said
    assert [each.split("  ")[0] for each in said if each.startswith("epoch ")] == ["epoch 2 of 3", "epoch 3 of 3"]


def test_one_bar_for_the_whole_training(store, tmp_path, capsys):
    said: list[str] = []
    train(tiny(epochs=2, batch_size=3), store, tmp_path / "run", bar=True, say=said.append)
    shown = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert any(re.match(r"epoch 2/2 100%\|.*\| 6/6 \[", line) for line in shown)
    assert not any("/3 [" in line for line in shown)  # none of an epoch's own
    assert len([each for each in said if each.startswith("epoch ")]) == 2


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({}, "epoch 3 of 9  training, mixed clips: loss 1.9452, UAR 20.8 %, WAR 23.8 %"),
        ({"mixer": "none"}, "epoch 3 of 9  training clips: loss 1.9452, UAR 20.8 %, WAR 23.8 %"),
        ({"mixer": "cutout", "normalization": "none"}, "epoch 3 of 9  training clips: loss "),
    ],
)
def test_scores_of_an_epoch_are_called_what_they_are(settings, begins):
    config = RunConfig(epochs=9, **settings)
    assert epoch_line(ROW, config, "").startswith(begins)
    assert epoch_line(ROW, config, "about 3.0 h left").endswith("  12.0 s, about 3.0 h left")
    assert "validation: UAR 30.0 %, WAR 40.0 %  12.0 s" in epoch_line(
        {**ROW, "val_uar": ".3", "val_war": ".4"}, config, ""
    )


def test_times_for_people():
    times = {40.4: "40 s", 600: "10 min", 7200: "2.0 h", 86400: "24 h", 4.2 * 86400: "4.2 days", 40 * 86400: "40 days"}
    assert {seconds: about(seconds) for seconds in times} == times


def test_a_softmax_needs_a_long_training():
    said = few_epochs(RunConfig(epochs=6), 7)
    assert "needs a long training" in said
    assert "31% for that class and 11% for each other" in said
    assert "450 epochs, this is 6" in said
    for config in (RunConfig(), RunConfig(epochs=6, normalization="none"), RunConfig(epochs=6, mixer="mixup")):
        assert few_epochs(config, 7) == ""
    assert few_epochs(RunConfig(epochs=6, temperature=0.25), 7) == ""  # 90 % for that class
    assert few_epochs(RunConfig(epochs=6), 2) == ""


def test_it_is_said_in_train(store, tmp_path):
    said: list[str] = []
    config = tiny(epochs=1, temperature=2.0)
    train(config, store, tmp_path / "run", say=said.append)
    assert f"note: {few_epochs(config, 3)}" in said
    assert Path(tmp_path / "run" / "weights.safetensors").exists()
