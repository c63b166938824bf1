import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.datasets.folders import read_folders
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from tests.support.golden_manifests import assert_golden, plain_frames
from tests.support.layouts import folders as layout
from tests.support.layouts.folders import write_folders

CLASSES = ("angry", "disgust", "happy", "sad", "scorn")


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def test_golden_manifest(tmp_path):
    write_folders(tmp_path / "clips", drawn=False)
    assert_golden(read_folders(tmp_path / "clips", class_names=CLASSES), "folders")


def test_the_clips_of_the_made_up_copy_are_where_the_manifest_says(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "draw_frames", plain_frames)
    write_folders(tmp_path, clips=12, frames=3)
    manifest = read_folders(tmp_path, class_names=CLASSES)
    assert len(manifest) == 12
    for sample in manifest:
        place = tmp_path / sample.path
        assert place.is_file() or len(list(place.glob("*.jpg"))) == 3


def test_too_few_clips_for_the_traps(tmp_path):
    with pytest.raises(RequestError, match="12 or more"):
        write_folders(tmp_path, clips=11)


def test_videos_pictures_and_folders_of_frames(tmp_path):
    touch(tmp_path, "happy/a.mp4", "happy/b.PNG", "sad/c/10.jpg", "sad/c/2.jpg")
    manifest = read_folders(tmp_path)
    assert manifest.table.select("video_id", "path", "label", "split").rows() == [
        ("happy/a", "happy/a.mp4", "happy", None),
        ("happy/b", "happy/b.PNG", "happy", None),
        ("sad/c", "sad/c", "sad", None),
    ]
    assert manifest.table["votes"].null_count() == 3
    assert (manifest.name, manifest.notes) == (tmp_path.name, ())


def test_clips_that_differ_in_the_suffix_only_keep_it(tmp_path):
    touch(tmp_path, "happy/a.mp4", "happy/a.avi", "happy/a/1.png", "sad/a.mp4")
    assert read_folders(tmp_path).video_ids == ["happy/a", "happy/a.avi", "happy/a.mp4", "sad/a"]


def test_parts_have_several_names(tmp_path):
    parts = {"Train": "train", "training": "train", "val": "validation", "valid": "validation", "TEST": "test"}
    touch(tmp_path, *(f"{part}/{label}/{part}.mp4" for part in parts for label in ("happy", "sad")))
    manifest = read_folders(tmp_path)
    assert {(s.path.split("/")[0], s.split) for s in manifest} == set(parts.items())
    assert manifest.class_names == ("happy", "sad")


def test_a_part_beside_a_class_is_refused(tmp_path):
    touch(tmp_path, "train/happy/a.mp4", "sad/b.mp4")
    with pytest.raises(RequestError, match=r"has the folders train beside sad: it is not clear"):
        read_folders(tmp_path)


def test_spellings_of_a_class_are_one_class_and_noted(tmp_path):
    touch(tmp_path, "Anger/a.mp4", "angry/a.mp4", "ANGRY/b.mp4", "Boredom/c.mp4", "boredom /d.mp4")
    manifest = read_folders(tmp_path, class_names=["angry", "boredom"])
    assert manifest.class_names == ("angry", "boredom")
    assert manifest.labels.tolist() == [0, 0, 1, 0, 1]
    assert manifest.notes == (
        "Folders taken as one class, 'angry': ANGRY, Anger, angry.",
        "Folders taken as one class, 'boredom': Boredom, boredom .",
    )


def test_a_folder_that_is_called_like_no_emotion_is_asked_about(tmp_path):
    touch(tmp_path, "happy/a.mp4", "sad/a.mp4", "old/a.mp4", "Hapiness/b.mp4")
    with pytest.raises(RequestError, match=r"'Hapiness', 'old', which are .* Is 'Hapiness' meant to be happiness\?"):
        read_folders(tmp_path)
    manifest = read_folders(tmp_path, ignore=["OLD", "hapiness"])
    assert manifest.table["path"].to_list() == ["happy/a.mp4", "sad/a.mp4"]
    assert manifest.notes == ("Passed over as asked: 2 folders ('Hapiness', 'old').",)
    with pytest.raises(RequestError, match="has no folder 'new'"):
        read_folders(tmp_path, ignore=["new"])


