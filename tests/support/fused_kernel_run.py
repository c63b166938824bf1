"""Run the Triton kernels on cases from a file: ``python -m tests.support.fused_kernel_run HOW CASES RESULTS``.

A process of its own, because Triton decides on import whether it interprets, and because it reads the source
of the kernels, which the shape checks of the tests would have rewritten.
"""

import sys
from pathlib import Path

import torch

from midas_dfer.mixing.fused import mix, mix_and_normalize
from midas_dfer.mixing.plan import MixPlan
from tests.support.fused_cases import Case, make_crops


def run(case: Case, device: str) -> torch.Tensor:
    """Compute one case; on a GPU, fail where the host would wait for it."""
    clips = case.clips.to(device)
    partner_clips = None if case.partner_clips is None else case.partner_clips.to(device)
    plan = MixPlan(ratio=case.ratio, partner=case.partner)
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
    result = mix_and_normalize(
        clips,
        plan,
        mean=case.mean,
        std=case.std,
        partner_clips=partner_clips,
        crops=make_crops(case.crops),
        partner_crops=make_crops(case.partner_crops),
        size=case.size,
        dtype=case.dtype,
        channels_last=case.channels_last,
    )
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("default")
    return result.cpu()


def run_beyond_32_bits() -> torch.Tensor:
    """Mix a batch of more than 2^31 pixels on a GPU and give back its last row (partner: the first)."""
    rows = 2**31 // (3 * 1024 * 1024) + 2
    clips = torch.zeros(rows, 3, 1024, 1024, dtype=torch.uint8, device="cuda")
    clips[-1], clips[0] = 100, 200
    plan = MixPlan(ratio=torch.full((rows,), 0.5), partner=torch.arange(rows).roll(-1))
    return mix_and_normalize(clips, plan, mean=(0.0,) * 3, std=(1 / 255,) * 3, dtype=torch.bfloat16)[-1].cpu()


def compile_for_hopper() -> str:
    """Compile the kernel for a GPU of compute capability 9.0, which needs none to be there; gives its PTX."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from midas_dfer.mixing.fused import kernels

    pointers = {"out": "*fp32", "clips": "*u8", "partner_clips": "*u8", "partner_rows": "*i64"}
    pointers |= {"ratios": "*fp32", "constants": "*fp32"}
    numbers = dict.fromkeys(("planes", "channels", "pixels", "blocks"), "i32")
    signature = pointers | numbers | dict.fromkeys(("BLOCK", "VECTOR", "LAST"), "constexpr")
    divisible_by_16 = [*range(6), list(signature).index("pixels")]
    source = ASTSource(
        kernels._mix_planes,
        signature,
        constexprs={(10,): kernels._BLOCK, (11,): 4, (12,): False},
        attrs={(place,): [["tt.divisibility", 16]] for place in divisible_by_16},
    )
    options = {"num_warps": kernels._WARPS, "enable_fp_fusion": True}
    return str(triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"])


def main() -> None:
    """Read, compute, write."""
    how, cases, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if how == "compile":
        results.write_text(compile_for_hopper())
        return
    if how == "cuda-large":
        torch.save([run_beyond_32_bits()], results)
        return
    if how == "interpret":
        from midas_dfer.mixing.fused.kernels import mix_with_triton

        mix.mix_on_cpu = mix_with_triton
    elif how == "cuda-torch":
        mix._triton_runs_on = lambda device: False
    torch.save(
        [run(Case(**case), "cpu" if how == "interpret" else "cuda") for case in torch.load(cases, weights_only=True)],
        results,
    )


if __name__ == "__main__":
    main()
