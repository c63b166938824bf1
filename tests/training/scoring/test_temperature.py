"""The temperature of logits, against a search over a grid; and how a run keeps and uses it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.cli.main import main
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.calibrate import calibrate
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.models.scaled import Scaled
from midas_dfer.predict.predictor import Predictor
from midas_dfer.sharing.abstaining import held_out_of
from midas_dfer.sharing.ensemble import Ensemble
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import open_trained
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.readings import VoteReading
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.scoring.temperature import CALIBRATION_FILE, TemperatureScaling, fit_temperature
from midas_dfer.training.train import train
from tests.support.factories import make_store

pytestmark = pytest.mark.usefixtures("undrawn")

CPU = torch.device("cpu")


def cross_entropy(logits: torch.Tensor, votes: torch.Tensor, temperature: float = 1.0) -> float:
    return float(-(votes * (logits / temperature).log_softmax(dim=1)).sum(dim=1).mean())


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30.0), sharpness=st.floats(0.2, 5.0))
def test_no_other_temperature_is_nearer_to_the_votes(seed, scale, sharpness):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(60, 5, generator=generator, dtype=torch.float64)
    truth = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    votes = (sharpness * (truth + logits / scale)).softmax(dim=1)
    found = fit_temperature(logits, votes)
    assert 0.05 <= found <= 20
    best = cross_entropy(logits, votes, found)
    for other in np.geomspace(0.05, 20, 60):
        assert best <= cross_entropy(logits, votes, float(other)) + 1e-9


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.7])
def test_the_temperature_that_made_the_votes_is_found(temperature):
    logits = 2 * torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    assert fit_temperature(logits, (logits.double() / temperature).softmax(dim=1)) == pytest.approx(
        temperature, rel=1e-6
    )


@pytest.mark.parametrize("steps", [(), (("softmax", 0.5),), (("softmax", 1.0), ("spread", 0.1)), (("spread", 0.3),)])
def test_what_was_taught_is_read_off_again(steps):
    shares = torch.rand(20, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    shares /= shares.sum(dim=1, keepdim=True)
    reading = VoteReading(steps)
    torch.testing.assert_close(reading.vote_shares(reading.taught(shares).log()), shares)


def test_scaling_keeps_the_class_and_the_log_sum_exp():
    logits = 3 * torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scaled = Scaled(torch.nn.Identity(), 2.5).scale(logits)
    torch.testing.assert_close(scaled.softmax(dim=1), (logits / 2.5).softmax(dim=1))
    torch.testing.assert_close(scaled.logsumexp(dim=1), logits.logsumexp(dim=1))
    assert torch.equal(scaled.argmax(dim=1), logits.argmax(dim=1))


SMALL = RunConfig(
    width=8,
    size=24,
    num_segments=2,
    num_threads=1,
    precision="32",
    device="cpu",
    epochs=2,
    learning_rate=0.05,
    validation_fraction=0.4,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module", params=["midas", "hard"])
def run(request, store, tmp_path_factory):
    """Its logits are near twice those that fit the votes of the validation clips best, however the training went."""
    settings = {"midas": {}, "hard": {"labels": "hard", "mixer": "none"}}[request.param]
    run = train(
        replace(SMALL, **settings), store, tmp_path_factory.mktemp("run") / request.param, say=lambda line: None
    )
    validation = [name in run.part("validation") for name in store.manifest.video_ids]
    shares = torch.from_numpy(votes_to_soft_labels(store.manifest.votes[validation]))
    taught = shares.softmax(dim=1) if request.param == "midas" else shares
    model = run.load_model()
    with torch.no_grad():
        model.fc.bias.copy_(2 * (taught.mean(dim=0) + 0.05).log())
        model.fc.weight.mul_(0.05)
    run.finish(model, run.provenance.kept)
    return run


def test_a_run_is_calibrated_on_its_validation_part_and_read_so_everywhere(run, store, tmp_path, capsys):
    before = evaluate(run, store, part="all", out=tmp_path / "before", device="cpu")[1]
    validation = run.part("validation")
    rows = [name in validation for name in before.video_ids]
    assert main(["evaluate", str(run.path), "--store", str(store.path), "--device", "cpu", "--calibrate"]) == 0
    scaling = TemperatureScaling.read(run)
    assert f"logits are {scaling.words}" in " ".join(capsys.readouterr().out.split())
    logits = torch.from_numpy(before.probabilities[rows]).log()
    labels = torch.from_numpy(before.labels[rows])
    if run.path.name == "hard":
        logits, labels = logits[labels >= 0], labels[labels >= 0]
        targets = torch.eye(3, dtype=torch.float64)[labels]
    else:
        targets = torch.from_numpy(before.votes[rows]).softmax(dim=1)  # section 3.1 of the paper
    # Brute force: the best of many temperatures.
    grid = np.geomspace(0.05, 20, 4000)
    scores = [cross_entropy(logits, targets, float(each)) for each in grid]
    assert scaling.temperature == pytest.approx(grid[int(np.argmin(scores))], rel=3e-3)
    assert (scaling.num_clips, scaling.fitted_to) == (len(logits), "labels" if run.path.name == "hard" else "votes")
    assert (scaling.before, scaling.after) == pytest.approx((cross_entropy(logits, targets), min(scores)), rel=1e-4)
    assert scaling.after < scaling.before

    evaluation, after = evaluate(run, store, part="all", out=tmp_path / "after", device="cpu")
    assert evaluation.read_with == Evaluation.read(tmp_path / "after").read_with == scaling.words
    assert (after.predicted == before.predicted).all()
    expected = (torch.from_numpy(before.probabilities).log() / scaling.temperature).softmax(dim=1)
    np.testing.assert_allclose(after.probabilities, expected, atol=1e-6)
    folder = tmp_path / "exported"
    save_pretrained(run, folder)
    assert scaling.words.partition("= ")[2] in (folder / "README.md").read_text()
    exported = open_trained(folder)
    assert exported.info.scaling == scaling
    assert scaling.words in exported.described
    again = evaluate(exported, store, part="all", out=tmp_path / "exported_scores", device="cpu")[1]
    np.testing.assert_allclose(again.probabilities, after.probabilities, atol=1e-6)
    clips = torch.randint(0, 256, (3, 2, 3, 24, 24), dtype=torch.uint8)
    probabilities, _ = Predictor.from_run(run.path, device="cpu").predict_clips(clips)
    torch.testing.assert_close(
        probabilities, predict_logits(run.load_model(), clips, CPU).div(scaling.temperature).softmax(1)
    )


def test_refusals(store, tmp_path):
    run = train(replace(SMALL, epochs=1, validation_fraction=0), store, tmp_path / "run", say=lambda line: None)
    with pytest.raises(RequestError, match="has no validation part, and its test part must stay unseen"):
        calibrate(run, store, device="cpu")
    with pytest.raises(RequestError, match="calibrate the run that it came from"):
        calibrate("ferplus", store, device="cpu")
    evaluate(run, store, device="cpu")
    assert "chosen on test clips" in held_out_of(Ensemble.of(run)).caution
    scaling = TemperatureScaling(1.3, 412, "votes", 0.9, 0.8)
    assert scaling.words == "scaled by T = 1.3, fitted on 412 validation clips"
    scaling.write(run)
    assert TemperatureScaling.read(run) == scaling
    # Scores from before are of other probabilities.
    with pytest.raises(RequestError, match="as it is read now, and there is none"):
        held_out_of(Ensemble.of(run))
    save_pretrained(run, tmp_path / "exported")
    assert "scaled otherwise than now" in (tmp_path / "exported" / "README.md").read_text()
    file = run.path / CALIBRATION_FILE
    content = json.loads(file.read_text())
    for changed, said in (({"weights": "0"}, "fitted for other weights"), ({"temperature": 0}, "is damaged")):
        file.write_text(json.dumps({**content, **changed}))
        with pytest.raises(RequestError, match=said):
            open_trained(run)
