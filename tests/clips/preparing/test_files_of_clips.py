"""Which file a clip is: exactly the one that is named, else the only one it can be, else none; decoys lie beside."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.clips.checking.check import check
from midas_dfer.clips.preparing import files as module
from midas_dfer.clips.preparing.files import find_files
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.files.columns import MEDIA_SUFFIX
from midas_dfer.datasets.tools.exports import names_media
from midas_dfer.errors import RequestError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.sample import Sample
from midas_dfer.video.pictures import list_pictures
from midas_dfer.video.suffixes import CLIP_SUFFIXES, PICTURE_SUFFIXES
from tests.support.factories import CLASS_NAMES, write_clip

NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("path", "there", "found"),
    [
        ("clip", ["CLIP.MP4"], "CLIP.MP4"),
        ("case.mp4", ["Case.MP4", "cases.mp4"], "Case.MP4"),
        ("case.mp4", ["case.mp4", "Case.MP4"], "case.mp4"),
        ("case", ["case.MP4", "Case.avi"], "case.MP4"),
        (f"{NFC}.mp4", [f"{NFD}.mp4", "cafe.mp4"], f"{NFD}.mp4"),
        (NFD, [f"{NFC}.mp4"], f"{NFC}.mp4"),
        ("Clips/A.mp4", ["clips/a.mp4", "other/a.mp4"], "clips/a.mp4"),
        ("-a.mp4", ["-a.mp4", "a.mp4"], "-a.mp4"),
        ("%d.mp4", ["%d.mp4", "1.mp4"], "%d.mp4"),
        ("100%.mp4", ["1001.mp4"], None),
        ("*.mp4", ["a.mp4"], None),
        ("*", ["*.mp4", "a.mp4"], "*.mp4"),
        ("a b", ["a b.mp4", "a", "b"], "a b.mp4"),
        ("'q\".mp4", ["'q\".mp4", "q.mp4"], "'q\".mp4"),
        ("v", ["v/1.jpg", "V.mp4"], "v"),
        ("x.mp4", ["x.mp4.part", "y.mp4"], None),
        *((f"n{k}", [f"n{k}{suffix}", f"m{suffix}"], f"n{k}{suffix}") for k, suffix in enumerate(CLIP_SUFFIXES)),
    ],
)  # fmt: skip
def test_the_file_itself_or_the_only_one_it_can_be(tmp_path, path, there, found):
    touch(tmp_path, *there)
    assert find_files(tmp_path, [path]).of.get(path) == found


def test_of_several_it_may_mean_none_is_taken_and_all_are_named(tmp_path):
    touch(tmp_path, "Case.MP4", "CASE.mp4")
    found = find_files(tmp_path, ["case.mp4"])
    assert (dict(found.of), dict(found.near)) == ({}, {"case.mp4": ("CASE.mp4", "Case.MP4")})
    sample = Sample("case", "case.mp4", (1, 2, 0))
    manifest = Manifest.from_samples(CLASS_NAMES, [sample])
    with pytest.raises(RequestError, match=r"case\.mp4; there is 'CASE\.mp4' and 'Case\.MP4'"):
        prepare(manifest, tmp_path, tmp_path / "store", jobs=1)


def test_a_file_that_another_clip_names_is_not_taken_for_this_one(tmp_path):
    touch(tmp_path, "A.mp4")
    assert dict(find_files(tmp_path, ["a.mp4", "A.mp4"]).of) == {"A.mp4": "A.mp4"}
    two = find_files(tmp_path, ["a.mp4", "a.MP4"])
    assert (dict(two.of), set(two.near)) == ({}, {"a.mp4", "a.MP4"})


@given(st.lists(st.text("aAbB.é/", min_size=1, max_size=6), min_size=1, max_size=6))
def test_what_is_there_by_its_own_name_is_found_as_by_asking_for_it(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("names")
    touch(root, "a/b.mp4", "A/b", "b", "ab.mp4", "a/é.jpg")
    found = find_files(root, names)
    for name in names:
        if name.startswith("/") or ".." in name:
            continue
        if (root / name).exists():
            assert (root / found.of[name]).samefile(root / name)
        if name in found.of:
            assert (root / found.of[name]).exists()


def test_each_folder_is_listed_once(tmp_path, monkeypatch):
    touch(tmp_path, *(f"part{n % 3}/v{n}.mp4" for n in range(0, 60, 2)))
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(module.os, "scandir", lambda folder: (listed.append(folder), scandir(folder))[1])
    monkeypatch.setattr(module.Path, "exists", lambda *_: pytest.fail("a file was asked for by itself"))
    paths = [f"part{n % 3}/v{n}" for n in range(60)]
    assert len(find_files(tmp_path, paths).of) == 30
    assert len(listed) == len(set(listed)) == 4  # the parts and, for what is missing, the folder around them


def test_a_folder_that_may_not_be_listed_is_asked_for_each_file(tmp_path, monkeypatch):
    touch(tmp_path, "v0.mp4")

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module.os, "scandir", refuse)
    assert find_files(tmp_path, ["v0", "v1"]).of == {"v0": "v0.mp4"}


def test_one_list_of_suffixes_serves_all(tmp_path):
    for suffix in CLIP_SUFFIXES:
        assert names_media(f"a{suffix}")
        assert names_media(f"a{suffix.upper()}")
        assert suffix[1:] in MEDIA_SUFFIX
    touch(tmp_path, *(f"{n}{suffix}" for n, suffix in enumerate(PICTURE_SUFFIXES)), "x.mp4")
    assert len(list_pictures(tmp_path)) == len(PICTURE_SUFFIXES)


def test_a_clip_under_another_spelling_is_prepared(tmp_path):
    write_clip(tmp_path / "videos" / "CLIP A", 0, 3, 1)
    write_clip(tmp_path / "videos" / "clip b", 1, 3, 2)
    samples = [Sample("a", "clip a", (3, 1, 0)), Sample("b", "clip b", (1, 3, 0)), Sample("c", "clip c", (1, 3, 0))]
    manifest = Manifest.from_samples(CLASS_NAMES, samples)
    settings = ExtractSettings(faces="cropped", size=32)
    report = prepare(manifest, tmp_path / "videos", tmp_path / "store", settings=settings, jobs=1, missing="leave_out")
    assert (report.usable, report.left_out) == (2, 1)
    assert report.notes == {"has other capitals or accents than the annotations": 1}
    (told,) = [f for f in check(manifest, tmp_path / "videos").findings if f.kind == "respelled"]
    assert (told.severity, told.examples) == ("note", ("clip a is CLIP A",))
    assert sorted(ClipStore.open(tmp_path / "store").manifest.video_ids) == ["a", "b"]
