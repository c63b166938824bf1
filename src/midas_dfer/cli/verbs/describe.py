"""midas describe: what is in a store, as a table, pictures and a page."""

from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths, refuse_typed
from midas_dfer.commands import shell_command
from midas_dfer.files import json_text


def parser() -> Parser:
    flags = Parser(description="Describe a store: clips, classes, votes, ambiguity, failures.")
    flags.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    flags.add_argument("--out", type=Path | None, help="folder for plots and a page (default: STORE/description)")
    flags.add_argument("--json", action="store_true", help="print the description as JSON; write no plots and no page")
    return flags


def run(request: Namespace) -> None:
    if request.json:
        refuse_typed(request, ("out",), "with --json nothing is written")
    from midas_dfer.clips.description.description import describe
    from midas_dfer.clips.store.clip_store import ClipStore
    from midas_dfer.report.tables.store_tables import description_table

    pictures = request.out or request.store / "description"
    store = ClipStore.open(request.store)
    if not request.json:
        check_out(pictures, in_store=request.out is None)
    description = describe(store)
    if request.json:
        print(json_text(description.to_dict()))
        return
    print(description_table(description))
    from midas_dfer.report.pages.description_page import write_description_page
    from midas_dfer.report.pictures.description_figures import draw_description

    drawn = draw_description(store, description, pictures)
    print_paths([*drawn, write_description_page(store, description, pictures)])
    print(f"next: {shell_command('midas', 'train', '--store', request.store, '--out', 'RUN')}")
