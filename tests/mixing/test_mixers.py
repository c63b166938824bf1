"""What holds for every mixer: one interface, one set of promises."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer import mixing
from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.errors import RequestError
from midas_dfer.mixing import (
    MIDAS,
    AttentiveCutMix,
    CutMix,
    ManifoldMixup,
    Mixer,
    MixPlan,
    Mixup,
    PartnerPool,
    PatchUp,
    PuzzleMix,
    RandomChoice,
    TransMix,
    VideoMix,
    plan_from_dict,
)
from midas_dfer.mixing.mixer import PairMixer

CLIPS, STILLS = (5, 4, 3, 12, 10), (6, 3, 14, 14)
MIXERS = {
    **{entry.mixer: getattr(mixing, entry.mixer)() for entry in mixing.MIXERS.own.values()},
    "MIDAS_counts": MIDAS(normalization="softmax_counts", num_votes=10),
    "MIDAS_none": MIDAS(normalization="none"),
    "CutMix_clipped": CutMix(box="clipped"),
    "VideoMix_time": VideoMix(kind="time"),
    "VideoMix_spacetime": VideoMix(kind="spacetime"),
    "AttentiveCutMix": AttentiveCutMix(cells=None),
    "AttentiveCutMix_six": AttentiveCutMix(),
    "PatchUp_soft": PatchUp(mode="soft"),
    "RandomChoice": RandomChoice((MIDAS(normalization="none"), CutMix())),
}
IN_TIME = {"VideoMix_time", "VideoMix_spacetime"}
NO_PARTNER = {"Cutout"}
KEEPS_LABELS = {"Cutout", "BackgroundMix"}
every_mixer = pytest.mark.parametrize("name", MIXERS)
every_pair = pytest.mark.parametrize("name", [name for name, mixer in MIXERS.items() if isinstance(mixer, PairMixer)])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def shapes_for(name):
    return [CLIPS] if name in IN_TIME else [CLIPS, STILLS]


def batch_of(shape, dtype=torch.float32, num_classes=7, seed=0):
    clips = torch.randint(0, 256, shape, generator=seeded(seed)).to(dtype)
    votes = torch.randint(0, 5, (shape[0], num_classes), generator=seeded(seed + 1)).double() + 0.1
    return clips, (votes / votes.sum(dim=1, keepdim=True)).float(), [f"video{b // 2}" for b in range(shape[0])]


def test_the_table_holds_every_mixer():
    public = (getattr(mixing, name) for name in mixing.__all__)
    kinds = {value for value in public if isinstance(value, type) and issubclass(value, Mixer)}
    assert {type(mixer) for mixer in MIXERS.values()} == kinds - {Mixer, PairMixer}


@every_mixer
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_shapes_and_untouched_inputs(name, dtype):
    for shape in shapes_for(name):
        clips, labels, ids = batch_of(shape, dtype)
        copies = clips.clone(), labels.clone()
        mixed, targets = MIXERS[name](clips, labels, video_ids=ids, generator=seeded(3))
        assert mixed.shape == clips.shape
        assert mixed.dtype == (dtype if dtype.is_floating_point else torch.float32)
        assert mixed.isfinite().all()
        assert ((mixed >= 0) & (mixed <= 255)).all()  # the scale stays
        assert targets.dtype == torch.float32
        assert ((targets >= 0) & (targets <= 1)).all()
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(shape[0]), atol=1e-5, rtol=0.0)
        mixed.zero_()
        targets.zero_()
        assert torch.equal(clips, copies[0])
        assert torch.equal(labels, copies[1])


@every_mixer
def test_uint8_and_float_agree(name):
    for shape in shapes_for(name):
        clips, labels, ids = batch_of(shape, torch.uint8)
        plan = MIXERS[name].draw(ids, generator=seeded(0))
        mixed, targets = MIXERS[name].apply(clips, labels, plan)
        as_floats, float_targets = MIXERS[name].apply(clips.float(), labels, plan)
        torch.testing.assert_close(mixed, as_floats, atol=1e-3, rtol=0.0)
        torch.testing.assert_close(targets, float_targets, atol=1e-5, rtol=0.0)


@every_mixer
@pytest.mark.parametrize("batch", [2, 3, 8, 9])
def test_even_and_odd_batches(name, batch):
    clips, labels, _ = batch_of((batch, *CLIPS[1:]))
    ids = [str(b) for b in range(batch)]
    mixed, targets = MIXERS[name](clips, labels, video_ids=ids, generator=seeded(0))
    assert len(mixed) == len(targets) == batch


@every_mixer
def test_no_video_meets_itself_even_where_it_is_repeated(name):
    if name in NO_PARTNER:
        pytest.skip("it has no partner")
    generator = seeded(1)
    for text in ("ab", "aab", "aaab", "aabbcde", "abcdefgh"):
        for _ in range(20):
            plan = MIXERS[name].draw(list(text), generator=generator)
            assert all(text[b] != text[p] for b, p in enumerate(plan.partner.tolist()))
    for text in ("aa", "aaaa"):
        with pytest.raises(RequestError, match="at least two videos"):
            MIXERS[name].draw(list(text))


@every_mixer
def test_a_batch_of_one_clip_comes_back_unmixed_and_that_is_told(name):
    if name in NO_PARTNER:
        pytest.skip("it has no partner")
    for shape in shapes_for(name):
        clips, labels, _ = batch_of(shape)
        with pytest.warns(UserWarning, match="A batch of a single clip was not mixed"):
            mixed, targets = MIXERS[name](clips[:1], labels[:1], video_ids=["a"], generator=seeded(1))
        torch.testing.assert_close(mixed, clips[:1])
        expected = MIXERS[name]._target(labels[:1]) if hasattr(MIXERS[name], "_target") else labels[:1]
        torch.testing.assert_close(targets, expected, atol=1e-5, rtol=0.0)
    plan = MIXERS[name].draw(["a"], pool=PartnerPool(["a", "b"]), generator=seeded(1))  # a pool has a partner for it
    assert plan.partner.tolist() == [1]


def test_a_batch_of_one_clip_is_told_once():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            MIDAS().draw(["a"])
            Mixup().draw(["b"])
    assert len(told) == 1


@every_mixer
def test_a_logged_plan_can_be_replayed(name):
    clips, labels, ids = batch_of(CLIPS)
    plan = MIXERS[name].draw(ids, generator=seeded(4))
    again = plan_from_dict(json.loads(json.dumps(plan.to_dict())))
    assert type(again) is type(plan)
    first, second = (MIXERS[name].apply(clips, labels, p) for p in (plan, again))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    same = MIXERS[name].draw(ids, generator=seeded(4))
    assert same.to_dict() == plan.to_dict()
    assert MIXERS[name].draw(ids, generator=seeded(5)).to_dict() != plan.to_dict()


@every_mixer
def test_apply_never_reads_from_the_device(name):
    """Reading a value of a tensor on "meta" raises, as on an accelerator it would make the host wait."""
    for shape in shapes_for(name):
        clips, labels, ids = batch_of(shape, torch.uint8)
        plan = MIXERS[name].draw(ids, generator=seeded(0))
        for there in (plan, plan.to("meta")):
            mixed, targets = MIXERS[name].apply(clips.to("meta"), labels.to("meta"), there)
            assert mixed.shape == clips.shape
            assert mixed.device.type == targets.device.type == "meta"
            assert targets.shape == labels.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_mixer
def test_apply_on_the_gpu_is_apply_on_the_cpu_and_never_synchronises(name):
    for shape in shapes_for(name):
        clips, labels, ids = batch_of(shape, torch.uint8)
        plan = MIXERS[name].draw(ids, generator=seeded(0))
        expected = MIXERS[name].apply(clips, labels, plan)
        there = clips.cuda(), labels.cuda()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            mixed, targets = MIXERS[name].apply(*there, plan)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(mixed.cpu(), expected[0], atol=1e-3, rtol=1e-5)
        torch.testing.assert_close(targets.cpu(), expected[1], atol=1e-5, rtol=1e-5)


@every_mixer
def test_permuting_the_batch_permutes_the_result(name):
    clips, labels, ids = batch_of(CLIPS)
    plan = MIXERS[name].draw(ids, generator=seeded(0))
    order = torch.randperm(len(clips), generator=seeded(1))
    mixed, targets = MIXERS[name].apply(clips, labels, plan)
    again, again_targets = MIXERS[name].apply(clips[order], labels[order], permuted(plan, order))
    torch.testing.assert_close(again, mixed[order], atol=1e-4, rtol=1e-6)
    torch.testing.assert_close(again_targets, targets[order], atol=1e-6, rtol=1e-6)


def permuted(plan, order):
    place = torch.argsort(order)
    rows = {"ratio": plan.ratio[order], "partner": place[plan.partner[order]]}
    if hasattr(plan, "place"):
        rows["place"] = plan.place[order]
    if hasattr(plan, "plan"):
        rows["plan"] = permuted(plan.plan, order)
    return replace(plan, **rows)


@every_pair
def test_ratio_one_is_the_clip_and_ratio_zero_its_partner(name):
    mixer = replace(MIXERS[name], normalization="none") if name.startswith("MIDAS") else MIXERS[name]
    clips, labels, ids = batch_of(CLIPS)
    plan = mixer.draw(ids, generator=seeded(0))
    ones = replace(plan, ratio=torch.ones(len(plan)))
    mixed, targets = mixer.apply(clips, labels, ones)
    if name != "PatchUp":  # a hard patch is the partner's, whatever the ratio
        assert torch.equal(mixed, clips)
        assert torch.equal(targets, labels)
    mixed, targets = mixer.apply(clips, labels, replace(plan, ratio=torch.zeros(len(plan))))
    if name.startswith("PatchUp") or name in ("BackgroundMix", "CutMix_clipped"):
        return  # they leave something of the clip by design; see their own tests
    torch.testing.assert_close(mixed, clips[plan.partner])
    torch.testing.assert_close(targets, labels[plan.partner])


@every_pair
def test_one_ratio_per_clip_or_one_for_the_batch(name):
    ids = [str(b) for b in range(16)]
    if name == "AttentiveCutMix_six":
        assert MIXERS[name].draw(ids).ratio.tolist() == pytest.approx([1 - 6 / 49] * 16)
        return
    assert len(set(MIXERS[name].draw(ids, generator=seeded(0)).ratio.tolist())) > 8
    per_batch = replace(MIXERS[name], ratio_per="batch")
    assert len(set(per_batch.draw(ids, generator=seeded(0)).ratio.tolist())) == 1


@every_mixer
def test_hard_labels_are_one_hot_encoded(name):
    clips, _, ids = batch_of(CLIPS)
    classes = torch.tensor([3, 0, 6, 3, 1])
    kind = MIXERS[name]
    if isinstance(kind, RandomChoice):
        mixer = RandomChoice((Mixup(num_classes=7), CutMix(num_classes=7)))
    else:
        mixer = replace(kind, num_classes=7)
    plan = mixer.draw(ids, generator=seeded(0))
    hard = mixer.apply(clips, classes, plan)
    soft = mixer.apply(clips, torch.eye(7)[classes], plan)
    assert torch.equal(hard[0], soft[0])
    assert torch.equal(hard[1], soft[1])


@every_mixer
def test_draws_come_from_the_generator_alone(name):
    ids = list("abcdefgh")
    before = torch.get_rng_state()
    one, two, other = (MIXERS[name].draw(ids, generator=seeded(seed)).to_dict() for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert one == two != other
    torch.manual_seed(7)
    assert MIXERS[name].draw(ids).to_dict() == one  # without a generator, torch's default one


PICTURES_ONLY = {
    name
    for name, mixer in MIXERS.items()
    if not isinstance(mixer, (Mixup, ManifoldMixup, RandomChoice))  # MIDAS is a Mixup
}


@every_mixer
def test_sound_and_features_where_no_picture_is_needed(name):
    clips, labels = torch.rand(4, 50), torch.eye(4)
    mixer = RandomChoice((Mixup(), MIDAS())) if name == "RandomChoice" else MIXERS[name]
    plan = mixer.draw(list("abcd"), generator=seeded(0))
    if name in PICTURES_ONLY:
        with pytest.raises(RequestError, match=r"shape \(4, 50\)"):
            mixer.apply(clips, labels, plan)
    else:
        assert mixer.apply(clips, labels, plan)[0].shape == clips.shape


# Where the target says how much of each clip is in the pixels; PuzzleMix moves blocks, TransMix goes by attention,
# PatchUp cuts every channel elsewhere, and two keep the label.
BY_PIXELS = [
    name
    for name, mixer in MIXERS.items()
    if name not in KEEPS_LABELS
    and not isinstance(mixer, (PuzzleMix, TransMix, PatchUp))
    and name not in ("MIDAS", "MIDAS_counts")
]


@pytest.mark.parametrize("name", BY_PIXELS)
def test_the_target_is_what_the_pixels_hold(name):
    """Channel b is 1 in clip b and 0 in all others, so the mean of a mixed clip's channels says what it is made of."""
    clips = torch.eye(6).view(6, 1, 6, 1, 1).repeat(1, 8, 1, 20, 30)
    labels = batch_of((6, 1))[1]
    for seed in range(5):
        mixed, targets = MIXERS[name](clips, labels, video_ids=list("abcdef"), generator=seeded(seed))
        shares = mixed.double().mean(dim=(1, 3, 4))
        torch.testing.assert_close(targets.double(), shares @ labels.double(), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("name", ["CutMix", "VideoMix", "SaliencyMix", "AttentiveCutMix"])
def test_the_share_that_is_kept_is_the_ratio_up_to_whole_pixels_or_cells(name):
    """So it has the ratio's distribution, Beta(1, 1), which test_mixing.py tests."""
    clips = torch.rand(32, 1, 70, 84, generator=seeded(0))
    ids = [str(b) for b in range(32)]
    plan = MIXERS[name].draw(ids, generator=seeded(1))
    _, targets = MIXERS[name].apply(clips, torch.eye(32), plan)
    step = 0.5 / 49 if name == "AttentiveCutMix" else 0.5 / 70 + 0.5 / 84
    assert (targets.diagonal() - plan.ratio).abs().max() <= step + 1e-6


@pytest.mark.parametrize("name", ["MIDAS", "MIDAS_counts", "Mixup"])
def test_pixels_are_mixed_and_normalised_in_one_pass(name):
    for shape in (CLIPS, STILLS):
        clips, labels, ids = batch_of(shape, torch.uint8)
        plan = MIXERS[name].draw(ids, generator=seeded(0))
        mixed, targets = MIXERS[name].apply_to_pixels(clips, labels, plan)
        expected, expected_targets = MIXERS[name].apply(clips, labels, plan)
        torch.testing.assert_close(mixed, normalize_pixels(expected), atol=3e-6, rtol=0.0)
        assert torch.equal(targets, expected_targets)
        others = clips[plan.partner], labels[plan.partner]
        again, again_targets = MIXERS[name].apply_to_pixels(clips, labels, plan, partners=others)
        assert torch.equal(again, mixed)
        assert torch.equal(again_targets, targets)
    with pytest.raises(RequestError, match="Row 1 of the soft labels"):
        MIXERS[name].apply_to_pixels(clips, labels * torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 1.0])[:, None], plan)


