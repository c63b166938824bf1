"""What a check is given: one mixer of one library, called the same way as every other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

NUM_CLASSES = 5
"""K of all labels here."""

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Clips and labels in, mixed clips and targets out."""

LabelRule = Literal["pixels", "own", "other"]
"""Where the targets come from: the shares of the pixels, the clip's own label, or something else (attention)."""


@dataclass(frozen=True)
class Candidate:
    """One mixer.

    Attributes:
        library: its name in the table.
        mixer: its name in the table.
        version: of the library.
        files: the files that were run, each with git's hash of its contents.
        make: gives the mixer for an α of the ratio's Beta distribution. From 10 on the ratio must lie near one
            half, for mixers that draw from another distribution too.
        parameters: names of what the constructor and the call take.
        rule: where the targets come from.
        replay: mixes the same batch twice with one plan and gives both results; None where there is no plan.
        planned: partners of the rows of some videos, as its plan has them; None where they are read from pixels.
        dtype: of the pixels that it takes, where a check doesn't try another.
        as_video: wraps clips in the library's own type for video, where it has one.
        note: what an adapter had to do.
    """

    library: str
    mixer: str
    version: str
    files: tuple[dict[str, str], ...]
    make: Callable[[float], Mix]
    parameters: tuple[str, ...]
    rule: LabelRule = "pixels"
    replay: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    planned: Callable[[Sequence[int]], Tensor] | None = None
    dtype: torch.dtype = torch.float32
    as_video: Callable[[Tensor], Tensor] | None = None
    note: str = ""

    @property
    def row(self) -> str:
        """Its name in the table and in the JSON."""
        return f"{self.library} {self.mixer}"
