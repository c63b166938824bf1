"""Which clips of a data set a recipe trains, validates and tests on."""

from dataclasses import replace

from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.manifest.groups import draw_group
from midas_dfer.manifest.manifest import Manifest, Partition, cut_validation
from midas_dfer.manifest.unassigned import add_unassigned
from midas_dfer.training.recipes.config import RunConfig


def part_clips(manifest: Manifest, config: RunConfig) -> Partition:
    """Which clips are for training, validation and test; the test part is never trained on.

    Nor is an epoch chosen by it, unless `--select best_test_fold` asks for that.

    The validation part is the data set's own, or `--validation_fraction` of the training clips. What is left
    for training is, if asked for, joined by the clips in no part, or replaced by a group drawn from it.
    """
    partition = _with_validation(manifest, config)
    if config.use_unassigned:
        partition = add_unassigned(partition, manifest)
    if not len(partition.train):
        raise RequestError(f"no clip is left to train on: {partition.rule}; mark some as train, or choose another fold")
    validation = partition.validation
    if config.select == "best_validation" and validation is not None and (validation.labels == NO_LABEL).all():
        raise RequestError(
            "--select best_validation goes by UAR, but no validation clip has a single label; take --select last"
        )
    if config.select == "best_test_fold" and (partition.test is None or (partition.test.labels == NO_LABEL).all()):
        raise RequestError("--select best_test_fold needs a test part with single labels; take --select last")
    if config.group == "all":
        return partition
    drawn = draw_group(partition.train, config.group, size=config.group_size, seed=config.seed)
    rule = (
        f"{partition.rule}; of the {len(partition.train)} training clips, a {config.group} group of "
        f"{drawn.times.sum()} samples drawn from {len(drawn.clips)} clips"
    )
    return replace(partition, train=drawn.clips, times=drawn.times, rule=rule)


def watched_part(config: RunConfig) -> str:
    """What the clips are called that are scored after each epoch: validation, or test fold where that is asked for."""
    return "test fold" if config.select == "best_test_fold" else "validation"


def _with_validation(manifest: Manifest, config: RunConfig) -> Partition:
    partition = manifest.partition(config.test_fold)
    own = len(partition.validation) if partition.validation is not None else 0
    if not config.validation_fraction:
        if config.select == "best_validation" and not own:
            raise RequestError("--select best_validation needs clips to validate on: add --validation_fraction 0.1")
        return partition
    if own:
        raise RequestError(
            f"{manifest.name} has a validation part of {own} clips already; leave out --validation_fraction"
        )
    train, validation = cut_validation(partition.train, config.validation_fraction, config.seed)
    if not len(train) or not len(validation):
        raise RequestError(
            f"--validation_fraction {config.validation_fraction} of {len(partition.train)} clips leaves "
            f"{len(train)} to train and {len(validation)} to validate on; choose another"
        )
    rule = f"{partition.rule}; {len(validation)} of its clips cut off for validation"
    return Partition(train=train, test=partition.test, validation=validation, rule=rule)
