"""Check a data set before hours are spent on it: annotations, files, reading, faces, duplicates."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midas_dfer.clips.checking.annotations import check_annotations, leak, parts_of
from midas_dfer.clips.checking.decoding import check_decoded, read_clips, spread
from midas_dfer.clips.checking.finding import Finding, Severity, errors_of, found, notes
from midas_dfer.clips.checking.folders import check_files, find_clips
from midas_dfer.clips.preparing.duplicates import DuplicateGroup, find_duplicates
from midas_dfer.clips.preparing.prepare import face_choices
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.manifest.class_counts import ClassCount, count_classes
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.vote_counts import VoteCount, count_votes
from midas_dfer.processes import available_cores
from midas_dfer.progress import Progress

SAMPLE = 200
"""How many clips are read by default: enough to see that a share of 2 % cannot be read, nearly surely."""


@dataclass(frozen=True)
class CheckSettings:
    """What a check looks at, and what it takes for wrong.

    Attributes:
        sample: how many clips to read, spread evenly over the data set; None for all.
        missing: how bad an annotated clip without a file is.
        dropped: whether `prepare` drops training clips whose pixels are in another split: a note then, no error.
        folds_made: whether the folds were made here; `prepare`, if it drops, then keeps copies in one of them.
        hint: what to do if no clip has a file; "" for: look at what the folder holds.
        cut: how `prepare` will cut the clips: where it looks for faces, they are looked for in a few frames of each
            clip that is read. None: nothing is said of faces.
        person: who is cut out where several people are in view; see `prepare`.
        known_broken: clips whose published files are known to be damaged; they are always read.
        disjoint: columns of which no value may be in two parts, besides subjects.

    Raises:
        RequestError: the sample is below 1.
    """

    sample: int | None = SAMPLE
    duplicates: bool = True
    missing: Severity = "error"
    dropped: bool = False
    folds_made: bool = False
    hint: str = ""
    cut: ExtractSettings | None = None
    person: str = ""
    known_broken: frozenset[str] = frozenset()
    disjoint: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise RequestError(f"--sample is {self.sample}; expected 1 or more")


@dataclass(frozen=True)
class CheckReport:
    """What a check of a data set gave.

    Attributes:
        num_present: those with a file.
        num_read_in_part: those whose reading was stopped because it took too long; good so far.
        parts: splits and folds with their numbers of clips, in words; "" if there are none.
        votes: how many there are, and whose; None if there are none.
        num_looked_at: clips in which faces were looked for.
        findings: notes, then errors, so that the worst stands where one reads last.
    """

    dataset: str
    num_clips: int
    num_present: int
    num_read: int
    num_read_in_part: int
    compared: bool
    parts: str
    classes: tuple[ClassCount, ...]
    votes: VoteCount | None
    num_looked_at: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that say that something is wrong."""
        return errors_of(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "ok": not self.errors,
            "dataset": self.dataset,
            "clips": self.num_clips,
            "present": self.num_present,
            "read": self.num_read,
            "read_in_part": self.num_read_in_part,
            "compared": self.compared,
            "parts": self.parts,
            "classes": [each.to_dict() for each in self.classes],
            "votes": None if self.votes is None else self.votes.to_dict(),
            "looked_for_faces": self.num_looked_at,
            "findings": [f.to_dict() for f in self.findings],
        }


