"""The Triton kernels: interpreted on the CPU, compiled for a GPU, and on a GPU where there is one."""

import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.support.fused_cases import HALVES, Case, check

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

CROPS = ((0, 0, 9, 14, 0), (2, 3, 5, 7, 1), (8, 13, 1, 1, 1))
OTHER_CROPS = ((1, 1, 8, 8, 1), (0, 0, 9, 14, 1), (0, 4, 9, 9, 0))


def make_cases() -> list[Case]:
    """Every branch of the kernels, at a size that the interpreter does in a second."""
    generator = torch.Generator().manual_seed(0)

    def pixels(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    clips = pixels(3, 1, 3, 9, 14)
    plain = Case(clips=clips, ratio=torch.rand(3, generator=generator), partner=torch.tensor([1, 2, 0]))
    cropped = replace(plain, crops=CROPS, size=6)
    return [
        plain,
        replace(plain, ratio=torch.tensor([0.0, 1.0, 0.5])),
        replace(plain, dtype=torch.bfloat16),
        replace(plain, dtype=torch.float16),
        replace(plain, clips=pixels(3, 2, 3, 9, 14), partner_clips=pixels(3, 2, 3, 9, 14)),
        replace(plain, clips=pixels(3, 1, 8, 8), mean=(0.5,), std=(0.25,)),  # stills, one channel
        replace(plain, clips=pixels(3, 1, 3, 70, 70)),  # two programs to a plane
        replace(plain, ratio=torch.tensor(0.3).expand(3), partner=torch.tensor([1, 0, 2, 0, 0])[::2]),
        replace(plain, clips=clips.permute(0, 1, 2, 4, 3)),
        cropped,
        replace(cropped, size=None),
        replace(cropped, size=40),  # two programs to a plane
        replace(cropped, dtype=torch.bfloat16),
        replace(cropped, clips=pixels(3, 2, 3, 9, 14), partner_clips=pixels(3, 2, 3, 9, 14), partner_crops=OTHER_CROPS),
        replace(plain, size=11),
        replace(plain, channels_last=True),
        replace(plain, clips=pixels(3, 2, 3, 70, 70), dtype=torch.float16, channels_last=True),
        replace(cropped, size=40, channels_last=True),
    ]


def run(how: str, folder: Path, cases: list[Case]) -> list[torch.Tensor]:
    torch.save([{field.name: getattr(case, field.name) for field in fields(case)} for case in cases], folder / "cases")
    call(how, folder)
    results: list[torch.Tensor] = torch.load(folder / "results", weights_only=True)
    return results


def call(how: str, folder: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    if how == "interpret":
        environment["TRITON_INTERPRET"] = "1"
    environment["TRITON_CACHE_DIR"] = str(folder / "cache")
    subprocess.run(
        [sys.executable, "-m", "tests.support.fused_kernel_run", how, folder / "cases", folder / "results"],
        cwd=Path(__file__).parents[2],
        env=environment,
        check=True,
    )


def test_interpreted_kernels_equal_the_plain_formula(tmp_path: Path) -> None:
    cases = make_cases()
    for case, result in zip(cases, run("interpret", tmp_path, cases), strict=True):
        # Triton's interpreter cuts bfloat16 off where a GPU rounds, which makes the error twice as large.
        check(result, case, 2 * HALVES[case.dtype] if case.dtype == torch.bfloat16 else None)


def test_compiled_kernel_moves_whole_words(tmp_path: Path) -> None:
    call("compile", tmp_path)
    ptx = (tmp_path / "results").read_text()
    assert len(re.findall(r"st\.global\.v4\.b32", ptx)) == 8  # 4096 pixels, 128 threads, 4 float32 a store
    assert len(re.findall(r"ld\.global\.b32", ptx)) >= 16  # 4 pixels a load, of two clips
    assert not re.search(r"[ls][dt]\.global\.b8|bar\.sync|\.shared", ptx)


@on_a_gpu
@pytest.mark.parametrize("how", ["cuda", "cuda-torch"])
def test_a_gpu_equals_the_plain_formula_and_is_not_waited_for(how: str, tmp_path: Path) -> None:
    cases = make_cases()
    for case, result in zip(cases, run(how, tmp_path, cases), strict=True):
        check(result, case)


@on_a_gpu
def test_more_than_two_to_the_31_pixels(tmp_path: Path) -> None:
    if torch.cuda.mem_get_info()[0] < 8 * 2**30:
        pytest.skip("the device has less than 8 GiB of free memory")
    (last,) = run("cuda-large", tmp_path, [])
    assert torch.equal(last, torch.full_like(last, 150.0))
