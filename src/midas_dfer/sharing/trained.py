"""A trained model, however it is named: a run, an exported folder, a packaged reader, or a model of the Hub."""

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.files import near_name, reading
from midas_dfer.models.mirrored import Mirrored
from midas_dfer.models.scaled import Scaled
from midas_dfer.readers import DEFAULT_READER, READERS, Reader
from midas_dfer.sharing.exported import CONFIG_FILE, is_exported, load_exported, read_info, weights_digest
from midas_dfer.sharing.hub import PREFIX, OnHub, get_from_hub, is_hub_name
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, RUN_FILE, Part, Run, not_a_run


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and what is known of it; its weights are read when they are asked for.

    Attributes:
        info: its classes, its input, and how to read its output.
        run: recipe, parts and provenance; None of an exported model and of a packaged reader, which do not keep them.
        reader: the packaged reader that it is; None otherwise.
        hub: the model of the Hugging Face Hub that it is, whose folder is the Hub's cache; None otherwise.
    """

    path: Path
    info: ModelInfo
    run: Run | None = None
    reader: Reader | None = None
    hub: OnHub | None = None

    @property
    def title(self) -> str:
        """What it is called in a sentence, without the path."""
        if self.reader is not None:
            return f"the packaged reader {self.reader.name}"
        if self.hub is not None:
            return self.hub.title
        return f"the {'exported model' if self.run is None else 'run'} {self.path.resolve().name}"

    @property
    def described(self) -> str:
        """The title, and what it is: of a packaged reader its intended use and limits, else network and training."""
        if self.reader is not None:
            return f"{self.title}: {self.reader.about}; {self.reader.limits}"
        method = f"{self.info.method} labels" if self.info.method in ("hard", "soft") else self.info.method
        data = f" on {self.info.dataset}" if self.info.dataset else ""
        twice = ", read in the mirror, too" if self.info.mirrored else ""
        scaled = "" if self.info.scaling is None else f", {self.info.scaling.words}"
        return f"{self.title}: {self.info.model}, trained with {method}{data}{twice}{scaled}"

    @property
    def named(self) -> str:
        """What names it on a command line."""
        if self.hub is not None:
            return self.hub.named
        return str(self.path) if self.reader is None else self.reader.name

    @property
    def weights_digest(self) -> str:
        """SHA-256 of its file of weights; "" of a run of earlier versions."""
        return weights_digest(self.path) if self.run is None else self.run.provenance.weights_digest

    def load(self) -> nn.Module:
        """The model, in evaluation mode, in float32, on the CPU."""
        return as_read(load_exported(self.path, self.info) if self.run is None else self.run.load_model(), self.info)

    def part(self, *names: Part) -> set[str] | None:
        """The clips of one part or more of its training, by video id; None where they are not recorded."""
        return None if self.run is None else set[str]().union(*(self.run.part(name) for name in names))

    def evaluation_folder(self) -> Path:
        """Where its scores go if no other folder is named; a packaged reader and a model of the Hub have no place."""
        if self.reader is not None:
            raise RequestError(
                f"{self.title} has no folder for results, it is part of the installation; name one with --out"
            )
        if self.hub is not None:
            raise RequestError(f"{self.title} has no folder for results here; name one with --out")
        return self.path / EVALUATION_FOLDER


def as_read(network: nn.Module, info: ModelInfo) -> nn.Module:
    """A network as clips are read with it: in the mirror, too, and its logits scaled, where `info` says so."""
    model = Mirrored(network) if info.mirrored else network
    return model if info.scaling is None else Scaled(model, info.scaling.temperature)


def open_trained(named: TrainedModel | Run | Path | str, *, tell: Callable[[str], None] = _warn) -> TrainedModel:
    """Open a trained model.

    A path that leads to a model wins over the name of a packaged reader.

    Args:
        named: a run folder, a folder that `midas export` wrote, the name of a packaged reader, ``hub:org/name`` or
            ``hub:org/name@revision`` of the Hugging Face Hub (all that is downloaded), or what has been opened.
        tell: is told how a name was understood that could have meant something else; a warning if nothing else is said.

    Raises:
        RequestError: it is none of these, or its files are damaged.
        JobError: the Hub cannot be reached, and the model is not in its cache.
    """
    if isinstance(named, TrainedModel):
        return named
    if isinstance(named, Run):
        return TrainedModel(named.path, ModelInfo.of(named), run=named)
    if not isinstance(named, str | Path):
        raise RequestError(f"a trained model is named by its folder, or a reader's name; this is {named!r:.60}")
    path = Path(named)
    name = str(path)
    reader = READERS.get(name)
    if (there := _folder_of(path)) is not None:
        installed = next((each for each in READERS.values() if each.folder == path.resolve()), None)
        if reader is not None and reader is not installed:
            tell(f"./{path} is a folder here; the packaged reader of that name was not taken")
        if there == RUN_FILE:
            run = Run.open(path)
            return TrainedModel(path, ModelInfo.of(run), run=run)
        return TrainedModel(path, read_info(path), reader=installed)
    if reader is not None:
        if path.exists():
            tell(f"./{path} is neither a run folder nor an exported folder; the packaged reader of that name was taken")
        return packaged_reader(reader)
    if (asked := path.as_posix()).startswith(PREFIX) and not path.exists():
        folder, hub = get_from_hub(asked, tell)
        return TrainedModel(folder, read_info(folder), hub=hub)
    raise RequestError(_not_a_model(path))


def _not_a_model(path: Path) -> str:
    """Say what is there in the place of a trained model, and what was perhaps meant."""
    readers = f"the name of a packaged reader ({', '.join(READERS)})"
    expected = f"expected a run folder, a folder that midas export wrote, or {readers}"
    if close := difflib.get_close_matches(str(path), READERS, n=1):
        return f"there is no model {path}; did you mean {close[0]}? If not: {expected}"
    if not path.exists():
        return (
            f"there is no folder {path}{near_name(path)}; {expected}. A model of the Hugging Face Hub is named "
            "hub:ORG/NAME"
        )
    return f"{not_a_run(path)}. Nor is it an exported folder ({CONFIG_FILE}), or {readers}"


def packaged_reader(reader: Reader = DEFAULT_READER) -> TrainedModel:
    """Open a reader that comes with the package."""
    return TrainedModel(reader.folder, read_info(reader.folder), reader=reader)


def asked_for(named: TrainedModel | Run | Path | str, revision: str | None) -> TrainedModel | Run | Path | str:
    """What was asked for in Python: "org/name" is a model of the Hub, unless there is such a folder, or one named org.

    Raises:
        RequestError: there is a revision, but no model of the Hub was named.
    """
    if isinstance(named, str):
        path, name = Path(named), named.removeprefix(PREFIX)
        here = path.exists() or (name == named and path.parent.exists())
        if is_hub_name(name.partition("@")[0]) and not here:
            return f"{PREFIX}{name}" if revision is None else f"{PREFIX}{name.partition('@')[0]}@{revision}"
    if revision is not None:
        raise RequestError(f"revision is {revision}, but {named!s:.80} is no model of the Hub (org/name); leave it out")
    return named


def from_pretrained(named: Path | str, *, revision: str | None = None) -> tuple[nn.Module, ModelInfo]:
    """Load a trained model: an exported folder, a packaged reader, a run, or a model of the Hugging Face Hub.

    Args:
        named: as for `open_trained`; also "org/name" of the Hub, which needs the extra "hub". A folder of that name
            comes first.
        revision: of a model of the Hub: a branch, a tag or a commit; None is the newest.

    Returns:
        The model, in evaluation mode, on the CPU; and its description.

    Raises:
        RequestError: it is none of these, a file is missing or damaged, or they do not belong together.
        JobError: the Hub cannot be reached, and the model is not in its cache.
    """
    trained = open_trained(asked_for(named, revision))
    return trained.load(), trained.info


def is_model(path: Path) -> bool:
    """Whether a path leads to the folder of a run or of an exported model."""
    return _folder_of(path) is not None


def means_a_model(path: Path) -> str:
    """What a path is, if it names a trained model and nothing else: "a run folder", for one; else ""."""
    there = _folder_of(path)
    if there == RUN_FILE:
        return "a run folder"
    if there is not None and is_exported(path):
        return "an exported folder"
    return "the name of a packaged reader" if str(path) in READERS and not path.exists() else ""


def _folder_of(path: Path) -> str | None:
    """The file that says what kind of model a folder holds; None if it holds none."""
    with reading(path):  # it may be a folder that may not be entered
        return next((name for name in (RUN_FILE, CONFIG_FILE) if (path / name).is_file()), None)
