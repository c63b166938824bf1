"""midas crossval: a store with folds -> a recipe's scores over all folds and seeds."""

import json
from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_jobs, check_out, print_paths, say_for
from midas_dfer.cli.settings import add_settings, check_numbers, read_settings
from midas_dfer.errors import RequestError


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(
        description="Train and test a recipe once for each fold of a store, and once more for each seed. The same "
        "command goes on where it stopped. All settings of midas train are flags, but for the fold and the seed.",
        print_config=None,
    )
    flags.add_argument("--store", type=Path, required=True, help="folder of the store, which has folds")
    flags.add_argument("--out", type=Path, required=True, help="folder of the runs and their results")
    flags.add_argument("--folds", type=int, nargs="+", default=None, help="which folds to test on (default: all)")
    flags.add_argument("--seeds", type=int, nargs="+", default=[0], help="of all that is drawn (default: 0)")
    flags.add_argument("--jobs", type=int, default=1, help="trainings at a time on this machine (default: 1)")
    flags.add_argument(
        "--ray", type=str | None, default=None, help="address of a Ray cluster to train on instead, or local"
    )
    flags.add_argument("--json", action="store_true", help="print the results as JSON")
    add_settings(flags, several_runs=True)
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    from midas_dfer.experiments.crossval import cross_validate
    from midas_dfer.experiments.engines import Engine, LocalEngine
    from midas_dfer.experiments.results import RESULTS_FILE
    from midas_dfer.experiments.score_table import score_table

    check_jobs(request.jobs)
    check_numbers("folds", request.folds)
    check_numbers("seeds", request.seeds)
    check_out(request.out)
    engine: Engine = LocalEngine(request.jobs)
    if request.ray is not None:
        if request.jobs != 1:
            raise RequestError("--jobs is of this machine, --ray of a cluster; leave out one of them")
        from midas_dfer.experiments.ray_engine import RayEngine

        engine = RayEngine(None if request.ray == "local" else request.ray)
    result = cross_validate(
        read_settings(request),
        request.store,
        request.out,
        folds=request.folds,
        seeds=request.seeds,
        engine=engine,
        say=say_for(request),
    )
    if request.json:
        print(json.dumps(result.to_dict()))
        return
    print(score_table(result))
    print_paths([request.out / RESULTS_FILE])
