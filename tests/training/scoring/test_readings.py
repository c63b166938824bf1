"""What an output says of the votes: a perfect network gives them back, or the reading is refused with its reason."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.labels import votes_to_soft_labels
from midas_dfer.losses import BrierLoss, IntensityAwareLoss, JensenShannonDivergence, SoftTargetCrossEntropy
from midas_dfer.mixing import normalize_targets
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Provenance, Run
from midas_dfer.training.scoring.readings import VoteReading, vote_reading, votes_learned
from midas_dfer.training.train import train
from tests.support.factories import make_store

K = 7
MADE = Provenance(
    *("toy", tuple("abcdefg"), "store", "0", ExtractSettings(), "rule", 100, 0, 0), num_voted=100, mean_votes=10.0
)
LAPLACE = replace(MADE, laplace_share=K / (10 + K))


def targets(config: RunConfig, votes: np.ndarray) -> torch.Tensor:
    """What a network is trained to match on a clip that is not mixed: slow and plain, from the recipe's own words."""
    soft = torch.tensor(votes_to_soft_labels(votes, config.label_method))
    if config.mixer == "midas":
        soft = normalize_targets(soft, config.normalization, config.temperature, num_votes=config.num_votes)
    return (1 - config.label_smoothing) * soft + config.label_smoothing / K


@pytest.mark.parametrize("votes", [[10, 0, 0, 0, 0, 0, 0], [6, 4, 0, 0, 0, 0, 0], [1, 2, 3, 1, 1, 1, 1]])
@pytest.mark.parametrize(
    ("method", "normalization", "smoothing", "temperature"),
    [*product(["proportion", "laplace", "softmax_proportions"], ["", "none", "softmax"], [0.0, 0.1], [1.0, 0.5])],
)
def test_a_network_that_matches_its_labels_gives_the_votes_back(method, normalization, smoothing, temperature, votes):
    config = RunConfig(
        label_method=method,
        mixer="midas" if normalization else "none",
        normalization=normalization or "softmax",
        temperature=temperature,
        label_smoothing=smoothing,
    )
    shown = targets(config, np.array([votes]))
    reading = vote_reading(config, LAPLACE)
    assert reading.given
    expected = torch.tensor([votes], dtype=torch.float64) / 10
    for constant in (0.0, 3.0):
        torch.testing.assert_close(reading.vote_shares(shown.log() + constant), expected, rtol=0, atol=1e-9)
    single = reading.vote_shares(shown.log().float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=2e-5)


def test_the_default_undoes_its_softmax_and_without_one_the_shares_are_the_softmax():
    for y in ([1.0, 0.0, 0.0], [0.6, 0.4, 0.0]):
        logits = torch.tensor([y], dtype=torch.float64)
        shares = vote_reading(RunConfig()).vote_shares(logits + 3)
        torch.testing.assert_close(shares, logits, rtol=0, atol=1e-12)
        for config in (RunConfig(mixer="none"), RunConfig(mixer="mixup"), RunConfig(normalization="none")):
            assert torch.equal(vote_reading(config).vote_shares(logits), logits.softmax(dim=1))


def mean_targets(config: RunConfig, truth: np.ndarray, count: int) -> torch.Tensor:
    """The mean label of very many clips like these, each with `count` votes: what a perfect network learns."""
    rng = np.random.default_rng(0)
    draws = np.concatenate([rng.multinomial(count, row / row.sum(), size=1500) for row in truth])
    return targets(config, draws).reshape(len(truth), -1, K).mean(dim=1)


def variation(shares: torch.Tensor, truth: np.ndarray) -> np.ndarray:
    return 0.5 * np.abs(shares.numpy() - truth).sum(axis=1)


TRUTH = np.random.default_rng(1).dirichlet(np.full(K, 0.5), size=60)


