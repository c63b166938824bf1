"""Opening a file as a video, or saying in one sentence why it is none."""

import re
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from midas_dfer.errors import VideoError
from midas_dfer.video.suffixes import PICTURE_SUFFIXES

# The largest picture that is decoded, in pixels: 8192 x 8192, twice as much as 8K video.
MAX_PIXELS = 8192 * 8192

# Formats that are recognised by their content. Playlists and scripts (HLS, concat), which name other files or
# addresses and may never end, text shown as a terminal (tty), and numbered pictures (image2), which go by the
# file's name alone, are left out on purpose.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpeg,mpegts,mpegvideo,m4v,h264,hevc,vvc,av1,obu,"
    "ivf,asf,ogg,gif,apng,mxf,nut,rm,dv,wtv,vc1,mjpeg,yuv4mpegpipe,jpeg_pipe,png_pipe,bmp_pipe,"
    "webp_pipe,tiff_pipe,mp3,wav,flac,aac,ac3,aiff,amr"
)


def first_bytes(path: Path, count: int = 16) -> bytes:
    """The first bytes of a plain file; else a `VideoError` says why it is none."""
    try:
        if path.is_dir():
            raise VideoError(f"{path}: is a folder; a video or picture file was expected")
        if path.is_symlink() and not path.exists():
            raise VideoError(f"{path}: is a link that leads nowhere ({path.readlink()}); name the video itself")
        if not path.exists():
            raise VideoError(f"{path}: {_why_missing(str(path))}")
        if not path.is_file():
            raise VideoError(f"{path}: is a pipe or a device; copy the video to a file first")
        with path.open("rb") as file:
            head = file.read(count)
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: {_why_not_opened(path, error)}") from error
    if not head:
        raise VideoError(f"{path}: the file is empty; copy or export it again")
    return head


def open_container(path: Path) -> InputContainer:
    """Open a local file for reading; use the result as a context manager, which closes it.

    The name is never taken for an address, a pattern of numbered files or a playlist.
    """
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(f"file:{path}", "r", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        _refuse_broken_index(path)
        raise VideoError(f"{path}: {_why_not_opened(path, error)}") from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The picture stream to decode, set to one thread; a cover picture in a sound file is none."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        _refuse_broken_index(path)
        held = "only sound" if container.streams.audio else "no pictures"
        raise VideoError(f"{path}: holds {held}; a file with a video stream was expected")
    best = container.streams.best("video")
    stream = next((s for s in streams if best is not None and s.index == best.index), streams[0])
    if stream.codec_context is None:
        raise VideoError(f"{path}: its video codec is unknown to this FFmpeg; convert it to H.264")
    if stream.disposition & Disposition.dependent:
        raise VideoError(f"{path}: its picture is stored in tiles, as HEIC photographs are; convert it to JPEG or PNG")
    check_size(stream.width, stream.height, path)
    stream.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # What the stream crops on the left is cropped to the pixel, and not to where processors like rows to begin.
    stream.codec_context.flags |= Flags.unaligned
    return stream


def check_size(width: int, height: int, path: Path) -> None:
    """Refuse pictures of a size that cannot be meant or would not fit into memory."""
    if width <= 0 or height <= 0:
        raise VideoError(
            f"{path}: declares no possible picture size: it is cut off, or far too large; copy or shrink it"
        )
    if width * height > MAX_PIXELS:
        raise VideoError(
            f"{path}: its pictures are {width}x{height}; at most {MAX_PIXELS // 1_000_000} megapixels are "
            "read. Shrink it first."
        )


def error_reason(error: Exception) -> str:
    """FFmpeg's own words for an error, without its number and file name."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]


def _why_missing(name: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name):
        return "no such file, and addresses are not read; download the video, and name the file."
    if name.isdigit():
        return "no such file; a webcam is read by midas live, from Python by midas_dfer.live (docs/python.md)."
    return "no such file."


def _why_not_opened(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "may not be read by this user; change its permissions."
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return "is not a picture that can be read; JPEG, PNG, WebP, BMP and TIFF are."
    return f"is not a video that can be read ({error_reason(error)}); MP4, MKV, WebM, AVI and MOV are."


def _refuse_broken_index(path: Path) -> None:
    index = _mp4_index(path)
    if index is not None:
        raise VideoError(f"{path}: its index (the moov box) is {index}: the file was cut off; copy or repair it")


def _mp4_index(path: Path) -> str | None:
    """What is wrong with the index of an MP4 or MOV: "missing" or "cut off"; None for other files."""
    boxes: set[bytes] = set()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            position = 0
            while position + 8 <= size and len(boxes) < 64:
                file.seek(position)
                header = file.read(16)
                length, kind = int.from_bytes(header[:4], "big"), header[4:8]
                if not boxes and kind not in (b"ftyp", b"wide", b"mdat", b"moov"):
                    return None
                if length == 1:
                    length = int.from_bytes(header[8:16], "big")
                elif length == 0:
                    length = size - position
                if kind == b"moov" and position + length > size:
                    return "cut off"
                boxes.add(kind)
                if length < 8:
                    break
                position += length
    except OSError:
        return None
    return "missing" if boxes and b"moov" not in boxes else None
