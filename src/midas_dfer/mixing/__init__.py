"""Mixing of clips and their soft labels: draw a `MixPlan`, then apply it."""

from midas_dfer.mixing.midas import MIDAS, Mixup
from midas_dfer.mixing.mixer import Mixer
from midas_dfer.mixing.normalization import implied_vote_shares, normalize_targets
from midas_dfer.mixing.partners import PartnerPool, draw_partners
from midas_dfer.mixing.plan import MixPlan, draw_ratios, plan_from_dict
from midas_dfer.mixing.regions import CutMix, Cutout, VideoMix

__all__ = [
    "MIDAS",
    "CutMix",
    "Cutout",
    "MixPlan",
    "Mixer",
    "Mixup",
    "PartnerPool",
    "VideoMix",
    "draw_partners",
    "draw_ratios",
    "implied_vote_shares",
    "normalize_targets",
    "plan_from_dict",
]
