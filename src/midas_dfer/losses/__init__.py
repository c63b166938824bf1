"""Losses on soft targets: how far the softmax of a model's logits is from the distribution of the votes.

All are modules with one form, ``loss(logits [B, K], targets [B, K])`` -> a scalar, the mean over the batch.
Targets are class probabilities, one row per clip, never class indices. Half-precision logits are computed in
float32 and float64 stays float64; no loss makes the host wait for an accelerator. One file per family:

- `cross_entropy`: `SoftTargetCrossEntropy`, the paper's; class weights and label smoothing.
- `divergences`: `KLDivergence`, `JensenShannonDivergence`.
- `brier`: `BrierLoss`, the squared distance between probabilities.
- `ordered`: `OrderedEarthMoverDistance`, for classes on a line; exact.
- `transport`: `EarthMoverDistance`, for classes with any distances between them; approximate.
- `dirichlet`: `DirichletMultinomialLoss`, of the counts of the votes; `EvidentialLoss`. Their logits are
  log-concentrations.
- `intensity_aware`: `IntensityAwareLoss`, cross-entropy and a margin to the strongest rival.
- `compact`: `CompactCrossEntropy`, cross-entropy and a term that makes a class's rivals equally strong.
- `inputs`: shared checks.
- `class_weights`: `balanced_class_weights` from votes or soft labels.
- `entry`: the rows of `LOSSES`, which has all that a recipe can name; torch is imported when one is used.
"""

from typing import TYPE_CHECKING

from midas_dfer.exports import lazy_exports
from midas_dfer.losses.entry import LossEntry as LossEntry
from midas_dfer.registry import Registry

_PUBLIC = {
    "BrierLoss": "brier",
    "balanced_class_weights": "class_weights",
    "CompactCrossEntropy": "compact",
    "SoftTargetCrossEntropy": "cross_entropy",
    "DirichletMultinomialLoss": "dirichlet",
    "EvidentialLoss": "dirichlet",
    "JensenShannonDivergence": "divergences",
    "KLDivergence": "divergences",
    "IntensityAwareLoss": "intensity_aware",
    "intensity_aware_term": "intensity_aware",
    "OrderedEarthMoverDistance": "ordered",
    "EarthMoverDistance": "transport",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _PUBLIC)

if TYPE_CHECKING:
    from midas_dfer.losses.brier import BrierLoss as BrierLoss
    from midas_dfer.losses.class_weights import balanced_class_weights as balanced_class_weights
    from midas_dfer.losses.compact import CompactCrossEntropy as CompactCrossEntropy
    from midas_dfer.losses.cross_entropy import SoftTargetCrossEntropy as SoftTargetCrossEntropy
    from midas_dfer.losses.dirichlet import DirichletMultinomialLoss as DirichletMultinomialLoss
    from midas_dfer.losses.dirichlet import EvidentialLoss as EvidentialLoss
    from midas_dfer.losses.divergences import JensenShannonDivergence as JensenShannonDivergence
    from midas_dfer.losses.divergences import KLDivergence as KLDivergence
    from midas_dfer.losses.intensity_aware import IntensityAwareLoss as IntensityAwareLoss
    from midas_dfer.losses.intensity_aware import intensity_aware_term as intensity_aware_term
    from midas_dfer.losses.ordered import OrderedEarthMoverDistance as OrderedEarthMoverDistance
    from midas_dfer.losses.transport import EarthMoverDistance as EarthMoverDistance

LOSSES = Registry(
    "loss",
    "midas_dfer.losses",
    LossEntry,
    {
        "cross_entropy": LossEntry(
            "SoftTargetCrossEntropy",
            "the paper's; takes class weights and label smoothing",
            proper=True,
            settings=("class_weights", "label_smoothing"),
        ),
        "kl": LossEntry("KLDivergence", "Kullback-Leibler divergence: 0 where the model is right", proper=True),
        "jensen_shannon": LossEntry(
            "JensenShannonDivergence", "Jensen-Shannon divergence: bounded and symmetric (Lin 1991)"
        ),
        "brier": LossEntry("BrierLoss", "squared distance between probabilities: bounded (Brier 1950)", proper=True),
        "intensity_aware": LossEntry(
            "IntensityAwareLoss", "cross-entropy and a margin to the strongest rival (Li et al. 2023)"
        ),
        "compact": LossEntry("CompactCrossEntropy", "cross-entropy and equally strong rivals (Kobayashi 2019)"),
        "dirichlet_multinomial": LossEntry(
            "DirichletMultinomialLoss",
            "likelihood of the counts of the votes: learns how divided people are, too (Wang et al. 2026)",
            proper=True,
            concentrations=True,
            counts=True,
        ),
        "evidential": LossEntry(
            "EvidentialLoss",
            "squared distance under a Dirichlet distribution: learns what it does not know (Sensoy et al. 2018)",
            concentrations=True,
        ),
    },
)
"""The losses of `--loss`, by name; docs/extending.md says how to add one."""
