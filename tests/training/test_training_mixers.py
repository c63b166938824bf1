"""Every mixer trains by configuration alone; partners from the whole training set; counts of votes."""

import csv
import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.mixing import MIXERS, ModelAttention, fine_grained_saliency
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recognizer import Recognizer
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.train import train
from tests.support.factories import make_store

WHERE = ("picture", "model")
KEEPS_LABELS = ("cutout", "background_mix")
"""Mixers whose targets are the clips' own labels."""
RATIO_IS_SHARE = ("mixup", "manifold_mixup")
"""Mixers that cut nothing out: a target has as much of a clip's own label as the plan's ratio says."""


def small(**changes) -> RunConfig:
    fixed = {
        "width": 8,
        "size": 24,
        "num_segments": 2,
        "num_threads": 1,
        "precision": "32",
        "epochs": 1,
        "batch_size": 6,
    }
    return RunConfig(**{**fixed, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("mixers"))


@pytest.fixture(scope="module")
def unmixed(store, tmp_path_factory) -> dict[str, torch.Tensor]:
    return weights(train(small(mixer="none"), store, tmp_path_factory.mktemp("runs") / "none", say=lambda line: None))


@pytest.fixture(scope="module")
def validated(store, tmp_path_factory) -> dict[str, torch.Tensor]:
    """Weights of a training without mixer that kept clips for validation, with the plain cross-entropy."""
    config = small(mixer="none", validation_fraction=0.3)
    return weights(train(config, store, tmp_path_factory.mktemp("runs") / "validated", say=lambda line: None))


def weights(run: Run) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run.path / "weights.safetensors")


def test_the_register_says_what_the_classes_say():
    for name, entry in MIXERS.items():
        config, alpha = small(mixer=name), entry.alpha
        assert config.alpha == alpha
        mixer = make_mixing(config, ["a", "b"], torch.eye(2)).mixer
        assert getattr(type(mixer), "alpha", alpha) == alpha  # the class's own default is the publication's
        other = make_mixing(small(mixer=name, alpha=0.7), ["a"], torch.eye(2)).mixer
        assert other == (mixer if name == "cutout" else replace(mixer, alpha=0.7))  # a square has no ratio


@pytest.fixture
def steps(monkeypatch):
    """What each training step compares: epoch, number, the batch, and its logits and targets."""
    seen = []
    predict = Recognizer._predict

    def watched(self, batch, number):
        logits, targets, votes = predict(self, batch, number)
        seen.append((self.current_epoch, number, batch, logits.detach().double(), targets.detach().double()))
        return logits, targets, votes

    monkeypatch.setattr(Recognizer, "_predict", watched)
    return seen


def own_share(targets, labels, partners):
    """How much of each target is the clip's own label, the rest being its partner's; and how far off any such it is."""
    way = labels - partners
    share = ((targets - partners) * way).sum(dim=1) / (way * way).sum(dim=1)
    return share, (targets - partners - share[:, None] * way).abs().amax(dim=1)


