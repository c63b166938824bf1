"""midas prepare: votes and videos -> a store of aligned clips."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.face_flags import check_person, detection_flags, refuse_detection
from midas_dfer.cli.parsing import Parser, check_least, refuse_typed, tell_notes
from midas_dfer.cli.sources import Annotated, add_source_flags, data_sets, read_source, refuse_foreign_flags
from midas_dfer.commands import shell_command
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress

_MOST_NOTES = 5


def parser(dataset: str | None = None) -> Parser:
    """The flags of the verb, with the defaults of a data set."""
    flags = Parser(
        description="Crop the face of every annotated clip from its video into a store. Run again, it resumes where it "
        "stopped."
    )
    add_source_flags(flags, dataset, verb="prepare")
    flags.add_argument("--out", type=Path, required=True, help="folder of the store")
    flags.add_argument("--size", type=int, default=224, help="side of the stored crops in pixels (default: 224)")
    flags.add_argument(
        "--aggregate",
        type=Literal["dawid_skene", "glad", "mace", "crowdlab"] | None,
        help="soft labels that weight annotators by their estimated reliability (extra crowd); the counts are kept "
        "(default: vote shares)",
    )
    flags.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="for --aggregate crowdlab: a cross-validation, runs, or folders of midas evaluate, with predictions of "
        "these clips by models that were not trained on them",
    )
    flags.add_argument("--jobs", type=int | None, help="number of processes (default: one per core)")
    flags.add_argument("--ray", type=str | None, help="crop faces on a Ray cluster instead: its address, or local")
    flags.add_argument("--retry_failed", action="store_true", help="retry clips that failed before")
    flags.add_argument(
        "--verify", action="store_true", help="read every clip in the store, and crop damaged ones again"
    )
    flags.add_argument("--json", action="store_true", help="print the counts as JSON")
    return flags


def run(request: Namespace) -> None:
    check_least(request, 1, "jobs")
    if request.ray is not None:
        refuse_typed(request, ("jobs",), "--ray takes the cores of a cluster")
    refuse_foreign_flags(request)
    if request.aggregate != "crowdlab":
        refuse_typed(request, ("predictions",), "they are for --aggregate crowdlab")
    if request.folds is None:
        refuse_typed(request, ("disjoint",), "it divides --folds; midas check looks for such values in published parts")
    from midas_dfer.clips.preparing.prepare import prepare
    from midas_dfer.clips.store.clip_store import ClipStore
    from midas_dfer.clips.store.settings import ExtractSettings
    from midas_dfer.manifest.class_counts import classes_text, count_classes
    from midas_dfer.manifest.folds import how_to_get_folds
    from midas_dfer.manifest.vote_counts import count_votes, votes_text
    from midas_dfer.report.tables.store_tables import prepare_table
    from midas_dfer.report.tables.terminal import folded

    detection = detection_flags(request)
    check_person(request)
    ExtractSettings(size=request.size, **detection)  # refuses a size before anything is rendered or read
    data_set = data_sets()[request.dataset]
    if data_set.render:
        asked = data_set.given(vars(request), "render")
        data_set.render(request.root, jobs=request.jobs, progress=console_progress("render", "clip"), **asked)
    source = read_source(request, lambda note: tell_notes(request, [note]))
    if data_set.packed and source.packed:
        unpacking = console_progress("unpack", "picture")
        data_set.packed.unpack(source.packed, request.root, source.videos, progress=unpacking)
    refuse_detection(request, source.faces, source.manifest.table.columns)
    manifest = source.manifest if request.aggregate is None else _aggregated(source.manifest, request)
    source = replace(source, manifest=manifest)
    if source.hint:
        raise RequestError(source.hint)
    manifest = source.manifest
    if source.duplicates == "drop":
        manifest = _without_copies(source, request)
    report = prepare(
        manifest,
        source.videos,
        request.out,
        cut_on=_cut_on(request, source.videos),
        settings=ExtractSettings(faces=source.faces, size=request.size, **detection),
        person=request.person,
        jobs=request.jobs,
        missing=source.missing,
        retry_failed=request.retry_failed,
        verify=request.verify,
        verifying=console_progress("verify", "clip"),
        progress=console_progress("prepare", "clip"),
    )
    kept = ClipStore.open(request.out).manifest if report.usable else manifest
    classes, votes = count_classes(kept), count_votes(kept)
    if request.json:
        cast = None if votes is None else votes.to_dict()
        counts = {**vars(report), "store": str(request.out), "classes": [each.to_dict() for each in classes]}
        print(json_text({**counts, "votes": cast, "no_test": how_to_get_folds(kept)}))
    else:
        print(prepare_table(report))
        print(folded(f"classes: {classes_text(classes)}"))
        if votes is not None:
            print(folded(f"votes: {votes_text(votes)}"))
        if report.faces_in_crops:
            print(folded(report.faces_in_crops))
        for note, count in islice(report.notes.items(), _MOST_NOTES):
            print(folded(f"note: {count:,} {'clip' if count == 1 else 'clips'} whose file {note}"))
        if report.failed:
            print(
                f"failures are listed in {request.out / 'failures.csv'}; the same with --retry_failed tries them again"
            )
        if report.usable:
            describe = shell_command("midas", "describe", request.out)
            if hint := how_to_get_folds(kept):
                print(folded(f"note: nothing can be tested, no clip has a split or a fold. {hint}"))
            print(f"next: {describe}    {shell_command('midas', 'train', '--store', request.out, '--out', 'RUN')}")
    if report.unfinished:
        clips = "1 clip is" if report.unfinished == 1 else f"{report.unfinished} clips are"
        raise JobError(
            f"{clips} not finished: the system ended the processes that were at it, as it does when memory is short. "
            "Run the same command again, with more memory free or with --jobs 1"
        )
    if not report.usable:
        raise JobError(f"not one clip could be used; see {request.out / 'failures.csv'}")


def _cut_on(request: Namespace, videos: Path) -> Any:  # noqa: ANN401 - a RayPool, imported late
    if request.ray is None:
        return None
    from midas_dfer.clips.preparing.ray_pool import RayPool

    return RayPool(request.ray, request.out.absolute(), videos.absolute())


def _aggregated(manifest: Any, request: Namespace) -> Any:  # noqa: ANN401 - Manifests, imported late
    from midas_dfer.manifest.aggregation import aggregate
    from midas_dfer.training.scoring.predictions_file import unseen_predictions

    predicted = None
    if request.aggregate == "crowdlab":
        if not request.predictions:
            raise RequestError("--aggregate crowdlab needs --predictions: those of a cross-validation on these clips")
        predicted = unseen_predictions(request.predictions, manifest.class_names)
    made = aggregate(manifest, request.aggregate, predicted)
    tell_notes(request, made.notes[len(manifest.notes) :])
    return made


def _without_copies(source: Annotated, request: Namespace) -> Any:  # noqa: ANN401 - a Manifest, imported late
    from midas_dfer.clips.preparing.duplicates import drop_from_training, find_duplicates, in_folds_of
    from midas_dfer.manifest.folds import keep_together

    bar = console_progress("compare", "clip")
    groups = find_duplicates(source.manifest, source.videos, jobs=request.jobs, progress=bar)
    manifest = source.manifest
    if request.folds is not None:
        columns = request.disjoint or ("subject",)
        manifest = keep_together(
            manifest, [each.video_ids for each in groups], request.folds, request.folds_seed, columns
        )
        groups = in_folds_of(groups, manifest)
    manifest = drop_from_training(manifest, groups)
    tell_notes(request, manifest.notes[len(source.manifest.notes) :])
    return manifest
