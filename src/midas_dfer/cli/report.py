"""midas report: runs and other trained models side by side, as a page and as tables for a paper."""

from pathlib import Path
from textwrap import fill

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(description="Show runs side by side: scores, differences and whether they are any, clips, recipes.")
    flags.add_argument(
        "runs",
        type=Path,
        nargs="+",
        help="run folders, exported folders, folders of midas evaluate --out; or that of one experiment",
    )
    flags.add_argument("--out", type=Path, default=Path("report"), help="folder for all of it (default: report)")
    flags.add_argument(
        "--baseline",
        type=Path | None,
        default=None,
        help="the run that others (or whose method others) are compared with (default: the first)",
    )
    flags.add_argument(
        "--apart", action="store_true", help="every run for itself, also those that differ only in seed and fold"
    )
    flags.add_argument("--json", action="store_true", help="print the scores as JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    from midas_dfer.experiments.report_data import experiment_report, is_experiment
    from midas_dfer.report.result_tables import WIDTH, terminal_table
    from midas_dfer.report.run_differences import difference_table
    from midas_dfer.report.run_page import runs_report, write_report

    check_out(request.out)
    experiments = [path for path in request.runs if is_experiment(path)]
    if experiments and (len(request.runs) > 1 or request.baseline is not None or request.apart):
        raise RequestError(
            f"{experiments[0]} is an experiment; name it alone, without --baseline and --apart, or name runs"
        )
    if experiments:
        report = experiment_report(experiments[0])
    else:
        report = runs_report(request.runs, request.baseline, apart=request.apart)
    paths = write_report(report, request.out)
    if request.json:
        print(json_text({**report.to_dict(), "files": [str(path) for path in paths]}))
        return
    differences = difference_table(report.differences)
    tables = [*report.tables, *([] if differences is None else [differences])]
    print("\n\n".join([*(terminal_table(table) for table in tables), *(fill(note, WIDTH) for note in report.notes)]))
    print_paths(paths)
