"""One of several mixers for each batch, by probability."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.mixing.mixer import Mixed, Mixer, Partners, Scored
from midas_dfer.mixing.partners import PartnerPool, VideoIds
from midas_dfer.mixing.plan import ChoicePlan, Clips, Labels, MixPlan, device_of


@dataclass(frozen=True)
class RandomChoice(Mixer):
    """Draws one of several mixers for each batch.

    The mixers may be choices themselves. The plan holds the drawn mixer and its plan:

        mixer = RandomChoice([MIDAS(), CutMix(), ManifoldMixup()], [0.5, 0.25, 0.25])
        plan = mixer.draw(video_ids, generator=generator)
        logits, targets = mixer.through(model, clips, soft_labels, plan)

    Attributes:
        mixers: at least one; kept as a tuple.
        probabilities: of each, 0 or more, sum 1 (within 1e-6); kept as a tuple. None makes all equally likely.

    Raises:
        RequestError: one of these is of another form.
    """

    mixers: Sequence[Mixer]
    probabilities: Sequence[float] | None = None

    def __post_init__(self) -> None:
        mixers = tuple(self.mixers)
        if not mixers:
            raise RequestError("There are no mixers to choose from; give at least one")
        for number, mixer in enumerate(mixers):
            if not isinstance(mixer, Mixer):
                raise RequestError(f"Choice {number} is a {type(mixer).__name__}; expected a mixer, such as MIDAS()")
        object.__setattr__(self, "mixers", mixers)
        if self.probabilities is None:
            return
        probabilities = tuple(float(value) for value in self.probabilities)
        if len(probabilities) != len(mixers):
            raise RequestError(
                f"There are {len(mixers)} mixers and {len(probabilities)} probabilities; give one for each mixer"
            )
        # Comparisons with NaN are false, so a NaN fails both.
        if not all(value >= 0.0 for value in probabilities) or not abs(math.fsum(probabilities) - 1.0) <= 1e-6:
            raise RequestError(
                f"The probabilities of the mixers are {probabilities}; expected 0 or more each, and a sum of 1"
            )
        object.__setattr__(self, "probabilities", probabilities)

    def draw(
        self,
        video_ids: VideoIds,
        *,
        labels: Labels | None = None,
        pool: PartnerPool | None = None,
        generator: torch.Generator | None = None,
    ) -> MixPlan:
        """Draw a mixer and, with the same generator, its plan; see `Mixer.draw`."""
        chances = [1.0] * len(self.mixers) if self.probabilities is None else self.probabilities
        weights = torch.tensor(chances, dtype=torch.float32, device=device_of(generator))
        choice = int(torch.multinomial(weights, 1, generator=generator).item())
        plan = self.mixers[choice].draw(video_ids, labels=labels, pool=pool, generator=generator)
        return ChoicePlan(plan.ratio, plan.partner, pool_size=plan.pool_size, choice=choice, plan=plan)

    def apply(self, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None) -> Mixed:
        """Mix a batch with the drawn mixer; see `Mixer.apply`."""
        mixer, own_plan = self._chosen(plan)
        return mixer.apply(clips, labels, own_plan, partners=partners)

    def through(
        self, model: nn.Module, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None
    ) -> Scored:
        """Run a model with the mixer that was drawn; see `Mixer.through`."""
        mixer, own_plan = self._chosen(plan)
        return mixer.through(model, clips, labels, own_plan, partners=partners)

    def _chosen(self, plan: MixPlan) -> tuple[Mixer, MixPlan]:
        if not isinstance(plan, ChoicePlan) or not 0 <= plan.choice < len(self.mixers):
            made = f"choice {plan.choice}" if isinstance(plan, ChoicePlan) else f"a {type(plan).__name__}"
            raise RequestError(
                f"The plan is {made}, which is not of this RandomChoice of {len(self.mixers)} mixers; give the plan "
                "that its draw gave"
            )
        return self.mixers[plan.choice], plan.plan
