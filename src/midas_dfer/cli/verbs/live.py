"""midas live: a camera -> the emotions of the faces before it, as they come."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.face_flags import add_detection_flags, detection_flags
from midas_dfer.cli.parsing import Parser, say_for
from midas_dfer.cli.reader_flags import add_reader_flags, reader_of, told_of, window_flags
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text, write_file

if TYPE_CHECKING:
    from midas_dfer.predict.live import Live, LiveReading

_DRAWN_EVERY = 0.1  # s
_BEGIN, _END = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""A screen of its own, no cursor, no broken lines; and back."""


def parser() -> Parser:
    flags = Parser(description="Read the emotions of the faces before a camera, as they come.")
    flags.add_argument(
        "--source",
        type=str,
        default="0",
        help="number of a camera, its device, or a video, which is played in real time (default: 0, the first camera)",
    )
    add_reader_flags(flags, window=1.0, stride=0.25)
    flags.add_argument("--seconds", type=float | None, help="end after this many (default: at q or Ctrl-C)")
    flags.add_argument(
        "--save",
        type=Path | None,
        metavar="FILE",
        help="write the readings, as midas predict does, to a new file .csv or .json (default: nothing is stored)",
    )
    add_detection_flags(flags, max_side="as for the model's training clips, usually 640", min_score="likewise")
    flags.add_argument("--json", action="store_true", help="print each reading as a line of JSON")
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.predict.live import CONSENT, live
    from midas_dfer.predict.predictor import Predictor
    from midas_dfer.report.tables.live_screen import live_summary
    from midas_dfer.report.tables.terminal import folded

    _check_save(request.save)
    window, stride = window_flags(request)
    read, abstention = reader_of(request)()
    say = say_for(request)
    say(folded(f"read by {read.described}"))
    for line in told_of(abstention):
        say(folded(line))
    stored = "nothing is stored" if request.save is None else f"readings, but no pictures, go to {request.save}"
    say(folded(f"{CONSENT}; {stored}"))
    readings = live(
        request.source,
        Predictor.from_pretrained(read, abstain=abstention),
        seconds=request.seconds,
        window_seconds=window,
        stride_seconds=stride,
        **detection_flags(request),
    )
    try:
        with _stopping_in_order(readings.stop), readings:
            _follow(readings, as_json=request.json)
    finally:
        if request.save is not None and readings.num_frames:
            timeline = readings.timeline()
            write_file(request.save, timeline.to_csv() if request.save.suffix == ".csv" else timeline.to_json())
        say(live_summary(readings))
    if request.save is not None:
        say(f"  {request.save}")


def _check_save(path: Path | None) -> None:
    """Refuse a file that cannot be written, before anybody is read."""
    if path is None:
        return
    if path.suffix not in (".csv", ".json"):
        raise RequestError(f"--save {path}: expected a file that ends in .csv or .json")
    if path.exists():
        raise RequestError(f"--save {path}: it is there already; name another, or move it away")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise RequestError(f"--save {path}: {path.parent} is not a folder that this user may write to; name another")


def _follow(readings: "Live", *, as_json: bool) -> None:
    """Show what is read until it ends."""
    with ExitStack() as stack:
        pressed = stack.enter_context(_keys())
        show = _lines(as_json) if as_json or not sys.stdout.isatty() else stack.enter_context(_screen(readings))
        while not readings.ended:
            show(readings.step())
            if pressed() in ("q", "Q"):
                readings.stop()


def _lines(as_json: bool) -> "Callable[[Sequence[LiveReading]], None]":
    from midas_dfer.report.tables.live_screen import live_line

    def show(new: "Sequence[LiveReading]") -> None:
        for reading in new:
            print(json_text(reading.to_dict()) if as_json else live_line(reading), flush=True)

    return show


@contextmanager
def _screen(readings: "Live") -> "Iterator[Callable[[Sequence[LiveReading]], None]]":
    """A screen that is drawn again and again, and then gives way to what was there before."""
    from midas_dfer.report.tables.live_screen import live_screen

    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    drawn = 0.0

    def show(new: "Sequence[LiveReading]") -> None:
        nonlocal drawn
        if not new and time.monotonic() - drawn < _DRAWN_EVERY:
            return
        drawn = time.monotonic()
        size = shutil.get_terminal_size()
        lines = live_screen(readings, size.columns, size.lines, unicode=unicode)
        sys.stdout.write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
        sys.stdout.flush()

    sys.stdout.write(_BEGIN)
    try:
        yield show
    finally:
        sys.stdout.write(_END)
        sys.stdout.flush()


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """What is pressed on the keyboard, without waiting for a line; "" if nothing is, or there is no keyboard."""
    if not sys.stdin or not sys.stdin.isatty():
        yield lambda: ""
    elif sys.platform == "win32":
        import msvcrt

        yield lambda: msvcrt.getwch() if msvcrt.kbhit() else ""
    else:
        import select
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)
            typed = sys.stdin.fileno()
            yield lambda: os.read(typed, 1).decode("latin-1") if select.select([typed], [], [], 0)[0] else ""
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _stopping_in_order(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and other signals end the reading between two frames; a second one ends it at once."""

    def told(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
