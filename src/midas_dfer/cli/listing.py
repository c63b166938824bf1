"""midas list: the models, datasets and mixers there are."""

import json
from typing import Literal

from jsonargparse import Namespace

from midas_dfer.cli.catalogue import DATASETS, MIXERS
from midas_dfer.cli.parsing import Parser


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(description="Name what there is.")
    flags.add_argument("what", type=Literal["models", "datasets", "mixers"], help="of what")
    flags.add_argument("--json", action="store_true", help="print the names as JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
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
