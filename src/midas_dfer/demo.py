"""The first day: a real face read by the packaged reader, then the whole pipeline on synthetic faces."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from midas_dfer.clips.description.description import describe
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.comparison.intervals import subjects_of
from midas_dfer.emotions import CREMA_D, match_classes
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import make_folder, read_json, write_json
from midas_dfer.predict.predictor import Predictor
from midas_dfer.processes import available_cores
from midas_dfer.progress import console_progress, reported
from midas_dfer.readers import DEFAULT_READER
from midas_dfer.report.pictures.description_figures import draw_description
from midas_dfer.report.pictures.evaluation_figures import draw_evaluation
from midas_dfer.report.pictures.training_curves import draw_training
from midas_dfer.report.tables.evaluation_table import evaluation_table
from midas_dfer.report.tables.store_tables import description_table, prepare_table
from midas_dfer.report.tables.terminal import folded
from midas_dfer.report.video.write_prediction import write_prediction
from midas_dfer.sharing.trained import packaged_reader
from midas_dfer.synthetic import read_synthetic, write_corpus, write_new_video
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import METRICS_FILE
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.train import train

REAL_CLIP = Path(__file__).with_name("demo_data") / "1001_DFA_HAP_XX.flv"
"""A clip of CREMA-D; its licence is next to it."""
REAL_VOTES = dict(zip(CREMA_D.names, (0, 0, 0, 7, 2, 0), strict=True))
"""What nine people said who saw it without its sound."""
WINDOW_SECONDS, STRIDE_SECONDS = 0.5, 0.1
"""Of its reading, for it lasts two seconds."""

MARK = "demo.json"
CLIPS, PEOPLE, SECONDS, FRAME_RATE = 320, 40, 0.8, 12.5
STORED_SIZE = 64

RECIPE = RunConfig(
    weights="reader",
    temperature=0.25,
    dropout=0.2,
    num_segments=2,
    scales=(1.0, 0.875),
    epochs=6,
    batch_size=16,
    learning_rate=0.05,
    num_threads=1,
)
"""Fine-tuning for two cores and a few seconds. Everything that is not named is the paper's, or the reader's.

