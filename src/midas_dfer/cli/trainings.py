"""Flags of the verbs that train many times: over which folds and seeds, and on which machines."""

from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_least
from midas_dfer.errors import RequestError

if TYPE_CHECKING:
    from midas_dfer.experiments.engines import Engine


def add_training_flags(flags: Parser) -> None:
    """Add --folds, --seeds, --jobs and --ray."""
    flags.add_argument("--folds", type=int, nargs="+", help="folds to test on (default: all)")
    flags.add_argument("--seeds", type=int, nargs="+", default=[0], help="random seeds (default: 0)")
    flags.add_argument("--jobs", type=int, default=1, help="number of parallel trainings on this machine (default: 1)")
    flags.add_argument("--ray", type=str | None, help="train on a Ray cluster instead: its address, or local")


def choose_engine(request: Namespace) -> "Engine":
    """The engine that --jobs or --ray asks for; all four flags are checked first."""
    check_least(request, 1, "jobs")
    check_least(request, 0, "folds", "seeds")
    if request.ray is None:
        from midas_dfer.experiments.engines import LocalEngine

        return LocalEngine(request.jobs)
    if "jobs" in request.typed:
        raise RequestError("--jobs is of this machine, --ray of a cluster; leave out one of them")
    from midas_dfer.experiments.ray_engine import RayEngine

    return RayEngine(None if request.ray == "local" else request.ray)