@pytest.mark.parametrize(
    ("settings", "count", "most", "given"),
    [
        ({"mixer": "none"}, 1, 0.03, True),  # exact but for the draws
        ({"mixer": "none", "label_method": "laplace", "label_smoothing": 0.2}, 10, 0.02, True),
        ({}, 10, 0.012, True),
        ({}, 3, 0.035, True),
        ({"temperature": 0.25}, 10, 0.033, True),
        ({"mixer": "none", "label_method": "softmax_proportions"}, 10, 0.012, True),
        ({"label_method": "softmax_proportions"}, 10, 0.014, True),
        ({}, 1, 0.0, False),
        ({"temperature": 0.1}, 10, 0.0, False),
        ({"normalization": "softmax_counts", "num_votes": 10.0}, 10, 0.0, False),
        ({"mixer": "none", "label_method": "softmax_counts"}, 10, 0.0, False),
    ],
)
def test_a_perfect_network_learns_the_mean_of_its_labels(settings, count, most, given):
    """The softmax of one label can be inverted, that of a mean but nearly: so it is claimed where it is near."""
    config = RunConfig(**settings)
    made = replace(LAPLACE, mean_votes=float(count), laplace_share=K / (count + K))
    reading = vote_reading(config, made)
    assert reading.given == given
    logits = mean_targets(config, TRUTH, count).log()
    if given:
        assert variation(reading.vote_shares(logits), TRUTH).mean() < most
        return
    assert reading.vote_shares(logits) is None
    kind = config.label_method if config.label_method != "proportion" else config.normalization
    temperature = config.temperature / (10 if kind == "softmax_counts" else 1)
    wrong = VoteReading((("softmax", temperature),)).vote_shares(logits)
    assert variation(wrong, TRUTH).mean() > 0.06  # what would have been claimed


def test_which_losses_are_smallest_at_the_mean_of_the_labels():
    """Of labels that are one vote each: only proper losses let a network say how the votes are divided."""
    truth = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    votes = torch.eye(3, dtype=torch.float64)[[0] * 5 + [1] * 3 + [2] * 2]

    def best(loss: torch.nn.Module) -> torch.Tensor:
        logits = truth.log().clone().requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            loss(logits.expand(10, 3), votes).backward()
            optimizer.step()
        return logits.detach().softmax(dim=0)

    for loss, name in ((SoftTargetCrossEntropy(), "cross_entropy"), (BrierLoss(), "brier")):
        torch.testing.assert_close(best(loss), truth, rtol=0, atol=1e-3)
        assert vote_reading(RunConfig(loss=name, mixer="none")).given
    for loss, name in ((IntensityAwareLoss(), "intensity_aware"), (JensenShannonDivergence(), "jensen_shannon")):
        assert (best(loss) - truth).abs().max() > 0.01
        assert f"the loss {name} is not" in vote_reading(RunConfig(loss=name, mixer="none")).why_not


@pytest.mark.parametrize(
    ("settings", "made", "reason"),
    [
        ({"labels": "hard"}, MADE, "single labels"),
        ({"labels": "hard", "mixer": "none"}, None, "single labels"),
        ({"labels": "hard", "votes_used": 3}, MADE, "single labels"),
        ({"mixer": "none"}, replace(MADE, num_voted=97), "3 of its 100 training clips had a single label"),
        ({"group": "clear"}, MADE, "clear clips"),
        ({"class_weights": "balanced"}, MADE, "class weights"),
        ({"class_balanced": True}, MADE, "class-balanced partners"),
        ({"loss": "compact"}, MADE, "compact"),
        ({"label_method": "softmax_counts"}, MADE, "softmax of vote counts"),
        ({"normalization": "softmax_counts", "num_votes": 10.0}, MADE, "softmax of mixed vote counts"),
        ({"label_method": "laplace"}, None, "Laplace"),
        ({"label_method": "laplace"}, MADE, "Laplace"),
        ({"temperature": 0.19}, MADE, "too few for the temperature 0.19"),
        ({}, replace(MADE, mean_votes=1.9), "1.9 votes a clip"),
    ],
)
def test_where_the_output_is_not_the_annotators_distribution(settings, made, reason):
    reading = vote_reading(RunConfig(**settings), made)
    assert reason in reading.why_not
    assert not reading.given
    assert reading.vote_shares(torch.zeros(2, 3)) is None


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({"labels": "hard", "votes_used": 1, "mixer": "none", "label_method": "softmax_counts"}, MADE),
        ({"mixer": "none"}, replace(MADE, num_voted=98, mean_votes=1.0)),
        ({"mixer": "none", "class_balanced": True}, MADE),
        ({"mixer": "cutout", "class_balanced": True}, MADE),
        ({"mixer": "cutmix", "normalization": "softmax_counts"}, MADE),  # of midas alone
        ({"mixer": "cutmix", "temperature": 0.01}, MADE),
        ({"loss": "kl"}, MADE),
        ({"group": "mixed"}, MADE),
    ],
)
def test_settings_that_take_nothing_from_it(settings, made):
    assert vote_reading(RunConfig(**settings), made).given


