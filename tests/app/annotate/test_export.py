"""Votes as files: read by `midas prepare`'s readers, they are the votes that were cast."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer.app.annotate.export import label_studio_text, prepare_flags, table_text, write_exports
from midas_dfer.app.annotate.project import make_project
from midas_dfer.app.annotate.session import Session
from midas_dfer.app.annotate.votes import Annotator, VoteStore
from midas_dfer.cli import main
from midas_dfer.datasets.table import read_table
from midas_dfer.datasets.tools.label_studio import read_label_studio
from midas_dfer.errors import RequestError
from tests.support.annotation import CLASSES, Person, project_in_memory, write_videos
from tests.support.factories import write_clip

PEOPLE = [Annotator(who, f"person {who}") for who in (1, 2, 3)]


def cast_of(manifest):
    """Every single vote: clip, annotator, class."""
    rows = manifest.table.select("path", "annotators", "annotator_votes").explode("annotators", "annotator_votes")
    return sorted(rows.rows())


def cast(project, answers):
    """Votes of three people, some of them undone, and what counts of them."""
    votes, counted = [], []
    people = {who: Person(project, who) for who in (1, 2, 3)}
    for who, said in answers:
        clip = people[who].next()
        if clip is None:
            continue
        vote = people[who].answer(clip, said)
        votes.append(vote)
        if vote.presentation != "repeat":
            counted += [(vote.clip, str(who), name) for name in said]
    return votes, sorted(counted)


ONE = st.sampled_from([("happy",), ("sad",), ("angry",), ()])
SEVERAL = st.sampled_from([("happy",), ("happy", "sad"), ("sad", "angry"), ()])


@given(st.lists(st.tuples(st.integers(1, 3), ONE), min_size=1, max_size=25))
def test_both_files_give_the_votes_that_were_cast(tmp_path_factory, answers):
    project = project_in_memory(6, 1, repeats=0.4)
    votes, counted = cast(project, answers)
    if not counted:
        with pytest.raises(RequestError, match="no votes"):
            table_text(project, PEOPLE, votes)
        return
    folder = tmp_path_factory.mktemp("e")
    (folder / "votes.csv").write_text(table_text(project, PEOPLE, votes))
    (folder / "ls.json").write_text(label_studio_text(project, votes))
    table = read_table(folder / "votes.csv", class_names=CLASSES)
    tasks = read_label_studio(folder / "ls.json", class_names=CLASSES)
    assert cast_of(table) == cast_of(tasks) == counted
    assert table.table.sort("path")["votes"].to_list() == tasks.table.sort("path")["votes"].to_list()
    assert table.table.sort("path")["video_id"].to_list() == tasks.table.sort("path")["video_id"].to_list()


@given(st.lists(st.tuples(st.integers(1, 3), SEVERAL), min_size=1, max_size=25))
def test_several_emotions_of_one_person_are_a_vote_each(tmp_path_factory, answers):
    project = project_in_memory(6, several=True)
    votes, counted = cast(project, [*answers, (1, ("happy", "sad"))])
    folder = tmp_path_factory.mktemp("e")
    (folder / "votes.csv").write_text(table_text(project, PEOPLE, votes))
    (folder / "ls.json").write_text(label_studio_text(project, votes))
    table = read_table(folder / "votes.csv", class_names=CLASSES)
    tasks = read_label_studio(folder / "ls.json", class_names=CLASSES)
    assert cast_of(tasks) == counted
    assert table.table.sort("path")["votes"].to_list() == tasks.table.sort("path")["votes"].to_list()


def test_odd_names_come_back_as_they_are(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    names = ["=1+1.mp4", "a b & c%20.mp4", "a.avi", "a.mp4", 'glück,"ja".mp4', "-x/#1?.mp4", "顔.webm"]
    for name in names:
        (videos / name).parent.mkdir(exist_ok=True)
        (videos / name).write_bytes(name.encode())
    project = make_project(tmp_path / "p", videos, ["happy", "bored"])
    with VoteStore(project) as store:
        anna, _ = store.add_annotator("Anna-Lena Müller")
        session = Session(project, store)
        while (task := session.task(anna)).clip_id is not None:
            session.vote(anna, task.clip_id, task.number, ("bored",), 1)
        table, tasks = write_exports(project, store.annotators(), store.votes(), names=True)
        assert "\n=" not in table.read_text()
    found = read_table(table, class_names=project.classes)
    assert found.table["path"].to_list() == sorted(names)
    assert {each[1] for each in cast_of(found)} == {"Anna-Lena Müller"}
    assert read_label_studio(tasks, class_names=project.classes).table["path"].to_list() == sorted(names)


def test_a_folder_that_label_studio_reads_otherwise_is_refused(tmp_path):
    write_videos(tmp_path / "videos" / "upload", 2)
    project = make_project(tmp_path / "p", tmp_path / "videos", CLASSES)
    votes, _ = cast(project, [(1, ("sad",))])
    with pytest.raises(RequestError, match=r"'upload/clip0.\.mp4' would be 'clip0"):
        label_studio_text(project, votes)


def test_midas_check_takes_the_files(tmp_path, capsys):
    videos = tmp_path / "videos"
    for n in range(4):
        write_clip(videos / f"clip{n}", n % 3, 1, n)
    project = make_project(tmp_path / "p", videos, CLASSES)
    with VoteStore(project) as store:
        for name, said in (("anna", "happy"), ("ben", "sad")):
            person, _ = store.add_annotator(name)
            session = Session(project, store)
            while (task := session.task(person)).clip_id is not None:
                session.vote(person, task.clip_id, task.number, (said,), 1)
        table, tasks = write_exports(project, store.annotators(), store.votes())
    for data_set, file in (("table", table), ("label_studio", tasks)):
        assert (
            main(["check", data_set, str(file), "--faces", "cropped", "--jobs", "1", "--json", *prepare_flags(project)])
            == 0
        )
        said = json.loads(capsys.readouterr().out)
        assert said["clips"] == 4, said
