"""Trained models that a new one can start from: a packaged reader, or a folder that `midas export` wrote.

Only what such a folder says of itself is read here, without torch; `midas_dfer.models` reads the weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import read_json
from midas_dfer.readers import DEFAULT_READER, READERS, Reader

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_RUN_FILE = "run.json"  # of `midas_dfer.training.run_folder.runs`, which stands above

PACKAGED = "packaged"
"""What `--weights` takes for those inside an installed package; see `midas_dfer.models.packaged`."""
THE_READER = "reader"
"""What `--weights` takes for the reader that reads where none is named."""


@dataclass(frozen=True)
class Start:
    """A trained model that a new one starts from.

    Attributes:
        title: what it is called in a sentence.
        folder: where it lies.
        model: its architecture.
        width: channels of its first stage.
        size: side of the pictures that it sees, in pixels.
        class_names: in the order of its outputs.
        file_name: of its weights.
    """

    title: str
    folder: Path
    model: str
    width: int
    size: int
    class_names: tuple[str, ...]
    file_name: str = WEIGHTS_FILE

    @property
    def file(self) -> Path:
        """Its weights."""
        return self.folder / self.file_name

    @property
    def described(self) -> str:
        """What it is, and the settings that are its own."""
        return f"{self.title} ({self.model}, width {self.width}, pictures of {self.size} pixels)"


def named_reader(weights: Path | str) -> Reader | None:
    """The packaged reader that a name stands for; None where it stands for none, or a path leads somewhere."""
    if Path(weights).exists():
        return None
    return DEFAULT_READER if str(weights) == THE_READER else READERS.get(str(weights))


def find_start(weights: Path | str) -> Start | None:
    """Find the trained model that `--weights` names. A path that leads somewhere wins over a reader's name.

    Args:
        weights: a packaged reader's name, "reader" for the one that reads where none is named, or a folder.

    Returns:
        what it is; None where weights of another kind are named: a file's, or those inside an installed package.

    Raises:
        RequestError: there is nothing of that name, or the folder holds no exported model, or a damaged one.
    """
    if str(weights) == PACKAGED:
        return None
    reader, folder = named_reader(weights), Path(weights)
    if reader is not None:
        return _read(f"the packaged reader {reader.name}", reader.folder)
    if not folder.suffix and not folder.exists():
        raise RequestError(
            f"--weights {weights} is not there; expected a packaged reader's name ({', '.join(READERS)}), a folder "
            "that midas export wrote, or a file of weights"
        )
    if not folder.is_dir():
        return None
    if not (folder / CONFIG_FILE).is_file():
        if (folder / _RUN_FILE).is_file():
            command = shell_command("midas", "export", folder, "--out", "DIR")
            raise RequestError(f"--weights {folder} is a run; export it, and name that folder: {command}")
        raise RequestError(
            f"--weights {folder} is a folder without {CONFIG_FILE}; expected one that midas export wrote, a file of "
            f"weights, or a packaged reader's name ({', '.join(READERS)})"
        )
    return _read(f"the exported model {folder}", folder)


def _read(title: str, folder: Path) -> Start:
    path = folder / CONFIG_FILE
    values: dict[str, Any] = read_json(path, "get it again")
    try:
        (model,), width, size = values["architectures"], values["width"], values["image_size"]
        classes = tuple(str(values["id2label"][str(number)]) for number in range(len(values["id2label"])))
        if (type(model), type(width), type(size)) == (str, int, int):
            return Start(title, folder, model, width, size, classes)
    except (TypeError, ValueError, KeyError):
        pass
    raise RequestError(
        f"{path} does not say which model it is; expected architectures, width, image_size and id2label, as midas "
        "export writes them"
    )
