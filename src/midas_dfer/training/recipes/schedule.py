"""How fast a model learns, and which of its parameters decay."""

import bisect
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from midas_dfer.training.recipes.config import RunConfig

WARMUP_START = 0.001
"""Where a warm-up begins, as a share of the rate that it ends with; torchvision's reference trainings have it."""

RateFactor = Callable[[int], float]
"""From an optimiser step, counted from 0, to what the learning rate is multiplied with."""

ParameterGroups = list[dict[str, Any]]
"""What an optimiser takes; the first group has the rate of the recipe."""

_Norms = nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm
_HEAD_WEIGHTS, _HEAD_BIASES, _BIASES = 5, 10, 2  # the TSM authors' rates


def make_schedule(config: RunConfig, num_steps: int) -> RateFactor:
    """Make the schedule of a recipe, of `num_steps` optimiser steps for the whole run."""
    epoch_steps = max(1, num_steps // config.epochs)
    warmup_steps = config.warmup_epochs * epoch_steps
    if config.schedule == "cosine":
        return warmed_up(cosine_decay(max(1, num_steps - warmup_steps)), warmup_steps, shift=True)
    if config.schedule == "step":
        return warmed_up(step_decay(config.milestones, config.decay_factor, epoch_steps), warmup_steps)
    return warmed_up(exponential_decay(config.decay_factor, epoch_steps), warmup_steps)


def cosine_decay(num_steps: int) -> RateFactor:
    """Factor of the learning rate at each step: 1 at the first, falling to 0 along half a cosine."""
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(step, num_steps) / num_steps))


def step_decay(milestones: tuple[int, ...], decay_factor: float, epoch_steps: int) -> RateFactor:
    """Factor of the learning rate: 1, multiplied with `decay_factor` after each of some epochs, which ascend."""
    return lambda step: float(decay_factor ** bisect.bisect_right(milestones, step // epoch_steps))


def exponential_decay(decay_factor: float, epoch_steps: int) -> RateFactor:
    """Factor of the learning rate: 1, multiplied with `decay_factor` after each epoch."""
    return lambda step: float(decay_factor ** (step // epoch_steps))


def warmed_up(schedule: RateFactor, warmup_steps: int, *, shift: bool = False) -> RateFactor:
    """Let the rate rise first, on a straight line from `WARMUP_START`, for some steps.

    With `shift` the schedule begins after the warm-up, and not at the same time.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return WARMUP_START + (1 - WARMUP_START) * step / warmup_steps
        return schedule(step - warmup_steps if shift else step)

    return factor


def parameter_groups(model: nn.Module, weight_decay: float) -> ParameterGroups:
    """Weights decay; biases and the scales of normalisation layers do not."""
    decaying = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def tsm_groups(model: nn.Module, weight_decay: float, learning_rate: float) -> ParameterGroups:
    """The groups of the TSM authors' code (`get_optim_policies` in ops/models.py, for RGB pictures).

    Biases learn twice as fast and do not decay, normalisation layers do not decay, the classifier's weights learn
    five times and its biases ten times as fast. The code has a group of its own for the first convolution, whose
    factors for RGB are those of all other weights. The authors' networks have convolutions, batch-norms and one
    linear layer; of others, what is no bias counts as a weight.
    """
    heads: tuple[str, ...] = getattr(model, "heads", ("fc",))
    names = ("weights", "biases", "norms", "head_weights", "head_biases")
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for name, is_norm, parameter in _learning(model):
        if is_norm:
            groups["norms"].append(parameter)
            continue
        kind = "biases" if name.rpartition(".")[2].startswith("bias") else "weights"
        in_head = any(name.startswith(f"{head}.") for head in heads)
        groups[f"head_{kind}" if in_head else kind].append(parameter)
    rates = dict(zip(names, (1, _BIASES, 1, _HEAD_WEIGHTS, _HEAD_BIASES), strict=True))
    return [
        {
            "params": parameters,
            "lr": rates[name] * learning_rate,
            "weight_decay": weight_decay if name.endswith("weights") else 0.0,
        }
        for name, parameters in groups.items()
        if parameters
    ]


def make_optimizer(model: nn.Module, config: RunConfig, learner: nn.Module | None = None) -> torch.optim.Optimizer:
    """Make the optimiser of a recipe, and of its learner; it updates all weights in one pass, where PyTorch can."""
    groups: ParameterGroups
    if config.parameter_groups == "tsm":
        groups = tsm_groups(model, config.weight_decay, config.learning_rate)
    elif config.parameter_groups == "uniform":
        learning = [p for p in model.parameters() if p.requires_grad]
        groups = [{"params": learning, "weight_decay": config.weight_decay}]
    else:
        groups = parameter_groups(model, config.weight_decay)
    if learner is not None:
        decay = config.weight_decay
        groups += [each for each in parameter_groups(learner, decay) if each["params"]]
    fused = config.clip_gradient is None  # Lightning clips no gradients of a fused one
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=fused)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.learning_rate, betas=(config.momentum, 0.999), fused=fused)


def later_batch_norms(model: nn.Module) -> Iterable[nn.Module]:
    """All batch-norm layers of a model but the first, in the order in which it has them."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)][1:]


def _learning(model: nn.Module) -> Iterator[tuple[str, bool, nn.Parameter]]:
    """The parameters that learn, each once: name, whether of a normalisation layer, the parameter."""
    seen: set[int] = set()
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{module_name}.{name}" if module_name else name, isinstance(module, _Norms), parameter
