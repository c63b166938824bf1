"""Videos that `benchmarks.reading` reads: of several people, of large pictures, and of any length."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import VideoWriter

SEVERAL = ("d12.mp4", "d18.mp4", "d10.mp4", "d6.mp4")
SIDES = (640, 480)


def several_faces(videos: Path, number: int, out: Path, seconds: float = 6.0) -> Path:
    """A video of 640x480 with two or four people beside each other."""
    sources = [iter_frames(videos / name, pixel_format="rgb24") for name in SEVERAL[:number]]
    size = (320, 480) if number == 2 else (320, 240)
    with VideoWriter(out, *SIDES, 25.0) as writer:
        for _ in range(round(25 * seconds)):
            parts = [cv2.resize(_middle(next(s).image, size), size, interpolation=cv2.INTER_AREA) for s in sources]
            rows = [np.concatenate(parts[i : i + 2], axis=1) for i in range(0, number, 2)]
            writer.write(np.concatenate(rows, axis=0))
    return out


def larger(videos: Path, width: int, height: int, out: Path, frames: int = 100) -> Path:
    """A large video with a face half as high as its picture."""
    with VideoWriter(out, width, height, 25.0) as writer:
        for _, frame in zip(range(frames), iter_frames(videos / SEVERAL[3]), strict=False):
            picture = np.full((height, width, 3), 90, np.uint8)
            top, left, side = height // 4, width // 4, height // 2
            picture[top : top + side, left : left + side] = cv2.resize(frame.image, (side, side))
            writer.write(picture)
    return out


def _middle(image: Any, size: tuple[int, int]) -> Any:  # noqa: ANN401 - a picture
    """The middle of a picture in the shape of `size`."""
    height, width = image.shape[:2]
    kept = min(width, round(height * size[0] / size[1]))
    left = (width - kept) // 2
    return image[: round(kept * size[1] / size[0]), left : left + kept]


def longer(video: Path, minutes: float, out: Path, rate: int = 30) -> Path:
    """The same video over and over: encoded once, without reordered frames, and copied."""
    with av.open(str(out), "w") as target:
        stream = target.add_stream("libx264", rate=rate, options={"bf": "0", "crf": "18"})
        stream.width, stream.height = SIDES
        pictures = [av.VideoFrame.from_ndarray(frame.image, format="rgb24") for frame in iter_frames(video)]
        packets = [packet for picture in [*pictures, None] for packet in stream.encode(picture)]
        contents = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for number in range(round(60 * minutes * rate)):
            content, is_key = contents[number % len(contents)]
            packet = av.Packet(content)
            packet.pts = packet.dts = number
            packet.duration, packet.time_base = 1, Fraction(1, rate)
            packet.is_keyframe, packet.stream = is_key, stream
            target.mux(packet)
    return out
