"""Damaged files end in one sentence, fast, with file and row; no path in them leaves the data set.

`python -m benchmarks.fuzz` does the same with thousands of files, in processes that are watched.
"""

import json
import os
import random
import re
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.folders import read_folders
from midas_dfer.datasets.published.afew import read_afew
from midas_dfer.datasets.table import read_table
from midas_dfer.errors import DamagedVideoError, MidasError, RequestError
from midas_dfer.manifest import parquet
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.problems import RowProblems
from midas_dfer.synthetic.layouts.afew import write_afew
from midas_dfer.video.pictures import decode_picture, iter_picture_frames
from tests.support.factories import SIDE, write_dataset
from tests.support.fuzz_targets import (
    ANNOTATIONS,
    STORES,
    VIDEOS,
    Target,
    leaves_root,
    manifest_fault,
    put_path,
    read_case,
    run_case,
)
from tests.support.mutations import HOSTILE_PATHS, Mutant, mutate

CASES = 4
PATHS = [path for path in HOSTILE_PATHS if leaves_root(path)]


def attempt(read: Callable[[], Manifest]) -> tuple[Manifest | None, str]:
    """What was read, or why it was refused."""
    try:
        return read(), ""
    except MidasError as error:
        return None, str(error)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a target's data set, written once for all tests."""
    folders: dict[str, Path] = {}

    def write(target: Target) -> Path:
        if target.name not in folders:
            folders[target.name] = tmp_path_factory.mktemp("fuzz") / "dataset"
            folders[target.name].mkdir()
            target.write(folders[target.name])
        return folders[target.name]

    return write


@pytest.mark.parametrize("target", [*ANNOTATIONS, *VIDEOS, *STORES], ids=lambda target: target.name)
def test_damaged_files_are_read_or_refused(target, written):
    root = written(target)
    for file in target.files(root)[:3]:
        sound = read_case(target, root, file, Mutant("nothing", b""))
        assert sound.result == "read", sound
    outcomes = [run_case(target, root, seed) for seed in range(CASES)]
    assert not [outcome for outcome in outcomes if outcome.result == "fault"]
    assert {outcome.result for outcome in outcomes} <= {"read", "refused"}


@pytest.mark.parametrize(
    ("number", "target"),
    list(enumerate(target for target in ANNOTATIONS if target.place)),
    ids=lambda value: value.name if isinstance(value, Target) else "",
)
def test_no_path_in_a_file_leaves_the_root(number, target, written):
    root = written(target)
    file = next(f for f in target.files(root) if put_path(f.read_bytes(), f.suffix, target.place, "") != f.read_bytes())
    sound = file.read_bytes()
    # Each reader gets every third path, so that three readers share them all.
    for path in PATHS[number % 3 :: 3]:
        mutant = Mutant(f"the path {path!r}", put_path(sound, file.suffix, target.place, path))
        assert mutant.data != sound
        file.write_bytes(mutant.data)
        try:
            outcome = read_case(target, root, file, mutant)
        finally:
            file.write_bytes(sound)
        assert outcome.result != "fault", outcome


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "C:", "c", " ", "~", "\0", "\n", "...", "..a"]), max_size=7)
)
def test_a_manifest_holds_no_path_that_leaves_the_root(parts):
    path = "".join(parts)
    manifest, refusal = attempt(lambda: Manifest(("happy", "sad"), pl.DataFrame({"video_id": ["a"], "path": [path]})))
    if leaves_root(path) or manifest is None:
        assert "row 1" in refusal
    else:
        assert manifest[0].path == path


def test_leaving_is_judged_by_a_plain_rule():
    for path in ("..", "a/../../b", "/x", "C:x", "\\x", "a\\..\\..\\b", "//s/x", "a\0b"):
        assert leaves_root(path), path
    for path in ("a", "a/b.mp4", "..a", "a..b/c", "...", "a b/ü.mp4", "~/x", "%2e%2e/x"):
        assert not leaves_root(path), path
    assert len(PATHS) >= 15


def test_the_same_seed_gives_the_same_damage():
    assert len({mutate(b"a,b\n1,2\n", ".csv", random.Random(5)).data for _ in range(3)}) == 1  # noqa: S311
    assert len({mutate(b"a,b\n1,2\n", ".csv", random.Random(seed)).data for seed in range(60)}) > 30  # noqa: S311


def _classes(root: Path) -> Path:
    for name in ("happy", "sad"):
        (root / name).mkdir(parents=True)
        for number in range(2):
            (root / name / f"{number}.mp4").write_bytes(b"x")
    return root / "happy"


def _challenge(root: Path) -> Path:
    write_afew(root, spelling="challenge", drawn=False)
    return root / "Train_AFEW" / "Angry"


