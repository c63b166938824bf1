"""The store: every frame comes back, alone, from any process."""

import errno
import json
import multiprocessing
import os
import pickle
import re
import shutil
import struct
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.cli.main import main
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.outcomes import Outcome, with_outcomes
from midas_dfer.clips.store.shards import (
    CHUNK_FRAMES,
    SCHEMA,
    Location,
    ShardReader,
    ShardWriter,
    StoredFrame,
    seal_shard,
)
from midas_dfer.errors import JobError, MidasError, RequestError
from midas_dfer.manifest.manifest import Manifest
from tests.support.factories import make_store, prepare_store, write_dataset
from tests.support.fuzz_targets import (
    read_store,
    same_or_pending,
    write_interrupted_store,
    write_plain_manifest,
    write_sound_store,
    write_store_without_checksums,
)


def frames(count: int, tag: int = 0) -> list[StoredFrame]:
    return [StoredFrame(i, i / 25, i % 3 != 0, bytes([tag % 256, i % 256]) * (1 + i % 5)) for i in range(count)]


@given(counts=st.lists(st.integers(1, 3 * CHUNK_FRAMES), min_size=1, max_size=4), data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_frame_comes_back(counts, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with ShardWriter(folder, "shard-0000-0000") as writer:
        places = [writer.write_clip(f"clip{n}", frames(count, n)) for n, count in enumerate(counts)]
    reader = ShardReader(folder)
    number = data.draw(st.integers(0, len(counts) - 1))
    wanted = data.draw(st.lists(st.integers(0, counts[number] - 1), max_size=9))
    expected = frames(counts[number], number)
    assert list(reader.read(f"clip{number}", places[number], wanted)) == [expected[i] for i in wanted]
    assert [p.num_frames for p in places] == counts


def test_a_shard_is_a_plain_arrow_stream(tmp_path):
    with ShardWriter(tmp_path, "shard-0000-0000") as writer:
        writer.write_clip("a", frames(100))
        writer.write_clip("b", frames(3))
    with pa.memory_map(str(tmp_path / "shard-0000-0000-0000.arrow")) as source:
        table = pa.ipc.open_stream(source).read_all()
    assert table.schema == SCHEMA
    assert table.column("video_id").to_pylist() == ["a"] * 100 + ["b"] * 3
    assert table.column("frame").to_pylist() == [*range(100), *range(3)]


def test_a_clip_that_fails_on_the_way_leaves_nothing(tmp_path):
    def breaks():
        yield from frames(CHUNK_FRAMES + 5)
        raise ValueError("in the middle")

    with ShardWriter(tmp_path, "shard-0000-0000") as writer:
        writer.write_clip("a", frames(2))
        with pytest.raises(ValueError, match="in the middle"):
            writer.write_clip("b", breaks())
        place = writer.write_clip("c", frames(3, 7))
    with pa.memory_map(str(tmp_path / place.shard)) as source:
        table = pa.ipc.open_stream(source).read_all()
    assert table.column("video_id").to_pylist() == ["a"] * 2 + ["c"] * 3


def test_sealing_cuts_off_what_a_kill_left(tmp_path):
    writer = ShardWriter(tmp_path, "shard-0000-0000")
    place = writer.write_clip("a", frames(4))
    path = tmp_path / place.shard
    with path.open("ab") as file:
        file.write(b"half a record batch")
    seal_shard(path, place.end)
    with pa.memory_map(str(path)) as source:
        assert pa.ipc.open_stream(source).read_all().num_rows == 4


def test_outcomes_survive_the_journal():
    for outcome in (
        Outcome("a", "x/a.mp4", "done", detail="damaged", location=Location("s", (8, 900), 1000, 70)),
        Outcome("ü\n", "x", "failed", "no face", "no face found"),
        Outcome("a\u2028b", "x", "failed", "unreadable", "of a name that is no UTF-8: \udcff"),
    ):
        assert Outcome.from_json(outcome.to_json()) == outcome
        assert len(outcome.to_json().splitlines()) == 1
        outcome.to_json().encode()


def test_opening_while_prepare_comes_to_its_end_loses_no_clip(tmp_path, monkeypatch):
    """The journal goes into the manifest, then away: whoever read the manifest before must have the journal."""
    done = make_store(tmp_path, clips=6)
    nothing_yet = {i: Outcome(i, o.path, "pending") for i, o in done.outcomes.items()}
    journal, manifest = done.path / "journal.jsonl", done.path / "manifest.parquet"
    journal.write_text("".join(o.to_json() + "\n" for o in done.outcomes.values()))
    with_outcomes(done.annotations, nothing_yet).to_parquet(manifest)
    real = Manifest.from_parquet

    def just_before_the_end(path):
        table = real(path)
        with_outcomes(done.annotations, done.outcomes).to_parquet(manifest)
        journal.unlink()
        return table

    monkeypatch.setattr(Manifest, "from_parquet", just_before_the_end)
    assert len(ClipStore.open(done.path)) == 6


@pytest.fixture(scope="module")
def toy_store(tmp_path_factory) -> ClipStore:
    return make_store(tmp_path_factory.mktemp("toy"))


def test_the_pictures_are_those_of_the_folder(toy_store):
    video_id = toy_store.manifest.video_ids[4]
    folder = Path(toy_store.path).parent / "videos" / video_id
    count = len(list(folder.iterdir()))
    assert toy_store.num_frames(video_id) == count
    read = toy_store.read(video_id, list(range(count)))
    for number in range(count):  # 2.png comes before 10.png
        expected = cv2.cvtColor(cv2.imread(str(folder / f"{number + 1}.png")), cv2.COLOR_BGR2RGB)
        assert np.abs(read[number].astype(int) - expected).mean() < 12  # JPEG
        bar = (read[number, :, 1].min(axis=1) > 200).sum()
        assert abs(bar - (number + 1)) <= 2


def read_in_child(store, video_id, pipe):
    pipe.send(store.read(video_id, [0]).sum().item())


def test_it_goes_to_another_process(toy_store):
    video_id = toy_store.manifest.video_ids[0]
    toy_store.read(video_id, [0])
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=read_in_child, args=(toy_store, video_id, theirs))
    child.start()
    assert ours.recv() == toy_store.read(video_id, [0]).sum()
    child.join()
    assert len(pickle.dumps(toy_store)) < 100_000


def test_the_fingerprint_tells_stores_apart(toy_store, tmp_path):
    again = ClipStore.open(toy_store.path)
    assert again.fingerprint == toy_store.fingerprint
    assert make_store(tmp_path, clips=9).fingerprint != toy_store.fingerprint


def test_the_fingerprint_is_that_of_the_pixels_too(toy_store, tmp_path):
    again = prepare_store(tmp_path / "again", write_dataset(tmp_path / "again" / "videos"))
    assert again.fingerprint == toy_store.fingerprint  # the same videos give the same store
    manifest = write_dataset(tmp_path / "other" / "videos")
    picture = next((tmp_path / "other" / "videos" / "clip03").glob("*.png"))
    cv2.imwrite(str(picture), cv2.imread(str(picture))[::-1].copy())
    other = prepare_store(tmp_path / "other", manifest)
    assert other.manifest == toy_store.manifest
    assert other.fingerprint != toy_store.fingerprint


def read_or_refused(root: Path) -> tuple[dict | None, str]:
    try:
        return read_store(root, root), ""
    except MidasError as error:
        return None, str(error)


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_in_any_file_is_noticed_or_changes_nothing(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("flip")
    write_interrupted_store(root)
    sound = read_store(root, root)
    files = sorted(f for f in root.rglob("*") if f.is_file() and f.stat().st_size)
    file = data.draw(st.sampled_from(files), "file")
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, 8 * len(content) - 1), "bit")
    content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)
    found, refusal = read_or_refused(root)
    cut_short = file.name == "journal.jsonl" and place // 8 == len(content) - 1  # its last line looks like a kill's
    same = found is not None and (same_or_pending(found, sound) if cut_short else found == sound)
    assert same or str(root) in refusal


