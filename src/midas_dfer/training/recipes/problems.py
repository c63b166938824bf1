"""What makes no sense in a recipe, or not together with the rest of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from midas_dfer.losses import LOSSES
from midas_dfer.mixing import MIXERS
from midas_dfer.training.learners import LEARNERS, PLAIN

if TYPE_CHECKING:
    from midas_dfer.training.recipes.config import RunConfig


def problems(config: "RunConfig") -> Iterator[str]:
    """What in it makes no sense, or not together with the rest: what is wrong, and what to do."""
    epochs, names = config.milestones, config.mixer_names
    if not config.scales:
        yield "`scales` is empty; expected numbers from 0.1 to 1"
    if config.loss not in LOSSES:
        yield f"`loss` is {config.loss!r}; expected {' or '.join(LOSSES)}"
    if (config.class_weights != "none" or config.label_smoothing) and not LOSSES[config.loss].settings:
        cure = f"belong to the cross-entropy, not to `loss` {config.loss}; leave them out"
        yield f"`class_weights` and `label_smoothing` {cure}"
    if config.label_method != "proportion" and config.labels in ("votes", "drawn_vote"):
        yield f"`label_method` makes soft labels, and `labels` {config.labels} takes single votes; leave it out"
    if config.loss in LOSSES and LOSSES[config.loss].counts:
        yield from _no_counts(config)
    if config.learner != PLAIN and config.learner not in LEARNERS:
        yield f"`learner` is {config.learner!r}; expected {PLAIN} or {', '.join(LEARNERS)}"
    loss = LOSSES.get(config.loss)
    if config.learner != PLAIN and loss is not None and (loss.counts or loss.concentrations):
        cure = f"gives concentrations, which `learner` {config.learner} cannot use; take cross_entropy"
        yield f"`loss` {config.loss} {cure}"
    if config.soft_labels_of is not None:
        yield from _no_predicted_labels(config)
    if config.takes_annotators or config.takes_quality:
        yield from _own_loss(config)
    if config.select == "best_test_fold" and config.validation_fraction:
        yield "`select` best_test_fold does without a validation part; leave out `validation_fraction`"
    if list(epochs) != sorted(set(epochs)):
        yield f"`milestones` is {list(epochs)}; expected epochs in ascending order, such as [40, 80]"
    if epochs and config.schedule != "step":
        cure = "leave them out, or empty a recipe's with `milestones` []"
        yield f"`milestones` belong to `schedule` step, not to {config.schedule}; {cure}"
    if config.momentum >= 1 and config.optimizer != "sgd":
        yield f"`momentum` is {config.momentum:g}; with `optimizer` {config.optimizer} expected below 1"
    if config.use_unassigned and config.labels == "hard":
        cure = "which hard labels cannot use; take `labels` soft"
        yield f"`use_unassigned` adds clips without a single label, {cure}"
    if config.use_unassigned and config.group != "all":
        yield f"`group` {config.group} is drawn from clips with a single label; leave out `use_unassigned`"
    if config.group_size is not None and config.group == "all":
        yield "`group_size` is that of a group; take `group` clear or `group` mixed with it"
    if "none" in names and config.mixer != "none":
        yield f"`mixer` is {config.mixer}; none stands alone, and cannot be one of several"
    if unknown := [name for name in names if name not in MIXERS]:
        yield f"`mixer` is {unknown[0]!r}; expected none or {', '.join(MIXERS)}"
    if config.saliency == "model" and not any(MIXERS[name].looks for name in names):
        cure = f"take one of {', '.join(name for name, entry in MIXERS.own.items() if entry.looks)}"
        yield f"`saliency` model says where a mixer looks, and {config.mixer} does not look; leave it out, or {cure}"
    if names and config.batch_size < 2:
        yield "`batch_size` 1 leaves no partner to mix with; take 2 or more, or `mixer` none"
    if config.cache == "device" and config.jitter:
        yield "`cache` device crops on the GPU, where `jitter` is not computed; take `cache` ram"
    if len(names) > 1 and "midas" in names and config.normalization != "none":
        cure = "would normalise the labels of some batches and not of others; take `normalization` none"
        yield f"`mixer` {config.mixer} {cure}"


def _no_counts(config: "RunConfig") -> Iterator[str]:
    """What leaves a loss of counts without any."""
    if config.labels != "soft":
        yield f"`loss` {config.loss} learns from many votes at once; take `labels` soft, not {config.labels}"
    if config.label_method != "proportion":
        yield f"`loss` {config.loss} counts votes, and `label_method` {config.label_method} does not; leave it out"
    if "midas" in config.mixer_names and config.normalization != "none":
        yield (
            f"`loss` {config.loss} counts votes, which `normalization` {config.normalization} does not keep; take "
            "`normalization` none"
        )


def _own_loss(config: "RunConfig") -> Iterator[str]:
    """What a learner with labels and a cross-entropy of its own leaves no place for."""
    fixed: dict[str, Any] = {"loss": "cross_entropy", "class_weights": "none", "label_smoothing": 0.0}
    if config.takes_annotators:
        fixed |= {"labels": "soft", "label_method": "proportion", "votes_used": None}
    fixed |= {"normalization": "none"} if "midas" in config.mixer_names else {}
    does = "learns each single vote as it is" if config.takes_annotators else "weights each clip's cross-entropy"
    for name, value in fixed.items():
        if getattr(config, name) != value:
            cure = "take none" if name == "normalization" else "leave it out"
            yield f"`learner` {config.learner} {does}, without `{name}`; {cure}"


def _no_predicted_labels(config: "RunConfig") -> Iterator[str]:
    """What leaves no place for soft labels that runs predict."""
    for name, value in {"labels": "soft", "label_method": "proportion", "votes_used": None}.items():
        if getattr(config, name) != value:
            yield f"`soft_labels_of` says what the soft labels are; leave out `{name}`"
    by_votes = config.takes_annotators or config.takes_quality
    if by_votes or (config.loss in LOSSES and LOSSES[config.loss].counts):
        setting = "learner" if by_votes else "loss"
        yield f"`{setting}` {getattr(config, setting)} learns from votes; leave it out, or `soft_labels_of`"
