"""The flags with which `midas prepare` and `midas check` read a data set, so that both read the same clips."""

import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import Namespace

from midas_dfer.cli.face_flags import add_detection_flags
from midas_dfer.cli.help import Page, give_page, hide
from midas_dfer.cli.parsing import Parser, refuse_typed, tell_of_plug_in
from midas_dfer.errors import RequestError
from midas_dfer.wording import joined

if TYPE_CHECKING:
    from midas_dfer.datasets.data_set import DataSet, Duplicates, FaceSource, Flag, Missing
    from midas_dfer.manifest.manifest import Manifest
    from midas_dfer.registry import Registry

_LARGE_FILE, _MANY_CLIPS = 5_000_000, 50_000
"""Bytes and clips from which on reading takes long enough to say so."""


@cache
def data_sets() -> "Registry[DataSet]":
    """All data sets by name, imported late; the synthetic one lies on a higher floor than the readers of the others."""
    from midas_dfer.datasets.registry import DATASETS
    from midas_dfer.synthetic.data_set import DATA_SET

    DATASETS.add("synthetic", DATA_SET)
    return DATASETS


@dataclass(frozen=True)
class Annotated:
    """A data set as a verb needs it.

    Attributes:
        manifest: its annotations.
        videos: the folder to which their paths are relative.
        faces: find faces, or take pictures for face crops.
        missing: what a clip without a file is.
        duplicates: what training clips are that are validated or tested on as well; drop also keeps copies in one of
            the folds that are made.
        hint: why none of the clips has a file, where it is known, and what to do; else "".
        packed: the file that still holds the pictures, if not all are written as files yet.
    """

    manifest: "Manifest"
    videos: Path
    faces: "FaceSource"
    missing: "Missing"
    duplicates: "Duplicates"
    hint: str = ""
    packed: Path | None = None


def add_source_flags(flags: Parser, dataset: str | None, *, verb: Literal["check", "prepare"]) -> None:
    """Add the data set, its folder, and the flags that say how to read it."""
    root = "folder of the data set, or the file of votes"
    if verb == "check":
        flags.add_argument(
            "dataset", type=str, metavar="DATASET|STORE", help="data set whose annotations to read, or a store"
        )
        flags.add_argument("root", type=Path | None, nargs="?", metavar="ROOT", help=root)
    else:
        known: Any = Literal[tuple(data_sets())]
        flags.add_argument("dataset", type=known, metavar="DATASET", help="data set to read")
        flags.add_argument("root", type=Path, metavar="ROOT", help=root)
    for flag in _own_flags(dataset, rendering=verb == "prepare").values():
        kind: dict[str, Any] = {"action": "store_true"} if flag.kind is bool else {"type": flag.kind}
        if flag.metavar:
            kind["metavar"] = flag.metavar
        flags.add_argument(f"--{flag.name}", default=flag.default, help=flag.help, **kind)
    flags.add_argument("--folds", type=int | None, help="create this many folds, by subject, for data without folds")
    flags.add_argument("--folds_seed", type=int, default=0, help="random seed of --folds (default: 0)")
    keeps = "--folds puts clips that share a value of one of them into one fold"
    reports = ", and values in two parts, published or made, are errors" if verb == "check" else ""
    flags.add_argument(
        "--disjoint",
        type=str,
        nargs="+",
        metavar="COLUMN",
        help=f"columns such as film, source or subject: {keeps}{reports} (default: subject)",
    )
    defaults = _defaults(data_sets().own if dataset is None else {dataset: data_sets()[dataset]})
    flags.add_argument(
        "--faces",
        type=Literal["detect", "cropped"] | None,
        help=f"detect and align faces, or use frames that are face crops already (default: {_face_default()})",
    )
    add_detection_flags(flags, follows=verb == "prepare")
    flags.add_argument(
        "--person",
        type=str,
        default="longest",
        help="who was rated if several people are in view: longest (in view; the largest among equals), largest, left, "
        "right, or the position of the face as x,y; a column face in a table sets it per clip (default: longest)",
    )
    flags.add_argument(
        "--missing",
        type=Literal["fail", "leave_out"] | None,
        help=f"what to do about annotated clips without a file (default: {defaults['missing']})",
    )
    flags.add_argument(
        "--duplicates",
        type=Literal["drop", "keep"] | None,
        help="what to do about training clips with pixel-identical copies in validation or test; with drop, --folds "
        f"also keeps copies in one fold (default: {defaults['duplicates']})",
    )


def _own_flags(dataset: str | None, *, rendering: bool) -> "dict[str, Flag]":
    """The flags of some data sets only; where several have one, it is that of the data set that is named."""
    rows = [*data_sets().own.values(), *([] if dataset is None else [data_sets()[dataset]])]
    return {flag.name: flag for row in rows for flag in row.flags if rendering or flag.goes_to != "render"}


