"""Mixing of clips and their soft labels: draw a `MixPlan`, then apply it."""

from midas_dfer.mixing.midas import MIDAS
from midas_dfer.mixing.normalization import implied_vote_shares, normalize_targets
from midas_dfer.mixing.plan import MixPlan, draw_partners, draw_ratios

__all__ = ["MIDAS", "MixPlan", "draw_partners", "draw_ratios", "implied_vote_shares", "normalize_targets"]
