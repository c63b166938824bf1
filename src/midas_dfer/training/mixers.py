"""The mixer that a recipe names, and what it draws for the batches of a training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from jaxtyping import Shaped
from torch import Tensor

from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.mixing import (
    MIDAS,
    AttentiveCutMix,
    BackgroundMix,
    CutMix,
    Cutout,
    ManifoldMixup,
    Mixer,
    MixPlan,
    Mixup,
    PartnerPool,
    PatchUp,
    PuzzleMix,
    RandomChoice,
    SaliencyMix,
    TransMix,
    VideoMix,
)
from midas_dfer.mixing.mixer import PairMixer
from midas_dfer.mixing.saliency_maps import SaliencyMixer
from midas_dfer.training.recipes.config import RunConfig


def _midas(config: RunConfig, alpha: float) -> MIDAS:
    return MIDAS(
        alpha,
        normalization=config.normalization,
        temperature=config.temperature,
        num_votes=config.num_votes,
        ratio_per=config.ratio_per,
        class_balanced=config.class_balanced,
    )


def _pairs(kind: type[PairMixer]) -> Callable[[RunConfig, float], Mixer]:
    return lambda config, alpha: kind(alpha, ratio_per=config.ratio_per, class_balanced=config.class_balanced)


def _by_saliency(kind: type[SaliencyMixer]) -> Callable[[RunConfig, float], Mixer]:
    def build(config: RunConfig, alpha: float) -> Mixer:
        mixer = kind(alpha, ratio_per=config.ratio_per, class_balanced=config.class_balanced)
        return replace(mixer, saliency="model") if config.saliency == "model" else mixer

    return build


def _transmix(config: RunConfig, alpha: float) -> TransMix:
    mixer = TransMix(alpha, ratio_per=config.ratio_per, class_balanced=config.class_balanced)
    return replace(mixer, attention="model") if config.saliency == "model" else mixer


_BUILDERS: Mapping[str, Callable[[RunConfig, float], Mixer]] = MappingProxyType(
    {
        "midas": _midas,
        "mixup": _pairs(Mixup),
        "cutmix": _pairs(CutMix),
        "videomix": _pairs(VideoMix),
        "cutout": lambda config, alpha: Cutout(),
        "saliencymix": _by_saliency(SaliencyMix),
        "attentive_cutmix": _by_saliency(AttentiveCutMix),
        "puzzlemix": _by_saliency(PuzzleMix),
        "transmix": _transmix,
        "manifold_mixup": _pairs(ManifoldMixup),
        "patchup": _pairs(PatchUp),
        "background_mix": _pairs(BackgroundMix),
    }
)


@dataclass(frozen=True)
class Mixing:
    """A mixer and where its partners come from, for one training.

    What is drawn for a batch depends only on (seed, epoch, number of the batch), so who asks twice is told the
    same: the loader, which partners to read, and the training step, what to do with them.

    Attributes:
        mixer: makes virtual clips.
        seed: of the run.
        pool: the training set, if partners come from there; None takes them from the batch.
    """

    mixer: Mixer
    seed: int
    pool: PartnerPool | None = None

    def plan(
        self, epoch: int, number: int, video_ids: Sequence[str], labels: Shaped[Tensor, "..."] | None = None
    ) -> MixPlan:
        """Draw the plan of a batch."""
        generator = generator_for(self.seed, epoch, str(number), purpose="mixing")
        return self.mixer.draw(video_ids, labels=labels, pool=self.pool, generator=generator)


def make_mixing(config: RunConfig, video_ids: Sequence[str], soft_labels: Shaped[Tensor, "N K"]) -> Mixing | None:
    """Make the mixer of a recipe: one of several by chance where it names several, None where it names none.

    Args:
        config: the recipe.
        video_ids: of the training set.
        soft_labels: of the training set.
    """
    if config.mixer == "none":
        return None
    mixers = [_BUILDERS[name](config, config.alpha_of(name)) for name in config.mixer_names]
    mixer = mixers[0] if len(mixers) == 1 else RandomChoice(tuple(mixers))
    if config.partners == "batch":
        return Mixing(mixer, config.seed)
    balanced = config.class_balanced
    pool = PartnerPool.class_balanced(video_ids, soft_labels) if balanced else PartnerPool(video_ids)
    return Mixing(mixer, config.seed, pool)
