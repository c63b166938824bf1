"""Little videos and pictures whose files say something about how they are to be shown."""

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph
from PIL import Image

IDENTITY = (1, 0, 0, 1)

# What EXIF's orientations do to a stored picture, and the display matrices (a, b, c, d) of the same.
ORIENTATIONS = {
    1: ((1, 0, 0, 1), lambda p: p),
    2: ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    3: ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    4: ((1, 0, 0, -1), lambda p: p[::-1]),
    5: ((0, 1, 1, 0), lambda p: np.transpose(p, (1, 0, 2))),
    6: ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    7: ((0, -1, -1, 0), lambda p: np.rot90(np.transpose(p, (1, 0, 2)), 2)),
    8: ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
}


def picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """Coloured blocks of 8 pixels; nothing in it is symmetric."""
    blocks = np.random.default_rng(seed).integers(0, 255, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width]


def write_movie(
    path: Path,
    frames: Iterable[np.ndarray | av.VideoFrame],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    aspect: Fraction | None = None,
    fields: str = "",
    **options: str,
) -> Path:
    """A video of these pictures at 25 frames per second.

    `fields` is "tff" or "bff" for woven pictures: whether the even or the odd rows are the earlier ones.
    """
    with av.open(str(path), "w") as container:
        stream = None
        for number, image in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=25)
                raw = isinstance(image, av.VideoFrame)
                stream.height, stream.width = (image.height, image.width) if raw else image.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.options = options
                if fields:
                    stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
            frame = image if raw else av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = _flagged(frame.reformat(format=pix_fmt), fields) if fields else frame
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _flagged(frame: av.VideoFrame, fields: str) -> av.VideoFrame:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("setfield", fields), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def mux_pictures(path: Path, codec: str, pictures: Iterable[bytes], size: tuple[int, int], pix_fmt: str) -> Path:
    """A video whose packets are whole picture files, as Motion JPEG has it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        for number, data in enumerate(pictures):
            packet = av.Packet(data)
            packet.stream = stream
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    return path


def set_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Write another display matrix into the first track of an MP4."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", *(round(65536 * n) for n in (a, b, 0, c, d, 0)), 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def add_box(path: Path, parents: tuple[bytes, ...], box: bytes) -> Path:
    """Put a box at the end of the innermost of these nested boxes of an MP4 whose index comes last."""
    data = bytearray(path.read_bytes())
    places, begin = [], 0
    for kind in parents:
        begin = data.index(kind, begin) - 4
        places.append(begin)
    end = places[-1] + struct.unpack_from(">I", data, places[-1])[0]
    data[end:end] = box
    for place in places:
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + len(box))
    path.write_bytes(data)
    return path


def save_still(path: Path, image: np.ndarray, orientation: int | None = None, **settings: object) -> Path:
    """A picture file with an orientation, as its suffix says; as lossless as the kind of file can be."""
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    usual = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}.get(path.suffix, {})
    Image.fromarray(image).save(path, exif=exif, **{**usual, **settings})
    return path
