"""midas check: is a data set whole and readable, and do its parts leak."""

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_jobs, refuse_typed
from midas_dfer.cli.sources import add_source_flags, known_broken, pixel_table, read_source, refuse_foreign_flags
from midas_dfer.errors import JobError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(
        description="Check a data set before a long job: files, unreadable clips, the same pixels or people in "
        "training and test, odd votes. Nothing is written. Leaves with 1 if something is wrong; what is only worth "
        "knowing is a note."
    )
    add_source_flags(flags)
    flags.add_argument("--sample", type=int, default=200, help="clips to read, spread over all (default: 200)")
    flags.add_argument("--all", action="store_true", help="read every clip")
    flags.add_argument("--skip_duplicates", action="store_true", help="do not compare the clips' pixels")
    flags.add_argument("--jobs", type=int | None, default=None, help="processes; all cores by default")
    flags.add_argument("--json", action="store_true", help="print the findings as JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    check_jobs(request.jobs)
    refuse_foreign_flags(request)
    if request.all:
        refuse_typed(request, ("sample",), "--all reads every clip")
    if request.skip_duplicates:
        refuse_typed(request, ("duplicates",), "with --skip_duplicates no pixels are compared")
    from midas_dfer.clips.checking.check import CheckSettings, check
    from midas_dfer.report.check_table import check_table

    CheckSettings(sample=request.sample)  # refuses a sample before anything is read
    source = read_source(request, lambda _: None)  # its notes are among the findings
    pixels = pixel_table(request, source)
    report = check(
        source.manifest,
        source.videos,
        CheckSettings(
            sample=None if request.all else request.sample,
            duplicates=not request.skip_duplicates,
            dropped=source.duplicates == "drop",
            folds_made=request.folds is not None,
            missing="error" if source.missing == "fail" else "note",
            hint=f"The pictures are still in {pixels}: midas prepare writes them; check again then." if pixels else "",
            cropped=source.faces == "cropped",
            known_broken=known_broken(request.dataset),
        ),
        jobs=request.jobs,
        reading=console_progress("read", "clip"),
        comparing=console_progress("compare", "clip"),
    )
    print(json_text(report.to_dict()) if request.json else check_table(report))
    if report.errors:
        wrong = "1 thing is" if len(report.errors) == 1 else f"{len(report.errors)} things are"
        raise JobError(f"{wrong} wrong with {request.root}; see the list")
