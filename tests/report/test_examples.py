"""The examples run as they stand; where a package is not installed, a stand-in has what the example uses of it."""

import importlib.util
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from midas_dfer.demo import REAL_CLIP
from midas_dfer.video.read import iter_frames
from tests.models.test_pretrained_trunks import import_timm
from tests.predict.test_predict import make_run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
ONE_CLIP = "ignore:A batch of a single clip was not mixed"


@pytest.fixture
def example(monkeypatch, capsys):
    """Runs an example in this process; gives what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.syspath_prepend(str(EXAMPLES))
        random = torch.get_rng_state()
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        finally:
            torch.set_rng_state(random)
            sys.modules.pop("made_up", None)
        return capsys.readouterr().out

    return run


def last_number(text: str) -> float:
    return float(re.findall(r"\d+\.?\d*", text.splitlines()[-1])[0])


def test_the_page_names_every_example():
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert programs == set(re.findall(r"\]\((\w+\.py)\)", PAGE))
    assert all(f"python examples/{name}" in (EXAMPLES / name).read_text() for name in programs - {"made_up.py"})


@pytest.mark.filterwarnings(ONE_CLIP)
def test_plain_loop(example):
    said = example("plain_loop.py")
    assert len(re.findall(r"epoch \d: loss 1\.\d+ on mixed clips", said)) == 3
    assert 5 < last_number(said) < 60


def test_timm(example, monkeypatch):
    if importlib.util.find_spec("timm") is None:
        stand_in = ModuleType("timm")
        stand_in.create_model = lambda name, pretrained, num_classes: nn.Sequential(
            nn.Flatten(), nn.LazyLinear(num_classes)
        )
        monkeypatch.setitem(sys.modules, "timm", stand_in)
    else:
        import_timm()
    assert len(re.findall(r"epoch \d: loss \d\.\d+ on mixed stills", example("timm_model.py"))) == 2


class Trainer:
    """What the example relies on of Hugging Face's Trainer: which collator makes which batches, and whose loss."""

    def __init__(self, model, args, train_dataset, eval_dataset, data_collator, compute_loss_func):
        self.model, self.args, self.data_collator, self.loss = model, args, data_collator, compute_loss_func
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        assert args.remove_unused_columns is False

    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, self.args.per_device_train_batch_size, collate_fn=self.data_collator)

    def _loss(self, batch):
        labels = batch.pop("labels")
        return self.loss(self.model(**batch), labels, num_items_in_batch=None)

    def train(self):
        optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        for _ in range(self.args.num_train_epochs):
            for batch in self.get_train_dataloader():
                assert set(batch) == {"pixel_values", "labels"}
                optimizer.zero_grad()
                self._loss(batch).backward()
                optimizer.step()

    def evaluate(self):
        (batch,) = DataLoader(self.eval_dataset, 100, collate_fn=self.data_collator)
        torch.testing.assert_close(batch["labels"], self.eval_dataset.clips.soft_labels)  # not mixed
        return {"eval_loss": float(self._loss(batch).detach())}


class VideoModel(nn.Module):
    """Takes what VideoMAE takes and gives what it gives."""

    def __init__(self, config):
        super().__init__()
        self.layer = nn.Linear(config.num_frames * 3 * config.image_size**2, config.num_labels)

    def forward(self, pixel_values):
        return SimpleNamespace(logits=self.layer(pixel_values.flatten(1)))


@pytest.mark.filterwarnings(ONE_CLIP)
def test_hugging_face(example, monkeypatch):
    if importlib.util.find_spec("transformers") is None:
        stand_in = ModuleType("transformers")
        stand_in.Trainer, stand_in.VideoMAEForVideoClassification = Trainer, VideoModel
        stand_in.TrainingArguments = stand_in.VideoMAEConfig = SimpleNamespace
        monkeypatch.setitem(sys.modules, "transformers", stand_in)
    assert 0.5 < last_number(example("hugging_face.py")) < 3


@pytest.mark.filterwarnings(
    r"ignore::UserWarning:lightning\.", r"ignore::FutureWarning:lightning\.", "ignore:.*LeafSpec"
)
def test_lightning(example):
    assert 0.5 < last_number(example("lightning_module.py")) < 3


class Camera:
    """Shows the packaged clip, once."""

    frames = 12

    def __init__(self, number: int) -> None:
        self.number = number
        frames = iter_frames(REAL_CLIP, pixel_format="bgr24")
        self._images = [cv2.resize(next(frames).image, (160, 120)) for _ in range(self.frames)]

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.number == 0

    def read(self):
        return (True, self._images.pop(0)) if self._images else (False, None)

    def release(self) -> None:
        self.number = -1


def test_webcam(example, monkeypatch, tmp_path):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    run = make_run(tmp_path / "run")
    said = example("webcam.py", "--run", run)
    assert said.startswith("read by the run run: ")
    assert re.search(r"\n +0\.0 - +\d+\.\d s  face 1: (happy|sad|angry) \d+%, ", said)
    with pytest.raises(SystemExit, match="There is no camera 3"):
        example("webcam.py", "--camera", 3)


def test_own_votes(example, tmp_path):
    said = example("own_votes.py", "--out", tmp_path, "--jobs", 1)
    assert "18 videos, 8.0 votes each, classes ('happy', 'sad', 'neutral')" in said
    assert "18 videos can be used; not: none" in said
    assert "of 6 videos that were not trained on" in said
    assert (tmp_path / "run" / "evaluation" / "evaluation.json").is_file()
