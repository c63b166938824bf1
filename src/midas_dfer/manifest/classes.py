"""The clips of one dataset under the classes of another, matched by name; what gets lost is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64

from midas_dfer.emotions import ClassMatch, match_classes
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.rows import has_shares, known_votes
from midas_dfer.manifest.schema import LABELS_COLUMN
from midas_dfer.wording import count


@dataclass(frozen=True)
class DroppedClass:
    """A class that is not among the wanted ones, and how often it was there.

    `voted_clips` had at least one of the votes; `labelled_clips` had it as label and are left out.
    """

    name: str
    votes: int
    voted_clips: int
    labelled_clips: int


@dataclass(frozen=True)
class MappingReport:
    """What is lost where clips are given other classes; see `map_classes`.

    `absent` classes are wanted but not there, `dropped` ones there but not wanted. Clips are left out as their label is
    dropped (`num_label_dropped`) or as no vote of theirs is left (`num_without_votes`).
    """

    dataset: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    absent: tuple[str, ...]
    dropped: tuple[DroppedClass, ...]
    num_clips: int
    num_label_dropped: int
    num_without_votes: int
    num_votes: int

    @property
    def num_left_out(self) -> int:
        """How many clips are left out in all."""
        return self.num_label_dropped + self.num_without_votes

    @property
    def num_votes_dropped(self) -> int:
        """How many votes were for classes that are dropped."""
        return sum(each.votes for each in self.dropped)

    def sentences(self) -> tuple[str, ...]:
        """Say what is lost; empty where nothing is, as where only order and spelling differ."""
        said = []
        if self.dropped:
            parts = ", ".join(_lost(each) for each in self.dropped)
            said.append(f"{self.dataset}: {_classes(len(self.dropped))} not known here and dropped: {parts}.")
            left_out = f"{self.dataset}: {self.num_left_out} of {count(self.num_clips, 'clip')} left out"
            if self.num_left_out:
                left_out += (
                    f", {self.num_label_dropped} for their label, {self.num_without_votes} without any other vote"
                )
            votes = f"; {self.num_votes_dropped} of {count(self.num_votes, 'vote')} dropped" if self.num_votes else ""
            said.append(f"{left_out}{votes}.")
        if self.absent:
            said.append(f"{self.dataset}: {_classes(len(self.absent))} never seen there: {', '.join(self.absent)}.")
        return tuple(said)

    def paragraph(self) -> str:
        """The sentences as one text, which names the data set once."""
        first, *others = self.sentences() or ("",)
        more = (each.removeprefix(f"{self.dataset}: ") for each in others)
        return " ".join([first, *(f"{each[0].upper()}{each[1:]}" for each in more)])


def report_mapping(manifest: Manifest, class_names: Sequence[str]) -> MappingReport:
    """Count what `map_classes` would drop."""
    match = _match(manifest, class_names)
    counts = _votes(manifest)
    labels = manifest.labels
    label_dropped, votes_dropped = _lost_rows(manifest, match)
    return MappingReport(
        dataset=manifest.name,
        source=match.source,
        target=match.target,
        absent=match.absent,
        dropped=tuple(
            DroppedClass(name, int(counts[:, at].sum()), int((counts[:, at] > 0).sum()), int((labels == at).sum()))
            for name, at in ((name, match.source.index(name)) for name in match.dropped)
        ),
        num_clips=len(manifest),
        num_label_dropped=int(label_dropped.sum()),
        num_without_votes=int((votes_dropped & ~label_dropped).sum()),
        num_votes=int(counts.sum()),
    )


def map_classes(manifest: Manifest, class_names: Sequence[str]) -> Manifest:
    """Give the clips of a dataset the classes of another.

    Classes are matched by name, in any spelling known here; none is taken for a related one. Votes for classes
    that are not wanted are dropped. Left out are clips whose label is such a class, and clips that have votes,
    but none for a wanted class. The label of a clip is kept, never recomputed: a clip without a single label
    has none afterwards, though its votes may have a majority now (see `Manifest.with_majority_labels`).
    """
    match = _match(manifest, class_names)
    label_dropped, votes_dropped = _lost_rows(manifest, match)
    kept = manifest.select(~(label_dropped | votes_dropped))
    old = _votes(kept)
    votes = np.zeros((len(old), len(match.places)), dtype=np.int64)
    for number, place in enumerate(match.places):
        if place is not None:
            votes[:, number] = old[:, place]
    known = pl.Series(kept.has_votes)
    counted = pl.Series(votes.ravel()).reshape((-1, len(match.places))).cast(pl.List(pl.Int64))
    places = pl.DataFrame({"known": known, "place": known.cum_sum().cast(pl.Int64) - 1})
    rows = counted.gather(places.select(pl.when("known").then("place")).to_series())
    names: dict[int, str] = {at: name for name, at in zip(match.target, match.places, strict=True) if at is not None}
    table = kept.table.with_columns(
        rows.alias("votes"), pl.Series("label", [names.get(label) for label in kept.labels.tolist()], dtype=pl.String)
    )
    if LABELS_COLUMN in table.columns:
        shares = [_wanted_shares(each, match.places) for each in table[LABELS_COLUMN].to_list()]
        table = table.with_columns(pl.Series(LABELS_COLUMN, shares, pl.List(pl.Float64)))
    if "annotator_votes" in table.columns:
        table = _with_wanted_single_votes(table, {name: names.get(at) for at, name in enumerate(match.source)})
    report = report_mapping(manifest, class_names)
    return Manifest(match.target, table, manifest.name, (*manifest.notes, *report.sentences()))


def _with_wanted_single_votes(table: pl.DataFrame, names: Mapping[str, str | None]) -> pl.DataFrame:
    """Rename the classes of single votes; votes for a class that is not wanted, and who cast them, are left out."""
    columns = [column for column in ("annotators", "annotator_votes") if column in table.columns]
    vote = pl.col("annotator_votes").replace_strict(names, default=None)
    votes = table.select("video_id", *columns).explode(columns).with_columns(vote).drop_nulls("annotator_votes")
    wanted = votes.group_by("video_id").agg(columns)
    return table.drop(columns).join(wanted, on="video_id", how="left", maintain_order="left").select(table.columns)


def _wanted_shares(shares: Sequence[float] | None, places: Sequence[int | None]) -> list[float] | None:
    """The shares of the wanted classes, with the sum 1; None where there are none of them."""
    wanted = [0.0 if shares is None or place is None else shares[place] for place in places]
    total = sum(wanted)
    return [share / total for share in wanted] if total else None


def _match(manifest: Manifest, class_names: Sequence[str]) -> ClassMatch:
    match = match_classes(manifest.class_names, class_names)
    if not match.common:
        raise RequestError(
            f"{manifest.name} has the classes {', '.join(match.source)}, and none of {', '.join(match.target)}. "
            "There is nothing to compare."
        )
    return match


def _votes(manifest: Manifest) -> Int64[np.ndarray, "V K"]:
    return known_votes(manifest.table["votes"], len(manifest.class_names))


def _lost_rows(manifest: Manifest, match: ClassMatch) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """True for the clips whose label is dropped, and for those whose votes all are."""
    wanted = np.array([place for place in match.places if place is not None])
    labels = manifest.labels
    label_dropped = (labels != NO_LABEL) & ~np.isin(labels, wanted)
    votes_dropped = np.zeros(len(manifest), dtype=np.bool_)
    votes_dropped[manifest.has_votes] = _votes(manifest)[:, wanted].sum(axis=1) == 0
    for row in np.flatnonzero(has_shares(manifest.table) & (labels == NO_LABEL) & ~manifest.has_votes).tolist():
        votes_dropped[row] = not np.asarray(manifest.table[LABELS_COLUMN][row])[wanted].any()
    return label_dropped, votes_dropped


def _lost(dropped: DroppedClass) -> str:
    clips = f"the label of {count(dropped.labelled_clips, 'clip')}"
    if not dropped.votes:
        return f"{dropped.name} ({clips})"
    return f"{dropped.name} ({count(dropped.votes, 'vote')} in {count(dropped.voted_clips, 'clip')}, {clips})"


def _classes(number: int) -> str:
    return "a class is" if number == 1 else f"{number} classes are"
