"""Manifest and videos -> clip store: on all cores, resumable, and never stopped by a wrong clip."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl

from midas_dfer.clips.faces.following import SEARCH_EVERY
from midas_dfer.clips.preparing.crop_faces import described, measure_template
from midas_dfer.clips.preparing.cutting import ClipTask, ClipWorker
from midas_dfer.clips.preparing.files import find_files, near_words
from midas_dfer.clips.preparing.pool import Lost, MakeWorker, run_tasks
from midas_dfer.clips.store import clip_store as stores
from midas_dfer.clips.store.journal import JOURNAL_FILE, LOCK_FILE, Journal, read_journal
from midas_dfer.clips.store.outcomes import Outcome, with_outcomes
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.clips.store.shards import seal_shard
from midas_dfer.clips.store.verifying import damaged_clips
from midas_dfer.datasets.face_choice import FACE_COLUMN, FaceChoice
from midas_dfer.errors import RequestError
from midas_dfer.files import (
    csv_cell,
    csv_text,
    is_temporary,
    make_folder,
    only_one,
    reading,
    to_disk,
    write_file,
    writing,
)
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.processes import available_cores
from midas_dfer.progress import Progress, reported

RunTasks = Callable[
    [MakeWorker[ClipTask, Outcome], Sequence[ClipTask], int, float],
    Iterator[tuple[ClipTask, Outcome] | Lost[ClipTask]],
]
"""Where clips are cut: `pool.run_tasks` does it on this machine, `ray_pool.RayPool` on many."""

_SHARD_NAME = re.compile(r"shard-(\d{1,9})-.*\.arrow")


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Attributes:
        skipped: clips that an earlier run had finished (done or failed) already.
        failed: clips that failed, earlier runs included, by kind of failure.
        left_out: annotated clips that were left out because there is no such file.
        damaged: usable clips whose file is damaged after the frames that were used.
        notes: what is to be known of usable clips' pictures, and of how many clips.
        unfinished: clips whose process was ended from outside each time, as the system does when memory is short. They
            have not failed; the next run tries them again.
        faces_in_crops: what was found out about where faces lie in clips that were crops already; "" otherwise.
    """

    done: int
    skipped: int
    failed: Mapping[str, int]
    left_out: int
    damaged: int
    usable: int
    notes: Mapping[str, int] = field(default_factory=dict)
    unfinished: int = 0
    faces_in_crops: str = ""


