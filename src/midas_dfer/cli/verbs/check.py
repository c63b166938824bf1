"""midas check: is a data set whole and readable, and do its parts leak; or: is a store what was written."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.face_flags import check_person, detection_flags, refuse_detection
from midas_dfer.cli.parsing import Parser, check_least, refuse_typed, refuse_unused
from midas_dfer.cli.sources import add_source_flags, data_sets, read_source, refuse_foreign_flags
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress

if TYPE_CHECKING:
    from midas_dfer.clips.checking.finding import Finding


def parser(dataset: str | None = None) -> Parser:
    """The flags of the verb, with the defaults of a data set."""
    flags = Parser(
        description="Check a data set before a long job: missing files, unreadable clips, clips without a face or with "
        "several people, the same pixels or people in training and test, votes, ties, missing folds. Given only a "
        "store, read every frame in it and list the clips that are not what was written. Writes nothing. Exits with 1 "
        "if it finds an error; anything less is a note."
    )
    add_source_flags(flags, dataset, verb="check")
    flags.add_argument(
        "--sample", type=int, default=200, help="clips to read and detect faces in, spread over all (default: 200)"
    )
    flags.add_argument("--all", action="store_true", help="read every clip")
    flags.add_argument("--skip_duplicates", action="store_true", help="do not look for clips with identical pixels")
    flags.add_argument("--jobs", type=int | None, help="number of processes (default: one per core)")
    flags.add_argument("--json", action="store_true", help="print the findings as JSON")
    return flags


def run(request: Namespace) -> None:
    check_least(request, 1, "jobs")
    if request.root is None:
        _check_store(request)
        return
    if request.dataset not in data_sets():
        raise RequestError(f"there is no data set {request.dataset!r}; expected one of {', '.join(data_sets())}")
    refuse_foreign_flags(request)
    if request.all:
        refuse_typed(request, ("sample",), "--all reads every clip")
    if request.skip_duplicates:
        refuse_typed(request, ("duplicates",), "with --skip_duplicates no pixels are compared")
    from midas_dfer.clips.checking.check import CheckSettings, check
    from midas_dfer.clips.store.settings import ExtractSettings
    from midas_dfer.report.tables.check_table import check_table

    CheckSettings(sample=request.sample)  # refuses a sample before anything is read
    detection = detection_flags(request)
    check_person(request)
    source = read_source(request, lambda _: None)  # its notes are among the findings
    refuse_detection(request, source.faces, source.manifest.table.columns)
    report = check(
        source.manifest,
        source.videos,
        CheckSettings(
            sample=None if request.all else request.sample,
            duplicates=not request.skip_duplicates,
            dropped=source.duplicates == "drop",
            folds_made=request.folds is not None,
            missing="error" if source.missing == "fail" else "note",
            hint=f"The pictures are still in {source.packed}: midas prepare writes them; check again then."
            if source.packed
            else source.hint,
            cut=ExtractSettings(faces=source.faces, **detection),
            person=request.person,
            known_broken=data_sets()[request.dataset].known_broken,
            disjoint=tuple(request.disjoint or ()),
        ),
        jobs=request.jobs,
        reading=console_progress("read", "clip"),
        comparing=console_progress("compare", "clip"),
    )
    print(json_text(report.to_dict()) if request.json else check_table(report))
    _leave_if_wrong(report.errors, request.root)


def _check_store(request: Namespace) -> None:
    path = Path(request.dataset)
    if request.dataset in data_sets() and not path.exists():
        raise RequestError(f"where is {request.dataset}? Name its folder too: midas check {request.dataset} ROOT")
    refuse_unused(request, ("jobs", "json"), "a store is always read whole, and needs no flags of data sets")
    from midas_dfer.clips.checking.store import check_store
    from midas_dfer.clips.store.clip_store import ClipStore
    from midas_dfer.report.tables.check_table import store_check_table

    report = check_store(ClipStore.open(path), jobs=request.jobs, progress=console_progress("read", "clip"))
    print(json_text(report.to_dict()) if request.json else store_check_table(report))
    _leave_if_wrong(report.errors, path)


def _leave_if_wrong(errors: "Sequence[Finding]", place: Path) -> None:
    if errors:
        wrong = "1 thing is" if len(errors) == 1 else f"{len(errors)} things are"
        told = "; ".join(f"{each.what}: {each.count:,}" if each.count else each.what for each in errors)
        raise JobError(f"{wrong} wrong with {place}: {told}")
