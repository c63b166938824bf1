"""The mixer that a recipe names, and what it draws for the batches of a training."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.errors import RequestError
from midas_dfer.mixing import MIXERS, Mixer, MixPlan, PartnerPool, RandomChoice
from midas_dfer.mixing.features import FeatureMixer
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.recipes.config import RunConfig


@dataclass(frozen=True)
class Mixing:
    """A mixer and where its partners come from, for one training.

    What is drawn for a batch depends only on (seed, epoch, number of the batch), so who asks twice is told the
    same: the loader, which partners to read, and the training step, what to do with them.

    Attributes:
        pool: the training set, if partners come from there; None takes them from the batch.
        brings_partners: whether the loader reads the partners of a batch: they are not in it, or, where several
            processes share a batch, maybe in the part of another one.
    """

    mixer: Mixer
    seed: int
    pool: PartnerPool | None = None
    brings_partners: bool = False

    def plan(
        self, epoch: int, number: int, video_ids: Sequence[str], labels: Shaped[Tensor, "..."] | None = None
    ) -> MixPlan:
        """Draw the plan of a batch."""
        generator = generator_for(self.seed, epoch, str(number), purpose="mixing")
        return self.mixer.draw(video_ids, labels=labels, pool=self.pool, generator=generator)


def make_mixing(
    config: RunConfig, video_ids: Sequence[str], soft_labels: Shaped[Tensor, "N K"], *, processes: int = 1
) -> Mixing | None:
    """Make the mixer of a recipe: one of several by chance where it names several, None where it names none."""
    mixers = make_mixers(config)
    if not mixers:
        return None
    mixer = mixers[0] if len(mixers) == 1 else RandomChoice(tuple(mixers))
    if config.partners == "batch":
        return Mixing(mixer, config.seed, brings_partners=processes > 1 and config.mixes_pairs)
    balanced = config.class_balanced
    pool = PartnerPool.class_balanced(video_ids, soft_labels) if balanced else PartnerPool(video_ids)
    return Mixing(mixer, config.seed, pool, brings_partners=True)


def make_mixers(config: RunConfig) -> list[Mixer]:
    """The mixers that a recipe names."""
    recipe = config.to_dict()
    return [MIXERS[name].make({**recipe, "alpha": config.alpha_of(name)}) for name in config.mixer_names]


def check_compile(config: RunConfig, device: torch.device) -> None:
    """Refuse to compile a network that mixers or a learner reach into, or where no compiler is found."""
    if not config.compile:
        return
    if config.saliency == "model" or any(isinstance(mixer, FeatureMixer) for mixer in make_mixers(config)):
        raise RequestError(
            f"--mixer {config.mixer} reaches into the network as it computes, which a compiled one does not allow; "
            "leave out --compile"
        )
    if config.learner != PLAIN and LEARNERS[config.learner].sees_features:
        raise RequestError(
            f"--learner {config.learner} looks into the network as it computes, which a compiled one does not allow; "
            "leave out --compile"
        )
    if device.type == "cuda":
        names = [os.environ.get("CC", "gcc"), "clang"]
    else:
        names = [os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")]
    if not any(map(shutil.which, names)):
        raise RequestError(f"--compile needs a compiler ({' or '.join(names)}), and none is found here; leave it out")
