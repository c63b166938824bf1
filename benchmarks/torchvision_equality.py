"""Our ResNets beside torchvision's: the same weights, the same pictures, by how much do the outputs differ?

``python -m benchmarks.torchvision_equality`` prints a table and writes results/torchvision_equality.json. torchvision
goes into an environment of its own that sees this project's packages, never into them; its wheel is built for CUDA,
and ``--no-deps`` keeps its torch out::

    python -m venv with-torchvision
    with-torchvision/bin/pip install --no-deps torchvision
    export PYTHONPATH=$PWD:$PWD/src:$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    with-torchvision/bin/python -m benchmarks.torchvision_equality

Each network is made by torchvision; its weights are drawn at random, batch-norm statistics, scales and shifts too (the
ones and zeros that it starts with hide mistakes); then ours gets its state dict, every key of it and no other. The
networks for pictures see clips of one frame, and their temporal shift is off.
"""

import argparse
import importlib
import importlib.metadata
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import RESULTS
from benchmarks.mixing import import_torchvision
from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD
from midas_dfer.models.clip_model import ClipModel
from midas_dfer.models.resnet import RESNET_BLOCKS, RESNET_DEPTHS
from midas_dfer.models.resnet3d import R2PLUS1D_18, R3D_18, Design3d, ResNet3d
from midas_dfer.models.tsm import TSMResNet

TOLERANCE = 1e-5
"""Of the largest logit, or absolutely where that is less than 1."""
COLUMNS = ("model", "keys_equal", "largest_logit", "max_abs_difference")


@dataclass(frozen=True)
class Pair:
    """A network of ours and torchvision's of the same architecture.

    Attributes:
        module: where torchvision has it.
        name: what torchvision calls it.
        build: makes ours, for a number of classes.
        num_classes: as many as torchvision's weights have.
        shape: of the clips, ``[B, T, 3, H, W]``.
        statistics: mean and deviation that torchvision's weights expect, where it is not ImageNet's.
    """

    module: str
    name: str
    build: Callable[[int], ClipModel]
    num_classes: int
    shape: tuple[int, ...]
    statistics: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None


def resnet(depth: int) -> Pair:
    """The 2-D network of a depth."""

    def build(num_classes: int) -> ClipModel:
        return TSMResNet(RESNET_DEPTHS[depth], block=RESNET_BLOCKS[depth], num_classes=num_classes, fold_div=None)

    return Pair("torchvision.models.resnet", f"resnet{depth}", build, 1000, (2, 1, 3, 224, 224))


def video_resnet(name: str, design: Design3d) -> Pair:
    """The 3-D network of a design."""

    def build(num_classes: int) -> ClipModel:
        return ResNet3d(design, num_classes=num_classes)

    statistics = (design.mean, design.std)
    return Pair("torchvision.models.video.resnet", name, build, 400, (1, 16, 3, 112, 112), statistics)


PAIRS = (
    resnet(18),
    resnet(34),
    resnet(50),
    video_resnet("r3d_18", R3D_18),
    video_resnet("r2plus1d_18", R2PLUS1D_18),
)


def settle(network: nn.Module, generator: torch.Generator) -> None:
    """Draw what batch normalisation starts with as ones and zeros, in place."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for name, value in module.state_dict().items():
                if name in ("weight", "running_var"):
                    value.copy_(0.75 + torch.rand(value.shape, generator=generator) / 2)
                elif name in ("bias", "running_mean"):
                    value.copy_(torch.randn(value.shape, generator=generator) / 8)


def torchvision_input(pair: Pair, clips: Tensor) -> Tensor:
    """The same clips as torchvision's network takes them: pictures, or videos of another normalisation."""
    if pair.statistics is None:
        return clips.flatten(0, 1)
    pixels = clips * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in pair.statistics)
    return ((pixels - mean) / std).transpose(1, 2)


def compare(pair: Pair) -> dict[str, str | bool | float]:
    """Load torchvision's weights into ours and compare the logits."""
    generator = torch.Generator().manual_seed(0)
    theirs: nn.Module = getattr(importlib.import_module(pair.module), pair.name)(num_classes=pair.num_classes)
    for parameter in theirs.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu", generator=generator)
        else:
            nn.init.normal_(parameter, std=0.1, generator=generator)
    settle(theirs, generator)
    ours = pair.build(pair.num_classes)
    state = theirs.state_dict()
    same_keys = list(state) == list(ours.state_dict())
    ours.load_state_dict(state)
    clips = torch.randn(pair.shape, generator=generator)
    with torch.no_grad():
        expected = theirs.eval()(torchvision_input(pair, clips))
        difference = (ours.eval()(clips) - expected).abs().max().item()
    scale = expected.abs().max().item()
    return {
        "model": pair.name,
        "clips": "x".join(map(str, pair.shape)),
        "keys_equal": same_keys,
        "largest_logit": scale,
        "max_abs_difference": difference,
        "within_tolerance": difference <= TOLERANCE * max(1.0, scale),
    }


def main() -> None:
    """Compare all, print a table, write the JSON file; fail where one differs."""
    parser = argparse.ArgumentParser(description="Compare our ResNets with torchvision's.")
    parser.add_argument("--out", type=Path, default=RESULTS / "torchvision_equality.json")
    out: Path = parser.parse_args().out
    shim = import_torchvision()
    version = importlib.metadata.version("torchvision")
    rows = [compare(pair) for pair in PAIRS]
    print(f"torchvision {version}{shim}; torch {torch.__version__}")
    print(f"{'model':12} {'keys equal':>10} {'largest logit':>13} {'max abs difference':>18}")
    for row in rows:
        name, keys, logit, difference = (row[key] for key in COLUMNS)
        print(f"{name:12} {keys!s:>10} {logit:13.2f} {difference:18.1e}")
    report = {
        "torchvision": version,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "tolerance": TOLERANCE,
        "models": rows,
    }
    out.write_text(json.dumps(report, indent=2) + "\n")
    if not all(row["keys_equal"] and row["within_tolerance"] for row in rows):
        raise SystemExit("At least one network differs from torchvision's.")


if __name__ == "__main__":
    main()