@pytest.mark.parametrize("mixer", [*MIXERS, "mixup, cutmix"])
def test_every_mixer_trains(mixer, store, unmixed, steps, tmp_path):
    run = train(small(mixer=mixer), store, tmp_path / "run", say=lambda line: None)
    trained = weights(run)
    assert all(value.isfinite().all() for value in trained.values())
    assert any(not torch.equal(trained[key], unmixed[key]) for key in trained)
    expected = {"midas": "MIDAS", "mixup, cutmix": "mixup or cutmix"}
    assert run.config.method_name == expected.get(mixer, mixer)
    assert evaluate(run, store)[0].method == run.config.method_name

    mixing = make_mixing(run.config, sorted(run.part("train")), torch.eye(2))
    shares, losses = [], []
    for epoch, number, batch, logits, targets in steps:
        labels = batch.soft_labels.double()
        plan = mixing.plan(epoch, number, batch.video_ids, batch.soft_labels)
        plan = getattr(plan, "plan", plan)  # of several mixers, the one that chance chose
        losses.append(float(-(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()))
        if mixer in KEEPS_LABELS:
            torch.testing.assert_close(targets, labels)
            continue
        partners, ratio = labels[plan.partner], plan.ratio.double()
        assert all(batch.video_ids[row] != batch.video_ids[other] for row, other in enumerate(plan.partner.tolist()))
        if mixer == "midas":
            ours = (ratio[:, None] * labels + (1 - ratio[:, None]) * partners).exp()
            torch.testing.assert_close(targets, ours / ours.sum(dim=1, keepdim=True), rtol=0, atol=1e-6)
            continue
        rows = (labels - partners).abs().sum(dim=1) > 0.01  # of two clips with the same votes all mixtures are alike
        share, off = own_share(targets[rows], labels[rows], partners[rows])
        assert off.max() < 1e-5
        assert (share > -1e-5).all()
        assert (share < 1 + 1e-5).all()
        if mixer in RATIO_IS_SHARE:
            torch.testing.assert_close(share, ratio[rows], rtol=0, atol=1e-4)
        shares += share.tolist()
    if mixer not in (*KEEPS_LABELS, "midas"):
        assert max(shares) - min(shares) > 0.02  # clip by clip, and not the labels as they were
        assert min(shares) < 0.98
    with (run.path / "logs" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    sizes = [len(targets) for *_, targets in steps]
    mean = sum(size * loss for size, loss in zip(sizes, losses, strict=True)) / sum(sizes)
    assert float(row["train_loss"]) == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("mixer", ["saliencymix", "attentive_cutmix", "puzzlemix", "transmix"])
def test_the_trained_model_can_say_where_to_look(mixer, store, tmp_path, monkeypatch):
    trained = weights(train(small(mixer=mixer, saliency="model"), store, tmp_path / "run", say=lambda line: None))
    assert all(value.isfinite().all() for value in trained.values())
    asked = []
    attention = ModelAttention.__call__
    monkeypatch.setattr(ModelAttention, "__call__", lambda self, clips: asked.append(1) or attention(self, clips))
    several = small(mixer=f"{mixer}, cutout", saliency="model", partners="training_set", epochs=2)
    train(several, store, tmp_path / "several", say=lambda line: None)
    assert bool(asked) == (mixer != "transmix")  # that one looks at the pass of the training itself
    by_picture, by_model = (make_mixing(small(mixer=mixer, saliency=s), ["a"], torch.eye(2)) for s in WHERE)
    field = "attention" if mixer == "transmix" else "saliency"
    assert by_picture.mixer == replace(by_model.mixer, **{field: fine_grained_saliency})
    assert getattr(by_model.mixer, field) == "model"


def test_partners_from_the_training_set_are_read_with_the_batch(store, tmp_path, monkeypatch):
    seen = []
    step = Recognizer.training_step

    def watched(self, batch, batch_idx):
        seen.append(batch.video_ids)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Recognizer, "training_step", watched)
    config = small(partners="training_set", batch_size=3)
    runs = [
        train(replace(config, num_workers=workers), store, tmp_path / f"{workers}", say=lambda line: None)
        for workers in (0, 1)
    ]
    drawn = set(seen[0]) | {video for batch in seen for video in batch}
    train_ids = runs[0].part("train")
    assert drawn <= train_ids
    outside = 0
    for ids in seen:
        own, partners = ids[: len(ids) // 2], ids[len(ids) // 2 :]
        assert all(a != b for a, b in zip(own, partners, strict=True))
        outside += len(set(partners) - set(own))
    assert outside > 0
    same = [torch.equal(a, b) for a, b in zip(weights(runs[0]).values(), weights(runs[1]).values(), strict=True)]
    assert all(same)


def test_balanced_partners_from_the_training_set():
    config = small(partners="training_set", class_balanced=True)
    labels = torch.eye(2)[[0, 0, 0, 1]]
    pool = make_mixing(config, list("abcd"), labels).pool
    torch.testing.assert_close(pool.weights, torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0], dtype=torch.float64))
    assert make_mixing(small(partners="training_set"), list("abcd"), labels).pool.weights is None
    assert make_mixing(small(class_balanced=True), list("abcd"), labels).mixer.class_balanced


