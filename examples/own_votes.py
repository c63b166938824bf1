"""From your own videos and votes to a trained, evaluated model, in Python.

    python examples/own_votes.py votes.csv --videos VIDEOS --out OUT
    python examples/own_votes.py --out OUT                            # made-up faces and votes

votes.csv has a row for each video and a column of counts for each class, or a row for each vote (docs/datasets.md).
The same by commands: midas prepare, describe, train, evaluate.
"""

import argparse
from pathlib import Path

import numpy as np

from midas_dfer import ClipStore, RunConfig, entropy, evaluate, prepare, train, votes_to_soft_labels
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.table import read_table


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("votes", type=Path, nargs="?", help="the table of votes; made up if not given")
    flags.add_argument("--videos", type=Path, help="the folder of the videos (default: that of the table)")
    flags.add_argument("--out", type=Path, required=True, help="folder for store and run")
    flags.add_argument("--epochs", type=int, default=30, help="of a training on your own videos")
    flags.add_argument("--jobs", type=int, help="processes that look for faces (default: one for each core)")
    request = flags.parse_args()
    votes, made_up = request.votes, request.votes is None
    if made_up:
        votes = make_up(request.out / "made_up")

    # 1. The votes, as they were cast. Ambiguity is kept: a soft label is the share of each class.
    manifest = read_table(votes)
    for note in manifest.notes:
        print(f"note: {note}")
    soft_labels = votes_to_soft_labels(manifest.votes)
    bits = entropy(soft_labels)
    print(f"{len(manifest)} videos, {manifest.votes.sum(axis=1).mean():.1f} votes each, classes {manifest.class_names}")
    print(f"most ambiguous: {manifest.video_ids[int(np.argmax(bits))]}; ties: {int((manifest.labels < 0).sum())}")

    # 2. Folds, so that nobody who is trained on is tested on: by the column subject, or else by video.
    if not manifest.fold_numbers and "test" not in manifest.table["split"].to_list():
        manifest = manifest.with_subject_folds(3)

    # 3. The faces, once. Run again, it goes on where it stopped.
    settings = ExtractSettings(faces="cropped" if made_up else "detect", size=64 if made_up else 224)
    videos = request.videos or votes.parent
    report = prepare(manifest, videos, request.out / "store", settings=settings, jobs=request.jobs)
    print(f"{report.usable} videos can be used; not: {dict(report.failed) or 'none'}")

    # 4. MIDAS, trained on all folds but the first; and scores on the first.
    store = ClipStore.open(request.out / "store")
    small = RunConfig(width=8, num_segments=4, size=32, epochs=3)  # for a first look; the defaults are the paper's
    run = train(small if made_up else RunConfig(epochs=request.epochs), store, request.out / "run")
    evaluation, _ = evaluate(run, store)
    print(f"UAR {evaluation.uar:.1%} of {evaluation.num_labelled} videos that were not trained on")
    least = evaluation.votes_entropy
    print(f"cross-entropy with the votes {evaluation.judged.soft_cross_entropy:.3f}; the least would be {least:.3f}")


def make_up(folder: Path) -> Path:
    """Made-up videos, a folder of frames each, and a table of votes; gives the table."""
    import cv2

    rng = np.random.default_rng(0)
    rows = ["video_id,happy,sad,neutral,subject"]
    for number in range(18):
        votes = rng.multinomial(8, rng.dirichlet([0.5] * 3))
        frames = folder / f"clip_{number:02d}"
        frames.mkdir(parents=True, exist_ok=True)
        for index in range(4):
            picture = rng.integers(0, 60, (64, 64, 3)) + (votes / 8 * 190).astype(int)
            cv2.imwrite(str(frames / f"{index}.png"), picture.astype(np.uint8))
        rows.append(f"clip_{number:02d},{votes[0]},{votes[1]},{votes[2]},person {number // 3}")
    (folder / "votes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "votes.csv"


if __name__ == "__main__":  # prepare starts processes, which import this file
    main()