ODD_ENTRIES = {
    "a name that is no UTF-8": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff.avi")).write_bytes(b"x"),
    "a line end in a name": lambda folder: (folder / "a\nb.avi").write_bytes(b"x"),
    "a name that leads out on Windows": lambda folder: (folder / "..\\x.avi").write_bytes(b"x"),
    "a drive": lambda folder: (folder / "C:x.avi").write_bytes(b"x"),
    "a link to the folder above": lambda folder: (folder / "loop").symlink_to(folder.parent),
    "a link to nowhere": lambda folder: (folder / "gone.avi").symlink_to("/nowhere/x.avi"),
    "a pipe": lambda folder: os.mkfifo(folder / "pipe.avi"),
    "a folder called like a video": lambda folder: (folder / "d.avi").mkdir(),
    "dots": lambda folder: (folder / "...avi").write_bytes(b"x"),
}


@pytest.mark.parametrize("odd", ODD_ENTRIES)
@pytest.mark.parametrize(
    ("write", "read"), [(_classes, read_folders), (_challenge, read_afew)], ids=["folders", "afew"]
)
def test_odd_names_in_folders(write, read, odd, tmp_path):
    folder = write(tmp_path)
    sound = len(read(tmp_path))
    ODD_ENTRIES[odd](folder)
    manifest, refusal = attempt(lambda: read(tmp_path))
    if manifest is None:
        assert str(tmp_path) in refusal
    else:
        assert sound <= len(manifest) <= sound + 1
        assert not manifest_fault(manifest) or odd == "a drive"


def test_links_in_the_root_are_followed(tmp_path):
    """A link is the user's own doing: data sets lie on other disks. Annotations can only name it."""
    manifest = write_dataset(tmp_path / "elsewhere", clips=3)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "clips").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    linked = manifest.with_columns(path=["clips/" + path for path in manifest.table["path"]])
    settings = ExtractSettings(faces="cropped", size=SIDE)
    report = prepare(linked, tmp_path / "root", tmp_path / "store", settings=settings, jobs=1)
    assert report.usable == 3
    assert [sample.path for sample in ClipStore.open(tmp_path / "store")] == linked.table["path"].to_list()


# What follows failed once.


def test_a_picture_that_says_it_is_huge_costs_nothing(tmp_path):
    small = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))[1].tobytes()
    place = small.index(b"\xff\xc0") + 5
    huge = small[:place] + struct.pack(">HH", 16_000, 65_500) + small[place + 4 :]  # 18 s and 6 GB, once
    assert decode_picture(small) is not None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    assert decode_picture(huge) is None
    assert time.perf_counter() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    (tmp_path / "1.jpg").write_bytes(small)
    (tmp_path / "2.jpg").write_bytes(huge)
    with pytest.raises(DamagedVideoError, match=r"2\.jpg is not a picture that can be read, or far too large"):
        list(iter_picture_frames(tmp_path))


def test_a_table_of_very_many_columns_is_refused_at_once(tmp_path):
    file = tmp_path / "votes.csv"
    file.write_text(",".join(f"c{n}" for n in range(100_000)) + ",c0\n" + "1,2\n" * 1000)
    with pytest.raises(RequestError, match=r"votes\.csv has 100001 columns; up to 10000"):
        read_table(file)
    file.write_text(",".join(f"c{n}" for n in range(9_000)) + "\n" + "1,2\n" * 200_000)
    began = time.perf_counter()
    with pytest.raises(RequestError, match=r"row 1 \(line 2\): 2 cells; .* and 199,995 more"):
        read_table(file)
    assert time.perf_counter() - began < 10


def test_objects_that_leave_most_names_out_are_refused_at_once(tmp_path):
    file = tmp_path / "votes.jsonl"
    first = json.dumps({f"c{n}": 1 for n in range(9_000)})
    file.write_text(first + "\n" + "{}\n" * 200_000)  # 1.8e9 cells, once
    with pytest.raises(RequestError, match=r"votes\.jsonl: the objects up to line \d+ have 9000 different names"):
        read_table(file)


def test_a_parquet_file_that_unpacks_to_too_much_is_refused_at_once(tmp_path, monkeypatch):
    file = tmp_path / "votes.parquet"
    pq.write_table(pa.table({"video_id": pa.nulls(1_000_000, pa.string()), "remark": pa.nulls(1_000_000)}), file)
    assert file.stat().st_size < 100_000
    with pytest.raises(RequestError, match="none of which holds counts"):
        read_table(file)
    monkeypatch.setattr(parquet, "_MOST_CELLS", 1_999_999)
    with pytest.raises(RequestError, match=r"votes\.parquet holds 1000000 rows of 2 columns; up to 1999999 cells"):
        read_table(file)