One thread computes: the scores do not depend on how many cores there are.
"""


def run_demo(
    out: Path, *, seed: int = 0, jobs: int | None = None, clips: int = CLIPS, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Read a real face, then run the whole pipeline on synthetic ones; see `midas demo --help`.

    Args:
        out: output folder. An earlier demo's folder is reused: its videos and clips stay, its runs are replaced.
        seed: of the faces, the votes and the training. The same seed gives the same scores on the same machine.
        jobs: number of processes; None is one per core.
        clips: number of synthetic clips.
        say: prints a line.

    Returns:
        the scores and the paths of what was made.

    Raises:
        RequestError: `out` holds something else.
    """
    began = time.monotonic()

    def tell(text: str) -> None:
        say(folded(text))

    videos, store_path, run_path, beside = out / "videos", out / "store", out / "run", out / "run_from_random_weights"
    real_face, pictures, prediction = out / "real_face", out / "pictures", out / "prediction"
    jobs = jobs or available_cores()
    mark = {"seed": seed, "clips": clips, "people": PEOPLE, "seconds": SECONDS}
    _take_folder(out, mark, (videos, store_path), (real_face, run_path, beside, pictures, prediction))

    tell(f"1/7  Reading a real face with the packaged reader {DEFAULT_READER.name}")
    read = read_real_face(real_face, say=tell)
    for path in read:
        tell(f"     {path}")

    tell(f"\n2/7  Rendering {clips} clips of synthetic faces with ten votes each: {videos}")
    tell("     They show that the parts fit together, and nothing about real faces.")
    with reported(console_progress("render", "clip"), clips) as rendering:
        write_corpus(
            videos,
            clips=clips,
            identities=PEOPLE,
            seconds=SECONDS,
            frame_rate=FRAME_RATE,
            seed=seed,
            jobs=jobs,
            progress=rendering.advance,
        )

    tell(f"\n3/7  Preparing: finding and aligning the face in each clip: {store_path}")
    settings = ExtractSettings(size=STORED_SIZE)
    bar = console_progress("prepare", "clip")
    tell(prepare_table(prepare(read_synthetic(videos), videos, store_path, settings=settings, jobs=jobs, progress=bar)))

    tell("\n4/7  Describing the votes")
    store = ClipStore.open(store_path)
    description = describe(store)
    tell(description_table(description))
    drawn = draw_description(store, description, pictures)

    config = replace(RECIPE, seed=seed, num_workers=0)
    tell(f"\n5/7  Fine-tuning the reader with MIDAS: {run_path}")
    run = train(config, store, run_path, say=tell)
    draw_training(run.path / METRICS_FILE, pictures / "training.png")
    tell(f"\n     Beside it, the same from random weights: {beside}")
    from_random = train(replace(config, weights=None), store, beside, say=lambda text: None)

    tell("\n6/7  Evaluating on the people it has not seen")
    evaluation, predictions = evaluate(run, store)
    tell(evaluation_table(evaluation))
    drawn += [pictures / "training.png", *draw_evaluation(evaluation, predictions, pictures, subjects_of(store))]
    beside_war = evaluate(from_random, store)[0].war or 0.0
    name, share = most_frequent(evaluation)

    tell(f"\n7/7  Reading a new video with it: {prediction}")
    make_folder(prediction)
    new_video = prediction / "new_video.mp4"
    write_new_video(new_video, seed=seed + 1)
    timeline = Predictor.from_run(run.path).predict_video(new_video)
    drawn += write_prediction(timeline, new_video, prediction)

    tell(f"\nDone in {time.monotonic() - began:.0f} seconds.")
    for path in drawn:
        tell(f"  {path}")
    tell("\nOn unseen synthetic people:")
    tell(f"  UAR {100 * (evaluation.uar or 0):.2f} %   WAR {100 * (evaluation.war or 0):.2f} %   from the reader")
    tell(f"                WAR {100 * beside_war:.2f} %   the same training from random weights")
    tell(f"                WAR {100 * share:.2f} %   always {name}, the most frequent class")
    tell("\nYour own video: midas predict VIDEO --out DIR")
    return {
        "uar": evaluation.uar,
        "war": evaluation.war,
        "war_from_random_weights": beside_war,
        "war_of_most_frequent": share,
        "store": str(store_path),
        "run": str(run_path),
        "pictures": [str(path) for path in (*read, *drawn)],
    }


def read_real_face(folder: Path, *, say: Callable[[str], None] = print) -> list[Path]:
    """Read the packaged clip of a real face with the packaged reader, and print it next to what people voted."""
    timeline = Predictor.from_pretrained(packaged_reader()).predict_video(
        REAL_CLIP, window_seconds=WINDOW_SECONDS, stride_seconds=STRIDE_SECONDS
    )
    paths = write_prediction(timeline, REAL_CLIP, folder)
    read = timeline.tracks[0].summary.shown
    cast = sum(REAL_VOTES.values())
    match = match_classes(tuple(REAL_VOTES), timeline.class_names)
    say(f"     {REAL_CLIP.name}: CREMA-D, Open Database License; seen without sound")
    say(f"                {cast} people   the reader")
    for name, place, share in zip(timeline.class_names, match.places, read, strict=True):
        people = "not asked" if place is None else f"{REAL_VOTES[CREMA_D.names[place]] / cast:.0%}"
        say(f"     {name:<10}{people:>9}{share:>11.0%}")
    return paths


def most_frequent(evaluation: Evaluation) -> tuple[str, float]:
    """The class that most of the tested clips have, and the WAR of who always says that."""
    counts = [sum(row) for row in evaluation.confusion]
    top = counts.index(max(counts))
    return evaluation.class_names[top], counts[top] / max(1, evaluation.num_labelled)


def _take_folder(out: Path, mark: dict[str, int | float], kept: tuple[Path, ...], remade: tuple[Path, ...]) -> None:
    """Make the folder, or clear away what an earlier demo left there and this one makes again."""
    earlier = None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        try:
            earlier = read_json(out / MARK, "name another --out")
        except RequestError:
            earlier = None
        if earlier is None or earlier.keys() != mark.keys():
            raise RequestError(f"{out} holds something that is not a demo; name another --out")
    for folder in remade if earlier == mark else (*remade, *kept):
        shutil.rmtree(folder, ignore_errors=True)
    make_folder(out)
    write_json(out / MARK, mark)