@given(st.lists(st.floats(-40, 40), min_size=4, max_size=4), st.sampled_from([0.1, 1.0, 3.0]), st.floats(0, 0.9))
def test_any_logits_give_shares_that_agree_with_the_prediction(logits, temperature, smoothing):
    outputs = torch.tensor([logits], dtype=torch.float64)
    reading = VoteReading((("softmax", 1.0), ("softmax", temperature), ("spread", smoothing)))
    shares = reading.vote_shares(outputs)
    assert (shares >= 0).all()
    assert shares.sum().item() == pytest.approx(1.0)
    assert shares[0, outputs.argmax()].item() == pytest.approx(shares.max().item())


@pytest.mark.parametrize("step", [("softmax", 0.0), ("spread", 1.0), ("spread", -0.1), ("fold", 0.5)])
def test_steps_that_cannot_be_undone(step):
    with pytest.raises(RequestError, match="cannot be undone"):
        VoteReading((step,))


# --- in a run -------------------------------------------------------------------------------------------------------

SMALL = RunConfig(width=8, size=24, num_segments=2, num_threads=1, precision="32", epochs=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("readings"))


def trained(store, path: Path, **settings) -> Run:
    return train(replace(SMALL, **settings), store, path, say=lambda line: None)


def test_a_run_keeps_what_its_labels_were_made_of(store, tmp_path):
    run = trained(store, tmp_path / "run", label_method="laplace", mixer="none")
    votes = np.array([s.votes for s in store if s.video_id in run.part("train")])
    made = Run.open(run.path).provenance
    assert made.num_voted == len(votes) == made.num_train
    assert made.mean_votes == pytest.approx(votes.sum(axis=1).mean())
    assert made.laplace_share == pytest.approx((3 / (votes.sum(axis=1) + 3)).mean())
    assert (made.precision, made.device) == ("32", "cpu")
    evaluation, predictions = evaluate(run, store)
    logits = torch.tensor(predictions.probabilities).log()
    expected = VoteReading((("spread", made.laplace_share),)).vote_shares(logits)
    np.testing.assert_allclose(predictions.vote_shares, expected.numpy(), atol=1e-9)
    cast = {s.video_id: np.array(s.votes) / sum(s.votes) for s in store}  # as they were cast, however it learned them
    np.testing.assert_allclose(predictions.votes, [cast[name] for name in predictions.video_ids])
    assert (evaluation.no_vote_shares, evaluation.precision, evaluation.device) == ("", "32", "cpu")


def test_fewer_votes_and_labels_without_votes(store):
    from midas_dfer.clips.batches.dataset import ClipDataset

    facts = votes_learned(ClipDataset(store), RunConfig(votes_used=2))
    assert facts == {"num_voted": 24, "mean_votes": 2.0}
    assert votes_learned(ClipDataset(store), RunConfig(label_method="laplace", votes_used=2))["laplace_share"] == 0.6


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "readings.md").read_text(encoding="utf-8")


def test_the_page_says_how_far_a_perfect_network_is_off():
    rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+) \| (\S+) \|$", PAGE, re.M)
    assert [int(row[0]) for row in rows] == [3, 5, 10, 30]
    for count, *figures in rows:
        for temperature, figure in zip((1.0, 0.5, 0.25), figures, strict=True):
            config = RunConfig(temperature=temperature)
            reading = vote_reading(config, replace(MADE, mean_votes=float(count)))
            assert reading.given == (figure != "none")
            if reading.given:
                shares = reading.vote_shares(mean_targets(config, TRUTH, int(count)).log())
                assert variation(shares, TRUTH).mean() == pytest.approx(float(figure), abs=0.003)
