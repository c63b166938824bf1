"""midas list: the models, datasets, mixers and recipes there are."""

import json
from dataclasses import asdict
from typing import Literal

from jsonargparse import Namespace

from midas_dfer.cli.catalogue import DATASETS, MIXERS
from midas_dfer.cli.parsing import Parser


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(description="Name what there is.")
    flags.add_argument("what", type=Literal["models", "datasets", "mixers", "recipes"], help="of what")
    flags.add_argument("--json", action="store_true", help="print the names as JSON; of recipes, all that is shown")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    if request.what == "recipes":
        _list_recipes(request.json)
        return
    if request.what == "models":
        from midas_dfer.models.zoo import list_models

        entries = dict.fromkeys(list_models(), "")
    else:
        entries = DATASETS if request.what == "datasets" else MIXERS
    if request.json:
        print(json.dumps(list(entries)))
        return
    width = max(map(len, entries))
    for name, text in entries.items():
        print(f"{name:<{width}}  {text}".rstrip())


def _list_recipes(as_json: bool) -> None:
    """A recipe on two lines: what it is, and where it comes from."""
    from midas_dfer.training.recipes import list_recipes, recipe

    recipes = [recipe(name) for name in list_recipes()]
    if as_json:
        print(json.dumps([{**asdict(each), "path": str(each.path)} for each in recipes]))
        return
    width = max(len(each.name) for each in recipes)
    for each in recipes:
        print(f"{each.name:<{width}}  {each.about}\n{'':<{width}}  {each.source}")
