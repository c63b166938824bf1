import json

import pytest
import torch
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing import MIDAS, Mixup, PartnerPool, plan_from_dict
from midas_dfer.mixing.background import BackgroundMix
from midas_dfer.mixing.choice import RandomChoice
from midas_dfer.mixing.features import ManifoldMixup, PatchUp
from midas_dfer.mixing.plan import ChoicePlan

IDS = ["a", "b", "a", "c", "d"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def soft_labels(rows, classes=3, seed=0):
    return torch.rand(rows, classes, generator=seeded(seed), dtype=torch.float64).softmax(dim=1).float()


CLIPS, LABELS = torch.rand(5, 2, 3, 8, 8, generator=seeded(0)), soft_labels(5)


class Small(nn.Module):
    mix_points = ("input", "features")

    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, clips):
        maps = self.features(clips.flatten(0, 1)).relu().mean(dim=(2, 3))
        return self.head(maps).unflatten(0, clips.shape[:2]).mean(dim=1)


CHOICES = (MIDAS(), ManifoldMixup(), BackgroundMix(), PatchUp(probability=1.0, block_size=3))


def test_each_mixer_comes_by_its_probability():
    mixer, generator = RandomChoice(CHOICES[:3], (0.6, 0.0, 0.4)), seeded(0)
    drawn = [mixer.draw(IDS, generator=generator).choice for _ in range(1000)]
    assert drawn.count(1) == 0
    assert abs(drawn.count(0) - 600) < 4 * (1000 * 0.6 * 0.4) ** 0.5
    even = [RandomChoice(CHOICES).draw(IDS, generator=generator).choice for _ in range(1000)]
    assert all(abs(even.count(number) - 250) < 4 * (1000 * 0.25 * 0.75) ** 0.5 for number in range(4))


def test_does_what_the_drawn_mixer_does():
    mixer, model = RandomChoice(list(CHOICES)), Small()
    seen = set()
    for seed in range(20):
        plan = mixer.draw(IDS, generator=seeded(seed))
        assert isinstance(plan, ChoicePlan)
        assert torch.equal(plan.ratio, plan.plan.ratio)
        assert torch.equal(plan.partner, plan.plan.partner)
        assert all(IDS[b] != IDS[p] for b, p in enumerate(plan.partner.tolist()))
        seen.add(plan.choice)
        chosen = CHOICES[plan.choice]
        for one, two in (
            (mixer.apply(CLIPS, LABELS, plan), chosen.apply(CLIPS, LABELS, plan.plan)),
            (mixer.through(model, CLIPS, LABELS, plan), chosen.through(model, CLIPS, LABELS, plan.plan)),
        ):
            assert torch.equal(one[0], two[0])
            assert torch.equal(one[1], two[1])
    assert seen == {0, 1, 2, 3}


def test_one_choice_is_that_mixer_drawn_from_the_same_generator():
    first, generator = seeded(5), seeded(5)
    torch.multinomial(torch.ones(1), 1, generator=first)  # the draw of the choice itself
    plan, expected = RandomChoice([MIDAS()]).draw(IDS, generator=generator), MIDAS().draw(IDS, generator=first)
    assert torch.equal(plan.ratio, expected.ratio)
    assert torch.equal(plan.partner, expected.partner)
    torch.manual_seed(5)
    again = RandomChoice([MIDAS()]).draw(IDS)
    assert torch.equal(plan.ratio, again.ratio)


def test_a_call_draws_and_applies():
    mixer = RandomChoice(CHOICES)
    mixed, targets = mixer(CLIPS, LABELS, video_ids=IDS, generator=seeded(3))
    expected = mixer.apply(CLIPS, LABELS, mixer.draw(IDS, generator=seeded(3)))
    assert torch.equal(mixed, expected[0])
    assert torch.equal(targets, expected[1])


def test_choices_of_choices_and_plans_from_a_log():
    mixer = RandomChoice([RandomChoice([ManifoldMixup(), RandomChoice([PatchUp(mode="soft")])]), Mixup()], [0.75, 0.25])
    depths = set()
    for seed in range(12):
        plan = mixer.draw(IDS, generator=seeded(seed))
        values = json.loads(json.dumps(plan.to_dict()))
        again = plan_from_dict(values)
        assert again.to_dict() == plan.to_dict()
        depth, inner = 0, plan
        while isinstance(inner, ChoicePlan):
            depth, inner = depth + 1, inner.plan
        depths.add(depth)
        one, two = mixer.apply(CLIPS, LABELS, plan), mixer.apply(CLIPS, LABELS, again)
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
    assert depths == {1, 2, 3}


