"""Mixing inside a network: Manifold Mixup and PatchUp, at points that the model names."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from midas_dfer.clips.batches.transfer import to_device
from midas_dfer.errors import RequestError
from midas_dfer.mixing.combine import combine, float_dtype, lerp_rows, partner_rows
from midas_dfer.mixing.mixer import MixedClips, PairMixer, Partners, Scored
from midas_dfer.mixing.plan import Clips, FeaturePlan, Labels, MixPlan, device_of, draw_seed

INPUT = "input"
"""The mix point before the network: the clips themselves."""


@dataclass(frozen=True)
class FeatureMixer(PairMixer):
    """A mixer of pairs of clips that works at one point of a network, redrawn for each batch.

    A model says where it can be mixed by an attribute ``mix_points``: names as for `torch.nn.Module.get_submodule`
    of modules whose output is mixed, and "input" for the clips themselves. It needs nothing else: `through` puts a
    forward hook on the point for one call. `apply` mixes any tensor whose first axis is the batch, for a forward
    of your own.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α).
        points: the points to draw from, instead of the model's own list.
    """

    alpha: float = 2.0
    points: tuple[str, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points is not None and not self.points:
            raise RequestError("The list of mix points is empty; name at least one, or give None for the model's own")

    def through(
        self, model: nn.Module, clips: Clips, labels: Labels, plan: MixPlan, *, partners: Partners | None = None
    ) -> Scored:
        """Run a model on a batch that is mixed at the planned point of it.

        The output of the point has B rows, or B x T in the order ``b * T + t``; a clip is mixed as a whole, all its
        frames alike. Features with five axes are taken for those of a 3-D convolution, ``[B, C, T, h, w]``. The
        memory format stays, and gradients flow into both clips of a pair.

        Partners that come from outside the batch must go through the network up to the point, and a model that
        holds on to its batch size cannot lose rows half-way: clips and partners run as one batch of 2 B rows, and
        the partners' logits are dropped. Batch-norm then sees 2 B rows, and the cost is twice that of a batch.

        A network that computes activations again for the backward pass (checkpointing) must not do so around a
        mix point: the hook is gone by then.
        """
        point = self._point(model, plan)
        if point == INPUT:
            return super().through(model, clips, labels, plan, partners=partners)
        soft, others, other_soft, plan = self._checked(clips, labels, plan, partners)
        try:
            module = model.get_submodule(point)
        except AttributeError:
            raise RequestError(
                f"The mix point '{point}' is no module of {type(model).__name__}; name it as model.get_submodule "
                f"does, or '{INPUT}'"
            ) from None
        targets: list[Float[Tensor, "B K"]] = []

        def mix(module: nn.Module, inputs: tuple[Any, ...], output: object) -> Tensor:
            values = _rows_of_clips(output, point, len(clips) if others is None else 2 * len(clips))
            if others is None or other_soft is None:
                mixed, target = self.apply(values, soft, plan)
                targets.append(target)
                return _rows_as_before(mixed, output)
            own, other = values.tensor_split([len(clips)])
            mixed, target = self.apply(own, soft, plan, partners=(other, other_soft))
            targets.append(target)
            return torch.cat([_rows_as_before(mixed, output), _rows_as_before(other, output)])

        handle = module.register_forward_hook(mix)
        try:
            logits = model(clips if others is None else torch.cat([clips, others]))
        finally:
            handle.remove()
        if len(targets) != 1:
            raise RequestError(
                f"The mix point '{point}' ran {len(targets)} times in one forward pass; expected once. Choose a "
                "module that the forward pass calls once, as a whole."
            )
        return logits[: len(clips)], targets[0]

    def _point(self, model: nn.Module, plan: MixPlan) -> str:
        depth = _feature_plan(plan, self).depth
        points = getattr(model, "mix_points", None) if self.points is None else self.points
        if not points:
            raise RequestError(
                f"{type(model).__name__} does not say where it can be mixed; give it an attribute mix_points, names "
                f"of its modules or '{INPUT}', or give the mixer points=(...)"
            )
        return str(points[int(depth * len(points))])

    def _extend(self, plan: MixPlan, generator: torch.Generator | None) -> MixPlan:
        depth = torch.rand((), generator=generator, device=device_of(generator)).item()
        return FeaturePlan(plan.ratio, plan.partner, pool_size=plan.pool_size, depth=depth, seed=draw_seed(generator))


@dataclass(frozen=True)
class ManifoldMixup(FeatureMixer):
    """Convex combination of pairs at a random depth of the network (Verma et al., Manifold Mixup, ICML 2019).

    At the point "input" this is mixup. The publication draws the depth uniformly from the input and the first two
    groups of residual blocks; here it is drawn from all points that the model names, or from `points`. All features
    of all frames of a clip share its ratio, and the labels are mixed with the same ratio:

        mixer = ManifoldMixup()
        plan = mixer.draw(video_ids, generator=generator)
        logits, targets = mixer.through(model, clips, soft_labels, plan)
        loss = SoftTargetCrossEntropy()(logits, targets)

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 2 as in the publication on CIFAR-10.
    """

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        plan = plan.to(clips.device)
        return combine(clips, others, plan.ratio, plan), plan.ratio


@dataclass(frozen=True)
class PatchUp(FeatureMixer):
    """Mixes or swaps contiguous blocks of the feature maps of a pair (Faramarzi et al., PatchUp, AAAI 2022).

    Blocks are drawn as in DropBlock: every position of every channel is the centre of a square block with probability
    ``gamma * h * w / (s² (h - s + 1) (w - s + 1))``, with s the block's side. Inside the blocks a clip takes its
    partner's features ("hard") or the ratio's combination of both ("soft"). As in the authors' code one mask is drawn
    per channel and shared by all clips of the batch; here also by all frames of a clip. With p the exact share of
    features outside the blocks, λ the ratio and i, j the pair, the target is

    - hard: ``W = p y_i + (1 - p) y_j`` (the ratio has no effect),
    - soft: ``W = p y_i + (1 - p) (λ y_i + (1 - λ) y_j)``.

    The publication minimises ``p l(f, y_i) + (1 - p) l(f, Y) + l(f, W)``, where Y is ``y_j`` (hard) or
    ``λ y_i + (1 - λ) y_j`` (soft). Cross-entropy is linear in its target, so the first two terms together are also
    ``l(f, W)``, and the total is twice the cross-entropy against W: train with a soft cross-entropy against these
    targets, and double it for the publication's scale.

    Takes features and pictures ``[B, C, h, w]`` or ``[B, T, C, h, w]``. At "input" the pixels are treated like any
    features, with separate blocks for each colour; the authors' code uses CutMix there: for that, use `points` without
    "input" and a `RandomChoice` with `CutMix`.

    Attributes:
        alpha: α of the ratio's distribution Beta(α, α); 2 in the publication. No effect in "hard" mode.
        mode: "hard" swaps blocks, "soft" mixes them.
        block_size: side of a block in features, odd; the publication's 7. On maps smaller than that it is the
            largest odd number that fits.
        gamma: about the share of features inside blocks, in (0, 1]. None takes the value of the authors' commands
            for CIFAR: 0.5 hard, 0.75 soft.
        probability: of mixing a batch at all, in [0, 1]; a batch that is not mixed keeps its labels. None takes
            the value of the authors' commands: 0.7 hard, 1 soft.

    Raises:
        RequestError: one of these is out of range.
    """

    mode: Literal["hard", "soft"] = "hard"
    block_size: int = field(default=7, kw_only=True)
    gamma: float | None = field(default=None, kw_only=True)
    probability: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("hard", "soft"):
            raise RequestError(f"The mode '{self.mode}' is not known; expected 'hard' or 'soft'")
        if self.block_size < 1 or self.block_size % 2 == 0:
            raise RequestError(f"The block size is {self.block_size}; expected an odd number, such as 7")
        if self.gamma is not None and not 0.0 < self.gamma <= 1.0:
            raise RequestError(f"The gamma is {self.gamma}; expected a number over 0, at most 1")
        if self.probability is not None and not 0.0 <= self.probability <= 1.0:
            raise RequestError(f"The probability of mixing a batch is {self.probability}; expected 0 to 1")

    def _mix(self, clips: Clips, others: Clips | None, plan: MixPlan) -> MixedClips:
        seed = _feature_plan(plan, self).seed
        if clips.ndim not in (4, 5) or 0 in clips.shape[-3:]:
            raise RequestError(
                f"The features have the shape {tuple(clips.shape)}; PatchUp cuts blocks of height and width, so it "
                "needs [B, C, h, w] or [B, T, C, h, w]. Give it mix points that have them."
            )
        plan = plan.to(clips.device)
        generator = torch.Generator().manual_seed(seed)
        if torch.rand((), generator=generator, device="cpu").item() >= self._probability:
            return clips.to(float_dtype(clips), copy=True), torch.ones_like(plan.ratio)
        inside = self._blocks(clips.shape[-3], clips.shape[-2], clips.shape[-1], generator, clips.device)
        changed = inside.sum().to(torch.float32) / inside.numel()
        partner = partner_rows(clips, others, plan)
        kept = plan.ratio.view(-1, *[1] * (clips.ndim - 1)) if self.mode == "soft" else torch.zeros_like(changed)
        mixed = lerp_rows(partner, clips, torch.where(inside, kept, 1.0), copy=others is not None)
        return mixed, 1.0 - changed * (1.0 - kept.flatten().expand(len(plan)))

    @property
    def _gamma(self) -> float:
        return {"hard": 0.5, "soft": 0.75}[self.mode] if self.gamma is None else self.gamma

    @property
    def _probability(self) -> float:
        return {"hard": 0.7, "soft": 1.0}[self.mode] if self.probability is None else self.probability

    def _blocks(
        self, channels: int, height: int, width: int, generator: torch.Generator, device: torch.device
    ) -> Bool[Tensor, "C h w"]:
        """Draw which features lie in a block: on the CPU, so that a plan means the same on every device."""
        smaller = min(height, width)
        side = min(self.block_size, smaller - 1 + smaller % 2)
        chance = self._gamma * height * width / (side**2 * (height - side + 1) * (width - side + 1))
        centres = torch.rand(channels, height, width, generator=generator, device="cpu") < chance
        if device.type == "cuda":
            centres = centres.pin_memory()  # else the host would wait for the copy
        grown = to_device(centres, device).to(torch.float32)
        # The largest value over a square is that over its rows, then over its columns.
        grown = F.max_pool2d(grown, (side, 1), 1, (side // 2, 0))
        return F.max_pool2d(grown, (1, side), 1, (0, side // 2)) > 0.0


def _feature_plan(plan: MixPlan, mixer: FeatureMixer) -> FeaturePlan:
    if not isinstance(plan, FeaturePlan):
        raise RequestError(
            f"The plan is a {type(plan).__name__}; {type(mixer).__name__} needs the FeaturePlan that its draw gives"
        )
    return plan


def _rows_of_clips(output: object, point: str, count: int) -> Shaped[Tensor, "B ..."]:
    """View the features of a point clip by clip: ``[B, ...]`` or ``[B, T, ...]``."""
    if not isinstance(output, Tensor):
        raise RequestError(
            f"The mix point '{point}' gives a {type(output).__name__}, not one tensor; choose a module that gives one"
        )
    if output.ndim == 0 or len(output) == 0 or len(output) % count:
        raise RequestError(
            f"The mix point '{point}' gives features of shape {tuple(output.shape)} for {count} clips; expected one "
            "row per clip or per frame, the frames of a clip following each other"
        )
    if len(output) > count:
        return output.view(count, -1, *output.shape[1:])
    return output.transpose(1, 2) if output.ndim == 5 else output


def _rows_as_before(values: Shaped[Tensor, "B ..."], output: object) -> Shaped[Tensor, "..."]:
    """Undo `_rows_of_clips`."""
    if isinstance(output, Tensor) and values.ndim > output.ndim:
        return values.flatten(0, 1)
    return values.transpose(1, 2) if values.ndim == 5 else values