def test_what_is_no_clip_is_counted(tmp_path):
    touch(
        tmp_path, "happy/a.mp4", "sad/a.mp4", "sad/Thumbs.db", "sad/a.srt", "README", ".hidden/x.mp4", "sad/.DS_Store"
    )
    touch(tmp_path, "sad/notes/x.txt", "docs/x.pdf")
    for name in ("fear", "boredom"):
        (tmp_path / name).mkdir()
    manifest = read_folders(tmp_path)
    assert manifest.class_names == ("fear", "happy", "sad")  # an empty folder is a class if it is called like one
    assert len(manifest) == 2
    assert manifest.notes[0] == "Without any clip: 3 folders ('boredom/', 'docs/', 'fear/')."
    assert manifest.notes[1] == "Passed over because they hold no pictures: 1 folder ('sad/notes')."
    assert manifest.notes[2].startswith("Passed over because they are no clips: 6 files (")


def test_given_classes_decide_the_order(tmp_path):
    touch(tmp_path, "Happiness/a.mp4", "sad/b.mp4")
    manifest = read_folders(tmp_path, class_names=["sad", "fear", "happy"], name="mine")
    assert (manifest.class_names, manifest.labels.tolist(), manifest.name) == (("sad", "fear", "happy"), [2, 0], "mine")
    with pytest.raises(RequestError, match="has folders for 'sad', not among the classes happy, fear"):
        read_folders(tmp_path, class_names=["happy", "fear"])


def test_names_that_no_table_can_hold_are_passed_over(tmp_path):
    touch(tmp_path, "happy/a.mp4", "sad/b.mp4")
    folder = os.fsencode(tmp_path / "happy")
    for name in (b"\xff.mp4", b"line\nbreak.mp4"):
        with open(os.path.join(folder, name), "wb"):  # noqa: PTH118, PTH123 - pathlib knows no bytes
            pass
    manifest = read_folders(tmp_path)
    assert len(manifest) == 2
    assert "2 files" in manifest.notes[0]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "holds no clips in folders of classes"),
        (["a.mp4", "b.mp4"], "holds no clips in folders of classes"),
        (["train/a.mp4"], "holds no clips in folders of classes"),
        (["happy/a.mp4"], "a folder for one class only, 'happy'"),
    ],
)
def test_other_layouts_are_refused(tmp_path, paths, message):
    with pytest.raises(RequestError, match=message):
        read_folders(touch(tmp_path, *paths))


def test_what_is_no_folder_is_refused(tmp_path):
    touch(tmp_path, "happy.mp4")
    for root in (tmp_path / "none", tmp_path / "happy.mp4"):
        with pytest.raises(RequestError, match=r"is not a folder\. Expected is a folder per class"):
            read_folders(root)


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "happy/a.mp4", "sad/b.mp4")
    (tmp_path / "sad" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "sad" / "self").symlink_to("self")
    assert len(read_folders(tmp_path)) == 2


CALLED = ["happy", "Happiness", "SAD", "anger", "angry", "zeal", "x.mp4", "a b"]
NAMES = st.sampled_from(CALLED)


@settings(max_examples=30)
@given(clips=st.sets(st.tuples(NAMES, NAMES, st.sampled_from([".mp4", ".jpg", ".txt", ""])), min_size=1, max_size=12))
def test_every_clip_is_found_once_under_the_name_of_its_folder(tmp_path_factory, clips):
    root = tmp_path_factory.mktemp("clips")
    for label, name, suffix in clips:
        touch(root, f"{label}/{name}{suffix}/1.png" if suffix == "" else f"{label}/{name}_{suffix}{suffix}")
    expected = {
        (f"{label}/{name}" if suffix == "" else f"{label}/{name}_{suffix}{suffix}", canonical_name(label))
        for label, name, suffix in clips
        if suffix != ".txt"
    }
    if not expected:
        return
    manifest = read_folders(root, class_names=sorted(set(map(canonical_name, CALLED))))
    found = {(path, label) for path, label in manifest.table.select("path", "label").rows()}
    assert found == expected
    assert len(set(manifest.video_ids)) == len(expected)