# --- partners from a pool, and class-balanced ones


@every_mixer
def test_partners_from_a_whole_training_set(name):
    """Partners that were loaded row by row give what a batch that held them all would give."""
    clips, labels, ids = batch_of(CLIPS)
    others, other_labels, _ = batch_of((9, *CLIPS[1:]), seed=5)
    pool = PartnerPool([f"other{n}" for n in range(7)] + ["video0", "video1"])
    plan = MIXERS[name].draw(ids, pool=pool, generator=seeded(0))
    if name in NO_PARTNER:
        assert plan.pool_size is None
        return
    assert plan.pool_size == 9
    rows = plan.partner
    mixed, targets = MIXERS[name].apply(clips, labels, plan, partners=(others[rows], other_labels[rows]))
    inner = plan.plan if hasattr(plan, "plan") else plan
    whole = replace(
        inner,
        ratio=torch.cat([plan.ratio, torch.ones(9)]),
        partner=torch.cat([rows + len(clips), torch.arange(9)]),
        pool_size=None,
        **({"place": torch.cat([inner.place, torch.zeros(9, 3)])} if hasattr(inner, "place") else {}),
    )
    if hasattr(plan, "plan"):
        whole = replace(plan, ratio=whole.ratio, partner=whole.partner, pool_size=None, plan=whole)
    joined = torch.cat([clips, others]), torch.cat([labels, other_labels])
    expected, expected_targets = MIXERS[name].apply(*joined, whole)
    torch.testing.assert_close(mixed, expected[: len(clips)], atol=1e-4, rtol=1e-6)
    torch.testing.assert_close(targets, expected_targets[: len(clips)], atol=1e-6, rtol=1e-6)


