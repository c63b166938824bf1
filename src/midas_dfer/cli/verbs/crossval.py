"""midas crossval: a store with folds -> a recipe's scores over all folds and seeds."""

from dataclasses import fields
from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths, say_for
from midas_dfer.cli.settings import add_settings, read_settings, refuse_without_effect
from midas_dfer.cli.trainings import add_training_flags, choose_engine
from midas_dfer.files import json_text
from midas_dfer.training.recipes.config import RunConfig


def parser() -> Parser:
    flags = Parser(
        description="Train and test a recipe for each fold of a store and each seed. The same command resumes where it "
        "stopped. All settings of midas train are flags, except the fold and the seed.",
        print_config=None,
    )
    flags.add_argument("--store", type=Path, required=True, help="folder of a store with folds")
    flags.add_argument("--out", type=Path, required=True, help="folder for the runs and their results")
    add_training_flags(flags)
    flags.add_argument("--json", action="store_true", help="print the results as JSON")
    add_settings(flags, several_runs=True)
    return flags


def settings_of_trainings() -> list[str]:
    """The settings of midas train that are flags of this verb, too."""
    return [setting.name for setting in fields(RunConfig) if setting.name not in ("test_fold", "seed")]


def run(request: Namespace) -> None:
    from midas_dfer.experiments.crossval import cross_validate
    from midas_dfer.experiments.fold_scores import fold_scores
    from midas_dfer.experiments.results import RESULTS_FILE

    engine = choose_engine(request)
    config = read_settings(request)
    refuse_without_effect(request, config)
    check_out(request.out)
    result = cross_validate(
        config,
        request.store,
        request.out,
        folds=request.folds,
        seeds=request.seeds,
        engine=engine,
        say=say_for(request),
    )
    if request.json:
        print(json_text(result.to_dict()))
        return
    print(fold_scores(result))
    print_paths([request.out / RESULTS_FILE])
