"""Clips cut on the machines of a Ray cluster (extra `ray`); what `pool.run_tasks` does on one machine.

Each core of the cluster has an actor, and each actor a process of its own: a file that crashes or hangs its reader is
dealt with there, as on one machine. All machines see the videos and the store under the same paths. They write shards;
this process alone writes which clips lie where.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from midas_dfer.clips.preparing.cutting import ClipTask
from midas_dfer.clips.preparing.pool import Lost, MakeWorker, Worker, run_tasks
from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.errors import JobError
from midas_dfer.ray_cluster import check_address, connected, desk_in, machines_that_see

MOST_TRIES = 3
"""How often a clip is begun whose machine is lost."""

_SERIALS = 1_000_000  # of the processes of one actor: each writes shards of its own
_PACKAGES = ("av", "numpy", "opencv-python-headless")
_END_SECONDS = 60.0

Cut = tuple[ClipTask, Outcome] | Lost[ClipTask]


@dataclass(frozen=True)
class RayPool:
    """Cuts clips on a Ray cluster: a `midas_dfer.clips.preparing.prepare.RunTasks`.

    Attributes:
        address: HOST:PORT of the cluster's head; "auto" for the cluster that this machine is part of; None, "" and
            "local" start a Ray on this machine and end it.
        store: the folder of the store.
        root: the folder of the videos.

    Raises:
        RequestError: Ray is not installed, or the address is not one.
    """

    address: str | None
    store: Path
    root: Path

    def __post_init__(self) -> None:
        check_address(self.address)

    def __call__(
        self, make_worker: MakeWorker[ClipTask, Outcome], tasks: Sequence[ClipTask], jobs: int, stall_seconds: float
    ) -> Iterator[Cut]:
        """Cut clips with at most so many processes; see `pool.run_tasks`.

        Raises:
            RequestError: there is no cluster, or one of its machines does not see the videos or the store, or has other
                versions of what reads them.
            JobError: as `pool.run_tasks`.
        """
        paths = {str(self.root): "the folder of the videos", str(tasks[0].file): "the video"}
        with desk_in(self.store) as desk, connected(self.address) as ray:
            nodes = machines_that_see(ray, desk, paths, _PACKAGES)
            cores = sum(int(node["Resources"]["CPU"]) for node in nodes)
            actor = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(RayCutter)
            start = partial(_start, actor, make_worker, stall_seconds)
            yield from deal(ray, start, tasks, min(jobs, cores))


def _start(actor: Any, make_worker: MakeWorker[ClipTask, Outcome], stall_seconds: float, number: int) -> Any:  # noqa: ANN401 - an optional package
    return actor.remote(make_worker, number * _SERIALS, stall_seconds)


class RayCutter:
    """On another machine: cuts clip after clip in a process of its own, which is replaced when one kills it."""

    def __init__(self, make_worker: MakeWorker[ClipTask, Outcome], serials: int, stall_seconds: float) -> None:
        self.make_worker, self.serials, self.stall_seconds = make_worker, serials, stall_seconds
        self._waiting: list[ClipTask] = []
        self._outcomes = self._begin()

    def cut(self, task: ClipTask) -> Cut | str:
        """Cut a clip; gives the reason where none can be cut."""
        self._waiting.append(task)
        try:
            outcome = next(self._outcomes, None)
            if outcome is None:  # the process died of the clip before, which ended its pool
                self._outcomes = self._begin()
                outcome = next(self._outcomes)
        except JobError as error:
            return str(error)
        return outcome

    def close(self) -> None:
        """End the shard."""
        for _ in self._outcomes:
            pass

    def _begin(self) -> Iterator[Cut]:
        first, self.serials = self.serials, self.serials + 100  # a pool needs a few: one more for each clip that kills
        return run_tasks(partial(_numbered, self.make_worker, first), self._tasks(), 1, self.stall_seconds)

    def _tasks(self) -> Iterator[ClipTask]:
        while self._waiting:
            yield self._waiting.pop()


def _numbered(
    make_worker: MakeWorker[ClipTask, Outcome], first: int, serial: int, beat: Callable[[], None]
) -> Worker[ClipTask, Outcome]:
    return make_worker(first + serial, beat)


def deal(
    ray: Any,  # noqa: ANN401 - an optional package
    start: Callable[[int], Any],
    tasks: Sequence[ClipTask],
    count: int,
) -> Iterator[Cut]:
    """Give tasks to so many actors, each a new one when it is done; gives results as they come.

    A task whose actor is lost, with its machine or without, is begun again by another actor, a few times.

    Args:
        ray: the connected package.
        start: starts the actor of a number that no other has.
        tasks: what is to be done.
        count: how many at a time.
    """
    waiting = deque((task, 1) for task in tasks)
    alive: list[Any] = []
    promised: dict[Any, tuple[Any, ClipTask, int]] = {}  # what actors are at: the actor, the task, and which try it is

    def give(actor: Any) -> None:  # noqa: ANN401
        if waiting:
            task, tries = waiting.popleft()
            promised[actor.cut.remote(task)] = (actor, task, tries)

    try:
        for number in range(min(count, len(waiting))):
            alive.append(start(number))
            give(alive[-1])
        started = len(alive)
        while promised:
            (promise,), _ = ray.wait(list(promised), num_returns=1)
            actor, task, tries = promised.pop(promise)
            try:
                outcome = ray.get(promise)
            except ray.exceptions.RayActorError as error:
                alive.remove(actor)
                if tries < MOST_TRIES:
                    waiting.append((task, tries + 1))
                else:
                    why = f"its worker on the cluster was lost {tries} times ({type(error).__name__})"
                    yield Lost(task, why, from_outside=True)
                if waiting:
                    actor = start(started)
                    started += 1
                    alive.append(actor)
            else:
                if isinstance(outcome, str):
                    raise JobError(outcome)
                yield outcome
            give(actor)
        ray.get([actor.close.remote() for actor in alive], timeout=_END_SECONDS)
    finally:
        for actor in alive:
            ray.kill(actor)