def prepare(
    manifest: Manifest,
    root: Path,
    out: Path,
    *,
    settings: ExtractSettings | None = None,
    jobs: int | None = None,
    person: str = "",
    missing: Literal["fail", "leave_out"] = "fail",
    retry_failed: bool = False,
    verify: bool = False,
    progress: Progress | None = None,
    verifying: Progress | None = None,
    stall_seconds: float = 120.0,
    cut_on: RunTasks | None = None,
) -> PrepareReport:
    """Crop the face of every annotated clip from its video into a store.

    Run again, it resumes where it stopped: clips in the store are not cropped again, however the earlier process
    ended. It takes over new votes for old clips. A killed run may have left frames that did not reach the disk, so
    its clips are read first, and cropped again if they are not what was written.

    If the clips are face crops already, it detects faces in a sample of them and stores the mean position of their
    landmarks, for cropping faces from videos in the same way (`clips.crop_faces`).

    Args:
        manifest: the annotations; paths are relative to `root`.
        root: folder of the videos.
        out: the store's folder; created if missing.
        settings: how to crop.
        jobs: number of processes; None is one per core.
        person: whom to crop if several people are in view, as `FaceChoice.parse` reads it: "" for the one in view
            longest. The manifest's column `face`, if there is one, sets it per clip.
        missing: how to treat a clip without a file: as failed, or left out of the store.
        retry_failed: retry clips that failed in an earlier run.
        verify: read all frames in the store, and crop clips again whose frames are not what was written.
        progress: called for each clip.
        verifying: called for each clip whose frames are read.
        stall_seconds: a clip without progress for this long counts as failed.
        cut_on: where to cut clips, such as `midas_dfer.clips.preparing.ray_pool.RayPool`; None is this machine.

    Raises:
        RequestError: there is no such folder, not one of the videos is there, `out` holds something else,
            or was made with other settings.
        JobError: the disk is full, another process prepares the same store, or worker processes cannot be started.
    """
    if cut_on is not None:  # other machines do not know which folder we are in
        root, out = root.absolute(), out.absolute()
    settings = _as_before(out, ExtractSettings() if settings is None else settings)
    choices = face_choices(manifest, person)
    _check_request(out, settings)
    earlier = _earlier_outcomes(out)
    files, near, respelled = _find_files(manifest, root, earlier)
    left_out = 0
    if missing == "leave_out":
        present = [video_id in files or video_id in earlier for video_id in manifest.video_ids]
        left_out = present.count(False)
        manifest = manifest.select([i for i, there in enumerate(present) if there])
    _check_nothing_is_lost(out, manifest, earlier)

    shards = out / stores.SHARDS_FOLDER
    make_folder(shards)
    with only_one(out / LOCK_FILE, f"another process prepares the store {out}; wait for it or end it"):
        _check_request(out, settings)  # once more: until now another process may have been at it
        earlier = _earlier_outcomes(out)
        _check_nothing_is_lost(out, manifest, earlier)
        outcomes = _carry_over(earlier, manifest, shards, choices, retry_failed=retry_failed)
        unsure = outcomes if verify else {o.video_id for o in read_journal(out)[0]}
        there = [o for o in outcomes.values() if o.location is not None and o.video_id in unsure]
        for video_id in damaged_clips(shards, there, settings.size, jobs=jobs or available_cores(), progress=verifying):
            outcomes[video_id] = Outcome(video_id, outcomes[video_id].path, "pending")
        skipped = sum(o.status != "pending" for o in outcomes.values())
        _write_manifest(out, manifest, outcomes)
        template = stores.template_from(stores.read_description(out)) if stores.is_store(out) else None
        stores.write_description(out, manifest.name, settings, root, template)
        try:
            cut = _cut_clips(outcomes, choices, files, near, out, settings, jobs, stall_seconds, cut_on)
            # No worker outlives the block.
            with reported(progress, len(manifest), skipped) as bar, Journal(out) as journal, closing(cut):
                for outcome in cut:
                    journal.add(outcome)
                    outcomes[outcome.video_id] = outcome
                    word = "failed" if outcome.failure else "not finished" if outcome.status == "pending" else ""
                    bar.advance(f"{word}: {outcome.told}" if word else "")
        finally:
            _finish(out, manifest, outcomes)
        faces_in_crops = ""
        if settings.faces == "cropped":
            if template is not None and skipped == len(outcomes):
                faces_in_crops = described(template)
            elif len(store := stores.ClipStore.open(out)):
                template, faces_in_crops = measure_template(store)
                stores.write_description(out, manifest.name, settings, root, template)
    return replace(_report(outcomes, skipped, left_out, respelled), faces_in_crops=faces_in_crops)


def _as_before(out: Path, settings: ExtractSettings) -> ExtractSettings:
    """The settings; a store of a version that followed nobody (`search_every`) goes on as it began."""
    if settings.search_every == SEARCH_EVERY and stores.is_store(out):
        earlier = stores.settings_from(stores.read_description(out))
        if earlier.faces == "detect" and earlier.search_every is None:
            return replace(settings, search_every=None)
    return settings


def _check_request(out: Path, settings: ExtractSettings) -> None:
    with reading(out):
        if out.exists() and not out.is_dir():
            raise RequestError(f"{out} is a file; name a folder for the store")
        if not stores.is_store(out):
            ours = {stores.SHARDS_FOLDER, stores.MANIFEST_FILE, LOCK_FILE}  # a kill leaves these, and half-written ones
            if out.is_dir() and any(p.name not in ours and not is_temporary(p) for p in out.iterdir()):
                raise RequestError(f"{out} holds other files and is not a clip store; name a new folder")
            return
    earlier = asdict(stores.settings_from(stores.read_description(out)))
    wanted = asdict(settings)
    differing = [f"{k} {earlier[k]} (now {wanted[k]})" for k in wanted if earlier[k] != wanted[k]]
    if differing:
        raise RequestError(
            f"the store {out} was prepared with {', '.join(differing)}; use the same settings or another --out"
        )


