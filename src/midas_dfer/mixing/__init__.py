"""Mixing of clips and their soft labels: draw a `MixPlan`, then apply it.

Every mixer has one interface (`Mixer`), and one file per family, hence their number: `midas`, `regions`, `cutout`,
`background`, `saliency`, `puzzlemix`, `transmix`, `features`, `choice`. `plan`, `partners`: how much, and who with
whom; `normalization`: the softmax of mixed labels; `collate`: mixing in a DataLoader; `fused`: all in one pass.
docs/mixing.md shows it in three training loops.
"""

from midas_dfer.mixing.attention import ModelAttention
from midas_dfer.mixing.background import BackgroundMix
from midas_dfer.mixing.choice import RandomChoice
from midas_dfer.mixing.collate import MixCollate
from midas_dfer.mixing.cutout import Cutout
from midas_dfer.mixing.features import ManifoldMixup, PatchUp
from midas_dfer.mixing.fused import mix_and_normalize
from midas_dfer.mixing.midas import MIDAS, Mixup
from midas_dfer.mixing.mixer import Mixer, PairMixer
from midas_dfer.mixing.normalization import implied_vote_shares, normalize_targets
from midas_dfer.mixing.partners import PartnerPool, draw_partners
from midas_dfer.mixing.plan import MixPlan, draw_ratios, plan_from_dict
from midas_dfer.mixing.puzzlemix import PuzzleMix
from midas_dfer.mixing.regions import CutMix, VideoMix
from midas_dfer.mixing.saliency import AttentiveCutMix, SaliencyMix
from midas_dfer.mixing.saliency_maps import SaliencyMaps, fine_grained_saliency
from midas_dfer.mixing.transmix import TransMix

__all__ = [
    "MIDAS",
    "AttentiveCutMix",
    "BackgroundMix",
    "CutMix",
    "Cutout",
    "ManifoldMixup",
    "MixCollate",
    "MixPlan",
    "Mixer",
    "Mixup",
    "ModelAttention",
    "PairMixer",
    "PartnerPool",
    "PatchUp",
    "PuzzleMix",
    "RandomChoice",
    "SaliencyMaps",
    "SaliencyMix",
    "TransMix",
    "VideoMix",
    "draw_partners",
    "draw_ratios",
    "fine_grained_saliency",
    "implied_vote_shares",
    "mix_and_normalize",
    "normalize_targets",
    "plan_from_dict",
]