def test_pool_and_labels_are_passed_on():
    pool_ids, pool_labels = [f"v{n}" for n in range(9)], soft_labels(9, seed=2)
    pool_clips = torch.rand(9, 2, 3, 8, 8, generator=seeded(1))
    mixer, model = RandomChoice(CHOICES), Small()
    for seed in range(8):
        plan = mixer.draw(IDS, pool=PartnerPool(pool_ids), generator=seeded(seed))
        assert plan.pool_size == plan.plan.pool_size == 9
        partners = pool_clips[plan.partner], pool_labels[plan.partner]
        chosen = CHOICES[plan.choice]
        one = mixer.apply(CLIPS, LABELS, plan, partners=partners)
        two = chosen.apply(CLIPS, LABELS, plan.plan, partners=partners)
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
        logits, targets = mixer.through(model, CLIPS, LABELS, plan, partners=partners)
        assert logits.shape == targets.shape == (5, 3)
        with pytest.raises(RequestError, match="rows of a pool of 9"):
            mixer.apply(CLIPS, LABELS, plan)
    balanced = RandomChoice([MIDAS(class_balanced=True)])
    assert balanced.draw(IDS, labels=LABELS, generator=seeded(0)).pool_size is None
    with pytest.raises(RequestError, match="labels"):
        balanced.draw(IDS, generator=seeded(0))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
def test_any_dtype_and_no_look_at_values_on_the_device(dtype):
    mixer = RandomChoice(CHOICES)
    for seed in range(8):
        plan = mixer.draw(IDS, generator=seeded(seed))
        for shape in ((5, 3, 8, 8), (5, 2, 3, 8, 8)):
            clips, labels = torch.empty(shape, dtype=dtype, device="meta"), torch.empty(5, 3, device="meta")
            mixed, targets = mixer.apply(clips, labels, plan)
            assert mixed.shape == shape
            assert mixed.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
            assert targets.device.type == "meta"
            assert plan.to("meta").plan.ratio.device.type == "meta"


def test_plans_that_are_not_its_own_are_refused():
    mixer = RandomChoice([MIDAS()])
    with pytest.raises(RequestError, match="a MixPlan, which is not of this RandomChoice"):
        mixer.apply(CLIPS, LABELS, MIDAS().draw(IDS, generator=seeded(0)))
    plan = RandomChoice(CHOICES, (0.0, 0.0, 1.0, 0.0)).draw(IDS, generator=seeded(0))
    with pytest.raises(RequestError, match="choice 2, which is not of this RandomChoice of 1 mixers"):
        mixer.through(Small(), CLIPS, LABELS, plan)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ((0.5,), "2 mixers and 1 probabilities"),
        ((1.5, -0.5), "0 or more each, and a sum of 1"),
        ((1.0, 1.0), "a sum of 1"),
        ((0.0, 0.0), "a sum of 1"),
        ((float("nan"), 1.0), "a sum of 1"),
        ((float("inf"), 1.0), "a sum of 1"),
    ],
)
def test_wrong_probabilities_are_refused(probabilities, message):
    with pytest.raises(RequestError, match=message):
        RandomChoice((MIDAS(), Mixup()), probabilities)


def test_wrong_mixers_are_refused():
    with pytest.raises(RequestError, match="no mixers"):
        RandomChoice(())
    with pytest.raises((RequestError, TypeError), match=r"(?is)choice 1 is a str|mixers"):
        RandomChoice((MIDAS(), "mixup"))
    thirds = RandomChoice([MIDAS(), Mixup(), BackgroundMix()], [1 / 3] * 3)
    assert thirds == RandomChoice((MIDAS(), Mixup(), BackgroundMix()), (1 / 3,) * 3)
    assert hash(thirds) == hash(RandomChoice((MIDAS(), Mixup(), BackgroundMix()), (1 / 3,) * 3))
