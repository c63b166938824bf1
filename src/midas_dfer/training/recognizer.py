"""The training step: mix, predict, compare. One Lightning module for every model, label type and mixer."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import lightning
import torch
from jaxtyping import Float, Integer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.clips.batches.dataset import ClipBatch
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.errors import JobError
from midas_dfer.losses import LOSSES, EvidentialLoss, SoftTargetCrossEntropy
from midas_dfer.metrics import uar, war
from midas_dfer.mixing import MixPlan, Mixup
from midas_dfer.models.clip_model import takes_channels_last
from midas_dfer.training.learners import LEARNERS, Learner, LearnerStep
from midas_dfer.training.learners.features import watched_features
from midas_dfer.training.mixers import Mixing
from midas_dfer.training.processes.shared_batches import SharedBatches
from midas_dfer.training.processes.world import average_buffers, gathered
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.schedule import later_batch_norms, make_optimizer, make_schedule

CHECK_EVERY_STEPS = 50
"""Steps from one look at the loss to the next, on a GPU."""


class DivergedError(JobError):
    """The loss is no longer a number."""


class Recognizer(lightning.LightningModule):
    """Trains a model on clips and soft labels.

    Args:
        model: `[B, T, 3, H, W]` normalised float -> logits `[B, K]`.
        config: the recipe.
        num_classes: K.
        num_steps: optimiser steps of the whole run, for the schedule.
        mixing: makes virtual clips of a batch; None trains on the clips as they are.
        loss: of logits and targets; None is the cross-entropy.
        shared: the batches, where several processes train the model and each has some of their rows.
        learner: makes the loss of more than logits and targets; None is plain.
    """

    def __init__(
        self,
        model: nn.Module,
        config: RunConfig,
        num_classes: int,
        num_steps: int,
        mixing: Mixing | None = None,
        loss: nn.Module | None = None,
        shared: SharedBatches | None = None,
        learner: Learner | None = None,
    ) -> None:
        super().__init__()
        self.model, self.config, self.num_steps, self.mixing = model, config, num_steps, mixing
        self.loss = SoftTargetCrossEntropy() if loss is None else loss
        self.shared, self.learner = shared, learner
        self.counts = LOSSES[config.loss].counts
        self.averaged: AveragedModel | None = None
        if config.weight_average:
            self.averaged = AveragedModel(model, use_buffers=True).requires_grad_(False)
        self.num_classes = num_classes
        self.told: _Told | None = None
        self.seen: dict[str, list[Integer[Tensor, "2 _"]]] = {"train": [], "val": []}
        self.losses: dict[str, list[Float[Tensor, " 2"]]] = {"train": [], "val": []}
        if config.partial_batch_norm:
            for module in later_batch_norms(model):
                module.requires_grad_(False)
            self.train()

    def train(self, mode: bool = True) -> "Recognizer":
        """Switch between training and evaluation; frozen batch-norm layers stay in the latter."""
        super().train(mode)
        if mode and self.config.partial_batch_norm:
            for module in later_batch_norms(self.model):
                module.eval()
        return self

    def compile_network(self, device: torch.device) -> None:
        """Compile the model in place, once for each size of batch and way of use; dropout draws as it would without."""
        options: Any = {"fallback_random": True, "triton.cudagraphs": device.type == "cuda"}
        self.model.compile(dynamic=False, options=options)

    def on_train_epoch_start(self) -> None:
        """Tell the loader which epoch this is: its order and its draws are the epoch's own.

        Lightning would tell a loader's sampler, but not a batch sampler. The epoch that a training begins or
        resumes with is set by `Batches`.
        """
        if isinstance(self.loss, EvidentialLoss):
            self.loss.epoch = self.current_epoch
        loader = self.trainer.train_dataloader
        if isinstance(loader, ClipLoader):
            loader.at_epoch(self.current_epoch)

    @property
    def kept_model(self) -> nn.Module:
        """The model that is validated and kept: with the weights' running average, where the recipe wants one."""
        return self.model if self.averaged is None else self.averaged.module

    def forward(self, batch: ClipBatch) -> Float[Tensor, "B K"]:
        """Logits of the clips as they are."""
        logits: Tensor = self.kept_model(normalize_pixels(batch.clips))
        return logits

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one batch: the clips are mixed, predicted, and compared with the mixed labels."""
        if self.config.compile:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # old results may be overwritten
        purpose = "dropout" if self.shared is None else self.shared.purpose("dropout")
        with seeded(generator_for(self.config.seed, self.current_epoch, str(batch_idx), purpose), self.device):
            logits, targets, loss = self._learn(batch, batch_idx)
        share = 1.0 if self.shared is None else self.shared.weight(self.current_epoch, batch_idx)
        self._check(loss, batch_idx)

        dominant = targets.argmax(dim=1)  # of the mixed label, which is what the model is asked for
        if share:
            self.seen["train"].append(torch.stack([dominant, logits.argmax(dim=1)]))
        self._log_loss("train", loss, len(targets) if share else 0)
        return loss * self._weight(share, targets) if self.shared is not None else loss

    def _learn(self, batch: ClipBatch, number: int) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"], Tensor]:
        """Logits of a training batch, what they are compared with, and the loss."""
        if self.learner is None:
            logits, targets, votes = self._predict(batch, number)
            return logits, targets, self._compare(logits, targets, votes)
        sees = LEARNERS[self.config.learner].sees_features
        with watched_features(self.model) if sees else nullcontext() as features:
            logits, targets, _ = self._predict(batch, number)
        with torch.autocast(self.device.type, enabled=False):
            given = logits.new_empty(len(logits), 0) if features is None else features(len(logits))
            video_ids = batch.video_ids[: len(logits)]
            step = LearnerStep(logits.float(), targets, given, video_ids, self.current_epoch)
            loss: Tensor = self.learner(step)
        return *self.learner.by_class(logits, targets), loss

    def _weight(self, share: float, targets: Float[Tensor, "B K"]) -> float | Float[Tensor, ""]:
        """What the loss is multiplied by, so that gradients averaged over the processes are those of the batch.

        A loss with class weights is divided by the weight of the batch's targets, and not by its number of rows.
        """
        weights = getattr(self.loss, "class_weights", None)
        if weights is None:
            return share
        own = (targets @ weights.to(targets.dtype)).sum() if share else targets.new_zeros(())
        mean = self.trainer.strategy.reduce(own.clone(), reduce_op="mean")
        return own / torch.where(mean > 0, mean, 1.0)

    def _compare(
        self, logits: Float[Tensor, "B K"], targets: Float[Tensor, "B K"], votes: Float[Tensor, "B"] | None
    ) -> Float[Tensor, ""]:
        """The loss; a loss of counts is told how many votes each target stands for."""
        loss: Tensor = self.loss(logits, targets, votes) if self.counts else self.loss(logits, targets)
        return loss

    def _predict(
        self, batch: ClipBatch, number: int
    ) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B M"], Float[Tensor, "B"] | None]:
        """Logits of a training batch, what they are compared with, and how many votes that stands for, if it counts."""
        clips: Tensor = batch.clips
        labels: Tensor = batch.soft_labels if self.learner is None else self.learner.labels(batch)
        votes = batch.num_votes if self.counts else None
        if self.mixing is None:
            return self.model(normalize_pixels(clips)), labels, votes
        partners = other_votes = None
        if self.mixing.brings_partners:  # the loader put them after the batch's own clips
            clips, others = clips.chunk(2)
            labels, other_labels = labels.chunk(2)
            partners = (others, other_labels)
            if votes is not None:
                votes, other_votes = votes.chunk(2)
        if self.shared is None:
            own = batch.soft_labels[: len(clips)]
            plan = self.mixing.plan(self.current_epoch, number, batch.video_ids[: len(clips)], own)
        else:
            plan = self.shared.plan(self.mixing, self.current_epoch, number)
        if votes is not None:
            votes = mixed_votes(votes, other_votes, plan)
        mixer = self.mixing.mixer
        if isinstance(mixer, Mixup):  # as MIDAS is
            last = runs_ahead(self.device) and takes_channels_last(self.model)  # on a CPU it costs more than it saves
            mixed, targets = mixer.apply_to_pixels(clips, labels, plan, partners=partners, channels_last=last)
            return self.model(mixed), targets, votes
        if partners is not None:
            partners = (normalize_pixels(partners[0]), partners[1])
        return *mixer.through(self.model, normalize_pixels(clips), labels, plan, partners=partners), votes

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - Lightning's own
        """Let the average follow the weights; after the last batch, log the scores of the epoch."""
        if self.averaged is not None:
            follow(self.averaged, self.model, self.config.weight_average, self.trainer.global_step)
        if self.trainer.is_last_batch:  # not in on_train_epoch_end, which comes after that of the callbacks
            self._log_scores("train")
            if self.shared is not None:
                average_buffers(self)

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Loss and scores of one batch of the validation part, as it is."""
        logits = self(batch)
        self.seen["val"].append(torch.stack([batch.labels, logits.argmax(dim=1)]))
        self._log_loss("val", self._compare(logits, batch.soft_labels, batch.num_votes), len(logits))

    def on_validation_epoch_end(self) -> None:
        """Say the scores of the whole part."""
        self._log_scores("val")

    def _log_loss(self, part: str, loss: Float[Tensor, ""], rows: int) -> None:
        if self.shared is None:
            self.log(f"{part}_loss", loss, on_step=part == "train", on_epoch=True, batch_size=rows)
        else:  # Lightning cannot add up numbers of rows over processes
            self.losses[part].append(torch.stack([loss.detach() * rows, loss.new_tensor(rows)]))

    def _log_scores(self, part: str) -> None:
        seen = self.seen[part]
        if self.shared is not None:
            seen = gathered(seen)
            total, rows = self.trainer.strategy.reduce(torch.stack(self.losses[part]).sum(dim=0), reduce_op="sum")
            self.log(f"{part}_loss", total / rows, on_step=False, on_epoch=True, batch_size=1)
            self.losses[part].clear()
        for name, score in epoch_scores(seen, self.num_classes).items():
            self.log(f"{part}_{name}", score, on_step=False, on_epoch=True, batch_size=1)
        self.seen[part].clear()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimiser, its learning rate set at every step."""
        optimizer = make_optimizer(self.model, self.config, self.learner)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, make_schedule(self.config, self.num_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def transfer_batch_to_device(self, batch: ClipBatch, device: torch.device, dataloader_idx: int) -> ClipBatch:
        """Lightning's own way does not know what a `ClipBatch` holds."""
        return batch.to(device, non_blocking=True)

    def _check(self, loss: Tensor, batch_idx: int) -> None:
        """Refuse a loss that is no number; on a GPU that of some steps ago, which the host need not wait for."""
        later = runs_ahead(self.device)
        if later and batch_idx % CHECK_EVERY_STEPS:
            return
        loss = loss.detach()
        if self.shared is not None:  # all processes find it together, and none waits for another that has ended
            loss = self.trainer.strategy.reduce(loss.clone(), reduce_op="sum")
        now = _Told(loss, self.current_epoch + 1, batch_idx + 1)
        told = self.told if later else now
        if later:
            self.told = now.on_its_way()
        if told is not None and not torch.isfinite(told.wait()):
            raise DivergedError(f"the loss became {told.loss.item()} in epoch {told.epoch}, step {told.step}")


