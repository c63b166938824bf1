"""The faces before a camera, read as they come.

    python examples/webcam.py              # the first camera; Ctrl-C ends it
    python examples/webcam.py --camera 1 --run RUN --seconds 30

Frames may come from anywhere else as well: `push` takes an RGB array and its time in seconds.
"""

import argparse
import time

import cv2

from midas_dfer import Predictor


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--camera", type=int, default=0, help="number of the camera (default: 0)")
    flags.add_argument("--run", default="ferplus", help="a run, an exported folder, or a packaged reader's name")
    flags.add_argument("--seconds", type=float, default=None, help="when to stop; never if not given")
    request = flags.parse_args()

    camera = cv2.VideoCapture(request.camera)
    if not camera.isOpened():
        raise SystemExit(f"There is no camera {request.camera}, or another program uses it.")
    predictor = Predictor.from_pretrained(request.run)
    print(f"read by {predictor.read_by}")
    stream = predictor.stream(window_seconds=1.0, stride_seconds=0.5)
    start = time.monotonic()
    try:
        while request.seconds is None or time.monotonic() - start < request.seconds:
            there, image = camera.read()
            if not there:
                break
            # A slow computer misses frames, and what it reads has their true times all the same.
            show(stream.push(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time.monotonic() - start))
    except KeyboardInterrupt:
        pass
    finally:
        camera.release()
    show(stream.close())


def show(readings) -> None:
    """A line for each reading: who, when, and the three largest shares."""
    for reading in readings:
        leading = ", ".join(f"{name} {share:.0%}" for name, share in list(reading.shares.items())[:3])
        print(f"{reading.start:6.1f} - {reading.end:5.1f} s  face {reading.track}: {leading}", flush=True)


if __name__ == "__main__":
    main()
