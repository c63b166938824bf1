"""Import the mixers of libraries whose packages, as a whole, do not import beside a current torch for the CPU."""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import torch

_KEPT: list[torch.library.Library] = []  # an operator is defined only as long as its library object lives


def define_torchvision_operators() -> None:
    """Declare the two operators that torchvision names at import and that its wheel, built for CUDA, lacks here.

    Only their schemas: nothing that is checked here calls them.
    """
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)


def import_bare(
    module: str, provided: dict[str, dict[str, object]] | None = None, root: Path | None = None
) -> ModuleType:
    """Import one module of a package without running the ``__init__`` of the packages that hold it.

    The module itself is run as it was published.

    Args:
        module: its full name.
        provided: names that the module takes from other packages of the same library, whose ``__init__`` is
            then not run either.
        root: folder that holds the top package; None looks where packages are installed.

    Raises:
        ModuleNotFoundError: the library is not there.
    """
    top = module.split(".", maxsplit=1)[0]
    if root is None:
        spec = importlib.util.find_spec(top)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"{top} is not installed")
        folder = Path(next(iter(spec.submodule_search_locations)))
    else:
        folder = root / top
    packages = {module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)} | set(provided or {})
    for name in sorted(packages):
        if name not in sys.modules:
            bare = ModuleType(name)
            places = [str(folder.joinpath(*name.split(".")[1:]))]
            bare.__path__ = places
            bare.__spec__ = ModuleSpec(name, None, is_package=True)
            bare.__spec__.submodule_search_locations = places
            sys.modules[name] = bare
        for attribute, value in (provided or {}).get(name, {}).items():
            setattr(sys.modules[name], attribute, value)
    return importlib.import_module(module)


def describe_file(module: ModuleType) -> dict[str, str]:
    """Name a module's file by its path below the package's folder and by git's hash of its contents."""
    path = Path(str(module.__file__))
    depth = module.__name__.count(".") + (path.name == "__init__.py")
    contents = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()
    return {"file": "/".join(path.parts[-depth - 1 :]), "git_blob": blob}


def version_of(distribution: str) -> str:
    """The installed version of a distribution."""
    return importlib.metadata.version(distribution)
