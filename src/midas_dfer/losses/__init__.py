"""Losses on soft targets: how far the softmax of a model's logits is from the distribution of the votes.

All are modules with one form, ``loss(logits [B, K], targets [B, K])`` -> a scalar, the mean over the batch.
Targets are class probabilities, one row per clip, never class numbers. Logits in half precision are computed
in float32, float64 stays float64; nothing makes the host wait for an accelerator. One file per family:

- `cross_entropy`: `SoftTargetCrossEntropy`, the paper's; class weights and label smoothing.
- `divergences`: `KLDivergence`, `JensenShannonDivergence`.
- `brier`: `BrierLoss`, the squared distance between probabilities.
- `ordered`: `OrderedEarthMoverDistance`, for classes on a line; exact.
- `transport`: `EarthMoverDistance`, for classes with any distances between them; approximate.
- `intensity_aware`: `IntensityAwareLoss`, cross-entropy and a margin to the strongest rival.
- `compact`: `CompactCrossEntropy`, cross-entropy and a term that makes a class's rivals equally strong.
- `inputs`: the checks that all share.
- `class_weights`: `balanced_class_weights` from votes or soft labels.
"""

from midas_dfer.losses.brier import BrierLoss
from midas_dfer.losses.class_weights import balanced_class_weights
from midas_dfer.losses.compact import CompactCrossEntropy
from midas_dfer.losses.cross_entropy import SoftTargetCrossEntropy
from midas_dfer.losses.divergences import JensenShannonDivergence, KLDivergence
from midas_dfer.losses.intensity_aware import IntensityAwareLoss, intensity_aware_term
from midas_dfer.losses.ordered import OrderedEarthMoverDistance
from midas_dfer.losses.transport import EarthMoverDistance

__all__ = [
    "BrierLoss",
    "CompactCrossEntropy",
    "EarthMoverDistance",
    "IntensityAwareLoss",
    "JensenShannonDivergence",
    "KLDivergence",
    "OrderedEarthMoverDistance",
    "SoftTargetCrossEntropy",
    "balanced_class_weights",
    "intensity_aware_term",
]
