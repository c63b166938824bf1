"""Our own mixers, in the form of `Candidate`."""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor

import midas_dfer.mixing
from benchmarks.peers.adapters import parameters_of
from benchmarks.peers.candidate import NUM_CLASSES, Candidate, LabelRule, Mix
from midas_dfer import __version__
from midas_dfer.mixing import MIDAS, Mixer, Mixup, RandomChoice

LIBRARY = "midas-dfer"

OUR_MIXERS: dict[str, LabelRule] = {
    "MIDAS": "pixels",
    "Mixup": "pixels",
    "CutMix": "pixels",
    "VideoMix": "pixels",
    "Cutout": "own",
    "SaliencyMix": "pixels",
    "AttentiveCutMix": "pixels",
    "PuzzleMix": "pixels",
    "TransMix": "other",
    "ManifoldMixup": "pixels",
    "PatchUp": "other",
    "BackgroundMix": "own",
    "RandomChoice": "pixels",
}
"""Our mixers, and where the targets of each come from."""


def our_mixers() -> list[Candidate]:
    """All of `OUR_MIXERS`."""
    return [_candidate(name, getattr(midas_dfer.mixing, name)) for name in OUR_MIXERS]


def _candidate(name: str, kind: type) -> Candidate:
    def build(alpha: float, kind: type = kind) -> Mixer:
        if kind is RandomChoice:
            return RandomChoice([build(alpha, MIDAS), build(alpha, Mixup)])
        # The label normalisation is off: the check compares targets with shares of pixels.
        wanted = {"alpha": alpha, "num_classes": NUM_CLASSES, "normalization": "none"}
        taken = inspect.signature(kind).parameters
        return kind(**{key: value for key, value in wanted.items() if key in taken})

    def generator() -> torch.Generator:
        # A check's draws differ because torch's default generator goes on; it seeds ours.
        return torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))

    def make(alpha: float) -> Mix:
        mixer = build(alpha)
        return lambda clips, labels: mixer(clips, labels, video_ids=list(range(len(clips))), generator=generator())

    def planned(videos: Sequence[int]) -> Tensor:
        return build(0.4).draw(list(videos), generator=generator()).partner

    def replay(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        mixer = build(0.4)
        plan = mixer.draw(list(range(len(clips))), generator=torch.Generator().manual_seed(0))
        return mixer.apply(clips, labels, plan)[0], mixer.apply(clips, labels, plan)[0]

    return Candidate(
        library=LIBRARY,
        mixer=name,
        version=__version__,
        files=(),
        make=make,
        # A choice has the options of the mixers that it chooses from.
        parameters=parameters_of(kind.__init__, kind.draw, kind.__call__, *[MIDAS.__init__] * (kind is RandomChoice)),
        rule=OUR_MIXERS[name],
        replay=replay,
        planned=planned,
        note="the partners are read from the plan; RandomChoice: of MIDAS and Mixup",
    )