def _find_files(
    manifest: Manifest, root: Path, earlier: Mapping[str, Outcome]
) -> tuple[dict[str, Path], dict[str, str], int]:
    """The file or folder of each clip that has one, what others may mean, and how many files are spelled otherwise."""
    if not root.is_dir():
        raise RequestError(f"{root} is not a folder; expected the one that holds the videos")
    paths = manifest.table["path"].to_list()
    found = find_files(root, paths)
    if not found.of and not earlier:
        example = f"{root / paths[0]}{near_words(found.near.get(paths[0], ()))}"
        raise RequestError(f"none of the {len(manifest)} annotated videos is there: expected, for example, {example}")
    named = list(zip(manifest.video_ids, paths, strict=True))
    files = {video_id: root / found.of[path] for video_id, path in named if path in found.of}
    near = {video_id: near_words(found.near[path]) for video_id, path in named if path in found.near}
    return files, near, sum(path in found.respelled for path in paths)


def _earlier_outcomes(out: Path) -> dict[str, Outcome]:
    """What earlier runs made of clips."""
    if not stores.is_store(out):
        return {}
    _, outcomes = stores.read_manifest(out)
    finished, _ = read_journal(out)  # where a line is damaged, its clip is cut again
    outcomes.update((o.video_id, o) for o in finished)
    return {i: o for i, o in outcomes.items() if o.status != "pending"}


def _check_nothing_is_lost(out: Path, manifest: Manifest, earlier: Mapping[str, Outcome]) -> None:
    lost = {i for i, o in earlier.items() if o.status == "done"} - set(manifest.video_ids)
    if lost:
        raise RequestError(
            f"the store {out} holds {len(lost)} clips that these annotations do not name (such as "
            f"{min(lost)!r}); name another --out, or annotate them too"
        )


def _carry_over(
    earlier: Mapping[str, Outcome], manifest: Manifest, shards: Path, choices: Mapping[str, str], *, retry_failed: bool
) -> dict[str, Outcome]:
    """Earlier outcomes that still hold; `pending` for the clips that are to be cut."""
    with reading(shards):
        sizes = {p.name: p.stat().st_size for p in shards.iterdir()}
    outcomes = {}
    for video_id, path in zip(manifest.video_ids, manifest.table["path"].to_list(), strict=True):
        known = earlier.get(video_id)
        holds = (
            known is not None
            and known.path == path
            and known.person == choices.get(video_id, "")
            and not (known.status == "failed" and retry_failed)
            and (known.location is None or sizes.get(known.location.shard, 0) >= known.location.end)
        )
        outcomes[video_id] = known if holds and known else Outcome(video_id, path, "pending")
    return outcomes


def _cut_clips(
    outcomes: Mapping[str, Outcome],
    choices: Mapping[str, str],
    files: Mapping[str, Path],
    near: Mapping[str, str],
    out: Path,
    settings: ExtractSettings,
    jobs: int | None,
    stall_seconds: float,
    cut_on: RunTasks | None,
) -> Generator[Outcome, None, None]:
    pending = [o for o in outcomes.values() if o.status == "pending"]
    for clip in pending:
        if clip.video_id not in files:
            reason = f"there is no file {clip.path}{near.get(clip.video_id, '')}"
            yield Outcome(clip.video_id, clip.path, "failed", "no file", reason, person=choices.get(clip.video_id, ""))
    here = [o for o in pending if o.video_id in files]
    tasks = [ClipTask(o.video_id, o.path, files[o.video_id], choices.get(o.video_id, "")) for o in here]
    if not tasks:
        return
    shards = out / stores.SHARDS_FOLDER
    found = (_SHARD_NAME.fullmatch(p.name) for p in shards.iterdir())
    session = 1 + max((int(name[1]) for name in found if name is not None), default=-1)
    make_worker = partial(ClipWorker, settings, shards, session)
    most = jobs or (available_cores() if cut_on is None else len(tasks))
    for result in (cut_on or run_tasks)(make_worker, tasks, min(most, len(tasks)), stall_seconds):
        if not isinstance(result, Lost):
            yield result[1]
        elif result.from_outside:
            yield Outcome(result.task.video_id, result.task.path, "pending", detail=result.reason)
        else:
            task, crashed = result.task, "reader crashed or hung"
            yield Outcome(task.video_id, task.path, "failed", crashed, result.reason, person=task.person)