@every_pair
def test_a_pooled_plan_needs_its_partners(name):
    clips, labels, ids = batch_of(CLIPS)
    plan = MIXERS[name].draw(ids, pool=PartnerPool(["x", "y"]), generator=seeded(0))
    with pytest.raises(RequestError, match="rows of a pool of 2 clips"):
        MIXERS[name].apply(clips, labels, plan)
    for wrong in ((clips[:, :1], labels), (clips.double(), labels), (clips, labels[:, :3]), (clips[:2], labels[:2])):
        with pytest.raises(RequestError, match=r"one partner for each row|expected \[B, 7\]"):
            MIXERS[name].apply(clips, labels, plan, partners=wrong)


@every_pair
def test_class_balanced_partners(name):
    """One clip of eight is of the rare class, and half of the others' partners are it."""
    mixer = replace(MIXERS[name], class_balanced=True)
    labels = torch.eye(2)[[0, 0, 0, 0, 0, 0, 0, 1]]
    ids = [str(b) for b in range(8)]
    with pytest.raises(RequestError, match="give draw the batch's labels"):
        mixer.draw(ids)
    generator = seeded(0)
    partners = torch.stack([mixer.draw(ids, labels=labels, generator=generator).partner for _ in range(150)])
    # Of the seven common clips, a row's partner is the rare one with chance 1 / (1 + 6/7).
    rare = (partners[:, :7] == 7).double().mean().item()
    assert rare == pytest.approx(1 / (1 + 6 / 7), abs=0.05)
    assert (partners != torch.arange(8)).all()
    clips = torch.rand(8, *CLIPS[1:])
    assert len(mixer(clips, labels, video_ids=ids, generator=generator)[0]) == 8


