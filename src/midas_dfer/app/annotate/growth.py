"""More clips for a project on which people vote already."""

from dataclasses import replace

from midas_dfer.app.annotate.project import Project, came_later, with_clips, write_project
from midas_dfer.app.annotate.videos import find_clips, listed
from midas_dfer.app.annotate.votes import VoteStore
from midas_dfer.errors import RequestError
from midas_dfer.progress import Progress
from midas_dfer.wording import count


def add_clips(project: Project, progress: Progress | None = None) -> Project:
    """Take in the clips that came into the folder of the videos; all votes stay, and people go on with the new clips.

    A kill at any moment leaves the project either as it was or with the new clips: until project.json is written, the
    votes belong to both.

    Raises:
        RequestError: there is none.
    """
    paths = came_later(project, find_clips(project.videos))
    if not paths:
        raise RequestError(f"there are no new clips in {project.videos}: leave --add_clips out")
    grown = with_clips(project, paths, {}, progress)
    with VoteStore(project) as store:
        store.belong_to(project, grown)
        write_project(grown)
        store.belong_to(grown)
    return replace(grown, notes=(f"Taken in: {count(len(paths), 'clip')} ({listed(paths)}).",))
