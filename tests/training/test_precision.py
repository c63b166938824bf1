"""Scores do not depend on what the hardware would choose; what was chosen is written down and kept to."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from midas_dfer.cli.main import main
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.evaluation.explain import explain
from midas_dfer.exact import exactly
from midas_dfer.predict.predictor import Predictor
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.training.devices import check_precision, computed_on
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import resume, train
from tests.support.factories import make_store

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = RunConfig(width=8, size=24, num_segments=2, num_threads=1, epochs=2, learning_rate=0.05)


def hardware(monkeypatch, has_bf16: bool) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: has_bf16, raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("precision"))


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        hardware(patch, has_bf16=False)
        return train(SMALL, store, tmp_path_factory.mktemp("run") / "run", say=lambda line: None)


def all_readings(run: Run, store, folder, onnx: bool) -> dict[str, np.ndarray]:
    """The probabilities of the test clips by each way to them."""
    _, predictions = evaluate(run, store, device="cpu", out=folder / "scores")
    rows = [place for place, name in enumerate(store.manifest.video_ids) if name in predictions.video_ids]
    view = ClipView(run.config.num_segments, run.config.size)
    dataset = ClipDataset(store, store.manifest.select(rows), view=view)
    clips = torch.cat([dataset[place].clips for place in range(len(dataset))])
    save_pretrained(run, folder / "shared", onnx=onnx)
    found = {"evaluate": predictions.probabilities}
    for name, predictor in (
        ("run", Predictor.from_run(run.path, device="cpu")),
        ("folder", Predictor.from_pretrained(folder / "shared", device="cpu")),
    ):
        found[name] = predictor.predict_clips(clips)[0].numpy()
    explained = explain(run, store, clips=predictions.video_ids, device="cpu")
    found["explain"] = np.stack([clip.probabilities for clip in explained.clips])
    if onnx:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / "shared" / "model.onnx"))
        found["onnx"] = session.run(["probabilities"], {"clips": clips.numpy()})[0]
    return found


def test_what_the_hardware_has_changes_no_score(run, store, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    found = {}
    for has_bf16 in (False, True):
        hardware(monkeypatch, has_bf16)
        found |= {
            (name, has_bf16): values
            for name, values in all_readings(run, store, tmp_path / str(has_bf16), onnx=not has_bf16).items()
        }
    first = found["evaluate", False]
    assert len(found) == 9
    for values in found.values():
        np.testing.assert_allclose(values, first, rtol=0, atol=1e-4)
    # On request, and then it shows.
    evaluation, predictions = evaluate(run, store, device="cpu", precision="auto", out=tmp_path / "auto")
    assert evaluation.precision == "bf16"
    assert np.abs(predictions.probabilities - first).max() > 1e-4
    quick = Predictor.from_run(run.path, device="cpu", precision="bf16")
    assert quick.dtype == torch.bfloat16
    assert explain(run, store, num=1, device="cpu", precision="auto").precision == "bf16"


def test_what_was_chosen_is_said_and_kept(store, tmp_path, monkeypatch, capsys):
    hardware(monkeypatch, has_bf16=True)
    train(replace(SMALL, epochs=1, device="cpu"), store, tmp_path / "run")
    assert "computed in bfloat16 on cpu" in capsys.readouterr().out
    made = Run.open(tmp_path / "run").provenance
    assert (made.precision, made.device) == ("bf16", "cpu")
    folder, place = str(tmp_path / "run"), str(store.path)
    assert main(["evaluate", folder, "--store", place, "--device", "cpu", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["precision"], scores["device"]) == ("32", "cpu")
    assert main(["evaluate", folder, "--store", place, "--device", "cpu", "--precision", "bf16"]) == 0
    assert "in bfloat16 on cpu" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())["precision"] == "bf16"


def test_a_training_goes_on_only_in_the_precision_it_began_with(run, store, tmp_path, monkeypatch):
    shutil.copytree(run.path, tmp_path / "run")
    begun = Run.open(tmp_path / "run")
    begun.update(finished=None)
    hardware(monkeypatch, has_bf16=True)
    with pytest.raises(RequestError, match=r"began in float32 and would go on in bfloat16 here.* --precision 32"):
        resume(begun.path, store, say=lambda line: None)
    hardware(monkeypatch, has_bf16=False)
    assert resume(begun.path, store, say=lambda line: None).finished


def test_a_precision_that_was_not_kept_is_taken_as_it_is():
    check_precision(Path("run"), None, "bf16")
    check_precision(Path("run"), "32", "32")


def test_float32_on_a_gpu_is_not_tensorfloat32():
    settings = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [each.allow_tf32 for each in settings]
    assert before[0]  # PyTorch's default for convolutions: ten bits
    with exactly(torch.float32, torch.device("cuda")):
        assert not any(each.allow_tf32 for each in settings)
    assert [each.allow_tf32 for each in settings] == before
    with pytest.raises(KeyError), exactly(torch.float32, torch.device("cuda")):
        raise KeyError
    assert [each.allow_tf32 for each in settings] == before
    # Another thread's end does not turn it on again.
    one, other = (exactly(torch.float32, torch.device("cuda")) for _ in range(2))
    with one:
        other.__enter__()
    assert not any(each.allow_tf32 for each in settings)
    other.__exit__(None, None, None)
    assert [each.allow_tf32 for each in settings] == before


def test_a_precision_that_is_none_is_refused(run, store):
    with pytest.raises(RequestError, match="the precision is 'fp16'; expected auto or 32 or bf16"):
        computed_on("fp16", "cpu")
    with pytest.raises(RequestError, match="the precision is '16'"):
        evaluate(run, store, precision="16")
    with pytest.raises(RequestError, match="the precision is '16'"):
        Predictor.from_run(run.path, precision="16")
