"""A trained model -> a folder as the Hugging Face Hub has it; `trained` is the way back.

FOLDER/
  config.json         what the model is, what it is shown, what its output means (`ModelInfo`)
  model.safetensors   its weights
  README.md           the model card
  abstention.json     its errors on held-out clips, by which it can be silent (`midas predict --abstain`)
  model.onnx          the same for other runtimes, where it was asked for
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import is_temporary, json_text, make_folder, read_text, replacing, writing
from midas_dfer.models.mirrored import unmirrored
from midas_dfer.models.scaled import unscaled
from midas_dfer.sharing.abstaining import held_out_of
from midas_dfer.sharing.card import model_card, with_license
from midas_dfer.sharing.ensemble import Ensemble
from midas_dfer.sharing.exported import CARD_FILE, CONFIG_FILE, ONNX_FILE, WEIGHTS_FILE, is_exported
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.sharing.onnx import check_onnx, save_onnx
from midas_dfer.sharing.trained import TrainedModel, as_read, open_trained
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.run_folder.weights_file import weights_content
from midas_dfer.training.scoring.held_out import ABSTENTION_FILE

_OF_GIT = frozenset({".git", ".gitattributes", ".gitignore"})  # what a repository of the Hub has before anything else


def save_pretrained(
    run: TrainedModel | Run | Path | str,
    folder: Path | str,
    *,
    onnx: bool = False,
    license_name: str | None = None,
    half: bool = False,
    mirrored: bool = False,
) -> list[Path]:
    """Write a trained model into a folder that can be shared.

    Args:
        run: a run, or anything else that `open_trained` takes. The card shows a run's scores if it was evaluated; the
            card of an exported folder or of a packaged reader stays as it is, except for the licence.
        folder: created if missing; the output of an earlier call is replaced, all files at once.
        onnx: also write `model.onnx`; needs the extra "export".
        license_name: of the weights, as an identifier of the Hub (cc-by-nc-4.0) or other text; None keeps that of an
            exported model's card.
        half: store the weights as float16: half the size, rounded to three digits. False keeps float16 weights.
        mirrored: the model also reads each clip mirrored, and averages the logits. False keeps a mirrored model.

    Returns:
        The written files.

    Raises:
        RequestError: the run is not trained, the folder holds something else, or ONNX cannot be written here.
        JobError: the files cannot be written, a weight is too large for float16, or the ONNX model does not compute
            what the model computes.
    """
    trained, folder = open_trained(run), Path(folder)
    check_is_free(folder)
    if onnx:
        check_onnx()
    model, info = unmirrored(unscaled(trained.load())), trained.info
    half = half or info.weights == "float16"
    info = replace(
        info,
        license=info.license if license_name is None else license_name,
        weights="float16" if half else "float32",
        mirrored=mirrored or info.mirrored,
    )
    if half:
        round_to_half(model)
    card = _card(trained, info, name=folder.resolve().name, onnx=onnx, license_name=license_name)
    further = {**_licences(trained), **_abstention(trained, info)}
    texts = {**further, CARD_FILE: card, CONFIG_FILE: json_text(info.to_dict(), indent=2) + "\n"}
    existed = folder.exists()
    make_folder(folder)
    names = [CONFIG_FILE, CARD_FILE, WEIGHTS_FILE, *further, *([ONNX_FILE] if onnx else [])]
    try:
        # All are written under other names first. The last to be entered is the first to get its own name, so
        # config.json, without which the folder is no model, comes last.
        with writing(folder), ExitStack() as stack:
            files = {name: stack.enter_context(replacing(folder / name)) for name in names}
            with writing(folder / WEIGHTS_FILE):  # named so, and not as the temporary file
                files[WEIGHTS_FILE].write_bytes(weights_content(model, half=half))
            if onnx:
                with writing(folder / ONNX_FILE):
                    save_onnx(as_read(model, info), files[ONNX_FILE], info=info)
            for name, text in texts.items():
                with writing(folder / name):
                    files[name].write_text(text, encoding="utf-8")
        for name in {ONNX_FILE, ABSTENTION_FILE}.difference(names):  # those of an earlier model
            with writing(folder):
                (folder / name).unlink(missing_ok=True)
    finally:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()
    return [folder / name for name in names]


def _abstention(trained: TrainedModel, info: ModelInfo) -> dict[str, str]:
    """What `midas predict --abstain` goes by, if there is an evaluation of the model as it is exported."""
    if info.mirrored != trained.info.mirrored:
        return {}
    try:
        return {ABSTENTION_FILE: held_out_of(Ensemble((trained,))).content}
    except RequestError:  # it was not evaluated, or on no clips that will do
        return {}


def _licences(trained: TrainedModel) -> dict[str, str]:
    """The texts next to a packaged reader: licences of what it began as, which go where its weights go."""
    if trained.reader is None:
        return {}
    return {path.name: read_text(path, "install midas-dfer again") for path in sorted(trained.path.glob("*.txt"))}


def round_to_half(model: nn.Module) -> None:
    """Give a model, in place, the weights that it has when it comes back from a file in float16."""
    for name, values in model.state_dict().items():
        if values.is_floating_point():
            values.copy_(values.half())
            if not torch.isfinite(values).all():
                raise JobError(
                    f"a weight of {name} is larger than 65504, the most that float16 holds; export it without --half"
                )


def _card(trained: TrainedModel, info: ModelInfo, *, name: str, onnx: bool, license_name: str | None) -> str:
    if trained.run is not None:
        mirrored = trained.info.mirrored
        return model_card(trained.run, info, name=name, onnx=onnx, license_name=license_name, mirrored_scores=mirrored)
    path = trained.path / CARD_FILE
    card = read_text(path, "get the folder again, whole")
    return card if license_name is None else with_license(card, license_name, path)


def check_is_free(folder: Path) -> None:
    """Refuse a folder that holds something else than an earlier model, before any work is done."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; name a folder with --out")
    if not folder.exists() or all(each.name in _OF_GIT or is_temporary(each) for each in folder.iterdir()):
        return
    if not is_exported(folder):
        raise RequestError(f"{folder} holds something that is not an exported model; name another --out")
