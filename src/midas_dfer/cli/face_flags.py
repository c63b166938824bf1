"""Flags on how faces are found and whose is taken, and what is refused of them before a long job begins."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser
from midas_dfer.datasets.face_choice import FACE_COLUMN, FaceChoice
from midas_dfer.errors import RequestError


def add_detection_flags(
    flags: Parser, *, max_side: str = "640", min_score: str = "0.7", search_every: str = "0.3", follows: bool = True
) -> None:
    """Add the flags that say how faces are looked for, with their defaults in words.

    Without `follows`, single frames are looked at, so nobody is followed from one to the next.
    """
    flags.add_argument(
        "--max_side",
        type=int | None,
        help="shrink longer pictures to this many pixels for face detection; more finds smaller faces "
        f"(default: {max_side})",
    )
    flags.add_argument(
        "--min_score", type=float | None, help=f"minimum score of a face detection (default: {min_score})"
    )
    if follows:
        flags.add_argument(
            "--search_every",
            type=float | None,
            help="seconds between searches of whole frames for new faces; in between, known ones are tracked; 0 "
            f"searches every frame (default: {search_every})",
        )


def detection_flags(request: Namespace) -> dict[str, Any]:
    """The flags that say how faces are looked for, as far as they are given."""
    names = ("max_side", "min_score", "search_every")
    return {name: value for name in names if (value := request.get(name)) is not None}


def check_person(request: Namespace) -> None:
    """Refuse a `--person` that chooses no face."""
    try:
        FaceChoice.parse(request.person)
    except RequestError as error:
        raise RequestError(f"--person {error}") from error


def refuse_detection(request: Namespace, faces: str, columns: Sequence[str]) -> None:
    """Refuse flags of detection, and the choice of a face, where no face is looked for."""
    if faces != "cropped":
        return
    used = next((name for name in ("max_side", "min_score", "search_every", "person") if name in request.typed), None)
    if used is None and FACE_COLUMN in columns:
        raise RequestError(
            f"the annotations have a column {FACE_COLUMN!r}, which says whose face was rated; but frames are taken for "
            f'face crops (--faces cropped): leave it out with --ignore "[{FACE_COLUMN}]", or say --faces detect'
        )
    if used is not None:
        raise RequestError(
            f"--{used} is of no use where frames are face crops already (--faces cropped): no face is "
            "looked for; leave it out, or say --faces detect"
        )
