"""midas export: a run -> a folder to share: weights, model card, and ONNX if asked for."""

from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths
from midas_dfer.files import json_text


def parser() -> Parser:
    """The flags of the verb."""
    flags = Parser(description="Write a trained run's model as the Hugging Face Hub has models: a folder to share.")
    flags.add_argument("run", type=Path, help="the run folder")
    flags.add_argument("--out", type=Path, required=True, help="folder for config.json, model.safetensors, README.md")
    flags.add_argument("--onnx", action="store_true", help="also write model.onnx; needs midas-dfer[export]")
    flags.add_argument(
        "--license", type=str | None, default=None, help="of the weights, such as cc-by-nc-4.0 (default: not stated)"
    )
    flags.add_argument("--json", action="store_true", help="print the paths as JSON")
    return flags


def run(request: Namespace) -> None:
    """Do it."""
    from midas_dfer.sharing.folder import read_info, save_pretrained

    check_out(request.out)
    paths = save_pretrained(request.run, request.out, onnx=request.onnx, license_name=request.license)
    if request.json:
        print(json_text({"out": str(request.out), "files": [str(path) for path in paths]}))
        return
    why_not = read_info(request.out).no_vote_shares
    if why_not:
        print(f"its output is {why_not}")
    print(f"the model of {request.run}, to be used with Predictor.from_pretrained({str(request.out)!r})")
    print_paths(paths)
