"""midas export: a trained model -> a folder to share: weights, model card, and ONNX if asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.parsing import Parser, check_out, print_paths, refuse
from midas_dfer.cli.reader_flags import TRAINED, open_named
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text
from midas_dfer.version import __version__

if TYPE_CHECKING:
    from midas_dfer.sharing.hub import Place
    from midas_dfer.training.run_folder.runs import Run


def parser() -> Parser:
    flags = Parser(description="Write a trained model as a folder to share, in the layout of the Hugging Face Hub.")
    flags.add_argument("run", type=Path, metavar="RUN", help=TRAINED)
    flags.add_argument("--out", type=Path, required=True, help="folder for config.json, model.safetensors, README.md")
    flags.add_argument("--onnx", action="store_true", help="also write model.onnx; needs midas-dfer[export]")
    flags.add_argument("--half", action="store_true", help="weights in float16: half the size, rounded to three digits")
    flags.add_argument(
        "--mirrored", action="store_true", help="average the predictions of each clip and its mirror image"
    )
    flags.add_argument(
        "--license",
        type=str | None,
        help="licence of the weights, such as cc-by-nc-4.0 (default: not stated, or that of the exported model)",
    )
    flags.add_argument(
        "--push",
        type=str | None,
        metavar="ORG/NAME",
        help="also upload the folder to the Hugging Face Hub, into a new private repository or that of an earlier "
        "model; needs midas-dfer[hub], and hf auth login or HF_TOKEN",
    )
    flags.add_argument("--public", action="store_true", help="with --push: everybody may see the new repository")
    flags.add_argument(
        "--message", type=str | None, help="with --push: what the commit says (default: the command's name)"
    )
    flags.add_argument("--json", action="store_true", help="print the paths as JSON")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.sharing.exported import CARD_FILE, ONNX_FILE
    from midas_dfer.sharing.folder import save_pretrained

    check_out(request.out)
    place = _place(request)
    trained = open_named(request.run)
    paths = save_pretrained(
        trained,
        request.out,
        onnx=request.onnx,
        license_name=request.license,
        half=request.half,
        mirrored=request.mirrored,
    )
    pushed = None if place is None else _push(request, paths, place)
    if request.json:
        on_hub = {} if pushed is None else {"pushed": pushed}
        print(json_text({"out": str(request.out), "files": [str(path) for path in paths], **on_hub}))
        return
    if trained.run is not None:
        print(_scores_shown(trained.run))
    if trained.info.no_vote_shares:
        print(f"its output is {trained.info.no_vote_shares}")
    if trained.run is None:
        print(f"its card stays that of {trained.title}{'' if request.license is None else ', but for the licence'}")
        if request.onnx and ONNX_FILE not in (request.out / CARD_FILE).read_text(encoding="utf-8"):
            print(f"note: the card does not speak of {ONNX_FILE}; add a word on it")
    if request.mirrored and not trained.info.mirrored:
        print("note: the card's scores are those without the mirror; midas evaluate measures those with it")
        if trained.run is None:
            print("note: the card does not speak of the mirror; add a word on it")
    print(f"the model of {trained.named}, to be used with Predictor.from_pretrained({str(request.out)!r})")
    print_paths(paths)
    if place is not None:
        visibility = place.visibility or ("public" if request.public else "private")
        print(f"pushed to {place.repo}, which is {visibility}: {pushed}")
        print(f"  midas predict VIDEO --run hub:{place.repo} --out DIR")


def _place(request: Namespace) -> "Place | None":
    """Where on the Hub it goes, if it does; said before the work is done."""
    from midas_dfer.sharing.hub import find_place

    if request.push is None:
        if idle := [name for name in ("message", "public") if request[name]]:
            refuse(idle, "without --push nothing goes to the Hub")
        return None
    place = find_place(request.push)
    if place.visibility == "private" and request.public:
        raise RequestError(
            f"--public: {place.repo} is there already, and private; change that in its settings on the Hub"
        )
    return place


def _push(request: Namespace, paths: list[Path], place: "Place") -> str:
    from midas_dfer.sharing.hub import push

    message = request.message or f"Model exported by midas-dfer {__version__}"
    return push(paths, place, public=request.public, message=message)


def _scores_shown(run: "Run") -> str:
    """Which of a run's scores its card shows."""
    from midas_dfer.training.scoring.scores_file import evaluation_folders, read_evaluation, shown_folder

    folder = shown_folder(run.path)
    scores = None if folder is None else read_evaluation(run, folder)
    if scores is None:
        others = ", ".join(str(each) for each in evaluation_folders(run.path))
        why = f"those on other clips are several ({others})" if others else "the run was not evaluated"
        return f"its card has no scores: {why}"
    clips = "all clips" if scores.part == "all" else f"the {scores.part} part"
    return f"its card shows the scores in {folder}: {scores.num_clips} clips, {clips} of {scores.dataset}"
