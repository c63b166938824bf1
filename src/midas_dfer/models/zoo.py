"""The models by name: an explicit table, nothing registers itself; docs/extending.md says how to add one."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.cnn_gru import CNNGRU
from midas_dfer.models.dpcnet import DPCNet
from midas_dfer.models.efficientnet import TSMEfficientNetLite0
from midas_dfer.models.former_dfer import FormerDFER
from midas_dfer.models.gca import GCA
from midas_dfer.models.pretrained import load_pretrained
from midas_dfer.models.resnet import RESNET_BLOCKS, RESNET_DEPTHS
from midas_dfer.models.resnet3d import R2PLUS1D_18, R3D_18, RESNET3D_18, Design3d, ResNet3d
from midas_dfer.models.sface import TSMSFace
from midas_dfer.models.stt import STT
from midas_dfer.models.timm_trunk import PREFIX, TSMTimm, picture_size
from midas_dfer.models.tsm import TSMResNet
from midas_dfer.models.vgg_lstm import TwoStreamVGGLSTM
from midas_dfer.readers.start import find_start
from midas_dfer.registry import Registry


@runtime_checkable
class Builder(Protocol):
    """Makes a model with fresh weights."""

    def __call__(
        self, *, num_classes: int, num_frames: int, dropout: float, width: int, generator: torch.Generator | None
    ) -> ClipModel:
        """Build the model; see `create_model` for the arguments."""
        ...


@dataclass(frozen=True)
class Architecture:
    """An entry of the zoo.

    Attributes:
        build: makes the model.
        num_frames: frames of a clip in the publication.
        size: side of its pictures there, in pixels.
        source: who published it, and the paper's tables that compare with it; at most 34 characters.
        scalable: whether `width` can be other than the published one.
        cost: parameters and multiply-adds as `model_cost` counts them, so that listing builds nothing; None: counted.
    """

    build: Builder
    num_frames: int
    size: int
    source: str
    scalable: bool = True
    cost: tuple[int, int] | None = None


def _any_length(make: Callable[..., ClipModel]) -> Builder:
    """Build a network that learns nothing of single places in time, and so is not told how many there are."""

    def build(
        *, num_classes: int, num_frames: int, dropout: float, width: int, generator: torch.Generator | None
    ) -> ClipModel:
        return make(num_classes=num_classes, dropout=dropout, width=width, generator=generator)

    return build


def _tsm_resnet(depth: int) -> Builder:
    return _any_length(partial(TSMResNet, RESNET_DEPTHS[depth], block=RESNET_BLOCKS[depth]))


def _resnet3d(design: Design3d) -> Builder:
    return _any_length(partial(ResNet3d, design))


def _still_resnet(depth: int) -> Builder:
    return _any_length(partial(TSMResNet, RESNET_DEPTHS[depth], fold_div=None, small_pictures=True))


MODELS = Registry(
    "model",
    "midas_dfer.models",
    Architecture,
    {
        "tsm_resnet18": Architecture(
            _tsm_resnet(18), 8, 224, "Lin et al. 2019; tables 1-3, 5, 6", cost=(11_180_103, 14_508_519_424)
        ),
        "tsm_resnet34": Architecture(_tsm_resnet(34), 8, 224, "Lin et al. 2019", cost=(21_288_263, 29_306_023_936)),
        "tsm_resnet50": Architecture(_tsm_resnet(50), 8, 224, "Lin et al. 2019", cost=(23_522_375, 32_697_204_736)),
        "mean_resnet18": Architecture(
            _any_length(partial(TSMResNet, fold_div=None)),
            8,
            224,
            "ours; no view of time",
            cost=(11_180_103, 14_508_519_424),
        ),
        "still_resnet10": Architecture(
            _still_resnet(10), 1, 48, "ours; for stills of 48 pixels", cost=(4_901_703, 142_556_672)
        ),
        "still_resnet18": Architecture(
            _still_resnet(18), 1, 48, "ours; for stills of 48 pixels", cost=(11_172_423, 312_425_984)
        ),
        "cnn_gru_resnet18": Architecture(
            _any_length(CNNGRU), 16, 112, "Zhao and Liu 2021; tables 1, 7", cost=(12_756_039, 7_782_731_264)
        ),
        "former_dfer": Architecture(
            FormerDFER, 16, 112, "Zhao and Liu 2021; tables 1, 4", cost=(18_031_431, 8_296_118_784)
        ),
        "gca_ial": Architecture(GCA, 16, 112, "Li et al. 2023; tables 1, 4", cost=(18_763_463, 5_623_362_048)),
        "stt": Architecture(STT, 16, 112, "Ma et al. 2022, in part; table 1", cost=(19_756_103, 19_074_911_744)),
        "dpcnet": Architecture(DPCNet, 8, 112, "Wang et al. 2022, in part; table 1", cost=(24_382_415, 8_645_423_104)),
        "two_vgg13_lstm": Architecture(
            _any_length(TwoStreamVGGLSTM), 8, 224, "Wang et al. 2022; table 4", cost=(23_031_438, 178_990_881_792)
        ),
        "resnet3d_18": Architecture(
            _resnet3d(RESNET3D_18), 16, 112, "Hara et al. 2018; table 1", cost=(33_207_495, 8_307_805_696)
        ),
        "r3d_18": Architecture(
            _resnet3d(R3D_18), 16, 112, "Tran et al. 2018, as torchvision's", cost=(33_169_863, 40_696_352_256)
        ),
        "r2plus1d_18": Architecture(
            _resnet3d(R2PLUS1D_18), 16, 112, "Tran et al. 2018, as torchvision's", cost=(31_303_716, 40_518_879_744)
        ),
        "tsm_sface": Architecture(
            _any_length(TSMSFace),
            8,
            112,
            "Zhong et al. 2021; for faces",
            scalable=False,
            cost=(3_227_143, 4_541_788_160),
        ),
        "still_sface": Architecture(
            _any_length(partial(TSMSFace, fold_div=None, last_block=False)),
            1,
            64,
            "ours, of SFace; for face stills",
            scalable=False,
            cost=(2_163_207, 168_459_264),
        ),
        "tsm_efficientnet_lite0": Architecture(
            _any_length(TSMEfficientNetLite0),
            8,
            224,
            "Tan and Le 2019; small",
            scalable=False,
            cost=(3_379_975, 3_071_332_096),
        ),
    },
)
"""The networks of `--model`, by name; those of timm are found by their own."""


def _tsm_timm(trunk: str) -> Architecture:
    source = "package timm, with temporal shift"
    return Architecture(partial(TSMTimm, trunk), 8, picture_size(trunk), source, scalable=False)


def list_models() -> tuple[str, ...]:
    """Give the names that `create_model` knows, in alphabetical order."""
    return tuple(sorted(MODELS))


def architecture(name: str) -> Architecture:
    """Look an entry of the zoo up."""
    if name.startswith(PREFIX):
        return _tsm_timm(name.removeprefix(PREFIX))
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise RequestError(f"There is no model '{name}'; there are {', '.join(list_models())}.{hint}")
    return MODELS[name]


def create_model(
    name: str,
    num_classes: int,
    num_frames: int | None = None,
    *,
    dropout: float = 0.5,
    weights: Path | str | None = None,
    class_names: Sequence[str] = (),
    width: int | None = None,
    annotators: int = 0,
    generator: torch.Generator | None = None,
) -> ClipModel:
    """Create a model that maps clips ``[B, T, 3, H, W]`` to logits ``[B, K]``.

    Args:
        name: one of `list_models`, or "timm/" and the name of a trunk of timm (`midas_dfer.models.timm_trunk`).
        num_classes: K.
        num_frames: frames per clip, for networks that learn something of each place in time; they take clips of
            another length as well, and no other network depends on it. None is the publication's.
        dropout: chance with which a feature is dropped before the classifier.
        weights: what the model starts from; see `midas_dfer.models.pretrained.load_pretrained`. None: random weights.
        class_names: of the K outputs, where `weights` are a trained model's, whose classes are found in them by name.
        width: channels of the first stage, a multiple of 8; all others scale with it. 64 is the published
            network, 8 or 16 makes one for trials on a CPU. None is 64, or that of the trained model in `weights`.
        annotators: if not 0, the classifier predicts each of so many annotators, and the mean of their probabilities is
            the output in evaluation (`ClipModel.annotators`).
        generator: source of the random initial weights; None is torch's default generator.

    Returns:
        the model, in training mode, on the CPU.

    Raises:
        RequestError: an unknown name, an argument out of range, or a weight file that does not fit.
    """
    entry = architecture(name)
    frames = entry.num_frames if num_frames is None else num_frames
    if width is None:
        start = None if weights is None else find_start(weights)
        width = PUBLISHED_WIDTH if start is None else start.width
    check_options(num_classes, dropout, width, frames)
    # Layers draw their weights from the global generator before we redraw them: it is left as it was.
    with torch.random.fork_rng(devices=[], enabled=generator is not None):
        outputs = num_classes * max(1, annotators)
        model = entry.build(num_classes=outputs, num_frames=frames, dropout=dropout, width=width, generator=generator)
    if annotators:
        model.annotators, model.frames_apart = annotators, False  # no mean over frames of means over annotators
    if weights is not None:
        load_pretrained(model, name, weights, class_names)
    return model
