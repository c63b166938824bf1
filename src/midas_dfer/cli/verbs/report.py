"""midas report: compare runs and other trained models, as a page and as tables for a paper."""

from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths
from midas_dfer.files import json_text


def parser() -> Parser:
    flags = Parser(description="Compare runs: scores, differences and their significance, clips, recipes.")
    flags.add_argument(
        "runs",
        metavar="RUN",
        type=Path,
        nargs="+",
        help="any mix of run folders, exported folders, and output folders of midas evaluate, crossval and reproduce; "
        "a single experiment is shown with its own table",
    )
    flags.add_argument("--out", type=Path, default=Path("report"), help="output folder (default: report)")
    flags.add_argument(
        "--baseline", type=Path | None, help="run or experiment to compare the others with (default: the first)"
    )
    flags.add_argument("--apart", action="store_true", help="do not group runs that differ only in seed and fold")
    flags.add_argument("--json", action="store_true", help="print the scores as JSON")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.report.pages.run_page import write_report
    from midas_dfer.report.tables.difference_table import difference_table
    from midas_dfer.report.tables.terminal import folded, terminal_table
    from midas_dfer.reproduce.experiment_report import report_of

    check_out(request.out, writes=("report.html", "tables.md", "tables.tex"))
    report = report_of(request.runs, request.baseline, apart=request.apart)
    paths = write_report(report, request.out)
    if request.json:
        print(json_text({**report.to_dict(), "files": [str(path) for path in paths]}))
        return
    differences = difference_table(report.differences)
    tables = [*report.tables, *([] if differences is None else [differences])]
    print("\n\n".join([*(terminal_table(table) for table in tables), *map(folded, report.notes)]))
    print_paths(paths)
