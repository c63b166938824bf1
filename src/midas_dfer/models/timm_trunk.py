"""Trunks of the package timm (extra `timm`) with temporal shift before each residual block's first convolution."""

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import PUBLISHED_WIDTH
from midas_dfer.models.renormalize import Renormalize
from midas_dfer.models.shifted import ShiftedModel, shift_before

PREFIX = "timm/"
"""What the names of these models begin with: "timm/mobilenetv3_small_100"."""

# timm's networks that are made of the blocks below, by module and class.
_NETWORKS = (
    "resnet.ResNet",
    "regnet.RegNet",
    "convnext.ConvNeXt",
    "efficientnet.EfficientNet",
    "mobilenetv3.MobileNetV3",
)
# The layer that begins the residual branch, by the class of the block.
_FIRST = {
    "BasicBlock": "conv1",  # ResNet and its kin
    "Bottleneck": "conv1",  # ResNet and its kin, RegNet
    "PreBottleneck": "conv1",  # RegNet
    "ConvNeXtBlock": "conv_dw",
    "DepthwiseSeparableConv": "conv_dw",  # MobileNet, EfficientNet and their kin
    "InvertedResidual": "conv_pw",
    "CondConvResidual": "conv_pw",
    "EdgeResidual": "conv_exp",
    "ConvBnAct": "conv",
    "UniversalInvertedResidual": "dw_start",
}
_FAMILIES = "ResNet, ResNeXt, RegNet, ConvNeXt, MobileNet and EfficientNet"


class TSMTimm(ShiftedModel):
    """A 2-D trunk of timm with temporal shift (Lin et al. 2019) and TSM's head.

    The shift is before the first convolution of every residual branch, as `TSMResNet` and TSM's MobileNetV2 have
    it; blocks of MobileNet's and EfficientNet's kin without an identity path have none. The features are those that
    timm's own classifier would get; each picture is normalised as the trunk's weights expect. This part is ours.

    Supported is what timm makes with its classes ResNet (also ResNeXt, SE- and wide variants), RegNet, ConvNeXt,
    EfficientNet (also MobileNetV2, MnasNet, Lite) and MobileNetV3 (also V4); tested are resnet18, regnetx_002,
    convnext_atto, efficientnet_b0, mobilenetv3_small_100 and mobilenetv4_conv_small. Other trunks, such as
    transformers, DenseNet and VGG, are refused.

    The trunk's keys are timm's, behind "backbone."; timm's weight files load by `midas_dfer.models.weights.load_trunk`.
    """

    trunk = "backbone"

    def __init__(
        self,
        trunk: str,
        *,
        num_classes: int,
        num_frames: int = 8,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        fold_div: int | None = 8,
        generator: torch.Generator | None = None,
    ) -> None:
        config = _pretrained_config(trunk)
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            if generator is not None:  # timm draws from the global generator only
                torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator, device="cpu")))
            backbone = _timm().create_model(trunk, pretrained=False, num_classes=0)
        firsts = list(_first_layers(backbone))
        if not firsts:
            raise RequestError(
                f"Where temporal shift belongs in {PREFIX}{trunk}, a {type(backbone).__name__}, is not known; take a "
                f"trunk of one of the families {_FAMILIES}"
            )
        super().__init__(
            getattr(backbone, "head_hidden_size", None) or backbone.num_features,
            num_classes=num_classes,
            dropout=dropout,
            width=width,
            generator=generator,
        )
        self.renormalize = Renormalize(tuple(config.mean), tuple(config.std))
        self.backbone = backbone
        self.shift = None if fold_div is None else shift_before(firsts, num_frames, fold_div)
        self.maps = nn.Identity()
        stages = [stage["module"] for stage in backbone.feature_info if stage["reduction"] >= 4]
        self.mix_points = ("input", *(f"{self.trunk}.{stage}" for stage in stages[:-1]))
        self.map_points = ("maps",)
        self._classifier = str(config.classifier)

    def frame_features(self, frames: Float[Tensor, "BT 3 H W"], num_frames: int) -> Float[Tensor, "BT D"]:
        """Compute one feature vector per frame: what timm's own classifier would get."""
        if self.shift is not None and self.shift.num_frames != num_frames:
            self.shift.num_frames = num_frames
        maps = self.maps(self.backbone.forward_features(self.renormalize(frames)))
        output: Tensor = self.backbone.forward_head(maps)
        return output

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights of a file of timm's the names that they have here; its classifier is called as ours."""
        theirs = f"{self._classifier}."
        renamed = {
            f"fc.{name.removeprefix(theirs)}" if name.startswith(theirs) else name: value
            for name, value in weights.items()
        }
        return super().own_names(renamed)


def picture_size(trunk: str) -> int:
    """Side of the pictures that a trunk's pretrained weights were made with, in pixels."""
    return int(_pretrained_config(trunk).input_size[1])


def _timm() -> Any:  # noqa: ANN401 - a module that may be missing
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name == "timm":
            raise RequestError(
                f"Models named {PREFIX}... need the package timm: pip install 'midas-dfer[timm]'."
            ) from error
        raise RequestError(f"The package timm lacks {error.name}: pip install 'midas-dfer[timm]'") from error
    except (ImportError, RuntimeError) as error:  # a torchvision that was built for another torch
        raise RequestError(
            f"The package timm cannot be imported ({error}); install the torchvision that belongs to this torch, "
            f"{torch.__version__}"
        ) from error


def _pretrained_config(trunk: str) -> Any:  # noqa: ANN401 - of timm
    timm = _timm()
    architecture = trunk.partition(".")[0]
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "timm.list_models() names those that there are."
        raise RequestError(f"The package timm {timm.__version__} has no trunk '{trunk}'; {hint}")
    try:
        return timm.get_pretrained_cfg(trunk, allow_unregistered=False)
    except RuntimeError as error:
        raise RequestError(f"The package timm {timm.__version__} refuses '{trunk}': {error}") from error


def _first_layers(backbone: nn.Module) -> Iterator[nn.Module]:
    """The first layer of each residual branch, of none in a network of another kind."""
    if f"{type(backbone).__module__}.{type(backbone).__name__}".removeprefix("timm.models.") not in _NETWORKS:
        return
    for block in backbone.modules():
        kind = type(block).__name__
        if kind not in _FIRST or not getattr(block, "has_skip", True):
            continue
        first = getattr(block, _FIRST[kind], None)
        if isinstance(first, nn.Identity) and kind == "UniversalInvertedResidual":  # begins without a depth-wise one
            first = block.get_submodule("pw_exp")
        if isinstance(first, nn.Module):
            yield first
