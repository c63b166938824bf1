"""A trained run -> a folder as the Hugging Face Hub has it, and back to a model.

FOLDER/
  config.json         what the model is, what it is shown, what its output means (`ModelInfo`)
  model.safetensors   its weights
  README.md           the model card
  model.onnx          the same for other runtimes, where it was asked for
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from midas_dfer.clips.sampling import generator_for
from midas_dfer.commands import shell_command
from midas_dfer.errors import RequestError
from midas_dfer.files import cannot_write, is_temporary, json_text, make_folder, read_json, replacing
from midas_dfer.models.clip_model import ClipModel, lay_out_for_speed
from midas_dfer.models.weights import check_finite_weights
from midas_dfer.models.zoo import create_model
from midas_dfer.sharing.card import model_card
from midas_dfer.sharing.info import LIBRARY, ModelInfo
from midas_dfer.sharing.onnx import check_onnx, save_onnx
from midas_dfer.training.runs import RUN_FILE, Run
from midas_dfer.training.weights_file import weights_content

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE, ONNX_FILE = "config.json", "model.safetensors", "README.md", "model.onnx"

_OF_GIT = frozenset({".git", ".gitattributes", ".gitignore"})  # what a repository of the Hub has before anything else


def save_pretrained(
    run: Run | Path | str, folder: Path | str, *, onnx: bool = False, license_name: str | None = None
) -> list[Path]:
    """Write a trained run's model into a folder that can be shared.

    Args:
        run: the run, or its folder. Its scores go into the card where it has been evaluated.
        folder: made if it is not there; what an earlier call wrote there is replaced, all at once.
        onnx: also write `model.onnx`; needs the extra "export".
        license_name: of the weights, as the Hub knows it (cc-by-nc-4.0), or in other words.

    Returns:
        the files that were written.

    Raises:
        RequestError: the run is not trained, the folder holds something else, or ONNX cannot be written here.
        JobError: the files cannot be written, or the ONNX model does not compute what the model computes.
    """
    run, folder = run if isinstance(run, Run) else Run.open(run), Path(folder)
    check_is_free(folder)
    if onnx:
        check_onnx()
    model, info = run.load_model(), ModelInfo.of(run)
    card = model_card(run, info, name=folder.resolve().name, onnx=onnx, license_name=license_name)
    existed = folder.exists()
    make_folder(folder)
    names = [CONFIG_FILE, CARD_FILE, WEIGHTS_FILE, *([ONNX_FILE] if onnx else [])]
    try:
        # All are written under other names first. The last to be entered is the first to get its own name, so
        # config.json, without which the folder is no model, comes last.
        with ExitStack() as stack:
            files = {name: stack.enter_context(replacing(folder / name)) for name in names}
            with _named(folder / WEIGHTS_FILE):
                files[WEIGHTS_FILE].write_bytes(weights_content(model))
            if onnx:
                with _named(folder / ONNX_FILE):
                    save_onnx(model, files[ONNX_FILE], info=info)
            with _named(folder / CARD_FILE):
                files[CARD_FILE].write_text(card, encoding="utf-8")
            with _named(folder / CONFIG_FILE):
                files[CONFIG_FILE].write_text(json_text(info.to_dict(), indent=2) + "\n", encoding="utf-8")
        if not onnx:
            (folder / ONNX_FILE).unlink(missing_ok=True)  # that of an earlier model
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()
    return [folder / name for name in names]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file that was asked for, not the temporary one, where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def from_pretrained(folder: Path | str) -> tuple[ClipModel, ModelInfo]:
    """Load what `save_pretrained` wrote. Nothing is downloaded, and no code is run that the folder holds.

    Args:
        folder: a folder on this machine.

    Returns:
        the model, in evaluation mode, on the CPU; and what it is.

    Raises:
        RequestError: there is no such folder, a file is missing or damaged, or they do not belong together.
    """
    folder = Path(folder)
    info = read_info(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise RequestError(f"{folder} has no {WEIGHTS_FILE}; get the folder again, whole")
    try:
        model = create_model(
            info.model,
            num_classes=len(info.class_names),
            num_frames=info.num_frames,
            dropout=info.dropout,
            width=info.width,
            generator=generator_for(0, 0, "", purpose="weights"),  # all of them are replaced
        )
    except RequestError as error:
        raise RequestError(f"{folder / CONFIG_FILE} describes a model that cannot be made here. {error}") from error
    try:
        state = safetensors.torch.load_file(path)
        model.load_state_dict(state)
    except (SafetensorError, OSError) as error:
        raise RequestError(f"{path} is not a whole safetensors file ({error}); get it again") from error
    except RuntimeError as error:
        raise RequestError(
            f"{path} holds the weights of another model: expected those of {info.model} with width {info.width} and "
            f"{len(info.class_names)} classes, as {CONFIG_FILE} says; get both from the same place"
        ) from error
    check_finite_weights(state, path)
    lay_out_for_speed(model)
    return model.eval(), info


def read_info(folder: Path) -> ModelInfo:
    """Read what a folder says of its model.

    Raises:
        RequestError: there is no such folder, it is not one of a model, or what it says is damaged or too new.
    """
    path = folder / CONFIG_FILE
    if not folder.is_dir():
        raise RequestError(
            f"There is no folder {folder}. Nothing is downloaded here: get a model of the Hugging Face Hub with "
            "huggingface_hub.snapshot_download and name the folder that it returns"
        )
    if not path.is_file() and (folder / RUN_FILE).is_file():
        make = shell_command("midas", "export", folder, "--out", "DIR")
        raise RequestError(f"{folder} is a run folder; make a folder for sharing with: {make}")
    if not path.is_file():
        raise RequestError(
            f"{folder} is not a model's folder, it has no {CONFIG_FILE}; expected what midas export wrote"
        )
    values = read_json(path, "get it again")
    try:
        return ModelInfo.from_dict(values)
    except RequestError as error:
        raise RequestError(f"{path} cannot be used: {error}") from error


def check_is_free(folder: Path) -> None:
    """Refuse a folder that holds something else than an earlier model, before any work is done.

    Raises:
        RequestError: it does.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; name a folder with --out")
    if not folder.exists() or all(each.name in _OF_GIT or is_temporary(each) for each in folder.iterdir()):
        return
    try:
        ours = read_json(folder / CONFIG_FILE, "").get("library_name") == LIBRARY
    except RequestError:
        ours = False
    if not ours:
        raise RequestError(f"{folder} holds something that is not an exported model; name another --out")
