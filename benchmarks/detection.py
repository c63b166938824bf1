"""Detecting faces in batches (PyTorch) beside one by one (OpenCV): time, differences, and the faces of whole videos.

`python -m benchmarks.detection [VIDEO...]` prints everything and writes benchmarks/results/detection.json. It measures
one thread of the CPU and, where there is one, a GPU. With videos it also measures how far the two detectors differ on
them, and whether a search of every frame in batches, as `predict` does on a GPU, is as steady and upright as tracking.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch

from benchmarks.following import _face, difference, lean, shaking
from benchmarks.machine import machine
from midas_dfer import Predictor
from midas_dfer.clips.faces.detection import Face, FaceDetector, default_model
from midas_dfer.clips.faces.following import FaceFollower
from midas_dfer.clips.faces.frames import BatchFollower
from midas_dfer.clips.faces.network import BatchSearch, YuNet
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.errors import VideoError
from midas_dfer.exact import exactly
from midas_dfer.predict.timeline import Timeline
from midas_dfer.synthetic.face.anatomy import Pose
from midas_dfer.video.read import Frame, iter_frames

SIZES = ((224, 224), (640, 480))  # width, height
BATCHES = (1, 8, 32)
FRAMES = 100  # of a video, at most
TURNED_FRAMES = 12
TURNS = (-45, -30, -15, 15, 30, 45)
CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.process_time, "cuda": time.perf_counter}
Result = dict[str, Any]


def devices() -> list[str]:
    """Where batches are measured."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def timed(work: Callable[[], object], pictures: int, n: int, device: str = "cpu") -> Result:
    """Milliseconds for each picture: median, lowest and highest of n, after one run to warm up.

    It is processor time on the CPU, the time that passes on a GPU.
    """
    values = []
    for _ in range(n + 1):
        start = CLOCKS[device]()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        values.append(1000 * (CLOCKS[device]() - start) / pictures)
    return {"n": n, "median ms": statistics.median(values[1:]), "min ms": min(values[1:]), "max ms": max(values[1:])}


def speed(n: int) -> list[Result]:
    """Each way at each size: whole detectors, and the network alone in both layouts of memory."""
    rows: list[Result] = []
    for width, height in SIZES:
        images = [cv2.resize(_face(person, Pose(), 150, 1.0)[0], (width, height)) for person in range(max(BATCHES))]
        about = {"size": f"{width}x{height}"}
        rows.append({"what": "OpenCV", "device": "cpu", "batch": 1, **about})
        rows[-1] |= timed(partial(one_by_one, FaceDetector(), images[:8]), 8, n)
        for device in devices():
            detector, network = FaceDetector(device=device), YuNet(default_model()).to(device)
            for batch in BATCHES:
                rows.append({"what": "PyTorch", "device": device, "batch": batch, **about})
                rows[-1] |= timed(partial(detector.detect_batch, images[:batch]), batch, n, device)
            pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()
            for layout in (torch.channels_last, torch.contiguous_format):
                given = pixels.contiguous(memory_format=layout)
                rows.append({"what": f"network, {layout}", "device": device, "batch": len(images), **about})
                with torch.inference_mode(), exactly(torch.float32, torch.device(device)):
                    rows[-1] |= timed(partial(network, given), len(images), n, device)
    return rows


def one_by_one(detector: FaceDetector, images: Sequence[np.ndarray]) -> list[list[Face]]:
    """The faces in each picture, by OpenCV."""
    return [detector.detect(image) for image in images]


def following(n: int) -> list[Result]:
    """Milliseconds a frame of 640x480 with one face: tracking, and searching every frame in batches."""
    image = _face(1, Pose(), 150, 1.0)[0]
    frames = [Frame(i, i / 25, np.roll(image, i % 16, axis=1)) for i in range(64)]

    rows: list[Result] = [{"what": "tracking", "device": "cpu", **timed(partial(tracked, frames), len(frames), n)}]
    for device in devices():
        row = {"what": "every frame in batches", "device": device}
        found: list[Any] = []
        detector = FaceDetector(device=device)
        row |= timed(partial(every_frame, detector, frames), len(frames), n, device)
        with patch.object(BatchSearch, "_above_threshold", _kept(BatchSearch._above_threshold, found)):
            every_frame(detector, frames)
        again = cycle(found)
        with patch.object(BatchSearch, "_above_threshold", lambda *_, again=again: next(again)):
            rest = timed(partial(every_frame, detector, frames), len(frames), n)
        rows.append({**row, "processor ms outside the network": rest})
    return rows


def _kept(work: Callable[..., Any], results: list[Any]) -> Callable[..., Any]:
    """The same, which keeps what it returns."""

    def keeping(*args: Any) -> Any:  # noqa: ANN401 - whatever it is
        results.append(work(*args))
        return results[-1]

    return keeping


def tracked(frames: Sequence[Frame]) -> list[list[Face]]:
    """As `faces_in` does on the CPU."""
    follower = FaceFollower(FaceDetector())
    return [follower.find(frame.image, frame.time) for frame in frames]


def every_frame(detector: FaceDetector, frames: Sequence[Frame]) -> list[list[Face]]:
    """As `faces_in` does on a GPU."""
    follower = BatchFollower(detector)
    return [faces for first in range(0, len(frames), 32) for faces in follower.find_all(frames[first : first + 32])]


