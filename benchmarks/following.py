"""Following faces beside a search of every frame: accuracy, tilt, shaking, tracks, what the reader says, and time.

`python -m benchmarks.following VIDEO... ` prints everything and writes benchmarks/results/following.json. Landmarks are
compared with the truth on synthetic faces. Videos are read as they are, and turned by known angles.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.machine import machine
from midas_dfer import Predictor
from midas_dfer.clips.faces.detection import Face, FaceDetector
from midas_dfer.clips.faces.following import SEARCH_EVERY, FaceFollower, finder
from midas_dfer.clips.faces.tracker import follow_faces
from midas_dfer.clips.faces.tracks import Track
from midas_dfer.errors import NoFaceError, VideoError
from midas_dfer.predict.timeline import Timeline
from midas_dfer.synthetic import EMOTIONS, Portrait, draw_identity, draw_light
from midas_dfer.synthetic.expressions import expression_of
from midas_dfer.synthetic.face.anatomy import Pose
from midas_dfer.video.read import Frame, iter_frames

PEOPLE = 24
WIDTHS = (40, 80, 150, 300)  # of a face, in pixels, in pictures of 640x480
POSES = {
    "upright": Pose(),
    "dark": Pose(),
    "tilted 15": Pose(roll=15),
    "tilted 30": Pose(roll=30),
    "tilted 45": Pose(roll=45),
    "turned 20": Pose(yaw=20),
    "turned 35": Pose(yaw=35),
    "nodding 15": Pose(pitch=15),
}
TURNS = (-60, -45, -30, -15, 15, 30, 45, 60)
FRAMES = 300  # of a video, at most
WAYS: dict[str, float | None] = {"search": None, "follow": SEARCH_EVERY}


def lean(landmarks: np.ndarray) -> float:
    """Of the line between the eyes, in degrees."""
    x, y = landmarks[1] - landmarks[0]
    return math.degrees(math.atan2(y, x))


def synthetic_errors() -> dict[str, dict[str, float]]:
    """Mean distance of landmarks from the truth in eye distances, for each pose and width; the share of faces found."""
    detector, rows = FaceDetector(), {}
    for name, pose in POSES.items():
        for width in WIDTHS:
            errors: dict[str, list[float]] = {way: [] for way in WAYS}
            leaning: dict[str, list[float]] = {way: [] for way in WAYS}
            for person in range(PEOPLE):
                image, truth = _face(person, pose, width, 0.25 if name == "dark" else 1.0)
                eyes = float(np.linalg.norm(truth[0] - truth[1]))
                found = {"search": detector.detect(image), "follow": _followed_still(detector, image)}
                for way, faces in found.items():
                    near = [f for f in faces if np.linalg.norm(f.landmarks.mean(0) - truth.mean(0)) < eyes]
                    if near:
                        errors[way].append(float(np.linalg.norm(near[0].landmarks - truth, axis=1).mean()) / eyes)
                        leaning[way].append(abs(lean(near[0].landmarks) - lean(truth)))
            rows[f"{name}, {width} px"] = {
                **{f"{way}_found": len(values) / PEOPLE for way, values in errors.items()},
                **{f"{way}_error": mean(values) for way, values in errors.items()},
                **{f"{way}_lean": mean(values) for way, values in leaning.items()},
            }
    return rows


def _face(person: int, pose: Pose, width: int, light: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng([person, 7])
    portrait = Portrait(draw_identity(generator), draw_light(generator), 640, 480)
    expression = expression_of(0.8 * np.eye(len(EMOTIONS))[person % len(EMOTIONS)])
    eyes = portrait.render(expression, Pose()).landmarks[:2]
    scale, side = 0.45 * width / float(np.linalg.norm(eyes[0] - eyes[1])), 1 if person % 2 else -1
    picture = portrait.render(expression, Pose(side * pose.yaw, pose.pitch, side * pose.roll, scale=scale))
    return np.ascontiguousarray((picture.image[..., ::-1] * light).astype(np.uint8)), picture.landmarks


def _followed_still(detector: FaceDetector, image: np.ndarray) -> list[Face]:
    follower, faces = FaceFollower(detector), []
    for frame in range(5):
        faces = follower.find(image, frame / 25)
    return faces


def turned(frames: Sequence[Frame]) -> dict[str, dict[str, float]]:
    """By how many degrees faces lean in a video that was turned, beyond what they lean in the video itself."""
    height, width = frames[0].image.shape[:2]
    found: dict[str, dict[str, float]] = {}
    for way, every in WAYS.items():
        upright = _mean_lean(finder(FaceDetector(), every), frames)
        for angle in TURNS:
            matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
            moved = [Frame(f.index, f.time, cv2.warpAffine(f.image, matrix, (width, height))) for f in frames]
            found.setdefault(str(angle), {})[way] = angle - _mean_lean(finder(FaceDetector(), every), moved) + upright
    return found


def _mean_lean(find: Callable[[np.ndarray, float], list[Face]], frames: Sequence[Frame]) -> float:
    faces = [find(frame.image, frame.time) for frame in frames]
    return float(np.mean([lean(each[0].landmarks) for each in faces if each])) if any(faces) else math.nan


def watched(frames: Sequence[Frame], every: float | None) -> tuple[list[Track], float]:
    """Tracks of a video, and the milliseconds of processor time that finding its faces took for each frame."""
    find, spent = finder(FaceDetector(), every), 0.0

    def detections() -> Iterator[tuple[int, float, list[Face]]]:
        nonlocal spent
        for frame in frames:
            start = time.process_time()
            faces = find(frame.image, frame.time)
            spent += time.process_time() - start
            yield frame.index, frame.time, faces

    tracks = follow_faces(detections())
    return tracks, 1000 * spent / len(frames)


def shaking(tracks: Sequence[Track]) -> float:
    """The mean second difference of the longest track's landmarks, in percent of its eye distance."""
    track = max(tracks, key=len)
    eyes = np.linalg.norm(track.landmarks[:, 0] - track.landmarks[:, 1], axis=1).mean()
    return float(100 * np.linalg.norm(np.diff(track.landmarks, 2, axis=0), axis=2).mean() / eyes)


