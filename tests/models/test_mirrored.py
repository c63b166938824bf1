"""A model that reads mirror images, too: the mean of both, in every place that a model is used in."""

import json

import numpy as np
import pytest
import torch

from midas_dfer.cli import main
from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.explain import explain
from midas_dfer.models.activation_maps import class_activation_maps
from midas_dfer.models.mirrored import Mirrored
from midas_dfer.models.zoo import create_model
from midas_dfer.predict.predictor import Predictor
from midas_dfer.readers import READERS
from midas_dfer.sharing.exported import read_info
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.sharing.trained import from_pretrained, open_trained
from midas_dfer.training.train import train
from tests.sharing.test_trained import TINY
from tests.support.factories import make_store

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store, a run on it, and its exports without and with mirror."""
    folder = tmp_path_factory.mktemp("mirrored")
    train(TINY, make_store(folder), folder / "run", say=lambda line: None)
    save_pretrained(folder / "run", folder / "plain")
    assert main(["export", str(folder / "run"), "--out", str(folder / "both"), "--mirrored"]) == 0
    return folder


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 2, 3, 32, 32), dtype=torch.uint8, generator=generator)


def test_the_logits_are_the_mean_of_both(made, clips):
    plain, _ = from_pretrained(made / "plain")
    both, info = from_pretrained(made / "both")
    pixels = normalize_pixels(clips)
    with torch.no_grad():
        one, other, mean = plain(pixels), plain(pixels.flip(-1)), both(pixels)
    assert info.mirrored
    assert not torch.allclose(one, other, atol=1e-4)
    torch.testing.assert_close(mean, (one + other) / 2)
    probabilities, _ = Predictor.from_pretrained(made / "both").predict_clips(clips)
    of_mirror, _ = Predictor.from_pretrained(made / "both").predict_clips(clips.flip(-1))
    torch.testing.assert_close(probabilities, of_mirror)
    assert "read in the mirror, too" in open_trained(made / "both").described


def test_what_reads_so_is_copied_so(made, clips, tmp_path):
    save_pretrained(made / "both", tmp_path / "copy", half=True)
    assert read_info(tmp_path / "copy").mirrored
    expected, _ = Predictor.from_pretrained(made / "both").predict_clips(clips)
    found, _ = Predictor.from_pretrained(tmp_path / "copy").predict_clips(clips)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    model = create_model(
        "tsm_resnet18", 7, width=8, weights=made / "both", class_names=read_info(made / "both").class_names
    )
    assert not isinstance(model, Mirrored)  # training starts from the network


def test_an_export_without_it_can_be_read_by_earlier_versions(made):
    stored = json.loads((made / "plain" / "config.json").read_text())
    assert stored["format"] == 2
    assert "mirrored" not in stored
    with_it = json.loads((made / "both" / "config.json").read_text())
    assert with_it["format"] == 3
    assert with_it["mirrored"] is True
    with pytest.raises(RequestError, match="mirrored is 'yes'; expected true or false"):
        ModelInfo.from_dict({**with_it, "mirrored": "yes"})


def test_the_evidence_is_the_mean_of_both_the_right_way_round(clips):
    model = create_model("still_resnet10", 4, width=8, generator=torch.Generator().manual_seed(0)).eval()
    pixels = normalize_pixels(clips)
    found = class_activation_maps(Mirrored(model), pixels)
    with torch.no_grad():
        logits = Mirrored(model)(pixels)
    torch.testing.assert_close(found.logits, logits)
    assert found.classes.tolist() == logits.argmax(dim=1).tolist()
    one = class_activation_maps(model, pixels, found.classes).maps
    other = class_activation_maps(model, pixels.flip(-1), found.classes).maps
    torch.testing.assert_close(found.maps, (one + other.flip(-1)) / 2)
    mirrored = class_activation_maps(Mirrored(model), pixels.flip(-1), found.classes)
    torch.testing.assert_close(mirrored.maps, found.maps.flip(-1))
    bias = model.fc.bias.detach()[found.classes]  # complete, as that of the network alone
    chosen = logits.gather(1, found.classes.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(found.maps.sum(dim=(1, 2, 3)), chosen - bias, atol=1e-4, rtol=1e-4)


def test_every_verb_reads_so(made, tmp_path):
    """Scores and evidence of the folder are those of the mean, not of the network that lies in it."""
    assert (
        main(["evaluate", str(made / "both"), "--store", str(made / "store"), "--out", str(tmp_path / "scores")]) == 0
    )
    scores = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    assert scores["num_clips"] > 0
    shown = explain(made / "both", store=made / "store").clips[0]
    alone = explain(made / "plain", store=made / "store", clips=[shown.video_id]).clips[0]
    assert shown.video_id == alone.video_id
    assert not np.allclose(shown.probabilities, alone.probabilities, atol=1e-6)


def test_the_card_says_so_and_whose_the_scores_are(made, capsys, tmp_path):
    card = (made / "both" / "README.md").read_text()
    assert "each clip is read in the mirror, too" in card
    assert main(["evaluate", str(made / "run"), "--store", str(made / "store")]) == 0
    capsys.readouterr()
    assert main(["export", str(made / "run"), "--out", str(tmp_path / "again"), "--mirrored"]) == 0
    assert "scores are those without the mirror" in capsys.readouterr().out
    card = (tmp_path / "again" / "README.md").read_text()
    assert "They were measured without the mirror" in card
    assert "model-index" not in card
    assert main(["export", str(made / "plain"), "--out", str(tmp_path / "copy"), "--mirrored"]) == 0
    assert "the card does not speak of the mirror" in capsys.readouterr().out


def test_packaged_readers_say_how_they_read():
    assert all(isinstance(read_info(reader.folder).mirrored, bool) for reader in READERS.values())


@pytest.mark.slow
def test_in_onnx(made, clips, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    import onnxruntime

    save_pretrained(made / "both", tmp_path / "onnx", onnx=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    found = session.run(["probabilities"], {"clips": clips.numpy()})[0]
    expected, _ = Predictor.from_pretrained(made / "both").predict_clips(clips)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
