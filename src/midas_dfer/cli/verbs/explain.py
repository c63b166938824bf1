"""midas explain: which pixels and frames a trained model relies on."""

from pathlib import Path

from jsonargparse import Namespace

from midas_dfer.cli.parsing import (
    Parser,
    add_computing_flags,
    check_least,
    check_out,
    print_paths,
    refuse_typed,
)
from midas_dfer.cli.reader_flags import TRAINED, open_named
from midas_dfer.files import json_text
from midas_dfer.progress import console_progress


def parser() -> Parser:
    flags = Parser(description="Show which pixels and frames support a class, in clips the model was not trained on.")
    flags.add_argument("run", type=Path, metavar="RUN", help=TRAINED)
    flags.add_argument("--store", type=Path, required=True, help="folder of the store")
    flags.add_argument("--out", type=Path, required=True, help="folder for pictures, explanation.json and maps.npz")
    flags.add_argument(
        "--clips",
        type=str,
        nargs="+",
        default=[],
        help="ids of clips (default: test clips: confident and right, confident and wrong, ambiguous)",
    )
    flags.add_argument("--num", type=int, default=8, help="number of clips, if none are named (default: 8)")
    flags.add_argument(
        "--target", type=str, default="predicted", help="predicted, label or the name of a class (default: predicted)"
    )
    add_computing_flags(flags)
    flags.add_argument("--json", action="store_true", help="print what was found as JSON")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.evaluation.explain import explain
    from midas_dfer.evaluation.explanation import write_explanation
    from midas_dfer.report.pictures.activation_figure import draw_explanation

    if request.clips:
        refuse_typed(request, ("num",), "--clips names the clips")
    check_least(request, 1, "num")
    check_out(request.out, writes=("explanation.json", "maps.npz"))
    explanation = explain(
        open_named(request.run),
        request.store,
        clips=request.clips,
        num=request.num,
        target=request.target,
        device=request.device,
        precision=request.precision,
        progress=console_progress("explain", "clip"),
    )
    paths = write_explanation(explanation, request.out)
    pictures = draw_explanation(explanation, request.out)
    if request.json:
        print(json_text(explanation.to_dict()))
        return
    if explanation.no_vote_shares:
        print(f"probabilities are {explanation.no_vote_shares}")
    if explanation.caution:
        print(f"CAUTION: {explanation.caution}.")
    for clip in explanation.clips:
        frame = clip.positions[int(clip.frame_shares.argmax())] + 1
        share = 100 * float(clip.frame_shares.max())
        print(f"{clip.video_id}: {clip.label or 'no single label'}, taken for {clip.predicted}")
        print(f"  evidence for {clip.target}: most in frame {frame} ({share:.0f} %)")
    print_paths([*pictures, *paths])
