"""What a GPU computes is what the CPU computes; skipped where there is none. `make bench-gpu` runs this file."""

import json

import numpy as np
import pytest
import torch

from midas_dfer.clips.batches.augment import crop_sides
from midas_dfer.clips.batches.device_crops import DeviceCrops
from midas_dfer.exact import exactly
from midas_dfer.models.folding import folded
from midas_dfer.predict.predictor import Predictor
from midas_dfer.synthetic import write_new_video
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.metrics_file import read_epochs
from midas_dfer.training.train import train
from tests.support.factories import make_store
from tests.support.zoo_cases import NAMES, settled_model, some_clips

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.mark.parametrize("name", NAMES)
def test_a_network_computes_the_same(name):
    model, clips = settled_model(name), some_clips()
    with torch.no_grad():
        expected = model(clips)
        with exactly(torch.float32, torch.device("cuda")):
            found = folded(model).cuda()(clips.cuda()).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_video_is_read_alike(tmp_path):
    write_new_video(tmp_path / "a.mp4", seed=1, seconds_each=1.0, size=(320, 240))
    here, there = (
        Predictor.from_pretrained("ferplus", device=d).predict_video(tmp_path / "a.mp4") for d in ("cpu", "cuda")
    )
    assert len(here.tracks) == len(there.tracks) >= 1
    for a, b in zip(here.tracks, there.tracks, strict=True):
        shares = [np.array([window.vote_shares for window in track.windows]) for track in (a, b)]
        assert (
            np.abs(shares[0] - shares[1]).sum(axis=1).mean() / 2 < 0.02
        )  # faces are cut by a fraction of a pixel apart


def test_clips_are_read_the_same():
    cpu, gpu = (Predictor.from_pretrained("ferplus", device=d) for d in ("cpu", "cuda"))
    generator = torch.Generator().manual_seed(0)
    shape = (4, cpu.info.num_frames, 3, cpu.info.size, cpu.info.size)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    expected, found = (predict_logits(p.model, clips, p.device) for p in (cpu, gpu))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_passes_with_dropout_are_the_same_thinned_networks():
    cpu, gpu = (Predictor.from_pretrained("ferplus", device=d, mc_dropout=3) for d in ("cpu", "cuda"))
    clips = torch.randint(0, 256, (5, 8, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(gpu.predict_clips(clips)[0], cpu.predict_clips(clips)[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("mixer", ["midas", "none", "cutmix"])
def test_a_training_goes_the_same_way(tmp_path, mixer):
    store = make_store(tmp_path / "made")
    losses = {}
    for device in ("cpu", "cuda"):
        config = RunConfig(
            width=8, size=24, num_segments=2, epochs=2, precision="32", dropout=0.0, mixer=mixer, device=device
        )
        run = train(config, store, tmp_path / device, say=lambda line: None)
        losses[device] = [float(row["train_loss"]) for row in read_epochs(run.path / "logs" / "metrics.csv", 2)]
        assert json.loads((run.path / "run.json").read_text())["device"].startswith(device)
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=2e-3)


def losses_of(store, out, **settings):
    config = RunConfig(
        width=8, size=24, num_segments=2, epochs=2, precision="32", dropout=0.0, device="cuda", **settings
    )
    run = train(config, store, out, say=lambda line: None)
    return [float(row["train_loss"]) for row in read_epochs(run.path / "logs" / "metrics.csv", 2)]


@pytest.mark.parametrize(("side", "size"), [(224, 224), (224, 112), (112, 224), (100, 37)])
def test_crops_are_those_of_opencv_to_the_bit(side, size):
    lengths = crop_sides(side, size, (1.0, 0.875, 0.75, 0.66))
    DeviceCrops(side, size, lengths, torch.device("cuda"))  # compares itself with OpenCV for all of them


@pytest.mark.parametrize("settings", [{"cache": "device"}, {"cache": "ram"}, {"compile": True}], ids=str)
def test_cached_and_compiled_trainings_go_the_same_way(tmp_path, settings):
    store = make_store(tmp_path / "made")
    plain = losses_of(store, tmp_path / "plain")
    np.testing.assert_allclose(losses_of(store, tmp_path / "other", **settings), plain, rtol=2e-3)


@pytest.mark.parametrize("mixer", ["midas", "none"])
def test_a_step_does_not_wait_for_the_gpu(tmp_path, monkeypatch, mixer):
    step = Recognizer.training_step

    def without_waiting(self, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("error")
        try:
            return step(self, batch, batch_idx)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Recognizer, "training_step", without_waiting)
    assert np.isfinite(losses_of(make_store(tmp_path / "made"), tmp_path / "run", mixer=mixer)).all()
