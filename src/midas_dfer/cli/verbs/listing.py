"""midas list: the available models, datasets, mixers, losses, learners, recipes and packaged readers."""

from dataclasses import asdict
from textwrap import fill
from typing import Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, tell_of_plug_in
from midas_dfer.cli.sources import data_sets
from midas_dfer.files import json_text
from midas_dfer.losses import LOSSES
from midas_dfer.mixing import MIXERS
from midas_dfer.readers import READERS
from midas_dfer.registry import Registry
from midas_dfer.training.learners import LEARNERS, PLAIN


def parser() -> Parser:
    flags = Parser(description="List what is available.")
    flags.add_argument(
        "what",
        type=Literal["models", "datasets", "mixers", "losses", "learners", "recipes", "readers"],
        metavar="WHAT",
        help="models, datasets, mixers, losses, learners, recipes or readers",
    )
    flags.add_argument(
        "--json", action="store_true", help="print as JSON; for datasets, mixers, losses and learners, only the names"
    )
    return flags


def run(request: Namespace) -> None:
    if request.what == "recipes":
        _list_recipes(request.json)
    elif request.what == "readers":
        _list_readers(request.json)
    elif request.what == "models":
        _list_models(request.json)
    else:
        lines = _lines(request.what)
        if request.json:
            print(json_text(list(lines)))
            return
        width = max(map(len, lines))
        for name, text in lines.items():
            print(f"{name:<{width}}  {text}".rstrip())


def _lines(what: str) -> dict[str, str]:
    """What a row says of itself, and which distribution brings it, if another does."""
    others: dict[str, Registry[Any]] = {"mixers": MIXERS, "losses": LOSSES, "learners": LEARNERS}
    registry = data_sets() if what == "datasets" else others[what]
    lines = {name: f"{row.line}{_brought_by(registry, name)}" for name, row in registry.usable(tell_of_plug_in).items()}
    if what == "mixers":
        lines["none"] = "clips as they are, labels as they are"
    return {PLAIN: "the loss of logits and targets, nothing else", **lines} if what == "learners" else lines


def _brought_by(registry: Registry[Any], name: str) -> str:
    found = registry.distribution(name)
    return f" ({found})" if found else ""


def _list_models(as_json: bool) -> None:
    """A table: what each costs on clips of its publication's length and size."""
    from midas_dfer.models.cost import Cost, model_cost
    from midas_dfer.models.zoo import MODELS

    rows, costs = MODELS.usable(tell_of_plug_in), {}
    for name in sorted(rows):
        try:
            costs[name] = model_cost(name) if (known := rows[name].cost) is None else Cost(*known)
        except Exception as error:
            if not MODELS.distribution(name):
                raise
            tell_of_plug_in(f"the model {name}{_brought_by(MODELS, name)} cannot be built ({error})")
    if as_json:
        fields = [
            {"name": name, "num_frames": (row := rows[name]).num_frames, "size": row.size, "source": row.source}
            | asdict(cost)
            for name, cost in costs.items()
        ]
        print(json_text(fields))
        return
    width = max(map(len, costs))
    print(f"{'':<{width}} param.  GFLOP    clip  source")
    for name, cost in costs.items():
        clip = f"{rows[name].num_frames}x{rows[name].size}"
        parameters, gflop = f"{cost.parameters / 1e6:.1f}M", f"{cost.multiply_adds / 1e9:.1f}"
        print(f"{name:<{width}} {parameters:>6} {gflop:>6} {clip:>7}  {rows[name].source}{_brought_by(MODELS, name)}")
    print(f"{'timm/TRUNK':<{width}} a trunk of the package timm, such as timm/resnet50, with temporal shift")
    print("GFLOP: thousand million multiply-adds of one clip; clip: frames x side in pixels")


def _list_recipes(as_json: bool) -> None:
    """A recipe on two lines: what it is, and where it comes from."""
    from midas_dfer.training.recipes import list_recipes, recipe

    recipes = [recipe(name) for name in list_recipes()]
    if as_json:
        print(json_text([{**asdict(each), "path": str(each.path)} for each in recipes]))
        return
    width = max(len(each.name) for each in recipes)
    for each in recipes:
        print(f"{each.name:<{width}}  {each.about}\n{'':<{width}}  {each.source}")


def _list_readers(as_json: bool) -> None:
    """A reader on a few lines: what it is, its classes, where it comes from, and how large it is."""
    from midas_dfer.sharing.exported import weights_path
    from midas_dfer.sharing.trained import packaged_reader

    found: list[dict[str, Any]] = [
        {
            "name": reader.name,
            "about": reader.about,
            "limits": reader.limits,
            "class_names": list((info := packaged_reader(reader).info).class_names),
            "model": info.model,
            "source": reader.source,
            "license": info.license,
            "bytes": weights_path(reader.folder).stat().st_size,
            "path": str(reader.folder),
        }
        for reader in READERS.values()
    ]
    if as_json:
        print(json_text(found))
        return
    width = max(map(len, READERS))
    for each in found:
        license_name = f"weights {each['license']}" if each["license"] else "licence of the weights not stated"
        lines = [
            each["about"],
            f"{', '.join(each['class_names'])}",
            f"{each['model']}, {each['bytes'] / 1e6:.1f} MB; {license_name}",
            f"data: {each['source']}",
            each["limits"],
        ]
        indent = " " * (width + 2)
        text = "\n".join(fill(line, 79, initial_indent=indent, subsequent_indent=f"{indent}  ") for line in lines)
        print(f"{each['name']:<{width}}{text[width:]}")
