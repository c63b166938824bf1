"""The store: every frame comes back, alone, from any process."""

import multiprocessing
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.shards import CHUNK_FRAMES, SCHEMA, ShardReader, ShardWriter, StoredFrame, seal_shard
from midas_dfer.clips.store import ClipStore, Outcome, with_outcomes
from midas_dfer.datasets.manifest import Manifest
from midas_dfer.errors import JobError, RequestError
from tests.factories import make_store


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
    assert list(reader.read(places[number], wanted)) == [expected[i] for i in wanted]
    for i in wanted:
        assert bytes(reader.jpeg(places[number], i)) == expected[i].jpeg
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
    from midas_dfer.clips.shards import Location

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
        '{"format": 1, "dataset": "toy"}',
        '{"format": 1, "dataset": "toy", "settings": []}',
        '{"format": 1, "dataset": "toy", "settings": {"size": "big"}}',
        '{"format": 1, "dataset": "toy", "settings": {"size": 3}}',
    ],
)
def test_a_description_that_makes_no_sense(content, tmp_path):
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(RequestError, match=r"store\.json is damaged .*; prepare the store anew"):
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
        with pytest.raises(JobError, match=rf"{shard.name} is (missing|damaged); .*run the same midas prepare again"):
            read()
