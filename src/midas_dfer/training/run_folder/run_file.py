"""run.json, read with every field checked: it may have been damaged or edited since it was written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from midas_dfer.errors import RequestError
from midas_dfer.training.run_folder.typed_json import read_fields

CURE = "put it back as it was, or train again"

T = TypeVar("T")


def read_record(kind: type[T], values: Mapping[str, Any], path: Path) -> T:
    """Make a dataclass, `Provenance`, of the object that `path` holds.

    Raises:
        RequestError: a field is missing, unknown or of another kind; names it.
    """
    if isinstance(extract := values.get("extract"), dict):
        values = {**values, "extract": {"search_every": None, **extract}}  # of an earlier version
    try:
        record = read_fields(kind, dict(values), path.name, strict=True)
    except ValueError as error:
        raise RequestError(f"{path} is damaged ({error}); {CURE}") from error
    for name, found in vars(record).items():
        if isinstance(found, tuple) and (not found or len(set(found)) < len(found)):
            raise RequestError(f"{path} is damaged ({name} is empty, or names one twice); {CURE}")
    return record
