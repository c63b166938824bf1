"""midas train: a store -> a trained run, or go on with one."""

import sys
from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, print_paths, refuse_typed, refuse_unused, say_for
from midas_dfer.cli.settings import add_settings, read_settings, refuse_without_effect
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(
        description="Train on the training part of a store. Every setting of the recipe is a flag. --recipe takes "
        "those of a publication, --config those of a file, such as the config.yaml of another run; what is typed "
        "behind them goes before them.",
        print_config=None,  # jsonargparse's own would print --store and --out too, which are no settings of a recipe
    )
    flags.add_argument("--store", type=Path | None, default=None, help="folder of the store")
    flags.add_argument("--out", type=Path | None, default=None, help="the run folder, not there yet")
    flags.add_argument("--resume", type=Path | None, default=None, help="go on with this run folder")
    flags.add_argument("--print_config", action="store_true", help="print all settings as a file for --config, and end")
    flags.add_argument("--json", action="store_true", help="end with a line of JSON")
    add_settings(flags)
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    if request.print_config:
        refuse_typed(request, ("store", "out", "resume", "json"), "--print_config only prints the settings")
        config = read_settings(request)
        refuse_without_effect(request, config)
        print(config.to_yaml(), end="")
        return
    if request.resume is not None:
        refuse_unused(
            request, ("resume", "store", "json"), "--resume goes on with the recipe of the run, in its folder"
        )
    from midas_dfer.report.training_curves import draw_training
    from midas_dfer.training.parts import watched_part
    from midas_dfer.training.runs import METRICS_FILE, Run
    from midas_dfer.training.train import resume, train

    bar = sys.stderr.isatty() and not request.json
    say = say_for(request)
    if request.resume is not None:
        ended = Run.open(request.resume).finished
        run = resume(request.resume, request.store, bar=bar, say=say)
        if ended:
            say(f"the run {request.resume} has ended already; its weights are there")
    else:
        if request.store is None or request.out is None:
            raise RequestError("name the store and the run folder: midas train --store STORE --out RUN")
        config = read_settings(request)
        refuse_without_effect(request, config)
        run = train(config, request.store, request.out, bar=bar, say=say)
    made = run.provenance
    curves = run.path / "logs" / "training.png"
    draw_training(run.path / METRICS_FILE, curves, watched=watched_part(run.config))
    if request.json:
        print(json_text({"run": str(run.path), "epochs": made.epochs_done, "kept": made.kept}))
        return
    print(f"trained on {made.num_train} clips: {made.partition}")
    print(f"weights kept: {made.kept}")
    print_paths([run.path / "weights.safetensors", curves])
    store = Path(made.store) if request.store is None else request.store
    print(f"next: {shell_command('midas', 'evaluate', run.path, '--store', store)}")
