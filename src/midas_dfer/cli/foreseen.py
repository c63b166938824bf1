"""What is refused before a long job begins: flags that find no face, and names that no file has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from midas_dfer.datasets.face_choice import FACE_COLUMN, FaceChoice
from midas_dfer.errors import RequestError


def detection_flags(request: Namespace) -> dict[str, Any]:
    """The flags that say how faces are looked for, as far as they are given."""
    return {name: request[name] for name in ("max_side", "min_score", "search_every") if request[name] is not None}


def check_person(request: Namespace) -> None:
    """Refuse a `--person` that chooses no face.

    Raises:
        RequestError: says what does.
    """
    try:
        FaceChoice.parse(request.person)
    except RequestError as error:
        raise RequestError(f"--person {error}") from error


def refuse_detection(request: Namespace, faces: str, columns: Sequence[str]) -> None:
    """Refuse flags of detection, and the choice of a face, where no face is looked for.

    Args:
        request: with the flags of `add_source_flags`.
        faces: detect or cropped, as it came to be.
        columns: of the annotations.

    Raises:
        RequestError: names the flag or the column.
    """
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


def uploads_hint(request: Namespace, paths: list[str], videos: Path) -> str:
    """Say so where files that were uploaded to Label Studio lie there under the names that they had before.

    Args:
        request: with the flags of `add_source_flags`.
        paths: of the videos, as the reader gave them.
        videos: the folder that they are relative to.
    """
    if request.dataset != "label_studio" or request.uploads != "stored":
        return ""
    from midas_dfer.datasets.tools.label_studio import original_name

    renamed = [path for path in paths if original_name(path) != path]
    if not renamed or any((videos / path).exists() for path in paths):
        return ""
    there = next((path for path in renamed if (videos / original_name(path)).is_file()), None)
    if there is None:
        return (
            f"the folder {videos} holds none of the videos that Label Studio calls {renamed[0]} and so on, since they "
            f"were uploaded in the browser: copy its folder media/upload there, or put your own files there, such as "
            f"{original_name(renamed[0])}, and add --uploads original"
        )
    return (
        f"{videos} holds {original_name(there)}, which Label Studio calls {there} since it was uploaded: add --uploads "
        "original, so that files are looked for under the names that they had before"
    )
