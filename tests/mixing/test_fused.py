"""`mix_and_normalize` on the CPU, and its plain torch operations for other devices."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.crops import CropAndFlip
from midas_dfer.errors import RequestError
from midas_dfer.mixing import MIDAS
from midas_dfer.mixing.fused import mix, mix_and_normalize
from midas_dfer.mixing.fused.device import mix_with_torch
from midas_dfer.mixing.plan import MixPlan, RegionPlan
from tests.support.fused_cases import Case, check, make_crops

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def run(case: Case, **kwargs: Any) -> Tensor:
    return mix_and_normalize(
        case.clips,
        MixPlan(ratio=case.ratio, partner=case.partner),
        mean=case.mean,
        std=case.std,
        partner_clips=case.partner_clips,
        crops=make_crops(case.crops),
        partner_crops=make_crops(case.partner_crops),
        size=case.size,
        dtype=case.dtype,
        channels_last=case.channels_last,
        **kwargs,
    )


def run_both_ways(case: Case) -> Iterator[Tensor]:
    yield run(case)
    with mock.patch.object(mix, "mix_on_cpu", mix_with_torch):
        yield run(case)


def make_case(*shape: int, seed: int = 0, **kwargs: Any) -> Case:
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    ratio = torch.rand(shape[0], generator=generator)
    return Case(clips=clips, ratio=ratio, partner=torch.arange(shape[0]).roll(1), **kwargs)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    batch, frames, channels = draw(st.integers(1, 4)), draw(st.integers(0, 5)), draw(st.integers(1, 4))
    height, width = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    shape = (batch, *((frames,) if frames else ()), channels, height, width)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))

    def crops() -> tuple[tuple[int, ...], ...]:
        rows = []
        for _ in range(batch):
            top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            tall, wide = draw(st.integers(1, height - top)), draw(st.integers(1, width - left))
            rows.append((top, left, tall, wide, draw(st.integers(0, 1))))
        return tuple(rows)

    cut, outside = draw(st.booleans()), draw(st.booleans())
    pixels = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=generator)
    return Case(
        clips=pixels[0],
        ratio=torch.tensor(draw(st.lists(st.floats(0, 1, width=32), min_size=batch, max_size=batch))),
        partner=torch.randint(0, batch, (batch,), generator=generator),
        mean=tuple(draw(st.floats(0, 1)) for _ in range(channels)),
        std=tuple(draw(st.floats(0.1, 1)) for _ in range(channels)),
        partner_clips=pixels[1] if outside else None,
        crops=crops() if cut else None,
        partner_crops=crops() if cut and outside else None,
        size=draw(st.none() | st.integers(1, 24)),
        dtype=draw(st.sampled_from(DTYPES)),
        channels_last=draw(st.booleans()),
    )


@given(cases())
def test_equals_the_plain_formula_whatever_the_shapes(case: Case) -> None:
    before = case.clips.clone()
    for result in run_both_ways(case):
        check(result, case)
        assert not result.requires_grad
    assert torch.equal(case.clips, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [None, 64, 300])
def test_larger_pictures(dtype: torch.dtype, size: int | None) -> None:
    crops = ((0, 0, 270, 201, 0), (7, 3, 221, 189, 1), (200, 1, 64, 64, 1))
    check(run(make_case(3, 2, 3, 270, 201, dtype=dtype)), make_case(3, 2, 3, 270, 201, dtype=dtype))
    case = make_case(3, 2, 3, 270, 201, dtype=dtype, crops=crops, size=size)
    for result in run_both_ways(case):
        check(result, case)


def test_a_thousand_pixels_a_side() -> None:
    case = make_case(2, 1, 1, 1024, 1000, size=777)
    case = replace(case, mean=(0.5,), std=(0.25,), crops=((0, 0, 1024, 999, 0), (1, 0, 1001, 1000, 1)))
    for result in run_both_ways(case):
        check(result, case)


def test_is_mixing_then_normalize_pixels() -> None:
    case = make_case(4, 2, 3, 9, 8)
    clips = case.clips.float()
    mixed = torch.lerp(clips[case.partner], clips, case.ratio.view(-1, 1, 1, 1, 1))
    torch.testing.assert_close(run(case), normalize_pixels(mixed), rtol=0, atol=2e-6)


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("normalization", ["none", "softmax"])
def test_labels_are_mixed_as_the_pixels_are(normalization: str, *, outside: bool) -> None:
    """Clip k is all white in its own channel alone, so what is seen of it is its share in the mixed label."""
    own = torch.eye(3).view(3, 1, 3, 1, 1).expand(3, 2, 3, 4, 4)
    clips = (255 * own).to(torch.uint8).contiguous()
    plan = MixPlan(ratio=torch.tensor([0.9, 0.75, 0.2]), partner=torch.tensor([1, 2, 0]))
    partners = None
    if outside:
        plan = MixPlan(ratio=plan.ratio, partner=torch.tensor([2, 0, 1]), pool_size=3)
        partners = (clips[plan.partner], torch.eye(3)[plan.partner])
    mixed, targets = MIDAS(normalization=normalization).apply_to_pixels(clips, torch.eye(3), plan, partners=partners)
    black, white = (normalize_pixels(torch.full((1, 1, 3, 4, 4), value, dtype=torch.uint8)) for value in (0, 255))
    seen = ((mixed - black) / (white - black)).mean(dim=(1, 3, 4))
    expected = torch.zeros(3, 3)
    for row, (ratio, partner) in enumerate(zip(plan.ratio.tolist(), plan.partner.tolist(), strict=True)):
        expected[row, row] += ratio
        expected[row, partner] += 1 - ratio
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)
    if normalization == "softmax":
        expected = expected.exp() / expected.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(targets, expected, rtol=0, atol=1e-6)


def test_ratio_one_is_the_clip_and_zero_its_partner() -> None:
    case = make_case(2, 2, 3, 6, 5, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    for result in run_both_ways(replace(case, ratio=torch.tensor([1.0, 0.0]))):
        torch.testing.assert_close(result[0], case.clips[0].float(), rtol=1e-6, atol=0)
        torch.testing.assert_close(result[1], case.clips[0].float(), rtol=1e-6, atol=0)


def test_half_precision_is_float32_rounded_once() -> None:
    case = make_case(3, 2, 3, 20, 20)
    for dtype in DTYPES[1:]:
        assert torch.equal(run(replace(case, dtype=dtype)), run(case).to(dtype))


def test_crop_that_needs_no_resampling_is_exact() -> None:
    crops = ((0, 0, 5, 5, 1), (1, 2, 5, 5, 0))
    case = make_case(2, 1, 3, 6, 7, crops=crops, size=5, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    case = replace(case, ratio=torch.ones(2))
    for result in run_both_ways(case):
        torch.testing.assert_close(result[0], case.clips[0, ..., :5, :5].flip(-1).float(), rtol=1e-6, atol=0)
        torch.testing.assert_close(result[1], case.clips[1, ..., 1:6, 2:7].float(), rtol=1e-6, atol=0)


def test_threads_share_a_batch() -> None:
    case = make_case(7, 2, 3, 200, 250)  # 2.1 million values: worth two threads
    alone = run(case)
    with mock.patch.object(torch, "get_num_threads", return_value=2):
        assert torch.equal(run(case), alone)


def test_fills_the_tensor_that_is_given() -> None:
    case = make_case(3, 2, 3, 8, 8)
    out = torch.full((3, 2, 3, 8, 8), torch.nan)
    assert run(case, out=out) is out
    check(out, case)


def test_clips_in_another_memory_order() -> None:
    case = make_case(3, 2, 8, 9, 3)
    moved = replace(case, clips=case.clips.permute(0, 1, 4, 2, 3))
    for result in run_both_ways(moved):
        check(result, moved)


def test_torch_operations_a_few_clips_at_a_time() -> None:
    case = make_case(5, 2, 3, 8, 8, crops=((1, 1, 6, 5, 1),) * 5, size=7)
    with mock.patch.object(mix, "mix_on_cpu", lambda job: mix_with_torch(job, values_at_once=900)):
        check(run(case), case)


class _LargestFloat(TorchDispatchMode):
    """Remember the largest floating tensor that any torch operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and "Tensor(a!)" not in str(func._schema):
            floats = [t.numel() for t in tree_leaves(result) if isinstance(t, Tensor) and t.is_floating_point()]
            self.values = max(self.values, *floats, 0)
        return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cut", [False, True])
