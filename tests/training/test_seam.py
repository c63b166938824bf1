"""Where mixer, step, network and evaluation meet, against plain formulas in float64."""

import copy
import csv
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD
from midas_dfer.clips.batches.dataset import ClipBatch
from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.evaluation.evaluate import choose_clips, evaluate
from midas_dfer.labels import NO_LABEL, draw_votes, votes_to_soft_labels
from midas_dfer.sharing.trained import open_trained
from midas_dfer.training import train as training
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.losses import make_loss
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run, new_model
from midas_dfer.training.train import train
from tests.support.factories import make_store

K, T, SIZE, BATCH, POOL = 7, 2, 24, 8, 20
MEAN, STD = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
EPOCH, STEP = 3, 5
SMALL = RunConfig(width=8, size=SIZE, num_segments=T, num_threads=1, precision="32", dropout=0.0, seed=4)


class InEpoch(Recognizer):
    """A recognizer without a trainer, as it is in the middle of a training; it logs nothing."""

    current_epoch = EPOCH

    def log(self, *args, **kwargs) -> None:
        pass


def normalized(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.double() / 255 - MEAN) / STD


def training_set(hard: bool) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    generator = torch.Generator().manual_seed(0)
    # Pictures of one colour each, with noise: what is mixed with what makes a difference.
    colors = torch.randint(0, 256, (POOL, 1, 3, 1, 1), generator=generator)
    noise = torch.randint(-40, 40, (POOL, T, 3, SIZE, SIZE), generator=generator)
    clips = (colors + noise).clamp(0, 255).to(torch.uint8)
    votes = torch.rand(POOL, K, generator=generator, dtype=torch.float64) ** 3
    labels = votes / votes.sum(dim=1, keepdim=True)
    if hard:
        labels = torch.nn.functional.one_hot(labels.argmax(dim=1), K).double()
    return clips, labels.float(), tuple(f"clip {n}" for n in range(POOL))


def a_model(config: RunConfig) -> torch.nn.Module:
    """Small, and with a classifier that is large enough for logits to differ."""
    model = new_model(config, [str(number) for number in range(K)])
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("weight") and weights.shape[0] == K:
                weights.mul_(300)
    return model


@pytest.mark.parametrize("partners", ["batch", "training_set"])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("settings", [{}, {"normalization": "none", "label_smoothing": 0.1}, {"mixer": "none"}])
def test_a_training_step_is_equations_1_to_3_and_the_cross_entropy(settings, hard, partners):
    config = replace(SMALL, labels="hard" if hard else "soft", partners=partners, **settings)
    clips, labels, ids = training_set(hard)
    mixing = make_mixing(config, ids, labels)
    model = a_model(config)
    exact = copy.deepcopy(model).double().train()
    recognizer = InEpoch(model, config, K, 100, mixing, make_loss(config, labels)).train()
    own, own_labels = clips[:BATCH], labels[:BATCH]
    mixed, mixed_labels = normalized(own), own_labels.double()
    batch = ClipBatch(own, own_labels, own_labels.argmax(dim=1), ids[:BATCH])
    if mixing is not None:
        plan = mixing.plan(EPOCH, STEP, ids[:BATCH], own_labels)
        others = plan.partner.tolist()
        assert all(ids[other] != ids[place] for place, other in enumerate(others))
        assert plan.ratio.min() < 0.9
        if partners == "training_set":
            places = [*range(BATCH), *others]
            batch = ClipBatch(
                clips[places], labels[places], labels[places].argmax(dim=1), tuple(ids[p] for p in places)
            )
        ratio = plan.ratio.double()
        picture = torch.stack([r * own[b].double() + (1 - r) * clips[others[b]].double() for b, r in enumerate(ratio)])
        mixed = normalized(picture)
        mixed_labels = torch.stack(
            [r * own_labels[b].double() + (1 - r) * labels[others[b]].double() for b, r in enumerate(ratio)]
        )
        if config.normalization == "softmax":
            powers = mixed_labels.exp()
            mixed_labels = powers / powers.sum(dim=1, keepdim=True)
    smooth = (1 - config.label_smoothing) * mixed_labels + config.label_smoothing / K
    logits = exact(mixed)
    assert logits.std() > 0.3
    log_shares = logits - logits.exp().sum(dim=1, keepdim=True).log()
    expected = -(smooth * log_shares).sum() / BATCH
    loss = recognizer.training_step(batch, STEP)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-5)
    counted = recognizer.seen["train"][0][0].tolist()
    assert counted == smooth.argmax(dim=1).tolist()  # as what the mixture is most of
    assert (counted == own_labels.argmax(dim=1).tolist()) == (mixing is None)


def test_each_batch_of_each_epoch_and_seed_has_a_plan_of_its_own():
    _, labels, ids = training_set(hard=False)
    mixings = [make_mixing(replace(SMALL, seed=seed), ids, labels) for seed in (4, 5)]
    drawn = [mixing.plan(*at, ids) for mixing in mixings for at in ((3, 5), (3, 6), (4, 5), (5, 3))]
    assert len({tuple(plan.ratio.tolist()) for plan in drawn}) == len(drawn) == 8
    assert len({tuple(plan.partner.tolist()) for plan in drawn}) == 8
    assert torch.equal(mixings[0].plan(3, 5, ids).ratio, drawn[0].ratio)


