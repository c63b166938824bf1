"""What all networks of the zoo have in common: clips in, logits out, and names for their own parts."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from midas_dfer.errors import RequestError
from midas_dfer.values import is_number, is_whole

PUBLISHED_WIDTH = 64
"""Channels of the first stage in the published networks; less makes a small one for trials on a CPU."""


class ClipModel(nn.Module):
    """A network from clips ``[B, T, 3, H, W]``, normalised with ImageNet's statistics, to logits ``[B, K]``.

    What others need to know of its inside it says itself, by names as for `torch.nn.Module.get_submodule`, so that
    mixers, activation maps and weight files need no special case for any network. A subclass computes `logits`; its
    arguments are those of `create_model`.

    Attributes:
        mix_points: where mixers that work inside a network may mix: "input", the clips, and modules that a forward
            pass calls once, with one row per clip or per frame (row ``b * T + t``) in their output.
        map_points: modules whose outputs are the last maps that still know the place in the picture, on the way to
            the logits: ``[B * T, C, h, w]`` (row ``b * T + t``) or, of a 3-D network, ``[B, C, t, h, w]``. One for
            each stream of the network.
        trunk: the module that the weights of a network for pictures (or for clips, if 3-D) go into; "" is the
            whole model.
        heads: modules that belong to the classes and not to the trunk; a weight file may lack them.
        adaptable: modules that may be left as they are where a file's are of another shape, such as a stem.
        frames_apart: whether each frame is seen alone, and the logits of a clip are the mean of its frames' own.
        gives_evidence: whether the output are log-concentrations of a Dirichlet distribution (`log_concentrations`),
            whose softmax is its mean; set for models that are trained with a loss of such.
        annotators: if not 0, the classifier predicts each of so many annotators, whose logits lie side by side. In
            training these are the output, ``[B, A * K]``; else it is `mean_of_annotators`.
    """

    mix_points: tuple[str, ...] = ("input",)
    map_points: tuple[str, ...] = ()
    trunk: str = ""
    heads: tuple[str, ...] = ("fc",)
    adaptable: tuple[str, ...] = ()
    frames_apart: bool = False
    gives_evidence: bool = False
    annotators: int = 0

    def forward(self, clips: Shaped[Tensor, "..."]) -> Float[Tensor, "B L"]:
        """Compute the logits of clips.

        Args:
            clips: normalised pictures ``[B, T, 3, H, W]``, floating.

        Returns:
            unnormalised scores per class; log-concentrations if it `gives_evidence`.

        Raises:
            RequestError: the input is not of that form, or of a length or size that this network cannot take.
        """
        if clips.ndim != 5 or clips.shape[2] != 3 or not clips.is_floating_point():
            raise RequestError(
                f"The clips are {clips.dtype} of shape {tuple(clips.shape)}; expected floating [B, T, 3, "
                "H, W], as `midas_dfer.clips.batches.augment.normalize_pixels` makes them"
            )
        logits = self.logits(clips)
        if self.annotators and not self.training:
            return mean_of_annotators(logits, self.annotators)
        return log_concentrations(logits) if self.gives_evidence else logits

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B L"]:
        """Compute the logits of clips whose form has been checked."""
        raise NotImplementedError

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights of a file the names that they have in this model.

        Here the file's names are the trunk's own; a model that takes other styles of names translates them.

        Args:
            weights: a file's weights by name.
        """
        own = self.state_dict().keys()
        prefix = f"{self.trunk}." if self.trunk else ""
        return {name if name in own else prefix + name: value for name, value in weights.items()}


def log_concentrations(scores: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """Turn scores z into log a, a = 1 + softplus(z) (Sensoy et al. 2018): of evidence to a Dirichlet distribution.

    Their softmax is the distribution's mean a / S, and exp(logsumexp) its strength S. At least float32.
    """
    return functional.softplus(scores.to(torch.promote_types(scores.dtype, torch.float32))).log1p()


def mean_of_annotators(logits: Float[Tensor, "B L"], annotators: int) -> Float[Tensor, "B K"]:
    """Logits of the mean of the annotators' probabilities, of the logits of each, side by side."""
    each = logits.reshape(-1, annotators, logits.shape[1] // annotators).log_softmax(dim=2)  # any batch in an export
    mean: Tensor = each.logsumexp(dim=1) - math.log(annotators)
    return mean


def lay_out_for_speed(model: nn.Module) -> None:
    """Store the weights of two-dimensional convolutions with the channels last, in place.

    Feature maps take over the layout of the weights that they meet, and convolutions on a CPU and on a GPU with
    bfloat16 are faster in this one. In three dimensions it brings nothing (measured on a CPU), so those stay.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def takes_channels_last(model: nn.Module) -> bool:
    """Whether the first convolution of a model, which meets the clips, is of two dimensions."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    first = next((module for module in model.modules() if isinstance(module, kinds)), None)
    return isinstance(first, nn.Conv2d)


def check_options(num_classes: int, dropout: float, width: int = PUBLISHED_WIDTH, num_frames: int = 1) -> None:
    """Refuse what no network can be built from."""
    if not (is_whole(num_classes) and num_classes >= 1):
        raise RequestError(f"The number of classes is {num_classes!r}; expected at least 1")
    if not (is_number(dropout) and 0.0 <= dropout < 1.0):
        raise RequestError(f"The dropout is {dropout!r}; expected a probability in [0, 1), such as 0.5")
    if not (is_whole(width) and width >= 8 and width % 8 == 0):
        raise RequestError(f"The width is {width!r}; expected a multiple of 8, as {PUBLISHED_WIDTH}, the published one")
    if not (is_whole(num_frames) and num_frames >= 1):
        raise RequestError(f"The number of frames is {num_frames!r}; expected at least 1")
