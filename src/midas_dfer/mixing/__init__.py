"""Mixing of clips and their soft labels: draw a `MixPlan`, then apply it.

All mixers share one interface (`Mixer`), with one file per family, hence their number: `midas`, `regions`, `cutout`,
`background`, `saliency`, `puzzlemix`, `transmix`, `features`, `choice`. `plan`, `partners`: ratios and mixing
partners; `normalization`: the softmax of mixed labels; `collate`: mixing in a DataLoader; `fused`: all in one pass.
docs/mixing.md shows it in three training loops. `MIXERS` (rows of `entry`) has all that a recipe can name; torch is
imported when a row is used, as for the names below.
"""

from typing import TYPE_CHECKING

from midas_dfer.exports import lazy_exports
from midas_dfer.mixing.entry import PAIRS
from midas_dfer.mixing.entry import MixerEntry as MixerEntry
from midas_dfer.registry import Registry

_PUBLIC = {
    "ModelAttention": "attention",
    "BackgroundMix": "background",
    "RandomChoice": "choice",
    "MixCollate": "collate",
    "Cutout": "cutout",
    "ManifoldMixup": "features",
    "PatchUp": "features",
    "mix_and_normalize": "fused",
    "MIDAS": "midas",
    "Mixup": "midas",
    "Mixer": "mixer",
    "PairMixer": "mixer",
    "implied_vote_shares": "normalization",
    "normalize_targets": "normalization",
    "PartnerPool": "partners",
    "draw_partners": "partners",
    "MixPlan": "plan",
    "draw_ratios": "plan",
    "plan_from_dict": "plan",
    "PuzzleMix": "puzzlemix",
    "CutMix": "regions",
    "VideoMix": "regions",
    "AttentiveCutMix": "saliency",
    "SaliencyMix": "saliency",
    "SaliencyMaps": "saliency_maps",
    "fine_grained_saliency": "saliency_maps",
    "TransMix": "transmix",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _PUBLIC)

if TYPE_CHECKING:
    from midas_dfer.mixing.attention import ModelAttention as ModelAttention
    from midas_dfer.mixing.background import BackgroundMix as BackgroundMix
    from midas_dfer.mixing.choice import RandomChoice as RandomChoice
    from midas_dfer.mixing.collate import MixCollate as MixCollate
    from midas_dfer.mixing.cutout import Cutout as Cutout
    from midas_dfer.mixing.features import ManifoldMixup as ManifoldMixup
    from midas_dfer.mixing.features import PatchUp as PatchUp
    from midas_dfer.mixing.fused import mix_and_normalize as mix_and_normalize
    from midas_dfer.mixing.midas import MIDAS as MIDAS
    from midas_dfer.mixing.midas import Mixup as Mixup
    from midas_dfer.mixing.mixer import Mixer as Mixer
    from midas_dfer.mixing.mixer import PairMixer as PairMixer
    from midas_dfer.mixing.normalization import implied_vote_shares as implied_vote_shares
    from midas_dfer.mixing.normalization import normalize_targets as normalize_targets
    from midas_dfer.mixing.partners import PartnerPool as PartnerPool
    from midas_dfer.mixing.partners import draw_partners as draw_partners
    from midas_dfer.mixing.plan import MixPlan as MixPlan
    from midas_dfer.mixing.plan import draw_ratios as draw_ratios
    from midas_dfer.mixing.plan import plan_from_dict as plan_from_dict
    from midas_dfer.mixing.puzzlemix import PuzzleMix as PuzzleMix
    from midas_dfer.mixing.regions import CutMix as CutMix
    from midas_dfer.mixing.regions import VideoMix as VideoMix
    from midas_dfer.mixing.saliency import AttentiveCutMix as AttentiveCutMix
    from midas_dfer.mixing.saliency import SaliencyMix as SaliencyMix
    from midas_dfer.mixing.saliency_maps import SaliencyMaps as SaliencyMaps
    from midas_dfer.mixing.saliency_maps import fine_grained_saliency as fine_grained_saliency
    from midas_dfer.mixing.transmix import TransMix as TransMix

MIXERS = Registry(
    "mixer",
    "midas_dfer.mixers",
    MixerEntry,
    {
        "midas": MixerEntry(
            "MIDAS",
            0.4,
            "MIDAS: clips and soft labels mixed, then a softmax (eq. 1-3)",
            (*PAIRS, "normalization", "temperature", "num_votes"),
        ),
        "mixup": MixerEntry("Mixup", 0.2, "convex combination, no softmax (Zhang et al. 2018)"),
        "cutmix": MixerEntry("CutMix", 1.0, "a rectangle of the partner, in every frame (Yun et al. 2019)"),
        "videomix": MixerEntry("VideoMix", 1.0, "the same as cutmix, or a box in time (Yun et al. 2020)"),
        "cutout": MixerEntry("Cutout", 1.0, "a blank square, no partner (DeVries and Taylor 2017)", settings=()),
        "saliencymix": MixerEntry(
            "SaliencyMix", 1.0, "a rectangle at the partner's salient spot (Uddin et al. 2021)", looks="saliency"
        ),
        "attentive_cutmix": MixerEntry(
            "AttentiveCutMix", 1.0, "the partner's most salient cells (Walawalkar et al. 2020)", looks="saliency"
        ),
        "puzzlemix": MixerEntry(
            "PuzzleMix", 1.0, "salient blocks of both, moved together (Kim et al. 2020)", looks="saliency"
        ),
        "transmix": MixerEntry("TransMix", 1.0, "cutmix, labels by attention (Chen et al. 2022)", looks="attention"),
        "manifold_mixup": MixerEntry("ManifoldMixup", 2.0, "mixup of features at a random depth (Verma et al. 2019)"),
        "patchup": MixerEntry("PatchUp", 2.0, "blocks of features of the partner (Faramarzi et al. 2022)"),
        "background_mix": MixerEntry("BackgroundMix", 1.0, "the partner's background, own label (Sahoo et al. 2021)"),
    },
    reserved=("none",),
)
"""The mixers of `--mixer`, by name; docs/extending.md says how to add one."""
