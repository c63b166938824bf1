"""Preparation: wrong clips, kills, full disks; nothing is lost and nothing is done twice."""

import csv
import fcntl
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from midas_dfer.cli.main import main
from midas_dfer.clips.preparing import prepare as preparing
from midas_dfer.clips.preparing.cutting import ClipTask, ClipWorker
from midas_dfer.clips.preparing.prepare import PrepareReport, prepare
from midas_dfer.clips.store import shards
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.outcomes import Outcome, with_outcomes
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import JobError, RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.progress import NoProgress
from tests.support.factories import CLASS_NAMES, SIDE, plain_environment, write_clip, write_dataset

CROPPED = ExtractSettings(faces="cropped", size=SIDE)


def run_prepare(manifest: Manifest, folder: Path, **more) -> PrepareReport:
    return prepare(manifest, folder / "videos", folder / "store", settings=CROPPED, jobs=1, **more)


def stored_rows(store: Path) -> list[str]:
    """The video id of every frame in every shard, as any Arrow reader sees them."""
    rows = []
    for shard in sorted((store / "shards").iterdir()):
        with pa.memory_map(str(shard)) as source:
            rows += pa.ipc.open_stream(source).read_all().column("video_id").to_pylist()
    return rows


def sample(video_id: str, path: str) -> Sample:
    return Sample(video_id=video_id, path=path, votes=(3, 1, 0), label=0, split=None, fold=None, subject=None, extra={})


def test_counts_and_failures(tmp_path):
    videos = tmp_path / "videos"
    write_clip(videos / "good", 0, 5, 1)
    write_clip(videos / "torn", 0, 5, 2)
    (videos / "torn" / "4.png").write_bytes(b"not a picture")
    (videos / "empty").mkdir()
    (videos / "text.mp4").write_text("this is not a video")
    (videos / "nothing.avi").touch()
    names = ("good", "torn", "empty", "text.mp4", "nothing.avi", "gone.mp4")
    manifest = Manifest.from_samples(CLASS_NAMES, [sample(n, n) for n in names], "toy")
    report = run_prepare(manifest, tmp_path)
    assert replace(report, faces_in_crops="") == PrepareReport(
        done=6, skipped=0, failed={"unreadable": 3, "no file": 1}, left_out=0, damaged=1, usable=2
    )
    store = ClipStore.open(tmp_path / "store")
    assert store.manifest.video_ids == ["good", "torn"]
    assert store.num_frames("torn") == 3  # up to the damage
    assert "4.png" in store.outcomes["torn"].detail
    with (tmp_path / "store" / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["video_id"] for r in rows] == ["empty", "text.mp4", "nothing.avi", "gone.mp4"]
    assert all(len(r["detail"]) > 10 for r in rows)
    assert sorted(set(stored_rows(tmp_path / "store"))) == ["good", "torn"]


def test_again_skips_what_is_there_and_takes_new_votes(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=6)
    run_prepare(manifest, tmp_path)
    before = sorted(stored_rows(tmp_path / "store"))
    changed = Manifest.from_samples(
        CLASS_NAMES, [sample(s.video_id, s.path) if s.video_id == "clip01" else s for s in manifest], "toy"
    )
    report = run_prepare(changed, tmp_path)
    assert (report.done, report.skipped, report.usable) == (0, 6, 6)
    store = ClipStore.open(tmp_path / "store")
    assert store.manifest[1].votes == (3, 1, 0)
    assert sorted(stored_rows(tmp_path / "store")) == before