def mixed_votes(votes: Float[Tensor, "B"], others: Float[Tensor, "B"] | None, plan: MixPlan) -> Float[Tensor, "B"]:
    """How many votes the labels of mixed clips stand for: the mixture of both clips' numbers."""
    plan = plan.to(votes.device)
    return torch.lerp(votes[plan.partner] if others is None else others, votes, plan.ratio)


def runs_ahead(device: torch.device) -> bool:
    """Whether the host goes on while the device computes, as long as it does not ask for a value."""
    return device.type != "cpu"


class _Told(NamedTuple):
    """The loss of a step, maybe still on its way from a GPU."""

    loss: Float[Tensor, ""]
    epoch: int
    step: int
    sent: torch.cuda.Event | None = None

    def on_its_way(self) -> "_Told":
        loss = self.loss.to("cpu", non_blocking=True)
        sent = None
        if self.loss.is_cuda:
            sent = torch.cuda.Event()  # type: ignore[no-untyped-call]
            sent.record()
        return self._replace(loss=loss, sent=sent)

    def wait(self) -> Float[Tensor, ""]:
        if self.sent is not None:
            self.sent.synchronize()
        return self.loss


@torch.no_grad()
def follow(average: AveragedModel, model: nn.Module, most: float, step: int) -> None:
    """Move a running average of weights and buffers towards those of a model after its step number `step`, from 1.

    After step n + 1 it keeps `most` of itself, or (1 + n) / (10 + n) if that is less: at first the weights change too
    fast for an average over a long time. (`AveragedModel.update_parameters` would wait for a GPU to know the step.)
    """
    kept = min(most, step / (9 + step)) if step > 1 else 0.0
    of_average, of_model = ([*each.parameters(), *each.buffers()] for each in (average.module, model))
    pairs = list(zip(of_average, of_model, strict=True))
    floating = [(mean, value) for mean, value in pairs if kept and mean.is_floating_point()]
    for mean, value in pairs:
        if not kept or not mean.is_floating_point():  # the first step; how many batches a batch-norm has seen
            mean.copy_(value)
    if floating:
        means, values = zip(*floating, strict=True)
        torch._foreach_lerp_(means, values, 1 - kept)
    average.n_averaged += 1