def _defaults(rows: "Mapping[str, DataSet]") -> dict[str, str]:
    """The default of --missing and --duplicates, in words where it is not the same for all data sets."""
    if len(rows) == 1:
        (row,) = rows.values()
        return {"missing": row.missing, "duplicates": row.duplicates}
    lacking = sorted(name for name, row in rows.items() if row.missing == "leave_out")
    copied = [name for name, row in rows.items() if row.duplicates == "drop"]
    return {
        "missing": f"leave_out for {joined(lacking)}, whose published files lack some; else fail",
        "duplicates": f"drop for {joined(copied)}, which has hundreds; else keep",
    }


def _face_default() -> str:
    from midas_dfer.datasets.data_set import face_crops, whole_pictures

    rows = data_sets().own
    always = [name for name, row in rows.items() if row.faces is face_crops]
    often = [name for name, row in rows.items() if row.faces not in (face_crops, whole_pictures)]
    return f"cropped for {', '.join(always)}, and copies of {joined(often)} that are folders of faces; else detect"


def read_source(request: Namespace, tell: Callable[[str], None]) -> Annotated:
    """Read the data set that a request names, and say what its reader noticed."""
    from midas_dfer.manifest.manifest import Manifest

    source = data_sets()[request.dataset]
    given = source.given(vars(request))
    if request.root.is_file() and (size := request.root.stat().st_size) >= _LARGE_FILE:
        print(f"reading {request.root.name} ({size / 1e6:.0f} MB)", file=sys.stderr, flush=True)
    manifest: object = source.read(request.root, **given)
    if not isinstance(manifest, Manifest):
        raise RequestError(f"the reader of {request.dataset} gives {manifest!r:.80}; expected a midas_dfer.Manifest")
    if request.disjoint:
        from midas_dfer.datasets.people import spell_alike

        manifest = spell_alike(manifest, request.disjoint)
    if request.folds is not None:
        from midas_dfer.manifest.folds import add_folds

        manifest = add_folds(manifest, request.folds, request.folds_seed, request.disjoint or ("subject",))
    for note in manifest.notes:
        tell(note)
    if len(manifest) >= _MANY_CLIPS:
        print(f"looking for the files of {len(manifest):,} clips", file=sys.stderr, flush=True)
    folder = request.root.parent if source.root_is_file and request.root.is_file() else request.root
    videos = request.videos or folder
    paths = manifest.table["path"].to_list()
    packed = source.packed.find(request.root) if source.packed else None
    return Annotated(
        manifest=manifest,
        videos=videos,
        faces=request.faces or source.faces(paths),
        missing=request.missing or source.missing,
        duplicates=request.duplicates or source.duplicates,
        hint=source.hint(paths, videos, given) if source.hint else "",
        packed=None if packed is None or all((videos / path).is_file() for path in paths) else packed,
    )


def give_page_of_source(flags: Parser, page: Page, verb: str, dataset: str | None) -> None:
    """The help page of a verb that reads a data set: with its own flags; without a data set, with none of any."""
    row = None if dataset is None else data_sets()[dataset]
    own = () if row is None else tuple(flag.name for flag in row.flags)
    hide(flags, _own_flags(dataset, rendering=True).keys() - own)
    if row is not None:
        line = f"midas {verb} {dataset} {row.example}"
        page = replace(
            page,
            usage=page.usage.partition(", or")[0].replace("DATASET", str(dataset)),
            examples=(f"{line} --out store" if verb == "prepare" else line,),
            sections={**page.sections, f"flags of {dataset}": own},
        )
        give_page(flags, page, notes=_about({str(dataset): row}))
    else:
        more = f"flags of a data set: midas {verb} DATASET --help\n\n"
        give_page(flags, page, notes=_about(data_sets().usable(tell_of_plug_in)) + more)


def _about(rows: "Mapping[str, DataSet]") -> str:
    lines = []
    for name, row in rows.items():
        lines += textwrap.wrap(f"{name:14}{row.line}", 78, subsequent_indent=" " * 14)
    return "data sets:\n" + "\n".join(f"  {line}" for line in lines) + "\n\n"


def refuse_foreign_flags(request: Namespace) -> None:
    """Refuse a flag that was typed and does nothing for this data set."""
    own = {flag.name: flag for flag in data_sets()[request.dataset].flags}
    owners: dict[str, list[str]] = {}
    for name, source in data_sets().own.items():
        for flag in source.flags:
            owners.setdefault(flag.name, []).append(name)
    for flag_name, names in owners.items():
        if flag_name in request.typed and flag_name not in own:
            raise RequestError(f"--{flag_name} is for {', '.join(names)}; leave it out with {request.dataset}")
    for flag in own.values():
        if flag.overrides and request[flag.name]:
            refuse_typed(request, flag.overrides, f"--{flag.name} takes the place of what they say")
    if request.folds is None and "folds_seed" in request.typed:
        raise RequestError("--folds_seed is for --folds; say how many with --folds 5, or leave it out")
