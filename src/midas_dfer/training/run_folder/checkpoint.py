"""The checkpoint that a training resumes from: sealed when it is written, checked before anything goes by it."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from midas_dfer.errors import RequestError
from midas_dfer.files import cannot_read
from midas_dfer.training.run_folder.identity import RunIdentity, digest
from midas_dfer.training.run_folder.runs import CONFIG_FILE, Run

_KEY = "midas_dfer"
_NEEDED: dict[str, type] = {
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "state_dict": dict,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "Batches": dict,
}


@dataclass(frozen=True)
class LastCheckpoint:
    """Where a training resumes.

    Attributes:
        is_sealed: whether it says which training it is of, as those of earlier versions do not.
    """

    path: Path
    epochs_done: int
    is_sealed: bool


def seal(checkpoint: dict[str, Any], identity: RunIdentity) -> None:
    """Write into a complete checkpoint, in place, which training it is of, and a digest of all that it holds."""
    checkpoint[_KEY] = {"run": identity.to_json()}
    checkpoint[_KEY]["digest"] = digest(checkpoint)


def last_checkpoint(run: Run) -> LastCheckpoint | None:
    """The checkpoint to resume from, checked; None if there is none yet."""
    path = run.last_checkpoint
    cure = "delete it, and --resume begins at the first epoch"
    damaged = f"{path} is damaged; {cure}"
    try:
        if not path.exists():
            return None
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                raise RequestError(damaged)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise cannot_read(path, error) from error
    except Exception as error:  # a damaged file can fail anywhere in the reader: IndexError, KeyError, EOFError ...
        raise RequestError(damaged) from error
    whole = isinstance(content, dict) and all(isinstance(content.get(key), kind) for key, kind in _NEEDED.items())
    if not whole or len(content["optimizer_states"]) != 1 or len(content["lr_schedulers"]) != 1:
        raise RequestError(damaged)
    is_sealed = _KEY in content
    if is_sealed:
        run.check_identity(_break_seal(content, damaged), path)
    elif run.provenance.parts_digest:  # a version that seals began the run
        raise RequestError(damaged)
    expected = {f"model.{name}": value.shape for name, value in run.new_model().state_dict().items()}
    found = {
        name: getattr(value, "shape", None)
        for name, value in content["state_dict"].items()
        if isinstance(name, str) and name.startswith("model.")
    }
    if found != expected:
        raise RequestError(f"{path} holds the weights of another network than {CONFIG_FILE} describes; {cure}")
    return LastCheckpoint(path, content["epoch"] + 1, is_sealed)


def _break_seal(content: dict[str, Any], damaged: str) -> RunIdentity:
    """Compare the digest with the content, and give what training it says it is of."""
    about = content[_KEY]
    said = isinstance(about, Mapping) and isinstance(about.get("run"), str)
    if not said or about.get("digest") != digest({**content, _KEY: {"run": about["run"]}}):
        raise RequestError(damaged)
    try:
        return RunIdentity.from_json(about["run"])
    except ValueError as error:
        raise RequestError(damaged) from error