def _write_manifest(out: Path, manifest: Manifest, outcomes: Mapping[str, Outcome]) -> None:
    """Bring the frames of all clips to the disk, then the manifest that says where they are."""
    shards = out / stores.SHARDS_FOLDER
    for name, end in _ends(outcomes.values()).items():
        seal_shard(shards / name, end)
    with writing(shards):
        to_disk(shards)
    with_outcomes(manifest, outcomes).to_parquet(out / stores.MANIFEST_FILE)


def _ends(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Where each shard that holds a clip comes to its end."""
    ends: dict[str, int] = {}
    for place in (each.location for each in outcomes):
        if place is not None:
            ends[place.shard] = max(ends.get(place.shard, 0), place.end)
    return ends


def _finish(out: Path, manifest: Manifest, outcomes: Mapping[str, Outcome]) -> None:
    """Bring the store's files to rest: shards, manifest, failures; then the journal is no longer needed."""
    _write_manifest(out, manifest, outcomes)
    failed = [("video_id", "path", "failure", "detail")]
    failed += [(o.video_id, o.path, o.failure, o.detail) for o in outcomes.values() if o.failure]
    write_file(out / stores.FAILURES_FILE, csv_text(map(csv_cell, row) for row in failed))
    held = _ends(outcomes.values())
    with writing(out):
        for shard in (out / stores.SHARDS_FOLDER).glob("shard-*.arrow"):
            if shard.name not in held:
                shard.unlink()
        (out / JOURNAL_FILE).unlink(missing_ok=True)
        for remains in filter(is_temporary, out.iterdir()):  # of a process that was killed
            remains.unlink(missing_ok=True)


def _report(outcomes: Mapping[str, Outcome], skipped: int, left_out: int, respelled: int) -> PrepareReport:
    notes = Counter(note for o in outcomes.values() for note in o.notes)
    if respelled:
        notes["has other capitals or accents than the annotations"] = respelled
    failed = Counter(o.failure for o in outcomes.values() if o.status == "failed")
    usable = [o for o in outcomes.values() if o.status == "done"]
    return PrepareReport(
        done=len(outcomes) - skipped - sum(o.status == "pending" for o in outcomes.values()),
        skipped=skipped,
        failed=dict(failed.most_common()),
        left_out=left_out,
        damaged=sum(o.damaged for o in usable),
        usable=len(usable),
        notes=dict(notes.most_common()),
        unfinished=sum(o.status == "pending" for o in outcomes.values()),
    )


def face_choices(manifest: Manifest, person: str = "") -> dict[str, str]:
    """Whom to cut out of each clip, by video_id, where it is not the one in view longest.

    The manifest's column `face`, if there is one, says it for single clips; `person` for the others.
    """
    usual = FaceChoice()
    column = manifest.table.get_column(FACE_COLUMN, default=None)
    cells = [None] * len(manifest) if column is None else column.cast(pl.String, strict=False).to_list()
    said = {text: FaceChoice.parse(text) for text in {person or "longest", *cells} - {None}}
    wanted = ((video_id, cell or person or "longest") for video_id, cell in zip(manifest.video_ids, cells, strict=True))
    return {video_id: text for video_id, text in wanted if said[text] != usual}