# --- wrong input


@every_mixer
def test_wrong_input_is_refused_with_what_came_and_what_was_expected(name):
    mixer = MIXERS[name]
    clips, labels, ids = batch_of(CLIPS)
    plan = mixer.draw(ids, generator=seeded(0))
    bad = labels.clone()
    bad[2, 1] += 0.5
    nan = labels.clone()
    nan[3, 0] = float("nan")
    for wrong_labels, message in (
        (bad, r"Row 2 of the soft labels is .* sum to 1"),
        (nan, "Row 3 of the soft labels"),
        (labels[:4], "plan for 5 rows"),
        (labels[0], r"expected \[B, K\]"),
        (torch.tensor([0, 1, 2, 0, 1]), "give the mixer num_classes"),
        (torch.ones(5, 7, dtype=torch.int64), "votes_to_soft_labels"),
    ):
        with pytest.raises(RequestError, match=message):
            mixer.apply(clips, wrong_labels, plan)
    with pytest.raises(RequestError, match="plan for 4 rows"):
        mixer.apply(clips, labels, mixer.draw(list("abcd"), generator=seeded(0)))
    with pytest.raises(RequestError, match="integer or floating"):
        mixer.apply(clips.bool(), labels, plan)
    with pytest.raises(RequestError, match="empty"):
        mixer.draw([])
    with pytest.raises(RequestError, match=r"shape \(2, 2\)"):
        mixer.draw(torch.zeros(2, 2))


