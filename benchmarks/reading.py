"""How fast videos are prepared and read: on one thread and two, beside other readers, and as videos grow longer.

    python -m benchmarks.reading --videos FOLDER --fer PYTHON --face-api node_modules/@vladmandic/face-api

measures everything and writes benchmarks/results/reading.json, which docs/benchmarks.md shows. PYTHON is the
interpreter of an environment with `fer` (benchmarks/readers/fer_frames.py says which), the last folder is where npm
installed face-api (benchmarks/readers/face_api_frames.mjs says how). Each measurement is a process of its own, whose
peak memory is its own. `--stages` repeats parts; the others keep their figures.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")


from benchmarks import RESULTS
from benchmarks.machine import machine, peak_megabytes
from benchmarks.page import write_page
from benchmarks.videos import larger, longer, several_faces

STAGES = ("start", "speed", "sizes", "faces", "files", "peers", "growth")
ONE_FACE = ("again.mkv", "WolfgangLanger_Pexels.mp4", "d10.mp4")
MINUTES = (1, 10, 100)
LARGE = ((1920, 1080), (3840, 2160))
SMALL_FILES, SECONDS_OF_SMALL = 40, 2.0
ROUNDS = 5
Figures = dict[str, Any]


def spread(values: Sequence[float]) -> Figures:
    """Median, lowest and highest."""
    return {"n": len(values), "median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def timed(work: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each round after one that is not counted; of a single one, which takes long, of processor time."""
    if rounds == 1:
        return [_once(work, time.process_time)]
    return [_once(work) for _ in range(rounds + 1)][1:]


