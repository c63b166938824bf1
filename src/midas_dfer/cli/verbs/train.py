"""midas train: a store -> a trained run, or resume one."""

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, print_paths, refuse_in_store, refuse_typed, say_for
from midas_dfer.cli.settings import add_settings, read_settings, refuse_without_effect
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text
from midas_dfer.training.recipes.config import RunConfig

if TYPE_CHECKING:
    from midas_dfer.training.run_folder.runs import Run


def parser() -> Parser:
    flags = Parser(
        description="Train on the training set of a store. Every setting of the recipe is a flag. --recipe takes the "
        "settings of a publication, --config those of a file, such as the config.yaml of another run; flags for "
        "single settings override both, wherever they stand.",
        print_config=None,  # jsonargparse's own would print --store and --out too, which are no settings of a recipe
    )
    flags.add_argument("--store", type=Path | None, help="folder of the store")
    flags.add_argument("--out", type=Path | None, help="folder for the new run")
    flags.add_argument("--resume", type=Path | None, help="resume the training in this run folder")
    flags.add_argument(
        "--init",
        type=Path | None,
        help="start from the weights of this finished run, with new settings; model, width and size are the run's",
    )
    flags.add_argument("--print_config", action="store_true", help="print all settings as a --config file, and exit")
    flags.add_argument("--json", action="store_true", help="print a line of JSON at the end")
    add_settings(flags)
    return flags


def run(request: Namespace) -> None:
    if request.print_config:
        refuse_typed(request, ("store", "out", "resume", "init", "json"), "--print_config only prints the settings")
        config = read_settings(request)
        refuse_without_effect(request, config)
        print(config.to_yaml(), end="")
        return
    if request.resume is not None:
        refuse_typed(request, ("out",), "--resume goes on in the run's own folder")
        if request.init is not None:
            raise RequestError(
                "--resume goes on with a run as it is, --init begins a new one from it; leave out one of them"
            )
    from midas_dfer.report.pictures.training_curves import draw_training
    from midas_dfer.training.parts import watched_part
    from midas_dfer.training.processes.world import World
    from midas_dfer.training.run_folder.runs import METRICS_FILE, Run
    from midas_dfer.training.train import resume, train

    bar = sys.stderr.isatty() and not request.json
    say = say_for(request)
    if request.resume is not None:
        begun = Run.open(request.resume)
        _refuse_other_settings(request, begun)
        ended = begun.finished
        devices = request.devices if "devices" in request.typed else None
        run = resume(request.resume, request.store, devices=devices, bar=bar, say=say)
        if ended:
            run.load_model()  # refuses weights that are gone or damaged
            train_on = shell_command("midas", "train", "--init", run.path, "--store", "STORE", "--out", "NEW")
            say(f"the run {request.resume} has ended already; its weights are there. To train on from it: {train_on}")
    else:
        if request.store is None or request.out is None:
            raise RequestError("name the store and the run folder: midas train --store STORE --out RUN")
        refuse_in_store(request.out)
        config = _settings(request, say)
        refuse_without_effect(request, config)
        run = train(config, request.store, request.out, init=request.init, bar=bar, say=say)
    if not World.here().is_first:
        return
    made = run.provenance
    curves = run.path / "logs" / "training.png"
    draw_training(run.path / METRICS_FILE, curves, watched=watched_part(run.config))
    if request.json:
        print(json_text({"run": str(run.path), "epochs": made.epochs_done, "kept": made.kept}))
        return
    print(f"weights kept: {made.kept}")
    print_paths([run.path / "weights.safetensors", curves])
    store = Path(made.store) if request.store is None else request.store
    print(f"next: {shell_command('midas', 'evaluate', run.path, '--store', store)}")


def _settings(request: Namespace, say: Callable[[str], None]) -> RunConfig:
    """The settings as they were typed; of the network, those of the run that --init names."""
    if request.init is None:
        return read_settings(request)
    from midas_dfer.training.run_folder.origin import OF_THE_NETWORK, open_run

    refuse_typed(request, ("weights",), "--init says what the training begins from")
    origin = open_run(request.init)
    for name in OF_THE_NETWORK:
        if request[name] is None:
            request[name] = getattr(origin.config, name)
    if request.weights is not None:  # of a recipe, or of the file of --config
        say(f"note: the setting weights ({request.weights}) gives way to --init")
        request.weights = None
    return read_settings(request)


def _refuse_other_settings(request: Namespace, run: "Run") -> None:
    """Refuse settings beside --resume that are not the run's."""
    from midas_dfer.training.run_folder.identity import MACHINE_SETTINGS

    names = [each.name for each in fields(RunConfig) if each.name != "devices"]  # others may go on with it
    typed = {name: request[name] for name in names if name in request.typed}
    whole = request.typed & {"config", "recipe"}
    if not (typed or whole):
        return
    wanted = (read_settings(request) if whole else replace(run.config, **typed)).to_dict()
    there = run.config.to_dict()
    if whole and run.provenance.num_votes_found and wanted["num_votes"] is None:
        del wanted["num_votes"]
    differing = [
        f"--{name} is {wanted[name]}, there it is {there[name]}"
        for name in names
        if name in wanted and wanted[name] != there[name] and (name in typed or name not in MACHINE_SETTINGS)
    ]
    if differing:
        train_on = shell_command("midas", "train", "--init", run.path, "--store", "STORE", "--out", "NEW")
        cure = f"a finished run is trained on with: {train_on}" if run.finished else "leave that out, or train again"
        raise RequestError(f"--resume goes on with the recipe of {run.path}: {'; '.join(differing)}; {cure}")