@every_pair
def test_wrong_settings_are_refused(name):
    for settings_, message in (
        ({"alpha": 0.0}, "alpha.*is 0.0; expected a positive number"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"num_classes": 0}, "at least 1"),
    ):
        with pytest.raises(RequestError, match=message):
            replace(MIXERS[name], **settings_)
    clips, labels, ids = batch_of(CLIPS)
    with pytest.raises(RequestError, match=r"expected \[B, 8\]"):
        replace(MIXERS[name], num_classes=8)(clips, labels, video_ids=ids)


def test_an_unknown_logged_plan_is_refused():
    for values in ({}, {"kind": "Plan"}, {"kind": "MixPlan", "ratio": [0.5]}, {"kind": "MixPlan", "ratio": "x"}):
        with pytest.raises(RequestError, match="no values of a mixing plan"):
            plan_from_dict(values)


# --- the pool


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=20).filter(lambda ids: len(set(ids)) > 1),
    st.lists(st.integers(0, 7), min_size=1, max_size=10),
    st.integers(0, 2**40),
    st.data(),
)
def test_a_pool_gives_another_video_of_positive_weight(pool_ids, ids, seed, data):
    weights = data.draw(
        st.lists(st.sampled_from([0.0, 1e-6, 0.1, 1.0, 1e6]), min_size=len(pool_ids), max_size=len(pool_ids))
    )
    pool = PartnerPool(pool_ids, torch.tensor(weights, dtype=torch.float64))
    lonely = [i for i in ids if not any(w > 0 and v != i for v, w in zip(pool_ids, weights, strict=True))]
    if lonely:
        with pytest.raises(RequestError, match="at least two videos"):
            pool.draw(ids, seeded(seed))
        return
    rows = pool.draw(ids, seeded(seed)).tolist()
    assert all(pool_ids[row] != i for row, i in zip(rows, ids, strict=True))
    assert all(weights[row] > 0 for row in rows)


