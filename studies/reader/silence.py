"""`python -m studies.reader.silence BUILD`: what the packaged reader's silence goes by, and whether it keeps its word.

BUILD is the folder of `python -m studies.reader`; to be run again with --install after a reader was shipped.
Thresholds come from the validation pictures, which also fitted the reader's temperature and chose its recipe; the test
pictures, which chose nothing, say what became of the risk. Pictures are read as a video is: cut by landmarks where a
face is found, else as published.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.machine import machine

from midas_dfer import metrics
from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import choose_clips
from midas_dfer.files import write_file, write_json
from midas_dfer.labels import NO_LABEL, entropy, majority_labels, votes_to_soft_labels
from midas_dfer.sharing.ensemble import Network, combined
from midas_dfer.sharing.trained import TrainedModel, packaged_reader
from midas_dfer.training.scoring.held_out import ABSTENTION_FILE, REASONS, Abstention, HeldOut
from midas_dfer.training.scoring.scores import Predictions, score

RISKS = (0.02, 0.05, 0.1)
"""The reader is wrong on 13.5 % of the test pictures if it answers always."""
RESULTS = Path(__file__).with_name("silence.json")
_BATCH = 64


def main(arguments: list[str] | None = None) -> None:
    """Measure, and put the reader's own numbers beside its weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="the study's folder, with its stores published and aligned")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--install", action="store_true", help=f"write {ABSTENTION_FILE} into the package, too")
    request = parser.parse_args(arguments)
    torch.set_num_threads(1)
    trained = packaged_reader()
    published, aligned = (ClipStore.open(request.build / name) for name in ("published", "aligned"))
    validation, test = (read_part(trained, published, aligned, part) for part in ("validation", "test"))
    held_out = held_out_of(trained, validation)
    write_json(request.results, {"machine": machine("torch", "numpy"), **figures(held_out, test)})
    if request.install:
        write_file(trained.path / ABSTENTION_FILE, held_out.content)


def read_part(trained: TrainedModel, published: ClipStore, aligned: ClipStore, part: str) -> Predictions:
    """Read the pictures of a part; a still is a clip of one frame."""
    clips = choose_clips(trained, published, "test" if part == "test" else "validation").clips
    found, names = set(aligned.manifest.video_ids), clips.video_ids
    network = Network(trained.load(), trained.info, torch.device("cpu"), torch.float32)
    read = []
    for start in range(0, len(names), _BATCH):
        stores = ((name, aligned if name in found else published) for name in names[start : start + _BATCH])
        views = [apply_crop(store.read(name, [0]), None, trained.info.size) for name, store in stores]
        read.append(combined([(trained.info, network.read(torch.stack(views)))]))
    parts = [each.uncertainty for each in read if each.uncertainty is not None]
    return Predictions(
        video_ids=tuple(names),
        labels=majority_labels(clips.votes),
        has_votes=clips.has_votes,
        votes=votes_to_soft_labels(clips.votes),
        probabilities=torch.cat([each.probabilities for each in read]).numpy(),
        vote_shares=torch.cat([each.vote_shares for each in read if each.vote_shares is not None]).numpy(),
        uncertainty=metrics.Uncertainty(*map(np.concatenate, zip(*parts, strict=True))),
    )


def held_out_of(trained: TrainedModel, predictions: Predictions) -> HeldOut:
    """What the reader's silence goes by."""
    about = score(
        predictions,
        method=trained.info.method,
        model=trained.info.model,
        dataset="FER+ (still pictures)",
        class_names=trained.info.class_names,
        part="validation",
        caution="measured on still pictures; how often it is wrong in a video of another kind is not known",
        mapping=None,
    )
    return HeldOut.of(about, predictions)


def figures(held_out: HeldOut, test: Predictions) -> dict[str, Any]:
    """What each risk leads to on the test pictures, and what the two reasons are worth."""
    known = test.labels != NO_LABEL
    wrong = test.judged.argmax(axis=1) != test.labels
    rules = [held_out.silent_above(risk) for risk in RISKS]
    rows = []
    for rule in rules:
        answered = known & (test.judged.max(axis=1) >= rule.selection.threshold)
        rows.append(
            {
                **rule.to_dict(),
                "test": {
                    "pictures": int(known.sum()),
                    "answered": int(answered.sum()),
                    "wrong": int((wrong & answered).sum()),
                },
            }
        )
    return {"error_rate": float(wrong[known].mean()), "risks": rows, "reasons": [reasons(rule, test) for rule in rules]}


def reasons(rule: Abstention, test: Predictions) -> dict[str, Any]:
    """Of the test pictures by reason: how divided the votes are, and how far from them the reader is."""
    if test.uncertainty is None:
        raise RequestError("the reader read each picture once; it is to read mirror images, too")
    distance = metrics.total_variation(test.judged, test.votes, "none")
    divided = entropy(test.votes)
    said = [
        rule.reason(float(share), float(disagreement), float(unknown)) or "answered"
        for share, disagreement, unknown in zip(test.judged.max(axis=1), *test.uncertainty, strict=True)
    ]
    groups = {}
    for name in ("answered", *REASONS[:2]):
        rows = np.array([each == name for each in said])
        if not rows.any():
            continue
        groups[name] = {
            "pictures": int(rows.sum()),
            "votes_entropy": float(divided[rows].mean()),
            "total_variation": float(distance[rows].mean()),
            "kullback_leibler": float(metrics.kullback_leibler(test.judged[rows], test.votes[rows])),
        }
    return {"risk": rule.risk, **groups}


if __name__ == "__main__":
    main()
