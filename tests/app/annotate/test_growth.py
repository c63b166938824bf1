"""Clips that come later are taken in, and nothing that was said is lost."""

import pytest

from midas_dfer.app.annotate import growth
from midas_dfer.app.annotate.growth import add_clips
from midas_dfer.app.annotate.project import open_project
from midas_dfer.app.annotate.session import Session
from midas_dfer.app.annotate.votes import VoteStore
from midas_dfer.errors import RequestError
from tests.support.annotation import CLASSES, tiny_project, write_videos


def answer_all(project):
    """One person answers every clip that is shown; gives their paths."""
    with VoteStore(project) as store:
        session, who = Session(project, store), next(iter(store.annotators()), None)
        who = who or store.add_annotator("ada")[0]
        shown = []
        while (task := session.task(who)).clip_id is not None:
            shown.append(project.clip(task.clip_id).path)
            session.vote(who, task.clip_id, task.number, (CLASSES[0],), 900)
        return shown


def test_people_go_on_with_the_clips_that_came_later(tmp_path):
    project = tiny_project(tmp_path)
    before = answer_all(project)
    with pytest.raises(RequestError, match=r"no new clips in .*: leave --add_clips out"):
        add_clips(project)
    write_videos(project.videos, len(project.clips) + 2)
    grown = add_clips(open_project(project.folder))
    new = [clip.path for clip in grown.clips[len(project.clips) :]]
    assert new == ["clip08.mp4", "clip09.mp4"]
    assert grown.notes == ("Taken in: 2 clips ('clip08.mp4', 'clip09.mp4').",)
    again = open_project(project.folder)
    assert (again.clips, again.notes) == (grown.clips, ())
    assert again.clips[: len(project.clips)] == project.clips
    assert set(new) <= set(answer_all(again)) <= {*new, *before}
    with pytest.raises(RequestError, match="was edited after people had voted"):
        VoteStore(project)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_kill_at_any_step_leaves_the_project_as_it_was_or_with_its_new_clips(tmp_path, monkeypatch, step):
    project = tiny_project(tmp_path)
    votes = answer_all(project)
    write_videos(project.videos, len(project.clips) + 1)

    class Killed(BaseException):
        pass

    def killed_before(number, whole):
        def instead(*given):
            if number == steps[0]:
                raise Killed
            steps[0] -= 1
            return whole(*given)

        return instead

    steps = [step]
    monkeypatch.setattr(VoteStore, "belong_to", killed_before(0, VoteStore.belong_to))
    monkeypatch.setattr(growth, "write_project", killed_before(0, growth.write_project))
    with pytest.raises(Killed):
        add_clips(open_project(project.folder))
    monkeypatch.undo()
    opened = open_project(project.folder)
    assert len(opened.clips) == len(project.clips) + (step == 2)
    with VoteStore(opened) as store:
        assert len(store.votes()) == len(votes)
    if step < 2:
        opened = add_clips(opened)
    assert answer_all(open_project(project.folder)) == [opened.clips[-1].path]
