"""Clips with the same pixels: found whatever holds them, and kept out of training when they are tested on."""

import shutil
from collections import defaultdict

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.clips.preparing import duplicates
from midas_dfer.clips.preparing.duplicates import (
    DuplicateGroup,
    describe_duplicates,
    drop_from_training,
    find_duplicates,
)
from midas_dfer.clips.preparing.pool import Lost
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.errors import JobError, RequestError
from midas_dfer.manifest.folds import add_folds
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.video.write import write_video


def manifest_of(paths, splits=None, folds=None):
    rows = {"video_id": [path.replace("/", " ") for path in paths], "path": paths, "label": ["a"] * len(paths)}
    table = pl.DataFrame(rows).with_columns(
        pl.Series("split", splits or [None] * len(paths), dtype=pl.String),
        pl.Series("fold", folds or [None] * len(paths), dtype=pl.Int64),
    )
    return Manifest(("a", "b"), table)


def picture(seed, shape=(12, 10)):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def write_pictures(folder, seeds, suffix=".png"):
    folder.mkdir()
    for number, seed in enumerate(seeds, start=1):
        cv2.imwrite(str(folder / f"{number}{suffix}"), picture(seed))


def ids(groups):
    return [group.video_ids for group in groups]


def test_pictures_are_compared_by_pixels_and_not_by_bytes(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    cv2.imwrite(str(tmp_path / "b.bmp"), picture(0))
    cv2.imwrite(str(tmp_path / "c.png"), picture(0), [cv2.IMWRITE_PNG_COMPRESSION, 0])
    other = picture(0)
    other[3, 4, 1] ^= 1
    cv2.imwrite(str(tmp_path / "d.png"), other)
    cv2.imwrite(str(tmp_path / "e.png"), np.zeros((4, 9, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "f.png"), np.zeros((9, 4, 3), np.uint8))  # the same bytes in another shape
    cv2.imwrite(str(tmp_path / "g.png"), np.zeros((9, 4), np.uint8))  # grey
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()
    found = find_duplicates(
        manifest_of([*(f"{x}.png" for x in "gf"), "e.png", "d.png", "c.png", "b.bmp", "a"]), tmp_path
    )
    assert ids(found) == [("g.png", "f.png"), ("c.png", "b.bmp", "a")]


def test_clips_are_compared_to_their_ends(tmp_path):
    frames = list(range(7))
    for name, seeds in {"a": frames, "b": frames, "c": [*frames[:-1], 99], "d": frames[:-1], "e": [50]}.items():
        write_pictures(tmp_path / name, seeds)
    write_pictures(tmp_path / "f", frames, suffix=".bmp")
    cv2.imwrite(str(tmp_path / "g.png"), picture(50))
    found = find_duplicates(manifest_of([*"abcdef", "g.png"]), tmp_path, jobs=1)
    assert ids(found) == [("a", "b", "f"), ("e", "g.png")]


def test_videos(tmp_path):
    flat = [np.full((32, 32, 3), level, np.uint8) for level in (0, 0, 0, 0, 0, 0, 90, 160)]
    write_video(tmp_path / "a.mp4", flat, 25)
    write_video(tmp_path / "b.mp4", flat[:-1], 25)  # the same dark beginning
    shutil.copy(tmp_path / "a.mp4", tmp_path / "c.mp4")
    (tmp_path / "d.mp4").write_bytes(b"not a video")
    (tmp_path / "e.mp4").write_bytes(b"not a video")
    found = find_duplicates(manifest_of([f"{x}.mp4" for x in "abcdef"]), tmp_path, jobs=2)
    assert ids(found) == [("a.mp4", "c.mp4")]


def test_what_cannot_be_read_is_like_nothing(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    for name in ("c", "d"):
        (tmp_path / name).mkdir()
    for name in ("e", "f"):
        write_pictures(tmp_path / name, [1, 2])
        (tmp_path / name / "3.png").write_bytes(b"no picture")
    found = find_duplicates(manifest_of(["a.png", "b.png", "c", "d", "e", "f", "gone"]), tmp_path)
    assert ids(found) == [("e", "f")]  # their good frames


class Steps:
    def __init__(self):
        self.total, self.done, self.ended = -1, 0, False

    def start(self, total: int, done: int = 0) -> None:
        self.total, self.done = total, done

    def advance(self, note: str = "") -> None:
        self.done += 1

    def finish(self) -> None:
        self.ended = True


def test_progress_counts_every_clip_once(tmp_path):
    write_pictures(tmp_path / "a", [1, 2, 3, 4, 5])
    write_pictures(tmp_path / "b", [1, 2, 3, 4, 5])
    steps = Steps()
    find_duplicates(manifest_of(["a", "b", "gone"]), tmp_path, jobs=2, progress=steps)
    assert (steps.total, steps.done, steps.ended) == (3, 3, True)


def test_requests_that_cannot_be_met(tmp_path):
    with pytest.raises(RequestError, match="There is no folder"):
        find_duplicates(manifest_of(["a"]), tmp_path / "none")
    with pytest.raises(RequestError, match="0 jobs"):
        find_duplicates(manifest_of(["a"]), tmp_path, jobs=0)


PARTS = st.sampled_from(["train", "validation", "test", None])


@given(st.lists(st.tuples(st.integers(0, 5), PARTS), min_size=1, max_size=20), st.sampled_from([1, 2]))
def test_groups_and_what_is_dropped(tmp_path_factory, drawn, jobs):
    root = tmp_path_factory.getbasetemp() / "six pictures"
    if not root.is_dir():
        root.mkdir()
        for content in range(6):
            cv2.imwrite(str(root / f"{content}.png"), picture(content, (3, 3)))
    contents, splits = zip(*drawn, strict=True)
    table = pl.DataFrame({"video_id": [f"clip {n}" for n in range(len(drawn))], "label": ["a"] * len(drawn)})
    table = table.with_columns(
        pl.Series("path", [f"{content}.png" for content in contents]), pl.Series("split", splits, dtype=pl.String)
    )
    manifest = Manifest(("a", "b"), table)
    groups = find_duplicates(manifest, root, jobs=jobs)

    expected = defaultdict(list)
    for row, content in enumerate(contents):
        expected[content].append(row)
    rows = [rows for rows in expected.values() if len(rows) > 1]
    assert ids(groups) == [tuple(f"clip {row}" for row in each) for each in rows]
    assert [g.splits for g in groups] == [tuple(splits[row] for row in each) for each in rows]

    kept = drop_from_training(manifest, groups)
    tested = {c for c, split in drawn if split in ("validation", "test")}
    left = [f"clip {n}" for n, (content, split) in enumerate(drawn) if not (split == "train" and content in tested)]
    assert kept.video_ids == left
    assert (len(kept.notes) > 0) == (len(groups) > 0)


def test_notes():
    groups = (
        DuplicateGroup(("a", "b"), ("train", "train"), (None, None)),
        DuplicateGroup(("c", "d", "e"), ("train", "test", "validation"), (None, None, None)),
        DuplicateGroup(("f", "g"), (None, None), (1, 2)),
    )
    assert [g.crosses_splits for g in groups] == [False, True, False]
    assert [g.crosses_folds for g in groups] == [False, False, True]
    assert describe_duplicates(groups) == (
        "7 clips have the same pixels as another one (3 groups).",
        "1 of these groups are in more than one part: 1 training clips are also there for validation or testing; "
        "1 are in both the validation and the test part.",
        "1 of these groups are in more than one fold, such as those of f.",
    )
    assert describe_duplicates(()) == ()
    manifest = manifest_of(list("abcdefg"), ["train", "train", "train", "test", "validation", None, None])
    kept = drop_from_training(manifest.with_notes("before"), groups)
    assert kept.video_ids == list("abdefg")
    assert kept.notes[0] == "before"
    assert kept.notes[-1] == "Left out of training, because they are validated or tested on: c."
    assert drop_from_training(manifest, ()).notes == ()


def test_made_up_ferplus(tmp_path):
    write_ferplus(tmp_path, clips=30)
    manifest = read_ferplus(tmp_path)
    groups = find_duplicates(manifest, tmp_path)
    assert ids(groups) == [
        ("fer0000000", "fer0000021"),  # in validation
        ("fer0000001", "fer0000007"),  # within training
        ("fer0000004", "fer0000025"),  # in the test part
    ]
    kept = drop_from_training(manifest, groups)
    assert set(manifest.video_ids) - set(kept.video_ids) == {"fer0000000", "fer0000004"}


def test_copies_come_into_one_of_the_folds_that_are_made(tmp_path, capsys):
    write_ferplus(tmp_path / "ferplus", clips=30)
    copies = ("fer0000001", "fer0000007")  # both in training, so that neither is left out
    manifest = read_ferplus(tmp_path / "ferplus")

    def folds_of(divided):
        return len({sample.fold for sample in divided if sample.video_id in copies})

    seed = next(seed for seed in range(20) if folds_of(add_folds(manifest, 3, seed)) == 2)
    more = ["ferplus", str(tmp_path / "ferplus"), "--jobs", "1", "--folds", "3", "--folds_seed", str(seed)]
    for name, rule, folds in (("kept", "keep", 2), ("dropped", "drop", 1)):
        out = ["--out", str(tmp_path / name), "--size", "48", "--duplicates", rule]
        assert main(["prepare", *more, *out]) == 0
        told = " ".join(capsys.readouterr().out.split())
        assert ("the folds were remade" in told) == (rule == "drop")
        assert "of these groups are in more than one fold" not in told
        assert folds_of(ClipStore.open(tmp_path / name).manifest) == folds
    assert main(["check", *more]) == 0
    assert "keeps the others in one fold" in " ".join(capsys.readouterr().out.split())
    assert main(["check", *more, "--duplicates", "keep"]) == 1


def test_a_reader_that_is_killed_is_no_clip_that_is_there_once(tmp_path, monkeypatch):
    """Left out in silence, its copy in the test part would not be found."""
    manifest = Manifest(("a", "b"), pl.DataFrame({"video_id": ["x"], "path": ["x.mp4"]}))
    (tmp_path / "x.mp4").touch()
    for from_outside in (True, False):
        lost = Lost((0, tmp_path / "x.mp4", 4), "the system ended the process that was at it, twice", from_outside)
        monkeypatch.setattr(duplicates, "run_tasks", lambda *_, lost=lost: iter([lost]))
        if from_outside:
            with pytest.raises(JobError, match=r"x\.mp4: the system ended .* fewer jobs"):
                find_duplicates(manifest, tmp_path)
        else:
            assert find_duplicates(manifest, tmp_path) == ()