def differences(images: Sequence[np.ndarray], device: str) -> Result:
    """The largest differences between the faces of both detectors; float16 and bfloat16 beside float32."""
    detector = FaceDetector(device=device)
    pairs = list(zip(map(detector.detect, images), detector.detect_batch(images), strict=True))
    same = [(a, b) for one, other in pairs for a, b in zip(one, other, strict=False)]
    return {
        "device": device,
        "pictures": len(images),
        "faces": len(same),
        "pictures with another number of faces": sum(len(one) != len(other) for one, other in pairs),
        "score": max(abs(a.score - b.score) for a, b in same),
        "box, pixels": max(float(np.abs(a.box - b.box).max()) for a, b in same),
        "landmarks, pixels": max(float(np.abs(a.landmarks - b.landmarks).max()) for a, b in same),
    }


def fewer_bits() -> Result:
    """What float16 and bfloat16 would change: largest difference of a confident face's values from float32."""
    image = _face(1, Pose(), 150, 1.0)[0]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    network = YuNet(default_model())
    expected = network(pixels)
    confident = expected[..., 14] > 0.7
    found = {}
    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype):
            error = (network(pixels).float() - expected)[confident].abs()
        found[str(dtype)] = {"score": error[:, 14].max().item(), "pixels": error[:, :14].max().item()}
    return found


def read(predictor: Predictor, frames: Sequence[Frame], found: Sequence[list[Face]]) -> Timeline:
    """What the reader says of faces that were found."""
    with patch("midas_dfer.predict.first_pass.faces_in", lambda given, *_: zip(given, found, strict=True)):
        return predictor.predict_frames([frame.image[..., ::-1] for frame in frames], [frame.time for frame in frames])


def compare(frames: Sequence[Frame], detector: FaceDetector, predictor: Predictor) -> Result | None:
    """Tracking beside a search of every frame in batches on one video; None if it has no face for long."""
    ways: dict[str, Callable[[Sequence[Frame]], list[list[Face]]]] = {
        "tracking": tracked,
        "every frame": partial(every_frame, detector),
    }
    row: Result = {"frames": len(frames)}
    timelines = []
    height, width = frames[0].image.shape[:2]
    for way, find in ways.items():
        found = find(frames)
        tracks = follow_faces((f.index, f.time, faces) for f, faces in zip(frames, found, strict=True))
        if not tracks or len(max(tracks, key=len)) <= 10:
            return None
        row[f"{way}, tracks"] = [[len(track), int(track.detected.sum())] for track in tracks]
        row[f"{way}, shaking"] = shaking(tracks)
        timelines.append(read(predictor, frames, found))
        upright = _mean_lean(found[:TURNED_FRAMES])
        for angle in TURNS:
            matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
            moved = [
                Frame(f.index, f.time, cv2.warpAffine(f.image, matrix, (width, height))) for f in frames[:TURNED_FRAMES]
            ]
            row.setdefault(f"{way}, lean", {})[str(angle)] = angle - _mean_lean(find(moved)) + upright
    return {**row, "change of vote shares": difference(*timelines)}


def _mean_lean(found: Sequence[list[Face]]) -> float:
    return float(np.mean([lean(faces[0].landmarks) for faces in found if faces])) if any(found) else float("nan")


def summary(videos: dict[str, Result]) -> Result:
    """Of all videos: how steady searching every frame is beside tracking, and how upright both are."""
    ratios = [row["every frame, shaking"] / row["tracking, shaking"] for row in videos.values()]
    found: Result = {"shaking beside tracking, median": statistics.median(ratios)}
    found["change of vote shares, mean"] = statistics.mean(row["change of vote shares"] for row in videos.values())
    for way in ("tracking", "every frame"):
        for angle in (15, 30, 45):
            leans = [abs(row[f"{way}, lean"][str(turn)]) for row in videos.values() for turn in (-angle, angle)]
            found[f"{way}, median lean at {angle}"] = float(np.nanmedian(leans))
            found[f"{way}, leaning over 5 degrees at {angle}"] = sum(not each <= 5 for each in leans)
    return {"videos": len(videos), **found}


def main() -> int:
    """Measure, print, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*")
    parser.add_argument("--n", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/detection.json"))
    request = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: not measured"
    content: Result = {
        "machine": machine("torch", "numpy", "opencv-python-headless"),
        "gpu": gpu,
        "speed": speed(request.n),
        "following": following(request.n),
        "float32 and fewer bits": fewer_bits(),
    }
    print(json.dumps(content, indent=1), flush=True)
    detector, predictor = FaceDetector(device=devices()[-1]), Predictor.from_pretrained("ferplus", device="cpu")
    pictures, videos = [], {}
    for path in request.videos:
        try:
            frames = list(islice(iter_frames(path, pixel_format="bgr24"), FRAMES))
        except VideoError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        pictures += [frame.image for frame in frames[::10]]
        if len(frames) > 1 and (row := compare(frames, detector, predictor)) is not None:
            videos[path.name] = row
            print(path.name.ljust(28), row, flush=True)
    if pictures:
        content["differences"] = [differences(pictures, device) for device in devices()]
    if videos:
        content |= {"summary": summary(videos), "videos": videos}
    print(json.dumps({name: content.get(name) for name in ("differences", "summary")}, indent=1))
    request.out.parent.mkdir(parents=True, exist_ok=True)
    request.out.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