def difference(one: Timeline, other: Timeline) -> float:
    """Mean total variation between the vote shares of the windows of both timelines' longest tracks."""
    tracks = [max(each.tracks, key=lambda track: len(track.face)) for each in (one, other)]
    pairs = [
        np.abs(np.array(a.vote_shares) - np.array(b.vote_shares)).sum() / 2
        for a, b in zip(*(track.windows for track in tracks), strict=False)
    ]
    return float(np.mean(pairs))


def compare(path: Path, predictor: Predictor) -> dict[str, Any] | None:
    """Both ways on a video; None if it has no face."""
    try:
        frames = list(islice(iter_frames(path, pixel_format="bgr24"), FRAMES))
    except VideoError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return None
    row: dict[str, Any] = {"size": f"{frames[0].image.shape[1]}x{frames[0].image.shape[0]}", "frames": len(frames)}
    tracks = {}
    for way, every in WAYS.items():
        tracks[way], row[f"{way}_ms"] = watched(frames, every)
        row[f"{way}_tracks"] = [[len(track), int(track.detected.sum())] for track in tracks[way]]
        if tracks[way] and len(max(tracks[way], key=len)) > 10:
            row[f"{way}_shaking"] = shaking(tracks[way])
    if not (tracks["search"] and tracks["follow"]):
        return row
    images, times = [f.image[..., ::-1] for f in frames], [f.time for f in frames]
    try:
        timelines = [predictor.predict_frames(images, times, search_every=every) for every in (0.0, SEARCH_EVERY)]
        before = Predictor.from_pretrained("ferplus", device="cpu")
        object.__setattr__(before.settings, "search_every", None)
        timelines.append(before.predict_frames(images, times))
    except NoFaceError:
        return row
    row["shares_change"] = difference(timelines[1], timelines[2])
    row["shares_change_searching_every_frame"] = difference(timelines[1], timelines[0])
    return row


def main() -> int:
    """Measure, print, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/following.json"))
    request = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    synthetic = synthetic_errors()
    for name, row in synthetic.items():
        print(name.ljust(20), " ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    predictor, videos, turns = Predictor.from_pretrained("ferplus", device="cpu"), {}, {}
    for path in request.videos:
        row = compare(path, predictor)
        if row is None:
            continue
        videos[path.name] = row
        print(path.name.ljust(28), row, flush=True)
        if "shares_change" in row:
            turns[path.name] = turned(list(islice(iter_frames(path, pixel_format="bgr24"), 24)))
    changes = [row["shares_change"] for row in videos.values() if "shares_change" in row]
    shaken = [row["follow_shaking"] / row["search_shaking"] for row in videos.values() if "shares_change" in row]
    lines = {angle: [abs(each[angle]["follow"]) for each in turns.values()] for angle in map(str, TURNS)}
    summary = {
        "shares_change_mean": mean(changes),
        "shaking_ratio_median": median(shaken),
        "largest_lean": {angle: float(np.nanmax(values)) for angle, values in lines.items()},
        "median_lean": {angle: float(np.nanmedian(values)) for angle, values in lines.items()},
    }
    print(json.dumps(summary, indent=1))
    content = {
        "machine": machine("torch", "numpy", "opencv-python-headless"),
        "summary": summary,
        "synthetic": synthetic,
        "videos": videos,
        "turned": turns,
    }
    request.out.parent.mkdir(parents=True, exist_ok=True)
    request.out.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