def test_a_pool_draws_by_weight():
    pool = PartnerPool(list("aabcd"), torch.tensor([1.0, 2.0, 3.0, 0.0, 4.0]))
    draws = pool.draw(["b"] * 7000, seeded(0))
    shares = torch.bincount(draws, minlength=5).double() / 7000
    np.testing.assert_allclose(shares.numpy(), np.array([1, 2, 0, 0, 4]) / 7, atol=0.02)
    draws = pool.draw(["new"] * 10000, seeded(1))
    shares = torch.bincount(draws, minlength=5).double() / 10000
    np.testing.assert_allclose(shares.numpy(), np.array([1, 2, 3, 0, 4]) / 10, atol=0.02)


def test_a_balanced_pool_counts_shares_of_soft_labels():
    labels = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    pool = PartnerPool.class_balanced(list("abc"), labels)
    torch.testing.assert_close(pool.weights, torch.tensor([2 / 3, 2 / 3, 2 / 3], dtype=torch.float64))
    hard = PartnerPool.class_balanced(list("abcd"), torch.tensor([0, 0, 0, 1]), num_classes=5)
    torch.testing.assert_close(hard.weights, torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("ids", "weights", "message"),
    [
        ([], None, "empty"),
        (["a", "b"], torch.ones(3), "2 video ids and weights of shape"),
        (["a", "b"], torch.tensor([1.0, -1.0]), "weight of row 1 is -1"),
        (["a", "b"], torch.tensor([float("nan"), 1.0]), "weight of row 0 is nan"),
        ("ab", None, "single text"),
    ],
)
def test_wrong_pools_are_refused(ids, weights, message):
    with pytest.raises(RequestError, match=message):
        PartnerPool(ids, weights)


def test_a_plan_knows_its_pool():
    with pytest.raises(RequestError, match="partner of row 0 is row 5; expected 0 to 4"):
        MixPlan(torch.tensor([0.5]), torch.tensor([5]), pool_size=5)
    assert len(MixPlan(torch.tensor([0.5]), torch.tensor([5]), pool_size=6)) == 1
