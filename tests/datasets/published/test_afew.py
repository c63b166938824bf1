"""AFEW: the tree of folders under its spellings, videos or pictures, lists of other code bases; what is refused."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.datasets.published.afew import read_afew
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.synthetic.layouts import afew as layout
from midas_dfer.synthetic.layouts.afew import write_afew
from tests.support.golden_manifests import assert_golden, plain_frames


def has_note(manifest, *words):
    return any(all(word in note for word in words) for note in manifest.notes)


def tree(root, *paths):
    for path in paths:
        if path.endswith("/"):
            (root / path).mkdir(parents=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
    return root


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    root = tmp_path_factory.mktemp("afew")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "draw_frames", plain_frames)
        for spelling in ("copy", "challenge"):
            write_afew(root / spelling, spelling=spelling, frames=2)
    return root


@pytest.mark.parametrize("spelling", ["copy", "challenge"])
def test_made_up_copies_are_the_golden_ones(copies, spelling):
    assert_golden(read_afew(copies / spelling), f"afew_{spelling}")


@pytest.mark.parametrize("spelling", ["copy", "challenge"])
def test_every_clip_is_on_disk_and_both_parts_have_every_class(copies, spelling):
    manifest = read_afew(copies / spelling)
    assert all((copies / spelling / path).exists() for path in manifest.table["path"])
    parts = manifest.partition()
    for part in (parts.train, parts.test):
        assert set(part.labels.tolist()) == set(range(7))
    assert parts.validation is None
    assert set(parts.test.table["published_split"]) == {"validation"}
    assert has_note(manifest, "validation part (14 clips) is the test part here")
    assert has_note(manifest, "in two parts: 1", "000046280")


def test_lists_give_what_the_folders_give(copies):
    root = copies / "copy"
    lists = [root / "lists" / f"AFEW_{part}.txt" for part in ("train", "validation")]
    listed = read_afew(root, lists=lists)
    assert listed == read_afew(root)
    assert has_note(listed, "lists/AFEW_train.txt", "order of DFEW", "from 0")
    assert read_afew(root / "AFEW_Face", lists=lists).table["path"][0].startswith("train/Angry/")
    assert read_afew(root / "lists", lists=lists).table["path"][0].startswith("train/Angry/")


def test_the_kind_of_clips_is_told_by_what_is_there(tmp_path):
    tree(tmp_path, "Train/Happy/a.avi", "Train/Happy/b.MP4", "Train/Happy/a/", "Val/Sad/c.avi", "Val/Sad/c.wav")
    manifest = read_afew(tmp_path)
    assert manifest.table["path"].to_list() == ["Train/Happy/a.avi", "Train/Happy/b.MP4", "Val/Sad/c.avi"]
    assert has_note(manifest, "1 clips are there as folders of pictures, 3 as videos; the videos are taken")
    assert has_note(manifest, "no clips", "1 *.wav")
    assert read_afew(tmp_path, layout="frames").video_ids == ["train/happy/a"]
    with pytest.raises(RequestError, match="hold no frames, but 1 clips as videos"):
        read_afew(tree(tmp_path / "x", "val/Sad/c.avi"), layout="frames")


def test_copies_that_call_the_validation_part_test(tmp_path):
    manifest = read_afew(tree(tmp_path, "train/Happy/a/", "test/Anger/b/", "test/readme.txt"))
    assert manifest.table["published_split"].to_list() == ["train", "validation"]
    assert manifest.table["split"].to_list() == ["train", "test"]
    assert manifest.table["label"].to_list() == ["happy", "angry"]
    assert has_note(manifest, '"test" (1 clips) is taken for the published validation part')


def test_three_labelled_parts_keep_their_names(tmp_path):
    manifest = read_afew(tree(tmp_path, "train/Happy/a/", "val/Anger/b/", "test/Fear/c/"))
    assert sorted(manifest.table["split"]) == ["test", "train", "validation"]
    assert has_note(manifest, "both are used under these names")


def test_emotions_one_level_further_down_and_what_is_left_out(tmp_path):
    tree(
        tmp_path, "AFEW/Train_AFEW/VIDEO/Happy/a.avi", "AFEW/Train_AFEW/VIDEO/Bored/b.avi", "AFEW/.git/train/Sad/x.avi"
    )
    manifest = read_afew(tmp_path)
    assert manifest.table["path"].to_list() == ["AFEW/Train_AFEW/VIDEO/Happy/a.avi"]
    assert has_note(manifest, "no emotions are left out: Bored")
    assert has_note(manifest, "validation part: 0 clips; 383 or 381")


def test_published_counts_give_no_note(tmp_path):
    for part, count in (("train", 773), ("validation", 381)):
        for number in range(count):
            (tmp_path / part / "Happy" / f"{part}{number:04d}").mkdir(parents=True)
    assert not has_note(read_afew(tmp_path), "are published")


def test_wrong_trees_are_refused(tmp_path):
    with pytest.raises(RequestError, match="no folder"):
        read_afew(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="does not look like AFEW"):
        read_afew(tmp_path)
    with pytest.raises(RequestError, match="hold no frames"):
        read_afew(tree(tmp_path / "a", "train/Happy/a.jpg"))
    with pytest.raises(RequestError, match="both hold the train part"):
        read_afew(tree(tmp_path / "b", "train/Happy/a/", "Train_AFEW/Happy/a/"))
    with pytest.raises(RequestError, match=r"a\.(avi|mp4) and .*a\.(avi|mp4) are the same clip"):
        read_afew(tree(tmp_path / "c", "train/Happy/a.avi", "train/Happy/a.mp4"))
    (tmp_path / "d" / "train" / "Happy" / "a\nb").mkdir(parents=True)
    with pytest.raises(RequestError, match=r"'a\\nb', a name that is no plain text"):
        read_afew(tmp_path / "d")
    (tmp_path / "e" / "train" / "Happy" / os.fsdecode(b"\xff")).mkdir(parents=True)
    with pytest.raises(RequestError, match="no plain text"):
        read_afew(tmp_path / "e")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("AFEW_Face/train/Bored/x 79 5", "line 2: .*'Bored', which is not known"),
        ("AFEW_Face/train/Sad/../x 79 1", "line 2: .*leads out"),
        ("/train/Sad/.. 79 1", "line 2: .*leads out"),
        ("AFEW_Face/train/Sad/x", "line 2: .*is no row"),
        ("x 79 1", "line 2: the path 'x' is not part/emotion/clip"),
        ("AFEW_Face/other/Sad/x 79 1", "line 2: neither the path"),
        ("train/Disgust/y 79 4", "line 2: .*number 4, which is 5 in most rows of its class"),
        ("train/Disgust/y Sad", "line 2: .*says disgust, the row says Sad"),
    ],
)
def test_wrong_rows_are_refused_with_file_and_line(tmp_path, row, message):
    file = tmp_path / "clips.txt"
    rows = [f"AFEW_Face/train/Disgust/{k} 79 5" for k in range(3)]
    file.write_text("\r\n".join([rows[0], row, *rows[1:]]))
    with pytest.raises(RequestError, match=rf"clips\.txt {message}"):
        read_afew(tmp_path, lists=[file])


def test_the_name_of_a_list_says_the_part_where_its_paths_do_not(tmp_path):
    file = tmp_path / "AFEW_val.txt"
    file.write_text("\ufeffDisgust/a 79 5\nDisgust/a 79 5\n\n")
    manifest = read_afew(tmp_path, lists=[file])
    assert manifest.table["path"].to_list() == ["validation/Disgust/a"]
    assert has_note(manifest, "1 rows were there a second time")
    file.write_text(" \n")
    with pytest.raises(RequestError, match="is empty"):
        read_afew(tmp_path, lists=[file])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=6)), min_size=1, max_size=4))
def test_mutated_lists_are_read_or_refused(tmp_path_factory, changes):
    root = tmp_path_factory.getbasetemp()
    data = bytearray("".join(f"AFEW_Face/train/Disgust/0_5_{k:09d} 79 5\r\n" for k in range(20)).encode())
    for place, junk in changes:
        at = place % len(data)
        data[at : at + len(junk)] = junk
    file = root / "afew_mutated.txt"
    file.write_bytes(bytes(data))
    try:
        manifest = read_afew(root, lists=[file])
    except RequestError as error:
        refusal = str(error)
    else:
        refusal = "afew_mutated.txt"
        assert isinstance(manifest, Manifest)
        assert not any(".." in path.split("/") for path in manifest.table["path"])
    assert "afew_mutated.txt" in refusal