def _once(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began


def child(*arguments: object, threads: int = 1) -> Any:  # noqa: ANN401 - whatever it prints
    """Run a part of this module in a process of its own, on as many cores as threads."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    command = [sys.executable, "-m", "benchmarks.reading", "--part", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return json.loads(done.stdout)


def read_in_child(path: Path, rounds: int) -> Figures:
    """Read a video with the packaged reader: frames a second, faces, peak memory."""
    import cv2
    import torch

    from midas_dfer import Predictor
    from midas_dfer.predict.timeline import Timeline

    cv2.setNumThreads(torch.get_num_threads())
    predictor = Predictor.from_pretrained("ferplus", device="cpu")
    timelines: list[Timeline] = []
    seconds = timed(lambda: timelines.append(predictor.predict_video(path)), rounds)
    timeline = timelines[-1]
    return {
        "frames": timeline.num_frames,
        "seconds_of_video": timeline.duration,
        "faces": len(timeline.tracks),
        **spread([timeline.num_frames / each for each in seconds]),
        "peak_mb": peak_megabytes(),
    }


def prepare_in_child(path: Path, rounds: int) -> Figures:
    """Find, follow, align and encode the faces of a video, as `prepare` does: frames a second, peak memory."""
    import cv2

    from midas_dfer.clips.preparing.extract import ClipExtractor
    from midas_dfer.clips.store.settings import ExtractSettings

    cv2.setNumThreads(1)
    extractor, frames = ClipExtractor(ExtractSettings()), 0

    def extract() -> None:
        nonlocal frames
        frames = sum(1 for _ in extractor.extract(path))

    seconds = timed(extract, rounds)
    return {"frames": frames, **spread([frames / each for each in seconds]), "peak_mb": peak_megabytes()}


# --- the stages -----------------------------------------------------------------------------------------------------


def stage_start() -> Figures:
    """Seconds of whole processes: until torch is imported, networks are listed, and a picture is read."""
    picture = "from midas_dfer import Predictor; Predictor.from_pretrained('ferplus', device='cpu')"
    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "midas list models": [sys.executable, "-m", "midas_dfer", "list", "models"],
        "the reader ready to read": [sys.executable, "-c", picture],
    }

    def run(command: Sequence[str]) -> float:
        return _once(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    for command in commands.values():
        run(command)
    turns = [{name: run(command) for name, command in commands.items()} for _ in range(ROUNDS)]
    return {name: spread([turn[name] for turn in turns]) for name in commands}


def ways(video: Path) -> Figures:
    """Read on one thread and on two, prepared on one."""
    return {
        "read, 1 thread": child("read", video, ROUNDS),
        "read, 2 threads": child("read", video, ROUNDS, threads=2),
        "prepared, 1 thread": child("prepare", video, ROUNDS),
    }


def stage_speed(videos: Path) -> Figures:
    """One face."""
    return {name: ways(videos / name) for name in ONE_FACE}


def stage_faces(videos: Path) -> Figures:
    """Several people at once, at 640x480."""
    with tempfile.TemporaryDirectory() as name:
        return {str(n): ways(several_faces(videos, n, Path(name) / f"{n}.mp4")) for n in (2, 4)}


def stage_sizes(videos: Path) -> Figures:
    """One face in large pictures."""
    with tempfile.TemporaryDirectory() as name:
        return {f"{w}x{h}": ways(larger(videos, w, h, Path(name) / f"{w}.mp4")) for w, h in LARGE}


def stage_files(videos: Path) -> Figures:
    """Whole commands: `midas predict` on one short video and on many."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = videos / "single_face.mp4"
        (folder / "many").mkdir()
        for number in range(SMALL_FILES):
            shutil.copy(source, folder / "many" / f"{number}.mp4")

        def predict(what: Path, turn: int) -> float:
            command = [sys.executable, "-m", "midas_dfer", "predict", what, "--out", folder / f"out{what.name}{turn}"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return _once(lambda: subprocess.run([*command, "--no_video"], check=True, **quiet))  # type: ignore[call-overload]

        turns = [(predict(source, n), predict(folder / "many", n)) for n in range(3)]
    return {"files": SMALL_FILES, "one": spread([a for a, _ in turns]), "all": spread([b for _, b in turns])}


def stage_peers(videos: Path, fer: Path | None, face_api: Path | None) -> Figures:
    """Detect and read the same decoded frames, one core each, in turns."""
    from midas_dfer.video.read import iter_frames

    here, core = Path(__file__).with_name("readers"), {sorted(os.sched_getaffinity(0))[0]}
    found: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        import numpy as np

        frames = [frame.image for frame in iter_frames(videos / ONE_FACE[0], pixel_format="bgr24")]
        sides = (frames[0].shape[1], frames[0].shape[0])
        bgr, rgb = Path(name) / "bgr", Path(name) / "rgb"
        np.stack(frames).tofile(bgr)
        np.stack(frames)[..., ::-1].tofile(rgb)
        commands: dict[str, list[Any]] = {
            "midas-dfer, windows": [sys.executable, "-m", "benchmarks.reading", "--part", "frames", rgb, *sides, "2.0"],
            "midas-dfer, each frame": [
                sys.executable,
                "-m",
                "benchmarks.reading",
                "--part",
                "frames",
                rgb,
                *sides,
                "0",
            ],
        }
        if fer is not None:
            commands["fer 25.10.3"] = [fer, here / "fer_frames.py", bgr, *sides, ROUNDS]
        if face_api is not None:
            script = ["node", here / "face_api_frames.mjs", face_api, rgb, *sides, ROUNDS]
            commands |= {f"face-api 1.7.15, {kind}": [*script, kind] for kind in ("tiny", "ssd")}
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        for who, command in commands.items():
            done = subprocess.run(
                [*map(str, command)],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                preexec_fn=lambda: os.sched_setaffinity(0, core),
            )
            said = json.loads(done.stdout.splitlines()[-1])
            found[who] = {**said, **spread([said["frames"] / each for each in said["seconds"]])}
    return found


def frames_in_child(file: Path, width: int, height: int, window: float) -> Figures:
    """Detect and read frames in memory: by windows as `predict` does, or, with 0, search and read each by itself."""
    import cv2
    import numpy as np

    from midas_dfer import Predictor

    cv2.setNumThreads(1)
    frames = np.fromfile(file, np.uint8).reshape(-1, height, width, 3)
    times = np.arange(len(frames)) / 30
    predictor = Predictor.from_pretrained("ferplus", device="cpu")
    each = {"window_seconds": 1 / 30, "stride_seconds": 1 / 30, "search_every": 0.0}
    settings = {"window_seconds": window} if window else each
    read = timed(lambda: predictor.predict_frames(frames, times, **settings), ROUNDS)  # type: ignore[arg-type]
    timeline = predictor.predict_frames(frames, times, **settings)  # type: ignore[arg-type]
    detected = int(timeline.tracks[0].face.detected.sum())
    return {"frames": len(frames), "with_face": detected, "seconds": read, "opencv": cv2.__version__}


def stage_growth(videos: Path, minutes: float) -> Figures:
    """The same video over and over, for so long: frames a second of processor time, peak memory; one thread."""
    with tempfile.TemporaryDirectory() as name:
        video = longer(videos / ONE_FACE[0], minutes, Path(name) / "long.mkv")
        return {"read": child("read", video, 1), "prepared": child("prepare", video, 1)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--videos", type=Path, help="folder with the clips that the documentation names")
    parser.add_argument("--fer", type=Path, help="Python of an environment with fer")
    parser.add_argument("--face-api", type=Path, help="node_modules/@vladmandic/face-api")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--minutes", nargs="+", type=float, default=MINUTES)
    parser.add_argument("--out", type=Path, default=RESULTS / "reading.json")
    asked = parser.parse_args()
    if asked.part:
        print(json.dumps(part(*asked.part)))
        return
    if asked.videos is None:
        parser.error("--videos is missing: the folder with " + ", ".join(ONE_FACE))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    figures: Figures = json.loads(asked.out.read_text()) if asked.out.exists() else {}

    def keep() -> None:
        figures["machine"] = machine("torch", "numpy", "opencv-python-headless", "av")
        asked.out.write_text(json.dumps(figures, indent=1) + "\n")
        write_page(asked.out)

    for stage in asked.stages:
        began = time.perf_counter()
        if stage == "growth":
            for length in asked.minutes:
                figures.setdefault(stage, {})[f"{length:g}"] = stage_growth(asked.videos, length)
                keep()
        elif stage == "start":
            figures[stage] = stage_start()
        elif stage == "peers":
            figures[stage] = stage_peers(asked.videos, asked.fer, asked.face_api)
        else:
            others = {"speed": stage_speed, "sizes": stage_sizes, "faces": stage_faces, "files": stage_files}
            figures[stage] = others[stage](asked.videos)
        keep()
        print(f"{stage}: {time.perf_counter() - began:.0f} s", flush=True)


def part(kind: str, path: str, *more: str) -> Figures:
    """What a child measures."""
    if kind == "frames":
        return frames_in_child(Path(path), int(more[0]), int(more[1]), float(more[2]))
    return {"read": read_in_child, "prepare": prepare_in_child}[kind](Path(path), int(more[0]))


if __name__ == "__main__":
    main()
