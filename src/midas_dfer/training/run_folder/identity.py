"""What ties the files of a run together: recipe, classes, clips and weights are those of one training, or it is told.

run.json, every checkpoint and the weights hold the same record. A file that was edited, or that came from another
run, does not agree with the others.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from midas_dfer.training.recipes.config import RunConfig

MACHINE_SETTINGS = ("device", "devices", "num_threads", "num_workers", "compile", "cache", "cache_gb")
"""Settings of a recipe that say where a training ran, not what it was."""


@dataclass(frozen=True)
class RunIdentity:
    """What a training was, from its beginning to its end.

    Attributes:
        recipe: the settings, without those of the machine.
        parts: SHA-256 of which clip was in which part; "" if that was never written.
    """

    recipe: Mapping[str, Any]
    class_names: tuple[str, ...]
    store_fingerprint: str
    extract: Mapping[str, Any]
    parts: str

    def to_json(self) -> str:
        """A line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "RunIdentity":
        """The inverse of `to_json`; ValueError where it is something else."""
        try:
            values = json.loads(text)
            if not all(isinstance(values[name], dict) for name in ("recipe", "extract")):
                raise TypeError("not an object")
            return cls(**{**values, "class_names": tuple(values["class_names"])})
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"not what a run is told by: {error}") from error

    def differences(self, found: "RunIdentity") -> list[str]:
        """Say in what another record, of how it is now, differs from this one, of how it was."""
        told = [f"--{name} is {now}, it was {was}" for name, was, now in different_settings(self.recipe, found.recipe)]
        if self.class_names != found.class_names:
            told.append(f"the classes are {', '.join(found.class_names)}, they were {', '.join(self.class_names)}")
        if self.store_fingerprint != found.store_fingerprint:
            told.append(f"the store's fingerprint is {found.store_fingerprint}, it was {self.store_fingerprint}")
        for name in sorted({*self.extract, *found.extract}):
            was, now = self.extract.get(name), found.extract.get(name)
            if was != now:
                told.append(f"how faces are cut: {name} is {now}, it was {was}")
        if self.parts != found.parts:
            told.append("other clips are in the parts train, validation and test")
        return told


def recipe_of(config: RunConfig) -> dict[str, Any]:
    """The settings that say what a training is, as plain values."""
    return {name: value for name, value in config.to_dict().items() if name not in MACHINE_SETTINGS}


def different_settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name, old and new value of the settings that differ; one that a version did not know has its default."""
    defaults = RunConfig(mixer="none").to_dict()
    names = [each.name for each in fields(RunConfig) if each.name not in MACHINE_SETTINGS]
    values = [(name, was.get(name, defaults[name]), now.get(name, defaults[name])) for name in names]
    return [(name, old, new) for name, old, new in values if old != new]


def digest(content: Any) -> str:  # noqa: ANN401 - whatever a checkpoint holds
    """SHA-256 of nested plain values and tensors; the same wherever the tensors lie."""
    found = hashlib.sha256()
    for piece in _pieces(content):
        found.update(piece)
    return found.hexdigest()


def _pieces(content: Any) -> Iterator[bytes | memoryview]:  # noqa: ANN401
    if isinstance(content, Tensor):
        flat = content.detach().cpu().contiguous().reshape(-1)
        yield f"{content.dtype} {tuple(content.shape)}".encode()
        yield flat.view(torch.uint8).numpy().data if flat.numel() else b""
    elif isinstance(content, Mapping):
        yield f"{len(content)} keys".encode()
        for key in sorted(content, key=repr):
            yield repr(key).encode()
            yield from _pieces(content[key])
    elif isinstance(content, list | tuple):
        yield f"{len(content)} values".encode()
        for value in content:
            yield from _pieces(value)
    else:
        yield repr(content).encode()
