"""Clips that no published split speaks of, such as DFEW's 4,313 clips without a single label."""

from dataclasses import replace

import numpy as np

from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest, Partition
from midas_dfer.wording import count


def add_unassigned(partition: Partition, manifest: Manifest) -> Partition:
    """Add to the training part the clips that are in no fold and in no split.

    Left out are clips that have neither votes nor a label, and clips of a subject who is in the test or the
    validation part. Those two parts stay as they are.
    """
    table = manifest.table
    kept_back = [part for part in (partition.validation, partition.test) if part is not None]
    parted = {name for part in (partition.train, *kept_back) for name in part.video_ids}
    taken = np.array([name in parted for name in table["video_id"]], dtype=np.bool_)
    free = ~(table["split"].is_not_null() | table["fold"].is_not_null()).to_numpy() & ~taken
    if not free.any():
        raise RequestError(
            f"Every clip of {manifest.name} is in a fold or in a part already. Leave out --use_unassigned."
        )
    told = (table["votes"].is_not_null() | table["label"].is_not_null()).to_numpy()
    people = {person for part in kept_back for person in part.table["subject"].drop_nulls()}
    met = np.array([person in people for person in table["subject"]], dtype=np.bool_)
    added = free & told & ~met
    rule = f"{partition.rule}; and {count(int(added.sum()), 'clip')} in no fold and no split"
    if (free & ~told).any():
        rule += f", without {count(int((free & ~told).sum()), 'clip')} that nobody said anything about"
    if (free & told & met).any():
        rule += f", without {count(int((free & told & met).sum()), 'clip')} of people who are tested or validated on"
    train = set(partition.train.video_ids)
    trained = np.array([name in train for name in table["video_id"]], dtype=np.bool_)
    return replace(partition, train=manifest.select(trained | added), rule=rule)