@pytest.mark.parametrize(
    ("name", "sound", "other"),
    [
        ("manifest.parquet", b'"happy"', b'"hapqy"'),
        ("store.json", b'"toy"', b'"tox"'),
        ("store.json", b'"jpeg_quality": 95', b'"jpeg_quality": 94'),
        ("journal.jsonl", b'"path": "clip04"', b'"path": "clip05"'),
    ],
)
def test_what_still_makes_sense_and_was_not_written_is_refused(name, sound, other, tmp_path):
    write_interrupted_store(tmp_path)
    file = tmp_path / "store" / name
    content = file.read_bytes()
    assert content.count(sound) >= 1
    file.write_bytes(content.replace(sound, other))
    with pytest.raises(RequestError, match=rf"{re.escape(name)} is damaged"):
        ClipStore.open(tmp_path / "store")


def test_a_shard_in_the_place_of_another_is_noticed(tmp_path):
    """Two shards of clips with the same numbers of frames and bytes: only what is in them differs."""
    places, pictures = [], [frames(5, tag) for tag in (1, 2)]
    for number, content in enumerate(pictures):
        with ShardWriter(tmp_path, f"shard-0000-000{number}") as writer:
            places.append(writer.write_clip(f"clip{number}", content))
    one, other = (tmp_path / place.shard for place in places)
    assert one.stat().st_size == other.stat().st_size
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    with pytest.raises(JobError, match=rf"{one.name} is damaged; its frames of the clip 'clip0' are not what was"):
        list(ShardReader(tmp_path).read("clip0", places[0], [0]))


