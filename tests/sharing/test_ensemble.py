"""Several networks read as one: their mean is a plain loop's, passes with dropout are the same whatever is read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from midas_dfer.cli.main import main
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.metrics import dirichlet_uncertainty, ensemble_uncertainty
from midas_dfer.models.mirrored import Mirrored
from midas_dfer.models.thinned import Thinned
from midas_dfer.sharing.ensemble import Ensemble, Network, Output, combined
from midas_dfer.sharing.trained import open_trained
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.predictions_file import read_predictions
from midas_dfer.training.train import train
from tests.support.factories import make_store

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = RunConfig(width=8, size=24, num_segments=2, num_threads=1, precision="32", epochs=2, device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    settings = {
        "midas": {},
        "plain": {"mixer": "none", "size": 32, "num_segments": 4, "model": "mean_resnet18"},
        "hard": {"labels": "hard", "mixer": "none", "dropout": 0.0},
        "other_fold": {"test_fold": 2, "mixer": "none"},
    }
    made = {name: replace(SMALL, **each) for name, each in settings.items()}
    return {name: train(config, store, folder / name, say=lambda line: None) for name, config in made.items()}


def test_the_mean_of_two_networks_of_other_sizes(runs, store, tmp_path):
    alone = [evaluate(runs[name], store, out=tmp_path / name, device="cpu")[1] for name in ("midas", "plain")]
    scores, both = evaluate(runs["midas"], store, ensemble=[runs["plain"]], out=tmp_path / "both", device="cpu")
    np.testing.assert_allclose(both.probabilities, np.mean([each.probabilities for each in alone], axis=0), atol=1e-7)
    members = np.array([each.vote_shares for each in alone])
    np.testing.assert_allclose(both.vote_shares, members.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(both.uncertainty, ensemble_uncertainty(members), atol=1e-7)
    assert scores.read_with == "mean of 2 models"
    assert scores.read_by == "the ensemble of the run midas and the run plain"
    assert (scores.model, scores.weights) != (None, runs["midas"].provenance.weights_digest)
    read = read_predictions(tmp_path / "both" / "predictions.csv", scores)
    np.testing.assert_allclose(read.uncertainty, both.uncertainty, rtol=1e-8)
    assert alone[0].uncertainty is None


def test_a_member_without_vote_shares_and_one_that_learned_from_the_clips(runs, store, tmp_path):
    scores, found = evaluate(runs["midas"], store, ensemble=[runs["hard"]], out=tmp_path / "a", device="cpu")
    assert found.vote_shares is None
    assert scores.no_vote_shares.endswith("single label (of the ensemble, the run hard)")
    scores, _ = evaluate(runs["midas"], store, ensemble=[runs["other_fold"]], out=tmp_path / "b", device="cpu")
    assert scores.caution.startswith("the run other_fold: 6 of these 6 clips were used in training")


@pytest.mark.parametrize("name", ["midas", "plain"])
def test_passes_with_dropout_are_thinned_networks(runs, name, store, tmp_path):
    trained = open_trained(runs[name])
    clips = torch.randint(0, 256, (4, trained.info.num_frames, 3, 24, 24), dtype=torch.uint8)
    network = Network(trained.load(), trained.info, CPU, torch.float32, mc_dropout=3)
    passes = network.read(clips).passes
    assert not torch.allclose(passes[0], passes[1])
    for row in (0, 3):  # whatever is read together
        torch.testing.assert_close(network.read(clips[row : row + 1]).passes[:, 0], passes[:, row])
    # A mask on the features is one on the columns of the classifier.
    thinned = Thinned(trained.load())
    masked = thinned.at(1)
    mask = masked.dropout(torch.ones(1, masked.fc.in_features))
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    plain = trained.load()
    plain.fc.weight.data *= mask
    torch.testing.assert_close(predict_logits(masked, clips, CPU), predict_logits(plain, clips, CPU))
    said = combined([(trained.info, network.read(clips))])
    torch.testing.assert_close(said.probabilities, passes.double().softmax(dim=-1).mean(dim=0))
    scores, first = evaluate(runs[name], store, mc_dropout=3, out=tmp_path / "a", device="cpu", batch_size=1)
    _, second = evaluate(runs[name], store, mc_dropout=3, out=tmp_path / "b", device="cpu", batch_size=1)
    assert (first.probabilities == second.probabilities).all()
    assert scores.read_with == "mean of 3 passes with dropout 0.5 (seed 0)"


def test_the_two_views_of_a_mirrored_model(runs):
    trained = open_trained(runs["midas"])
    clips = torch.randint(0, 256, (4, 2, 3, 24, 24), dtype=torch.uint8)
    network = Network(Mirrored(trained.load()).eval(), trained.info, CPU, torch.float32)
    views = [
        trained.info.vote_shares(predict_logits(trained.load(), each, CPU).double()) for each in (clips, clips.flip(-1))
    ]
    said = combined([(trained.info, network.read(clips))])
    np.testing.assert_allclose(said.uncertainty, ensemble_uncertainty(torch.stack(views).numpy()), atol=1e-6)


def test_refusals(runs, store, capsys):
    run, hard = runs["midas"], runs["hard"]
    with pytest.raises(RequestError, match="an ensemble needs the same"):
        Ensemble.of("ferplus", [run])
    with pytest.raises(RequestError, match="the same model twice"):
        Ensemble.of(run, [run])
    with pytest.raises(RequestError, match=r"are shown different pictures \(num_segments, size\)"):
        Ensemble.of(run, [runs["plain"]]).check_same_pictures()
    cases = {
        ("--mc_dropout", "20", "--out", "x"): "the run hard was trained with --dropout 0",
        ("--mc_dropout", "1", "--out", "x"): "expected 2 or more passes",
        ("--ensemble", str(run.path)): "name a folder for them with --out",
        ("--ensemble", str(run.path), "--out", str(hard.path / "evaluation")): "which report and model card show",
        ("--ensemble", str(run.path), "--calibrate", "--out", "x"): "--calibrate is of one run",
    }
    for flags, said in cases.items():
        assert main(["evaluate", str(hard.path), "--store", str(store.path), "--device", "cpu", *flags]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_a_dirichlet_network_tells_the_parts_alone(runs):
    info = replace(open_trained(runs["plain"]).info, gives_evidence=True)
    a = torch.tensor([[1.5, 3.0, 1.0], [20.0, 2.0, 1.0]], dtype=torch.float64)
    said = combined([(info, Output(a.log()[None], a.log()[None]))])
    torch.testing.assert_close(said.concentration, a.sum(dim=1))
    np.testing.assert_allclose(said.uncertainty, dirichlet_uncertainty(a.numpy()))
