"""What live reading takes, and how late its readings are, on videos that are played in real time at 640x480.

    OMP_NUM_THREADS=2 python -m benchmarks.live VIDEO... --seconds 8

Of each video: processor time of a frame and of one that completes a window (medians), and of a second of video; the
latency of `midas live`; and how much vote shares change where faces are steadied by the frames of 0.04 s and not of
0.16 s.
"""

import argparse
import os
import statistics
import tempfile
import time
from itertools import takewhile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np

from benchmarks.machine import machine
from midas_dfer import Predictor, iter_frames, live
from midas_dfer.video.read import Frame
from midas_dfer.video.write import VideoWriter

WIDTH, HEIGHT, RATE = 640, 480, 30.0
WINDOWS = {"window_seconds": 1.0, "stride_seconds": 0.25}


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("videos", type=Path, nargs="+")
    flags.add_argument("--seconds", type=float, default=8.0)
    request = flags.parse_args()
    predictor = Predictor.from_pretrained("ferplus", device="cpu")
    print(machine(), f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for video in request.videos:
            copy = resized(video, Path(folder) / f"{video.stem}.mp4")
            frames = list(takewhile(lambda frame: frame.time < request.seconds, iter_frames(copy)))
            print(video.name)
            print("  " + processor_time(predictor, frames))
            print("  " + latency(predictor, copy, request.seconds))
            print("  " + waited_less(predictor, frames))


def resized(video: Path, copy: Path) -> Path:
    """A copy with a camera's usual size and rate, its pictures in the middle."""
    with VideoWriter(copy, WIDTH, HEIGHT, RATE) as writer:
        for frame in iter_frames(video):
            scale = min(WIDTH / frame.image.shape[1], HEIGHT / frame.image.shape[0])
            image = cv2.resize(frame.image, None, fx=scale, fy=scale)
            canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            top, left = (HEIGHT - image.shape[0]) // 2, (WIDTH - image.shape[1]) // 2
            canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
            writer.write(canvas)
    return copy


def processor_time(predictor: Predictor, frames: list[Frame]) -> str:
    """Of frames one after the other, in one process."""
    plain, full = [], []
    for _ in range(2):  # the first round warms up
        stream, plain, full = predictor.stream(**WINDOWS), [], []
        for frame in frames:
            began = time.process_time()
            readings = stream.push(frame.image, frame.time)
            (full if readings else plain).append(time.process_time() - began)
    median, of_full = 1000 * statistics.median(plain), 1000 * statistics.median(full)
    total = (sum(plain) + sum(full)) / frames[-1].time
    return f"processor: {median:.1f} ms a frame, {of_full:.1f} ms with a reading, {total:.2f} s per second of video"


def latency(predictor: Predictor, video: Path, seconds: float) -> str:
    """Of a video that is played."""
    with live(video, predictor, seconds=seconds, **WINDOWS) as readings:
        for _ in readings:
            pass
    median, most = 1000 * np.percentile(readings.latencies, [50, 95])
    dropped = readings.dropped / readings.captured
    return f"latency: median {median:.0f} ms, 95 % within {most:.0f} ms; {dropped:.0%} of the frames dropped"


def waited_less(predictor: Predictor, frames: list[Frame]) -> str:
    """Of all frames, none dropped: shares after a wait of 0.04 s beside those after 0.16 s."""
    shares = []
    for wait in (None, 0.04):
        stream = predictor.stream(**WINDOWS, wait=wait)
        found = [reading for frame in frames for reading in stream.push(frame.image, frame.time)]
        shares.append({(reading.track, reading.start): reading.vote_shares for reading in found})
    changed = np.abs([shares[0][key] - shares[1][key] for key in shares[0].keys() & shares[1].keys()])
    largest = np.percentile(changed.max(axis=1), 95)
    return (
        f"steadied sooner: vote shares change by {changed.mean():.4f} (mean), 95 % of readings by at most {largest:.4f}"
    )


if __name__ == "__main__":
    main()