def test_a_wrong_row_of_a_manifest_file_is_named_with_the_file(tmp_path):
    file = tmp_path / "manifest.parquet"
    about = {"midas_dfer.manifest": json.dumps({"format": 1, "name": "mine", "class_names": ["happy", "sad"]})}
    table = pl.DataFrame({"video_id": ["a", "b"], "path": ["a.mp4", "../b.mp4"]})
    table.write_parquet(file, metadata=about)
    with pytest.raises(RequestError, match=rf"{re.escape(str(file))}: mine: row 2: the path '\.\./b\.mp4' leads out"):
        Manifest.from_parquet(file)
    table.write_parquet(file, metadata={"midas_dfer.manifest": "[" * 100_000})
    with pytest.raises(RequestError, match="does not say what its classes are"):
        Manifest.from_parquet(file)


@pytest.mark.parametrize(
    "dtype",
    [
        *(
            pl.Time,
            pl.Date,
            pl.Datetime("us", "UTC"),
            pl.Duration,
            pl.Decimal(10, 2),
            pl.Categorical,
            pl.Enum(["1", "2"]),
        ),
        *(
            pl.Binary,
            pl.Boolean,
            pl.UInt64,
            pl.Int128,
            pl.List(pl.Int8),
            pl.Array(pl.Int8, 1),
            pl.Struct({"a": pl.Int8}),
        ),
        pl.Null,
    ],
    ids=str,
)
@pytest.mark.parametrize("column", ["video_id", "happy", "fold", "split", "label", "extra"])
def test_columns_of_every_type(dtype, column, tmp_path):
    file = tmp_path / "votes.parquet"
    data = {"video_id": ["1", "2"], "happy": [1, 2], "sad": [1, 1], "fold": [1, 2], "split": ["train"] * 2}
    data |= {"label": ["happy", None], "extra": [1, 2]}
    values = {pl.List: [[1], [2]], pl.Array: [[1], [2]], pl.Struct: [{"a": 1}, {"a": 2}], pl.Binary: [b"\xff", b"2"]}
    values |= {pl.Enum: ["1", "2"], pl.Categorical: ["1", "2"], pl.Null: [None, None]}
    odd = pl.Series(column, values.get(dtype.base_type(), [1, 2]))
    table = pl.DataFrame(data).with_columns(odd if dtype.base_type() in values else odd.cast(dtype))
    if dtype.base_type() in (pl.Enum, pl.Categorical, pl.Array):
        table = table.with_columns(pl.col(column).cast(dtype))
    table.write_parquet(file)
    manifest, refusal = attempt(lambda: read_table(file))
    assert str(file) in refusal if manifest is None else len(manifest) == 2


def test_a_message_quotes_a_long_cell_in_part():
    problems = RowProblems(lambda row: f"row {row + 1}")
    problems.add(np.array([False, True]), lambda _: f"'happy' is {'x' * 100_000!r}, not a number")
    with pytest.raises(RequestError) as caught:
        problems.raise_if_any("votes.csv", "A count is a whole number.")
    assert re.fullmatch(r"votes\.csv: row 2: 'happy' is 'x+ \.\.\. x+', not a number\. A count is.*", str(caught.value))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("number", [10**30, 2**63, 2**130, -(2**64)])
def test_numbers_beyond_all_measure_in_json_lines(number, tmp_path):
    file = tmp_path / "votes.jsonl"
    file.write_text(f'{{"video_id": "a", "happy": 1, "sad": 2}}\n{{"video_id": "b", "happy": {number}, "sad": 1}}\n')
    with pytest.raises(RequestError, match=r"votes\.jsonl: row 2 \(line 2\): 'happy' is"):
        read_table(file)


@pytest.mark.parametrize(
    "target",
    [t for t in ANNOTATIONS if t.place and t.name.startswith(("fer", "afew", "crema"))],
    ids=lambda target: target.name,
)
@pytest.mark.parametrize("digits", ["١٢", "²", "１２", "99999999999999999999"])
def test_digits_of_other_scripts(target, digits, written):
    root = written(target)
    file = target.files(root)[0]
    sound = file.read_text()
    for found in re.findall(r"(?<=[,\s])\d+(?=[,\s])", sound)[:2]:
        odd = re.sub(rf"(?<=[,\s]){found}(?=[,\s])", digits, sound, count=1)
        file.write_text(odd)
        try:
            outcome = read_case(target, root, file, Mutant(f"{digits} for {found}", odd.encode()))
        finally:
            file.write_text(sound)
        assert outcome.result != "fault", outcome
