"""Mixing and normalisation in one pass: uint8 clips and a plan in, what the network takes out.

`mix` is the door; `cpu` and `kernels` (Triton) do it on a `device`; `job` is what both are asked.
"""

from midas_dfer.mixing.fused.mix import mix_and_normalize

__all__ = ["mix_and_normalize"]
