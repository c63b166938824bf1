"""Check a whole store: is every frame what was written, and is every clip there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from midas_dfer.clips.checking.finding import Finding, errors, errors_of, notes
from midas_dfer.clips.store.clip_store import SHARDS_FOLDER, ClipStore
from midas_dfer.clips.store.verifying import damaged_clips
from midas_dfer.processes import available_cores
from midas_dfer.progress import Progress


@dataclass(frozen=True)
class StoreReport:
    """What a check of a store gave: the clips with frames, all of which were read, and notes before errors."""

    dataset: str
    fingerprint: str
    num_clips: int
    num_frames: int
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
            "fingerprint": self.fingerprint,
            "clips": self.num_clips,
            "frames": self.num_frames,
            "findings": [f.to_dict() for f in self.findings],
        }


def check_store(store: ClipStore, *, jobs: int | None = None, progress: Progress | None = None) -> StoreReport:
    """Read every frame of a store; nothing is written.

    Errors: frames that are not what was written, clips that are not cut yet. Notes: clips that failed, and clips
    without checksums, as stores of earlier versions have them.
    """
    ids = store.manifest.video_ids
    findings = _findings(store, jobs or available_cores(), progress)
    return StoreReport(
        dataset=store.dataset,
        fingerprint=store.fingerprint,
        num_clips=len(ids),
        num_frames=sum(map(store.num_frames, ids)),
        findings=tuple(sorted(findings, key=lambda f: f.severity == "error")),
    )


def _findings(store: ClipStore, jobs: int, progress: Progress | None) -> Iterator[Finding]:
    outcomes = store.outcomes.values()
    shards, size = store.path / SHARDS_FOLDER, store.settings.size
    damaged = damaged_clips(shards, outcomes, size, jobs=jobs, progress=progress)
    yield from errors(
        "damaged_frames",
        "clips whose frames are not what was written",
        [f"{o.video_id} ({o.location.shard})" for o in outcomes if o.video_id in damaged and o.location],
        "Run the same midas prepare again with --verify: it crops them again.",
    )
    yield from errors(
        "pending",
        "clips that are not cut yet",
        [f"{o.video_id}: {o.detail}" if o.detail else o.video_id for o in outcomes if o.status == "pending"],
        "Run the same midas prepare again: it goes on where it stopped.",
    )
    yield from notes(
        "failed",
        "clips that could not be cut",
        [f"{o.video_id}: {o.detail}" for o in outcomes if o.status == "failed"],
        "They are listed in failures.csv; midas prepare with --retry_failed tries them again.",
    )
    yield from notes(
        "unverified",
        "clips without checksums, as an earlier version wrote them; their frames can be decoded, no more is known",
        [o.video_id for o in outcomes if o.location is not None and not o.location.checksums],
        "Prepare them into another folder to have checksums.",
    )