class Batches(lightning.LightningDataModule):
    """The loaders of a training; a checkpoint remembers which epoch comes next.

    A loader's processes begin to read as soon as Lightning sets it up, before `on_train_epoch_start`: a
    training that resumes with epoch 7 must not be given the batches of epoch 0.
    """

    def __init__(self, train: ClipLoader, validation: ClipLoader | None) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.next_epoch = 0

    def train_dataloader(self) -> ClipLoader:
        """The training part, set to the epoch that comes first."""
        return self.train.at_epoch(self.next_epoch)

    def val_dataloader(self) -> ClipLoader | list[ClipLoader]:
        """The validation part, or nothing."""
        return [] if self.validation is None else self.validation

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: it is written at the end of an epoch."""
        return {"next_epoch": 0 if self.trainer is None else self.trainer.current_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.next_epoch = state_dict["next_epoch"]


def epoch_scores(seen: Sequence[Integer[Tensor, "2 _"]], num_classes: int) -> dict[str, float]:
    """UAR and WAR of true and predicted classes, batch by batch; 0 where no clip has a single label."""
    true, predicted = torch.cat([*seen], dim=1).cpu().numpy()
    scores = {"uar": uar(true, predicted, num_classes), "war": war(true, predicted, num_classes)}
    return {name: 0.0 if math.isnan(score) else score for name, score in scores.items()}


@contextmanager
def seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Draw what has no generator of its own (dropout) from this one, and leave the global state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cpu":  # `torch.manual_seed` also asks for every kind of accelerator, a millisecond a step
            torch.default_generator.manual_seed(generator.initial_seed())
        else:
            torch.manual_seed(generator.initial_seed())
        yield
