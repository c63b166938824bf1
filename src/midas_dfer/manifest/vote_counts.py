"""How many votes some clips have, who cast them, and how many end in a tie: what every verb that reads votes prints."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from midas_dfer.labels import NO_LABEL, majority_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.rows import known_votes

_PEOPLE_NAMED = 6


@dataclass(frozen=True)
class VoteCount:
    """The votes of some clips.

    `fewest` and `most` are of any such clip; `tied` counts the clips whose classes with the most votes have equally
    many; `annotators` have the most votes first, and are empty where nobody is named.
    """

    votes: int
    clips: int
    fewest: int
    most: int
    tied: int
    annotators: tuple[tuple[str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**asdict(self), "annotators": dict(self.annotators)}


def single_votes(manifest: Manifest) -> pl.DataFrame:
    """Give the votes one by one, as far as it is known who cast them."""
    table = manifest.table
    if not {"annotators", "annotator_votes"} <= set(table.columns):
        return pl.DataFrame(schema={"video_id": pl.String, "annotator": pl.String, "vote": pl.String})
    return (
        table.select("video_id", pl.col("annotators").alias("annotator"), pl.col("annotator_votes").alias("vote"))
        .explode("annotator", "vote")
        .drop_nulls()
    )


@dataclass(frozen=True)
class NumberedVotes:
    """The votes one by one, as numbers: annotator `people[v]` of `annotators` chose class `chosen[v]` on `clips[v]`.

    `annotators` are sorted; clips are rows of the manifest.
    """

    annotators: tuple[str, ...]
    clips: Int64[np.ndarray, " V"]
    people: Int64[np.ndarray, " V"]
    chosen: Int64[np.ndarray, " V"]


def numbered_votes(manifest: Manifest) -> NumberedVotes:
    """Give `single_votes` as numbers; none where nobody is named."""
    votes = single_votes(manifest)
    names = votes["annotator"].unique().sort().to_list()

    def numbers(column: str, order: Iterable[str]) -> Int64[np.ndarray, " V"]:
        places = {name: number for number, name in enumerate(order)}
        return np.array([places[each] for each in votes[column].to_list()], dtype=np.int64)

    clips, people, chosen = (
        numbers(*each)
        for each in (("video_id", manifest.video_ids), ("annotator", names), ("vote", manifest.class_names))
    )
    return NumberedVotes(tuple(names), clips, people, chosen)


def count_votes(manifest: Manifest) -> VoteCount | None:
    """Count them; None where no clip has votes."""
    votes = known_votes(manifest.table["votes"], len(manifest.class_names))
    if not len(votes):
        return None
    each = votes.sum(axis=1)
    people = single_votes(manifest)["annotator"].value_counts().sort(["count", "annotator"], descending=[True, False])
    return VoteCount(
        votes=int(each.sum()),
        clips=len(votes),
        fewest=int(each.min()),
        most=int(each.max()),
        tied=int(np.sum(majority_labels(votes) == NO_LABEL)),
        annotators=tuple((str(name), int(number)) for name, number in people.iter_rows()),
    )


def votes_text(count: VoteCount) -> str:
    """Say it in a line: "84 on 28 clips, 3 each; 10 clips end in a tie and have no single class"."""
    each = f"{count.fewest:,}" if count.fewest == count.most else f"{count.fewest:,} to {count.most:,}"
    ties = {0: "no ties", 1: "1 clip ends in a tie and has no single class"}.get(
        count.tied, f"{count.tied:,} clips end in a tie and have no single class"
    )
    return f"{count.votes:,} on {count.clips:,} {'clip' if count.clips == 1 else 'clips'}, {each} each; {ties}"


def annotators_text(count: VoteCount) -> str:
    """Say who cast them: "3: anna 28 votes, ben 28, chloe 27"; "" where nobody is named."""
    if not count.annotators:
        return ""
    number = len(count.annotators)
    if number > _PEOPLE_NAMED:
        return f"{number:,}, with {count.annotators[-1][1]:,} to {count.annotators[0][1]:,} votes"
    named = [f"{name} {votes:,}" for name, votes in count.annotators]
    named[0] += " vote" if count.annotators[0][1] == 1 else " votes"
    return f"{number}: {', '.join(named)}"