def test_failed_clips_are_tried_again_when_asked(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    (tmp_path / "videos" / "clip01").rename(tmp_path / "aside")
    assert run_prepare(manifest, tmp_path).failed == {"no file": 1}
    (tmp_path / "aside").rename(tmp_path / "videos" / "clip01")
    assert run_prepare(manifest, tmp_path).failed == {"no file": 1}
    report = run_prepare(manifest, tmp_path, retry_failed=True)
    assert (report.done, report.failed, report.usable) == (1, {}, 3)


def test_a_name_that_no_file_can_have_is_no_file(tmp_path):
    write_clip(tmp_path / "videos" / "good", 0, 3, 1)
    manifest = Manifest.from_samples(CLASS_NAMES, [sample(n, n) for n in ("good", "x" * 300)], "toy")
    assert run_prepare(manifest, tmp_path).failed == {"no file": 1}


def test_clips_without_a_video_can_be_left_out(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=4)
    (tmp_path / "videos" / "clip02").rename(tmp_path / "aside")
    report = run_prepare(manifest, tmp_path, missing="leave_out")
    assert (report.usable, report.left_out, report.failed) == (3, 1, {})
    (tmp_path / "aside").rename(tmp_path / "videos" / "clip02")
    report = run_prepare(manifest, tmp_path, missing="leave_out")
    assert (report.done, report.skipped, report.usable, report.left_out) == (1, 3, 4, 0)


def test_wrong_requests_leave_nothing(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    store = tmp_path / "store"
    with pytest.raises(RequestError, match="not a folder"):
        prepare(manifest, tmp_path / "nowhere", store, settings=CROPPED)
    (tmp_path / "other").mkdir()
    with pytest.raises(RequestError, match="none of the 3 annotated videos"):
        prepare(manifest, tmp_path / "other", store, settings=CROPPED)
    assert not store.exists()
    with pytest.raises(RequestError, match="holds other files"):
        prepare(manifest, tmp_path / "videos", tmp_path / "videos", settings=CROPPED)
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="is a file"):
        prepare(manifest, tmp_path / "videos", tmp_path / "file", settings=CROPPED)
    with pytest.raises(RequestError, match="`size` is 3"):
        ExtractSettings(size=3)


def test_another_request_for_the_same_store_is_refused(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    run_prepare(manifest, tmp_path)
    with pytest.raises(RequestError, match=r"size 32 \(now 64\)"):
        prepare(manifest, tmp_path / "videos", tmp_path / "store", settings=ExtractSettings(faces="cropped", size=64))
    with pytest.raises(RequestError, match="holds 2 clips that these annotations do not name"):
        run_prepare(manifest.select([0]), tmp_path)
    assert len(ClipStore.open(tmp_path / "store")) == 3


def test_two_at_once(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    run_prepare(manifest, tmp_path)
    file = os.open(tmp_path / "store" / ".lock", os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(JobError, match="another process"):
        run_prepare(manifest, tmp_path)
    os.close(file)
    assert run_prepare(manifest, tmp_path).skipped == 3


def test_what_another_process_finished_meanwhile_is_not_done_again(tmp_path, monkeypatch):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    real = preparing._find_files

    def find_files(*arguments):
        monkeypatch.undo()
        run_prepare(manifest, tmp_path)
        return real(*arguments)

    monkeypatch.setattr(preparing, "_find_files", find_files)
    report = run_prepare(manifest, tmp_path)
    assert (report.done, report.skipped, report.usable) == (0, 3, 3)


def test_half_written_files_of_a_kill_are_cleared_away(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=3)
    store = tmp_path / "store"
    store.mkdir()
    (store / ".manifest.123.tmp.parquet").write_bytes(b"half")
    assert run_prepare(manifest, tmp_path).usable == 3
    assert sorted(p.name for p in store.iterdir()) == sorted(
        [".lock", "failures.csv", "manifest.parquet", "shards", "store.json"]
    )


def test_a_clip_that_gives_no_frame_has_failed(tmp_path):
    worker = ClipWorker(CROPPED, tmp_path, 0, 0, lambda: None)
    worker.extractor.extract = lambda *_: iter(())
    outcome = worker(ClipTask("a", "a.mp4", tmp_path / "a.mp4"))
    assert (outcome.status, outcome.failure) == ("failed", "unreadable")
    worker.close()


def test_a_folder_that_cannot_be_written_ends_the_job(tmp_path):
    worker = ClipWorker(CROPPED, tmp_path / "gone", 0, 0, lambda: None)
    with pytest.raises(JobError, match="cannot write"):
        worker(ClipTask("a", "a.mp4", tmp_path / "a.mp4"))


def write_table(folder: Path, clips: int, frames: int) -> list[str]:
    """Folders of pictures and votes.csv; the command that prepares them."""
    lines = ["video_id,happy,sad,angry"]
    for number in range(clips):
        write_clip(folder / "videos" / f"c{number:02d}", number % 3, frames, number)
        lines.append(f"c{number:02d},3,1,1")
    (folder / "votes.csv").write_text("\n".join(lines) + "\n")
    where = ["table", str(folder / "votes.csv"), "--videos", str(folder / "videos"), "--out", str(folder / "store")]
    return [sys.executable, "-m", "midas_dfer", "prepare", *where, "--faces", "cropped", "--size", "32"]


def test_kill_9_loses_nothing_and_nothing_is_done_twice(tmp_path):
    command = write_table(tmp_path, clips=60, frames=130)
    store = tmp_path / "store"
    killed = 0
    for wanted in (4, 12):  # killed twice, at different places
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen([*command, "--jobs", "2"], stdout=log, stderr=log, start_new_session=True)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                journal = store / "journal.jsonl"
                if journal.exists() and len(journal.read_text().splitlines()) >= wanted:
                    break
                time.sleep(0.005)
            assert process.poll() is None, (tmp_path / "log").read_text()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        left = ClipStore.open(store)
        assert killed < len(left) < 60
        killed = len(left)
        for video_id in left.manifest.video_ids:
            assert left.read(video_id, [0, 129]).shape == (2, 32, 32, 3)
    done = subprocess.run([*command, "--jobs", "1", "--json"], capture_output=True, text=True, check=True)
    counts = json.loads(done.stdout)
    assert counts["skipped"] == killed
    assert counts["done"] == 60 - killed
    assert not (store / "journal.jsonl").exists()
    rows = stored_rows(store)
    assert len(rows) == 60 * 130
    assert {rows.count(f"c{n:02d}") for n in range(60)} == {130}


def content_of(store: ClipStore) -> dict:
    """All that a store gives."""
    frames = {i: list(store.stored_frames(i)) for i in store.manifest.video_ids}
    return {"clips": list(store), "fingerprint": store.fingerprint, "frames": frames}


def files_of(store: Path) -> list[str]:
    return sorted(p.name for p in store.iterdir())


class Killer(NoProgress):
    """Kills the worker processes when so many clips are done, as the system does when memory is short."""

    def __init__(self, at: set[int]) -> None:
        self.at, self.done = at, 0

    def advance(self, note: str = "") -> None:
        self.done += 1
        if self.done in self.at:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)


def test_killed_workers_cost_no_clip(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=8)
    prepare(manifest, tmp_path / "videos", tmp_path / "calm", settings=CROPPED, jobs=2)
    report = prepare(manifest, tmp_path / "videos", tmp_path / "store", settings=CROPPED, jobs=2, progress=Killer({2}))
    assert (report.usable, report.failed, report.unfinished) == (8, {}, 0)
    assert content_of(ClipStore.open(tmp_path / "store")) == content_of(ClipStore.open(tmp_path / "calm"))
    assert files_of(tmp_path / "store") == files_of(tmp_path / "calm")
    assert not multiprocessing.active_children()


def kill_the_reader(extractor, path, choice=None):
    """Stands for `ClipExtractor.extract`: of one clip, the process is killed each time."""
    if path.name == "clip01":
        os.kill(os.getpid(), signal.SIGKILL)
    return extractor._cropped_frames(path)


class FatalWorker(ClipWorker):
    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.extractor.extract = partial(kill_the_reader, self.extractor)


def test_a_clip_whose_process_is_killed_each_time_is_left_for_the_next_run(tmp_path, monkeypatch, capsys):
    write_table(tmp_path, clips=3, frames=3)
    for number in range(3):
        (tmp_path / "videos" / f"c{number:02d}").rename(tmp_path / "videos" / f"clip{number:02d}")
    votes = (tmp_path / "votes.csv").read_text().replace("\nc0", "\nclip0")
    (tmp_path / "votes.csv").write_text(votes)
    where = [str(tmp_path / "votes.csv"), "--videos", str(tmp_path / "videos"), "--out", str(tmp_path / "store")]
    command = ["prepare", "table", *where, "--faces", "cropped", "--size", "32", "--jobs", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "ClipWorker", FatalWorker)
        assert main(command) == 1
    said = capsys.readouterr()
    assert "midas: 1 clip is not finished: the system ended the processes that were at it" in said.err
    assert "not finished  1  the next run tries them again" in " ".join(said.out.split(" "))
    store = ClipStore.open(tmp_path / "store")
    assert (store.outcomes["clip01"].status, store.outcomes["clip01"].failure) == ("pending", "")
    assert main(["check", str(tmp_path / "store")]) == 1
    assert "clip01: the system ended the process that was at it, twice" in " ".join(capsys.readouterr().out.split())
    assert main(command) == 0
    assert len(ClipStore.open(tmp_path / "store")) == 3


def overwrite(store: ClipStore, video_id: str, value: int) -> None:
    """Put one value into the middle of a clip's bytes."""
    location = store.outcomes[video_id].location
    path = store.path / "shards" / location.shard
    content = bytearray(path.read_bytes())
    middle = (location.chunks[0] + location.end) // 2
    content[middle : middle + 40] = bytes([value]) * 40
    path.write_bytes(content)


def test_verify_cuts_those_clips_anew_that_are_not_what_was_written(tmp_path):
    manifest = write_dataset(tmp_path / "videos", clips=4)
    run_prepare(manifest, tmp_path)
    sound = content_of(ClipStore.open(tmp_path / "store"))
    overwrite(ClipStore.open(tmp_path / "store"), "clip02", 0x55)
    assert run_prepare(manifest, tmp_path).skipped == 4
    harmed = ClipStore.open(tmp_path / "store")
    with pytest.raises(JobError, match=r"shard-.*its frames of the clip 'clip02' .*--verify"):
        harmed.read("clip02", range(harmed.num_frames("clip02")))
    assert (run_prepare(manifest, tmp_path, verify=True).done, run_prepare(manifest, tmp_path, verify=True).done) == (
        1,
        0,
    )
    assert content_of(ClipStore.open(tmp_path / "store")) == sound


def test_frames_that_a_power_failure_took_are_cut_again(tmp_path):
    """The journal was on the disk, the end of the shard was not: the file has its size, and zeros in it."""
    manifest = write_dataset(tmp_path / "videos", clips=4)
    run_prepare(manifest, tmp_path)
    done = ClipStore.open(tmp_path / "store")
    sound = content_of(done)
    pending = {i: Outcome(i, o.path, "pending") for i, o in done.outcomes.items()}
    lines = [o.to_json() + "\n" for o in done.outcomes.values()]
    with_outcomes(done.annotations, pending).to_parquet(done.path / "manifest.parquet")
    (done.path / "journal.jsonl").write_text(lines[0] + "\0" * 50 + "\n" + lines[2] + lines[3])
    overwrite(done, "clip03", 0)
    with pytest.raises(RequestError, match=r"journal.jsonl is damaged in line 2; run the same midas prepare again"):
        ClipStore.open(done.path)
    report = run_prepare(manifest, tmp_path)
    assert (report.done, report.skipped, report.usable) == (2, 2, 4)
    assert content_of(ClipStore.open(done.path)) == sound


def test_frames_are_on_the_disk_before_the_manifest_names_them(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr(
        shards.os, "fsync", lambda handle: names.append(Path(f"/proc/self/fd/{handle}").readlink().name)
    )
    run_prepare(write_dataset(tmp_path / "videos", clips=2), tmp_path)
    last_manifest = max(n for n, name in enumerate(names) if name.startswith(".manifest"))
    shard = max(n for n, name in enumerate(names) if name.startswith("shard-"))
    assert shard < last_manifest
    assert "shards" in names[shard:last_manifest]


def test_a_name_that_is_no_text_in_a_failure(tmp_path):
    videos = tmp_path / "videos"
    write_clip(videos / "torn", 0, 2, 1)
    Path(os.fsdecode(os.fsencode(videos) + b"/torn/3\xff.png")).write_bytes(b"not a picture")
    run_prepare(Manifest.from_samples(CLASS_NAMES, [sample("torn", "torn")], "toy"), tmp_path)
    assert "3\\udcff.png is not a picture" in ClipStore.open(tmp_path / "store").outcomes["torn"].detail


def test_a_failure_does_not_run_in_a_spreadsheet(tmp_path):
    manifest = Manifest.from_samples(CLASS_NAMES, [sample("=1+1", "=1+1"), sample("ok", "ok")], "toy")
    write_clip(tmp_path / "videos" / "ok", 0, 2, 1)
    run_prepare(manifest, tmp_path)
    assert "'=1+1,'=1+1,no file" in (tmp_path / "store" / "failures.csv").read_text()


def limit_files_to_100_kib() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 1024, 100 * 1024))


def test_a_full_disk_ends_the_job_in_a_sentence(tmp_path):
    """A limit on the size of files stands for the disk: the system refuses a write in the middle of a clip."""
    command = write_table(tmp_path, clips=12, frames=60)
    refused = subprocess.run(
        [*command, "--jobs", "1"],
        capture_output=True,
        text=True,
        preexec_fn=limit_files_to_100_kib,
        check=False,
        env=plain_environment(),
    )
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("midas: the disk is full")
    assert "Traceback" not in refused.stderr
    usable = len(ClipStore.open(tmp_path / "store"))
    assert 0 < usable < 12
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["skipped"] == usable
    assert len(ClipStore.open(tmp_path / "store")) == 12


def test_votes_that_never_had_a_face_end_with_a_reason(tmp_path):
    command = write_table(tmp_path, clips=2, frames=3)
    command[command.index("cropped")] = "detect"
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "no face" in failed.stdout
    assert "failures.csv; the same with --retry_failed tries them again" in failed.stdout
    assert "not one clip could be used" in failed.stderr