def test_holds_no_float_copy_of_the_batch(dtype: torch.dtype, cut: bool) -> None:
    crops = ((3, 4, 90, 90, 1),) * 40 if cut else None
    case = make_case(40, 2, 3, 100, 100, dtype=dtype, crops=crops)
    out = torch.empty(case.clips.shape, dtype=dtype)
    with _LargestFloat():
        run(case, out=out)  # what is imported on the way does not count
    tracemalloc.start()
    with _LargestFloat() as largest:
        run(case, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    plane = 100 * 100
    assert largest.values <= 2 * 3 * plane  # of the 240 planes of the batch
    assert peak < 6 * plane * np.dtype(np.float32).itemsize


def test_shapes_are_known_without_values() -> None:
    case = make_case(2, 3, 3, 8, 9, size=5, dtype=torch.bfloat16)
    result = run(replace(case, clips=case.clips.to("meta")))
    assert (result.shape, result.dtype, result.device.type) == ((2, 3, 3, 5, 5), torch.bfloat16, "meta")
    assert run(replace(case, clips=case.clips.to("meta"), size=None)).shape == (2, 3, 3, 8, 9)


def test_a_gpu_without_triton_gets_torch_operations() -> None:
    case = make_case(2, 1, 3, 4, 4)
    plan = MixPlan(ratio=case.ratio, partner=case.partner)
    with (
        mock.patch.object(mix, "find_spec", return_value=None),
        mock.patch.object(torch.cuda, "get_device_capability", return_value=(9, 0)),
    ):
        assert not mix._triton_runs_on(torch.device("cuda"))
    with (
        mock.patch.object(mix, "find_spec", return_value=object()),
        mock.patch.object(torch.cuda, "get_device_capability", return_value=(7, 5)),
    ):
        assert not mix._triton_runs_on(torch.device("cuda"))
    with mock.patch.object(torch.cuda, "get_device_capability", return_value=(9, 0)):
        assert mix_and_normalize(case.clips, plan).device.type == "cpu"


CLIPS = torch.zeros(2, 1, 3, 6, 5, dtype=torch.uint8)
PLAN = MixPlan(ratio=torch.ones(2), partner=torch.tensor([1, 0]))
WHOLE = CropAndFlip(0, 0, 6, 5)
POOL_PLAN = MixPlan(ratio=torch.ones(2), partner=torch.tensor([7, 0]), pool_size=9)
REGION_PLAN = RegionPlan(ratio=PLAN.ratio, partner=PLAN.partner, place=torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("clips", "plan", "kwargs", "message"),
    [
        (CLIPS.float(), PLAN, {}, "torch.float32; expected uint8 pixels.*MIDAS.apply"),
        (CLIPS[0, 0], PLAN, {}, r"shape \(3, 6, 5\); expected \[B,T,C,H,W\]"),
        (CLIPS[:, :, :, :0], PLAN, {}, "none of them empty"),
        (CLIPS[:1], PLAN, {}, "plan is for 2 rows and there are 1 clips"),
        (CLIPS, POOL_PLAN, {}, "partners are rows of a pool of 9; give their pixels as partner_clips"),
        (CLIPS, REGION_PLAN, {}, "RegionPlan; expected a MixPlan of whole clips"),
        (CLIPS, PLAN, {"mean": (0.5,)}, r"3 channels, mean is \(0.5,\)"),
        (CLIPS, PLAN, {"std": (0.5, 0.0, 1.0)}, "one positive std per channel"),
        (CLIPS, PLAN, {"std": (0.5, 0.5)}, "one mean and one positive std per channel"),
        (CLIPS, PLAN, {"size": 0}, "size of the result is 0; expected a positive number"),
        (CLIPS, PLAN, {"dtype": torch.float64}, "torch.float64; expected one of torch.float32, torch.bfloat16"),
        (CLIPS, PLAN, {"crops": [WHOLE]}, "1 crops for 2 clips"),
        (CLIPS, PLAN, {"crops": [WHOLE, CropAndFlip(1, 0, 6, 5)]}, "Row 1 of crops, .*leaves a picture of 6 x 5"),
        (CLIPS, PLAN, {"crops": [WHOLE, CropAndFlip(0, 1, 6, 5)]}, "Row 1 of crops, .*leaves"),
        (CLIPS, PLAN, {"crops": [WHOLE] * 2, "partner_clips": CLIPS}, "give all three"),
        (CLIPS, PLAN, {"crops": [WHOLE] * 2, "partner_crops": [WHOLE] * 2}, "give all three"),
        (CLIPS, PLAN, {"partner_crops": [WHOLE] * 2, "partner_clips": CLIPS}, "give all three"),
        (CLIPS, PLAN, {"partner_clips": CLIPS[:, :, :, :5]}, r"partners are torch.uint8 \(2, 1, 3, 5, 5\) on cpu"),
        (CLIPS, PLAN, {"partner_clips": CLIPS.float()}, "partners are torch.float32"),
        (CLIPS, PLAN, {"out": torch.empty(2, 1, 3, 5, 6)}, r"out is torch.float32 \(2, 1, 3, 5, 6\) on cpu; expected"),
        (CLIPS, PLAN, {"out": torch.empty(2, 1, 3, 6, 5).half()}, "out is torch.float16"),
        (CLIPS, PLAN, {"out": torch.empty(2, 1, 3, 5, 6).transpose(-1, -2)}, "not contiguous"),
        (CLIPS, PLAN, {"out": torch.empty(2, 1, 3, 6, 5, requires_grad=True)}, "gradient"),
        (CLIPS, PLAN, {"out": torch.empty(2, 1, 3, 6, 5), "channels_last": True}, "leave out one of channels_last"),
    ],
)
def test_wrong_requests_are_refused(clips: Tensor, plan: MixPlan, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        mix_and_normalize(clips, plan, **kwargs)


def test_partners_of_a_pool() -> None:
    clips, partners = CLIPS + 10, CLIPS + 30
    result = mix_and_normalize(clips, replace(POOL_PLAN, ratio=PLAN.ratio / 2), partner_clips=partners)
    torch.testing.assert_close(result, normalize_pixels(CLIPS + 20), rtol=0, atol=2e-6)


def test_the_cpu_has_a_way_of_its_own() -> None:
    with mock.patch("midas_dfer.mixing.fused.cpu.mix_on_cpu") as way:
        mix_and_normalize(CLIPS, PLAN)
    way.assert_called_once()
