"""The examples of docs/mixing.md run, in the order in which they stand there."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import midas_dfer.mixing
from midas_dfer.errors import RequestError
from midas_dfer.mixing import MIDAS, MixCollate, Mixup, PartnerPool

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mixing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture
def names():
    generator = torch.Generator().manual_seed(0)
    clips = torch.rand(4, 2, 3, 16, 16, generator=generator)
    soft_labels = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6], [1.0, 0.0, 0.0]])
    video_ids = ["a", "b", "c", "a"]
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 16 * 16, 3))
    samples = [(clips[b], soft_labels[b], video) for b, video in enumerate("abcd")]
    return {
        "torch": torch,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loader": torch.utils.data.DataLoader([samples[b] for b in range(4)] * 2, batch_size=4),
        "dataset": samples,
        "clips": clips,
        "small_clips": torch.rand(4, 2, 3, 4, 4),
        "soft_labels": soft_labels,
        "video_ids": video_ids,
        "train_ids": ["x", "y", "z", "a"],
        "train_clips": torch.rand(4, 2, 3, 16, 16),
        "train_labels": soft_labels,
        "attention_maps": torch.rand(4, 7, 7, generator=generator),
    }


def test_every_example_runs(names):
    fixed = dict(names)
    assert len(EXAMPLES) == 10
    before = names["model"][1].weight.clone()
    for code in EXAMPLES:
        names.update({key: fixed[key] for key in ("clips", "soft_labels", "video_ids")})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")  # it advises more loader workers
            exec(compile(code, "docs/mixing.md", "exec"), names)  # noqa: S102 - our own page
        assert names["targets"].sum(dim=1).allclose(torch.ones(4))
    assert not torch.equal(names["model"][1].weight, before)
    assert not torch.equal(names["clips"], fixed["clips"])


def test_the_page_names_every_mixer():
    mixers = {
        name
        for name in midas_dfer.mixing.__all__
        if isinstance(value := getattr(midas_dfer.mixing, name), type)
        and issubclass(value, midas_dfer.mixing.Mixer)
        and name not in ("Mixer", "PairMixer")
    }
    assert (
        {entry.mixer for entry in midas_dfer.mixing.MIXERS.own.values()} <= mixers <= set(re.findall(r"`(\w+)`", PAGE))
    )


# --- the collate function


def test_collate_mixes_as_apply_does(names):
    samples = names["dataset"]
    collate = MixCollate(MIDAS())
    torch.manual_seed(3)
    clips, targets = collate(samples)
    torch.manual_seed(3)
    expected = MIDAS()(names["clips"], names["soft_labels"], video_ids=list("abcd"))
    assert torch.equal(clips, expected[0])
    assert torch.equal(targets, expected[1])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_equal_loaders_give_equal_batches(names, num_workers):
    def batches():
        loader = torch.utils.data.DataLoader(
            names["dataset"] * 3,
            batch_size=4,
            shuffle=True,
            num_workers=num_workers,
            collate_fn=MixCollate(MIDAS()),
            generator=torch.Generator().manual_seed(7),
        )
        return [batch for _ in range(2) for batch in loader]

    torch.manual_seed(0)
    first = batches()
    torch.manual_seed(0)
    second = batches()
    assert len(first) == 6
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0][0], first[3][0])  # another epoch, another mixture


def test_collate_loads_the_partners_of_a_pool(names):
    constant = [(torch.full((1, 3, 2, 2), float(n)), n % 2, n) for n in range(6)]
    collate = MixCollate(
        Mixup(num_classes=2), pool=PartnerPool([number for _, _, number in constant]), dataset=constant
    )
    torch.manual_seed(0)
    clips, targets = collate(constant[:3])
    torch.manual_seed(0)
    plan = collate.mixer.draw([0, 1, 2], pool=collate.pool)
    expected = plan.ratio * torch.arange(3) + (1 - plan.ratio) * plan.partner
    torch.testing.assert_close(clips[:, 0, 0, 0, 0], expected)
    odd = plan.ratio * (torch.arange(3) % 2) + (1 - plan.ratio) * (plan.partner % 2)
    torch.testing.assert_close(targets[:, 1], odd)


def test_collate_mixes_dictionaries(names):
    samples = [
        {"pixel_values": c, "labels": y, "video_id": v, "mask": n} for n, (c, y, v) in enumerate(names["dataset"])
    ]
    torch.manual_seed(3)
    batch = MixCollate(MIDAS())(samples)
    torch.manual_seed(3)
    clips, targets = MixCollate(MIDAS())(names["dataset"])
    assert list(batch) == ["mask", "pixel_values", "labels"]
    assert torch.equal(batch["pixel_values"], clips)
    assert torch.equal(batch["labels"], targets)
    assert batch["mask"].tolist() == [0, 1, 2, 3]

    renamed = [{"x": c, "y": y, "id": v} for c, y, v in names["dataset"]]
    torch.manual_seed(3)
    collate = MixCollate(MIDAS(), keys=("x", "y", "id"), pool=PartnerPool(list("abcd")), dataset=renamed)
    batch = collate(renamed[:2])
    torch.manual_seed(3)
    plan = MIDAS().draw(list("ab"), pool=PartnerPool(list("abcd")))
    others = names["clips"][plan.partner]
    expected = torch.lerp(others, names["clips"][:2], plan.ratio.view(-1, 1, 1, 1, 1))
    torch.testing.assert_close(batch["x"], expected)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"label": 0, "video_id": "a"},
            r"no 'labels' for the label \(did you mean 'label'\?\); they have '",
        ),
        ({"labels": 0}, "no 'video_id' for the id of the video; .* remove_unused_columns=False"),
    ],
)
def test_collate_says_which_key_is_missing(keys, message):
    sample = {"pixel_values": torch.zeros(1, 3, 2, 2), **keys}
    with pytest.raises(RequestError, match=message):
        MixCollate(Mixup(num_classes=2))([sample, sample])


@pytest.mark.parametrize("keys", ["abc", ("a", "b"), ("a", "a", "b")])
def test_collate_refuses_keys_that_are_not_three(keys):
    with pytest.raises(RequestError, match="expected three, of clip, label and id"):
        MixCollate(MIDAS(), keys=keys)


def test_collate_refuses_other_samples(names):
    with pytest.raises(RequestError, match=r"expected samples \(clip, label, video id\), or dictionaries"):
        MixCollate(MIDAS())([(clip, label) for clip, label, _ in names["dataset"]])
    with pytest.raises(RequestError, match="give both pool and dataset"):
        MixCollate(MIDAS(), pool=PartnerPool(["a", "b"]))
    with pytest.raises(RequestError, match="must be tensors or numbers"):
        MixCollate(MIDAS())([("clip", 0, "a"), ("clip", 0, "b")])