def test_what_a_frame_says_of_itself_is_part_of_its_checksum():
    frame = StoredFrame(3, 0.12, True, b"jpeg")
    others = (replace(frame, index=4), replace(frame, time=0.16), replace(frame, detected=False))
    assert len({each.checksum for each in (frame, *others, replace(frame, jpeg=b"jpeh"))}) == 5
    expected = zlib.crc32(struct.pack("<qd?", 3, 0.12, True) + b"jpeg")
    assert frame.checksum == expected.to_bytes(4, "little")


def test_a_store_of_an_earlier_version_is_read_and_cannot_be_verified(tmp_path, capsys):
    sound = write_sound_store(tmp_path / "new")
    write_store_without_checksums(tmp_path)
    store = ClipStore.open(tmp_path / "store")
    for video_id in sound.manifest.video_ids:
        assert list(store.stored_frames(video_id)) == list(sound.stored_frames(video_id))
        assert np.array_equal(store.read(video_id, [0, 1]), sound.read(video_id, [0, 1]))
    assert store.fingerprint != sound.fingerprint
    assert main(["check", str(store.path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "note clips without checksums, as an earlier version wrote them" in said
    shard = next((store.path / "shards").iterdir())
    start = store.outcomes["clip02"].location.chunks[0] + 600
    content = bytearray(shard.read_bytes())
    content[start : store.outcomes["clip02"].location.end] = bytes(store.outcomes["clip02"].location.end - start)
    shard.write_bytes(content)
    assert main(["check", str(store.path), "--json"]) == 1
    finding = json.loads(capsys.readouterr().out)["findings"][-1]
    assert (finding["kind"], finding["examples"]) == ("damaged_frames", [f"clip02 ({shard.name})"])


def test_check_reads_a_whole_store(tmp_path, capsys):
    store = write_sound_store(tmp_path)
    assert main(["check", str(store.path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    total = sum(map(store.num_frames, store.manifest.video_ids))
    assert report == {
        **{"ok": True, "dataset": "toy", "fingerprint": store.fingerprint, "clips": 6, "frames": total},
        "findings": [],
    }
    for video_id in ("clip01", "clip04"):
        location = store.outcomes[video_id].location
        path = store.path / "shards" / location.shard
        content = bytearray(path.read_bytes())
        content[(location.chunks[0] + location.end) // 2] ^= 1
        path.write_bytes(content)
    before = {f: f.read_bytes() for f in store.path.rglob("*") if f.is_file()}
    assert main(["check", str(store.path), "--jobs", "1"]) == 1
    said = capsys.readouterr()
    text = " ".join(said.out.split())
    assert "ERROR clips whose frames are not what was written: 2 - clip01 (shard-0000-0000-0000.arrow) - clip04" in text
    assert f"1 thing is wrong with {store.path}" in said.err
    assert {f: f.read_bytes() for f in store.path.rglob("*") if f.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{store}", "--all"], "--all would have no effect: a store is always read whole"),
        (["{store}", "--classes", "[a, b]"], "--classes would have no effect"),
        (["{store}", "--sample", "3"], "--sample would have no effect"),
        (["dfew"], "Name its folder too: midas check dfew ROOT"),
        (["nowhere"], "there is no folder nowhere"),
        (["nothing", "{store}"], "there is no data set 'nothing'; expected one of dfew, "),
        (["{store}/store.json"], "is a file, not a clip store"),
        (["{store}/shards"], "is not a clip store"),
    ],
)
def test_what_check_refuses(arguments, message, tmp_path, capsys):
    store = write_sound_store(tmp_path)
    assert main(["check", *(a.format(store=store.path) for a in arguments)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["true", "null", "[]", "3", '"x"', "{}", "[" * 100_000, '{"video_id": "clip00"}', "\0"]
)
def test_a_line_of_the_journal_that_makes_no_sense(line, tmp_path):
    write_interrupted_store(tmp_path)
    journal = tmp_path / "store" / "journal.jsonl"
    journal.write_text(line + "\n" + journal.read_text())
    with pytest.raises(RequestError, match=r"journal\.jsonl is damaged in line 1; run the same midas prepare again"):
        ClipStore.open(tmp_path / "store")
    journal.write_text(journal.read_text().partition("\n")[2] + line)  # the last line: cut short by a kill
    assert len(ClipStore.open(tmp_path / "store")) == 6


def test_a_line_of_the_journal_of_an_earlier_version(tmp_path):
    outcome = Outcome("a", "a.mp4", "done", location=Location("s", (8, 900), 1000, 70))
    content = json.loads(outcome.to_json())
    del content["checksum"], content["location"]["checksums"]
    assert Outcome.from_json(json.dumps(content)) == outcome


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("clip_num_frames", [-1], r"row 1, 'clip00'"),
        ("clip_num_frames", [10**15], r"row 1, 'clip00'"),
        ("clip_num_frames", [None], r"row 1, 'clip00'"),
        ("clip_num_frames", ["5"], "no column clip_num_frames of Int64"),
        ("clip_chunks", [[]], r"row 1, 'clip00'"),
        ("clip_chunks", [[-8]], r"row 1, 'clip00'"),
        ("clip_chunks", [[None]], r"row 1, 'clip00'"),
        ("clip_chunks", [[8, 16, 24]], r"row 1, 'clip00'"),
        ("clip_end", [0], r"row 1, 'clip00'"),
        ("clip_end", [2**63 - 1], r"row 1, 'clip00'"),
        ("clip_shard", ["../../etc/passwd"], r"row 1, 'clip00': .* not the name of a shard"),
        ("clip_shard", [None], r"row 1, 'clip00'"),
        ("clip_status", ["finished"], r"row 1, 'clip00': the status is 'finished'"),
        ("clip_status", [None], r"row 1, 'clip00'"),
        ("clip_failure", [None], r"row 1, 'clip00'"),
        ("clip_checksums", [b"abc"], r"row 1, 'clip00': \d+ frames have 3 bytes of checksums"),
        ("clip_checksums", ["text"], "no column clip_checksums of Binary"),
    ],
)
def test_a_manifest_that_no_store_can_have(column, values, message, tmp_path):
    store = write_sound_store(tmp_path)
    table = with_outcomes(store.annotations, store.outcomes).table
    odd = table[column].to_list() if isinstance(values[0], int | bytes | list | None) else [""] * len(table)
    first = pl.Series(column, [*values, *odd[1:]], strict=False)
    write_plain_manifest(
        store, table.with_columns(first if first.dtype != pl.Null else first.cast(table[column].dtype))
    )
    with pytest.raises(RequestError, match=rf"manifest\.parquet is not the manifest of a store \(.*{message}"):
        ClipStore.open(store.path)


def test_a_manifest_without_the_columns_of_a_store(tmp_path):
    store = write_sound_store(tmp_path)
    store.annotations.to_parquet(store.path / "manifest.parquet")
    with pytest.raises(RequestError, match=r"manifest\.parquet is not the manifest of a store"):
        ClipStore.open(store.path)


@pytest.mark.parametrize(
    "name", ["store.json", "manifest.parquet", "journal.jsonl", "shards/shard-0000-0000-0000.arrow"]
)
@pytest.mark.parametrize("kind", ["folder", "pipe", "empty"])
def test_what_is_no_file_in_a_store(name, kind, tmp_path):
    write_interrupted_store(tmp_path)
    file = tmp_path / "store" / name
    file.unlink()
    {"folder": file.mkdir, "pipe": partial(os.mkfifo, file), "empty": file.touch}[kind]()
    if (name, kind) == ("journal.jsonl", "empty"):
        assert len(ClipStore.open(tmp_path / "store")) == 3
        return
    with pytest.raises(MidasError, match=str(tmp_path / "store")):
        read_store(tmp_path, file)


@pytest.mark.parametrize("name", [".", "store.json", "manifest.parquet", "journal.jsonl", "shards"])
def test_what_may_not_be_read_is_said_so(name, tmp_path, monkeypatch):
    """Stands for files of other users: the tests may run as one who may read everything."""
    write_interrupted_store(tmp_path)
    path = tmp_path / "store" / name
    beneath = str(path / "x")[:-1] if path.is_dir() else str(path)

    def refuse(function):
        def guarded(file, *arguments, **more):
            if str(file).startswith(beneath):
                raise PermissionError(errno.EACCES, "Permission denied", str(file))
            return function(file, *arguments, **more)

        return guarded

    for owner, function in ((Path, "stat"), (Path, "read_bytes"), (pa, "memory_map")):
        monkeypatch.setattr(owner, function, refuse(getattr(owner, function)))
    with pytest.raises(RequestError, match="may not be read by this user; change its permissions"):
        read_store(tmp_path, path)


def test_samples_and_wrong_ids(toy_store):
    samples = list(toy_store)
    assert len(samples) == len(toy_store) == 24
    assert samples[4].label is None
    assert samples[0].votes == (4, 1, 1)
    with pytest.raises(RequestError, match="nobody"):
        toy_store.read("nobody", [0])
    with pytest.raises(IndexError):
        toy_store.read("clip00", [1000])


def test_what_is_no_store(tmp_path):
    with pytest.raises(RequestError, match="not a clip store"):
        ClipStore.open(tmp_path)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(RequestError, match="damaged"):
        ClipStore.open(tmp_path)
    (tmp_path / "store.json").write_text('{"format": 99}')
    with pytest.raises(RequestError, match="format 99"):
        ClipStore.open(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"format": 1}',
        "{}",
        '{"format": true}',
        '{"format": 1, "dataset": "toy", "root": "r", "settings": {"size": 32.5}}',
        '{"format": 1, "dataset": "toy", "root": "r", "settings": {"size": 1e999}}',
        '{"format": 1, "dataset": "toy", "root": "r", "settings": {}, "sha256": "0"}',
        '{"format": 1, "dataset": "toy", "root": 3, "settings": {}}',
        '{"a":' * 2000 + "1" + "}" * 2000,
        '{"format": 1, "dataset": "toy"}',
        '{"format": 1, "dataset": "toy", "settings": []}',
        '{"format": 1, "dataset": "toy", "settings": {"size": "big"}}',
        '{"format": 1, "dataset": "toy", "settings": {"size": 3}}',
    ],
)
def test_a_description_that_makes_no_sense(content, tmp_path):
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(RequestError, match=r"store\.json is damaged .*; prepare the store again"):
        ClipStore.open(tmp_path)


@pytest.mark.parametrize("harm", ["missing", "cut", "garbled", "zeros"])
def test_a_harmed_shard_is_named_and_preparing_again_mends_it(harm, toy_store, tmp_path):
    folder = tmp_path / "store"
    shutil.copytree(toy_store.path, folder)
    shard = next((folder / "shards").iterdir())
    content = shard.read_bytes()
    start = toy_store.outcomes["clip00"].location.chunks[0]
    harmed = {
        "cut": content[: start + 20],
        "garbled": content[:start] + bytes(b ^ 0x55 for b in content[start:]),
        "zeros": content[:start] + bytes(len(content) - start),
    }
    shard.unlink()
    if harm in harmed:
        shard.write_bytes(harmed[harm])
    store = ClipStore.open(folder)
    for read in (lambda: store.read("clip00", [0]), lambda: list(store.stored_frames("clip00"))):
        with pytest.raises(
            JobError, match=rf"{shard.name} is (missing|damaged)[,;] .*run the same midas prepare again"
        ):
            read()


def test_a_manifest_that_is_gone_is_said_to_be_that(tmp_path):
    store = make_store(tmp_path, clips=8).path
    (store / "manifest.parquet").unlink()
    with pytest.raises(RequestError, match=r"manifest\.parquet is gone; prepare the store again"):
        ClipStore.open(store)
