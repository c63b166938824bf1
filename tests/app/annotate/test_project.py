"""Annotation projects: which clips are in, what is refused, and opening them again."""

import json
import os

import pytest

from midas_dfer.app.annotate.classes import checked_classes, read_gold
from midas_dfer.app.annotate.project import Rules, make_project, open_project
from midas_dfer.errors import RequestError
from tests.support.annotation import CLASSES, tiny_project, write_videos


def test_clips_are_all_videos_below_the_folder_sorted(tmp_path):
    videos = write_videos(tmp_path / "videos", 2)
    write_videos(videos / "b", 1)
    (videos / "notes.txt").write_text("no clip")
    (videos / ".hidden.mp4").write_bytes(b"no clip")
    (videos / "again.mp4").symlink_to("clip00.mp4")
    project = make_project(tmp_path / "p", videos, ["Joy", "Sadness", "bored stiff"])
    assert [clip.path for clip in project.clips] == ["again.mp4", "b/clip00.mp4", "clip00.mp4", "clip01.mp4"]
    assert project.classes == ("happy", "sad", "bored stiff")
    assert open_project(tmp_path / "p", videos=videos, classes=["happy", "sad", "Bored stiff".lower()]) == project
    clip = project.clips[1]
    assert project.clip(clip.id) is clip
    assert project.video(clip) == videos / "b" / "clip00.mp4"
    assert "clip00" not in clip.id
    with pytest.raises(RequestError, match="no such clip"):
        project.clip("../../etc/passwd")


@pytest.mark.parametrize("place", ["x.mp4", "folder"])
def test_links_that_lead_out_are_refused(tmp_path, place):
    outside = write_videos(tmp_path / "outside", 1)
    videos = write_videos(tmp_path / "videos", 1)
    (videos / place).symlink_to(outside / "clip00.mp4" if place == "x.mp4" else outside)
    with pytest.raises(RequestError, match="leads out of"):
        make_project(tmp_path / "p", videos, CLASSES)
    assert not (tmp_path / "p").exists()


def test_a_clip_that_became_a_link_is_not_served(tmp_path):
    project = tiny_project(tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(b"video 0")
    file = project.videos / "clip00.mp4"
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(RequestError, match="not there any more"):
        project.video(project.by_path["clip00.mp4"])


def test_vanished_and_changed_videos_are_refused_and_copies_are_not(tmp_path):
    project = tiny_project(tmp_path)
    file = project.videos / "clip03.mp4"
    os.utime(file, (1, 1))
    write_videos(project.videos, 9)
    again = open_project(project.folder)
    assert again.clips == project.clips
    assert again.notes == (
        "Passed over because they came after the project was made: 1 clip ('clip08.mp4'). "
        "Start midas app with --add_clips to take them in.",
    )
    file.write_bytes(b"VIDEO 3")
    with pytest.raises(RequestError, match=r"have changed since the project was made: 'clip03.mp4'"):
        open_project(project.folder)
    file.unlink()
    with pytest.raises(RequestError, match=r"not in .* any more: 'clip03.mp4'"):
        open_project(project.folder)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"classes": ["happy", "sad"]}, "other classes"),
        ({"classes": ["sad", "happy", "angry"]}, "other classes"),
        ({"rules": Rules(several=True)}, "other rules"),
        ({"gold": {"clip01.mp4": "sad"}}, "other gold clips"),
    ],
)
def test_a_project_stays_under_its_rules(tmp_path, given, what):
    project = tiny_project(tmp_path, gold={"clip00.mp4": "happy"})
    assert open_project(project.folder, classes=CLASSES, rules=Rules(), gold={"clip00": "Happiness"}) == project
    with pytest.raises(RequestError, match=what):
        open_project(project.folder, **given)
    with pytest.raises(RequestError, match="holds a project already"):
        make_project(project.folder, project.videos, CLASSES)


@pytest.mark.parametrize(
    ("classes", "what"),
    [
        (["happy"], "1 class"),
        (["happy", "joy"], "same class"),
        (["happy", "unsure"], "no emotion"),
        (["happy", "annotator"], "like a column"),
        (["happy", "=cmd()"], "begins with"),
        (["happy", "sad, angry"], "commas"),
        (["happy", "x" * 41], "at most 40"),
        ([f"class {n}" for n in range(37)], "from 2 to 36"),
    ],
)
def test_classes_that_cannot_be_used(classes, what):
    with pytest.raises(RequestError, match=what):
        checked_classes(classes)


def test_gold_comes_from_a_table(tmp_path):
    table = tmp_path / "gold.csv"
    table.write_text("path,emotion\nclip00.mp4,Joy\nclip05.mp4,anger\n")
    gold = read_gold(table, CLASSES)
    project = tiny_project(tmp_path, gold=gold)
    assert {clip.path: clip.gold for clip in project.clips if clip.gold} == {
        "clip00.mp4": "happy",
        "clip05.mp4": "angry",
    }
    table.write_text("path,emotion\nclip00.mp4,Joy\nclip00.mp4,anger\n")
    with pytest.raises(RequestError, match="several emotions"):
        read_gold(table, CLASSES)
    with pytest.raises(RequestError, match="not among the videos: 'other'"):
        make_project(tmp_path / "q", project.videos, CLASSES, gold={"other": "happy"})


def test_a_damaged_or_edited_project_file_is_told_in_a_sentence(tmp_path):
    project = tiny_project(tmp_path)
    file = project.folder / "project.json"
    whole = json.loads(file.read_text())
    for broken in (
        whole | {"format": 2},
        whole | {"clips": []},
        whole | {"clips": [{"path": 3}]},
        whole | {"rules": {"repeats": "many"}},
        whole | {"classes": 5},
        {},
    ):
        file.write_text(json.dumps(broken))
        with pytest.raises(RequestError, match=r"project\.json"):
            open_project(project.folder)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(RequestError, match="damaged"):
        open_project(project.folder)
    file.unlink()
    with pytest.raises(RequestError, match="there is no project"):
        open_project(project.folder)