def check(
    manifest: Manifest,
    root: Path,
    settings: CheckSettings | None = None,
    *,
    jobs: int | None = None,
    reading: Progress | None = None,
    comparing: Progress | None = None,
) -> CheckReport:
    """Look for what would spoil a long job on a data set; nothing is prepared or written.

    Errors: no file where one is needed, clips that cannot be read, clips with neither votes nor a label, the
    same pixels or the same subject on both sides of training and testing, labels that were joined to other
    clips' votes. Everything else is a note: see `Finding`.

    Args:
        manifest: the annotations.
        root: folder of the videos.
        settings: what to look at.
        jobs: how many processes; all cores if None.
        reading: told of each clip that is read.
        comparing: told of each clip whose pixels are compared.

    Raises:
        RequestError: there is no such folder.
        JobError: worker processes cannot be started.
    """
    settings = CheckSettings() if settings is None else settings
    if not root.is_dir():
        raise RequestError(f"{root} is not a folder; expected the one that holds the videos")
    choices = face_choices(manifest, settings.person)
    findings = list(check_annotations(manifest, settings.disjoint))
    there = find_clips(manifest, root)
    files = there.found
    findings += check_files(manifest, root, there, settings.missing, settings.hint)

    present = [video_id for video_id in manifest.video_ids if video_id in files]
    chosen = {present[n] for n in spread(len(present), settings.sample)} | (settings.known_broken & files.keys())
    readings = read_clips(files, [v for v in present if v in chosen], jobs or available_cores(), reading, settings.cut)
    findings += check_decoded(
        readings,
        settings.known_broken,
        cropped=settings.cut is not None and settings.cut.faces == "cropped",
        sampled=len(readings) < len(present),
        choices=choices,
    )
    compared = settings.duplicates and len(present) > 1
    if compared:
        here = manifest.select([n for n, video_id in enumerate(manifest.video_ids) if video_id in files])
        findings += _check_duplicates(here, find_duplicates(here, root, jobs=jobs, progress=comparing), settings)
    return CheckReport(
        dataset=manifest.name,
        num_clips=len(manifest),
        num_present=len(present),
        num_read=len(readings),
        num_read_in_part=sum(not r.whole for r in readings.values()),
        compared=compared,
        parts=_parts(manifest),
        classes=count_classes(manifest),
        votes=count_votes(manifest),
        num_looked_at=sum(r.seen is not None for r in readings.values()),
        findings=tuple(sorted(findings, key=lambda f: f.severity == "error")),  # else in the order found
    )


def _check_duplicates(
    manifest: Manifest, groups: tuple[DuplicateGroup, ...], settings: CheckSettings
) -> Iterator[Finding]:
    """What copies of the same pixels mean: leaks, or only pictures that count twice."""
    leaking = [g for g in groups if leak(g.splits, g.folds) == "error"]
    mended = [g for g in leaking if settings.dropped and (settings.folds_made or not g.crosses_folds)]
    left = [g for g in leaking if g not in mended]
    cure = (
        "Scores would be too good: take the copies out of one part (--duplicates drop does so between splits, and "
        "keeps them in one fold where --folds makes the folds)."
    )
    told = "The copies in training are dropped when the data set is prepared (see --duplicates)."
    if settings.folds_made:
        told = (
            "When the data set is prepared, copies in training are dropped, and --folds keeps the others in one fold "
            "(see --duplicates)."
        )
    wanted: tuple[tuple[Severity, list[DuplicateGroup], str], ...] = (("error", left, cure), ("note", mended, told))
    for severity, those, advice in wanted:
        yield from found(
            severity,
            "duplicate_in_two_parts",
            "groups of clips with the very same pixels, both trained and tested on",
            [f"{' = '.join(g.video_ids[:3])} ({parts_of(g.splits, g.folds)})" for g in those],
            advice,
        )
    yield from notes(
        "duplicate",
        "groups of clips with the very same pixels, not both trained and tested on",
        [" = ".join(g.video_ids[:3]) for g in groups if leak(g.splits, g.folds) != "error"],
        "Each copy counts for itself.",
    )
    labels = dict(zip(manifest.video_ids, manifest.table["label"].to_list(), strict=True))
    torn = [g for g in groups if len({labels[v] for v in g.video_ids} - {None}) > 1]
    yield from notes(
        "duplicate_with_two_labels",
        "groups of clips with the very same pixels, but different labels",
        [" = ".join(f"{v} ({labels[v] or 'none'})" for v in g.video_ids[:3]) for g in torn],
        "People saw the same and answered differently; votes hold both.",
    )


def _parts(manifest: Manifest) -> str:
    told = []
    for column, word in (("split", ""), ("fold", "fold ")):
        counts = manifest.table[column].drop_nulls().value_counts().sort(column).rows()
        told += [f"{word}{name}: {count:,}" for name, count in counts[:10]]
        told += [f"and {len(counts) - 10} more"] if len(counts) > 10 else []
    return "; ".join(told)
