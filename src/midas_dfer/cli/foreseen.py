"""What is refused before a long job begins: flags that find no face."""

from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace

from midas_dfer.datasets.face_choice import FACE_COLUMN, FaceChoice
from midas_dfer.errors import RequestError


def detection_flags(request: Namespace) -> dict[str, Any]:
    """The flags that say how faces are looked for, as far as they are given."""
    return {name: request[name] for name in ("max_side", "min_score", "search_every") if request[name] is not None}


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
