"""What the tests of the app are given: a socket, and a face in a video that a browser plays."""

import socket
from pathlib import Path

import midas_dfer
from midas_dfer.video.read import iter_frames
from midas_dfer.video.write import VideoWriter

FACE = Path(midas_dfer.__file__).parent / "demo_data" / "1001_DFA_HAP_XX.flv"


def listening_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def write_face(path: Path, frames: int = 45) -> None:
    """The first seconds of a real face, as an MP4."""
    shown = [frame for _, frame in zip(range(frames), iter_frames(FACE), strict=False)]
    height, width = shown[0].image.shape[:2]
    with VideoWriter(path, width, height, 30) as writer:
        for frame in shown:
            writer.write(frame.image)