@pytest.mark.parametrize("name", [name for name in MIXERS if name != "cutout"])
def test_every_mixer_takes_the_settings_of_the_recipe(name):
    config = small(mixer=name, class_balanced=True, ratio_per="batch", alpha=0.7)
    mixer = make_mixing(config, list("abcd"), torch.eye(4)).mixer
    assert (mixer.class_balanced, mixer.ratio_per, mixer.alpha) == (True, "batch", 0.7)


def test_the_number_of_votes_is_taken_from_the_training_clips_and_kept(store, tmp_path):
    run = train(small(normalization="softmax_counts"), store, tmp_path / "run", say=lambda line: None)
    ids = run.part("train")
    rows = [n for n, video in enumerate(store.manifest.video_ids) if video in ids]
    expected = store.manifest.select(rows).votes.sum(axis=1).mean()
    assert Run.open(run.path).config.num_votes == pytest.approx(expected)
    assert Run.open(run.path).provenance.num_votes_found
    given = train(
        small(normalization="softmax_counts", num_votes=4.0), store, tmp_path / "given", say=lambda line: None
    )
    assert given.config.num_votes == 4.0
    assert not given.provenance.num_votes_found
    assert any(not torch.equal(a, b) for a, b in zip(weights(run).values(), weights(given).values(), strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "kl"},
        {"loss": "jensen_shannon"},
        {"loss": "brier"},
        {"loss": "intensity_aware"},
        {"class_weights": "balanced"},
        {"label_smoothing": 0.2},
    ],
)
def test_every_loss_trains(changes, store, validated, tmp_path):
    run = train(small(mixer="none", validation_fraction=0.3, **changes), store, tmp_path / "run", say=lambda line: None)
    trained = weights(run)
    assert all(value.isfinite().all() for value in trained.values())
    # KL has cross-entropy's gradient, up to rounding; all others have gradients of their own.
    close = all(torch.allclose(trained[key].double(), validated[key].double(), atol=1e-5) for key in trained)
    assert close == (changes == {"loss": "kl"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "kl", "class_weights": "balanced"}, "belong to the cross-entropy, not to `loss` kl"),
        ({"label_smoothing": 1.0}, "`label_smoothing` is 1.0; expected a number from 0 to 0.99"),
        ({"mixer": "cutmx"}, "`mixer` is 'cutmx'; expected none or midas, mixup, cutmix"),
        ({"mixer": "mixup,none"}, "none stands alone"),
        ({"mixer": ""}, "`mixer` is ''"),
        ({"mixer": "midas,cutmix"}, "`normalization` none"),
        ({"mixer": "cutmix", "batch_size": 1}, "no partner to mix with"),
        ({"num_votes": 0.0, "normalization": "softmax_counts"}, "`num_votes` is 0.0; expected a number above 0"),
    ],
)
def test_recipes_that_make_no_sense(changes, message):
    with pytest.raises(RequestError, match=message):
        RunConfig(**changes)


def test_several_mixers_keep_their_own_alpha():
    config = RunConfig(mixer="midas,cutmix", normalization="none")
    assert config.alpha is None
    assert (config.alpha_of("midas"), config.alpha_of("cutmix")) == (0.4, 1.0)
    assert RunConfig(mixer="midas,cutmix", normalization="none", alpha=0.3).alpha_of("cutmix") == 0.3
    assert json.loads(json.dumps(config.to_dict()))["mixer"] == "midas,cutmix"
    assert RunConfig.from_dict(config.to_dict()) == config
