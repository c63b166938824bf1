"""The whole path on made-up faces: render, prepare, describe, train, evaluate, predict."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from midas_dfer.clips.extract import ExtractSettings
from midas_dfer.clips.prepare import available_cores, prepare
from midas_dfer.clips.store import ClipStore
from midas_dfer.datasets.synthetic import read_synthetic, write_corpus, write_new_video
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import evaluate
from midas_dfer.files import make_folder, read_json, write_json
from midas_dfer.predict.predictor import Predictor
from midas_dfer.progress import console_progress
from midas_dfer.report.description import describe
from midas_dfer.report.description_figures import draw_description
from midas_dfer.report.evaluation_figures import draw_evaluation
from midas_dfer.report.predictions import write_prediction
from midas_dfer.report.tables import description_table, evaluation_table, prepare_table
from midas_dfer.report.training_curves import draw_training
from midas_dfer.training.config import RunConfig
from midas_dfer.training.runs import METRICS_FILE
from midas_dfer.training.train import train

MARK = "demo.json"
CLIPS, PEOPLE, SECONDS = 240, 30, 0.8
STORED_SIZE = 112

RECIPE = RunConfig(
    width=16,
    size=64,
    scales=(1.0, 0.875),
    dropout=0.2,
    temperature=0.25,
    epochs=20,
    num_threads=1,
)
"""A small network for two cores and a minute. Everything that is not named is the paper's.

One thread computes and another process reads: as quick as two threads for so small a network, and the scores do not
depend on how many cores there are.
"""


def run_demo(
    out: Path, *, seed: int = 0, jobs: int | None = None, clips: int = CLIPS, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run the whole path; see `midas demo --help`.

    Args:
        out: folder for all of it. A folder that an earlier demo made is used again: videos and clips that are
            there stay, the run is made anew.
        seed: of the faces, the votes and the training. Same seed, same scores, on the same machine.
        jobs: processes; all cores if None.
        clips: how many made-up clips.
        say: prints a line.

    Returns:
        the scores and the paths of what was made.

    Raises:
        RequestError: `out` holds something else.
    """
    began = time.monotonic()
    videos, store_path, run_path = out / "videos", out / "store", out / "run"
    pictures, prediction = out / "pictures", out / "prediction"
    jobs = jobs or available_cores()
    mark = {"seed": seed, "clips": clips, "people": PEOPLE, "seconds": SECONDS}
    _take_folder(out, mark, (videos, store_path), (run_path, pictures, prediction))

    say(f"1/6  Rendering {clips} clips of made-up faces with ten votes each: {videos}")
    say("     They show that the parts fit together, and nothing about real faces.")
    bar = console_progress("render", "clip")
    bar.start(clips)
    write_corpus(videos, clips=clips, identities=PEOPLE, seconds=SECONDS, seed=seed, jobs=jobs, progress=bar.advance)
    bar.finish()

    say(f"\n2/6  Preparing: finding and aligning the face in each clip: {store_path}")
    settings = ExtractSettings(size=STORED_SIZE)
    bar = console_progress("prepare", "clip")
    say(prepare_table(prepare(read_synthetic(videos), videos, store_path, settings=settings, jobs=jobs, progress=bar)))

    say("\n3/6  Describing the votes")
    store = ClipStore.open(store_path)
    description = describe(store)
    say(description_table(description))
    drawn = draw_description(store, description, pictures)

    config = RunConfig.from_dict({**RECIPE.to_dict(), "seed": seed, "num_workers": min(1, jobs - 1)})
    say(f"\n4/6  Training a small network with MIDAS: {run_path}")
    run = train(config, store, run_path, say=say)
    draw_training(run.path / METRICS_FILE, pictures / "training.png")

    say("\n5/6  Evaluating on the people it has not seen")
    evaluation, predictions = evaluate(run, store)
    say(evaluation_table(evaluation))
    drawn += [pictures / "training.png", *draw_evaluation(evaluation, predictions, pictures)]

    say(f"\n6/6  Reading a new video: {prediction}")
    make_folder(prediction)
    new_video = prediction / "new_video.mp4"
    write_new_video(new_video, seed=seed + 1)
    timeline = Predictor.from_run(run.path).predict_video(new_video)
    drawn += write_prediction(timeline, new_video, prediction)

    say(f"\nDone in {time.monotonic() - began:.0f} seconds.")
    say(f"UAR {100 * (evaluation.uar or 0):.2f} %   WAR {100 * (evaluation.war or 0):.2f} %   (made-up faces)")
    for path in drawn:
        say(f"  {path}")
    return {
        "uar": evaluation.uar,
        "war": evaluation.war,
        "store": str(store_path),
        "run": str(run_path),
        "pictures": [str(path) for path in drawn],
    }


def _take_folder(out: Path, mark: dict[str, int | float], kept: tuple[Path, ...], remade: tuple[Path, ...]) -> None:
    """Make the folder, or clear away what an earlier demo left there and this one makes anew."""
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