def test_clips_that_are_watched_are_normalised_and_not_mixed():
    clips, labels, ids = training_set(hard=False)
    config = replace(SMALL, label_smoothing=0.1)
    recognizer = InEpoch(a_model(config), config, K, 100, make_mixing(config, ids, labels), make_loss(config, labels))
    recognizer.eval()
    classes = labels[:BATCH].argmax(dim=1)
    classes[2:4] = NO_LABEL  # tied votes
    batch = ClipBatch(clips[:BATCH], labels[:BATCH], classes, ids[:BATCH])
    logged = {}
    recognizer.log = lambda name, value, **_: logged.update({name: value})
    with torch.no_grad():
        exact = copy.deepcopy(recognizer.model).double()(normalized(batch.clips))
        torch.testing.assert_close(recognizer(batch).double(), exact, rtol=0, atol=1e-4)
        recognizer.validation_step(batch, 0)
        recognizer.on_validation_epoch_end()
    smooth = 0.9 * batch.soft_labels + 0.1 / K
    expected = -(smooth * exact.log_softmax(dim=1)).sum(dim=1).mean()
    assert logged["val_loss"].item() == pytest.approx(expected.item(), abs=2e-5)
    right = (exact.argmax(dim=1) == classes)[classes != NO_LABEL].double()
    assert 0 < right.mean() < 1
    assert logged["val_war"] == pytest.approx(right.mean().item())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("seam"))


@pytest.mark.parametrize(("segments", "together"), [(4, 1), (2, 2)])
def test_clips_are_scored_by_their_middle_frames_whole(segments, together, store, tmp_path):
    """Neither crops nor mirrors nor chance: what is published goes through here."""
    config = replace(SMALL, num_segments=segments, frames_per_segment=together, epochs=1, dropout=0.5)
    run = train(config, store, tmp_path / "run", say=lambda line: None)
    _, predictions = evaluate(run, store, device="cpu")
    model = run.load_model()
    for row, video_id in enumerate(predictions.video_ids):
        starts = store.num_frames(video_id) - together + 1
        edges = [s * starts // segments for s in range(segments + 1)]
        firsts = [min((a + max(b, a + 1)) // 2, starts - 1) for a, b in pairwise(edges)]
        middles = [first + n for first in firsts for n in range(together)]
        pictures = apply_crop(store.read(video_id, middles), None, SIZE)
        with torch.no_grad():
            logits = model(normalized(pictures).float()[None])[0].double()
        np.testing.assert_allclose(predictions.probabilities[row], logits.softmax(dim=0).numpy(), rtol=0, atol=1e-5)
        by_id = {sample.video_id: sample for sample in store}
        votes = np.array(by_id[video_id].votes)
        np.testing.assert_allclose(predictions.votes[row], votes / votes.sum())
        label = by_id[video_id].label
        assert predictions.labels[row] == (-1 if label is None else label)


def watched_loss(run: Run, store: ClipStore, method: str) -> float:
    """The mean loss of the validation clips, by the final network; of labels from all votes."""
    rows = [n for n, name in enumerate(store.manifest.video_ids) if name in run.part("validation")]
    clips, losses = store.manifest.select(rows), []
    model = run.load_model()
    for name, shares in zip(clips.video_ids, votes_to_soft_labels(clips.votes, method), strict=True):
        middles = sample_segments(store.num_frames(name), T).tolist()
        with torch.no_grad():
            logits = model(normalized(apply_crop(store.read(name, middles), None, SIZE)).float()[None])[0].double()
        losses.append(-(torch.tensor(shares) * logits.log_softmax(dim=0)).sum().item())
    return float(np.mean(losses))


WATCHED = replace(SMALL, epochs=1, batch_size=24, validation_fraction=0.3, mixer="none")


@pytest.mark.parametrize(
    ("settings", "method", "count"),
    [
        ({"label_method": "laplace"}, "laplace", None),
        ({"votes_used": 2}, "proportion", 2),
        ({"labels": "hard", "votes_used": 1}, "proportion", 1),
    ],
)
def test_a_training_learns_the_labels_of_its_recipe(settings, method, count, store, tmp_path, monkeypatch):
    """And is watched on the votes as they were cast, whatever it learns from."""
    config, learned = replace(WATCHED, **settings), []

    def spy(config: RunConfig, soft_labels: torch.Tensor) -> torch.nn.Module:
        learned.append(soft_labels)
        return make_loss(config, soft_labels)

    monkeypatch.setattr(training, "make_loss", spy)
    run = train(config, store, tmp_path / "run", say=lambda line: None)
    rows = [n for n, name in enumerate(store.manifest.video_ids) if name in run.part("train")]
    clips = store.manifest.select(rows)
    votes = clips.votes if count is None else draw_votes(clips.votes, clips.video_ids, count, config.seed)
    np.testing.assert_allclose(learned[0].numpy(), votes_to_soft_labels(votes, method), atol=1e-6)
    with (run.path / "logs" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["val_loss"]) == pytest.approx(watched_loss(run, store, method), abs=1e-4)
    learned_from = len(run.part("train"))
    trained = open_trained(run)
    assert not choose_clips(trained, store, "validation").caution  # they did not choose its weights
    assert choose_clips(trained, store, "all").caution.startswith(f"{learned_from} of these {len(store)} clips were")
