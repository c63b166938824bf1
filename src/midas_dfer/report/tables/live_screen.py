"""Live readings for a terminal: each face's shares as bars, redrawn in place; and a line for each elsewhere."""

import numpy as np

from midas_dfer.predict.live import CONSENT, Live, LiveReading
from midas_dfer.report.tables.terminal import plain

_SHOWN_IN_LINE = 3
_WIDEST, _LONGEST_NAME, _NUMBER = 80, 20, 6  # columns: of a screen, of a class, of a share
_LEAST_BLOCK = 3  # lines of a face: a blank one, its name, one class
_BLOCKS, _PLAIN_BLOCKS = "█", "#"
_BOLD, _USUAL = "\x1b[1m", "\x1b[0m"


def live_screen(live: Live, width: int, height: int, *, unicode: bool) -> list[str]:
    """The lines of a screen: at most `height`, each narrower than `width` but for what makes it bold."""
    width = min(width, _WIDEST) - 1  # a terminal that breaks no line has its cursor on the last column then
    where = f"{plain(live.source)}, {live.size[0]}x{live.size[1]}"
    lines = [f"{_pace(live)}   q ends   {where}"[:width], f"{live.reading}; {CONSENT}"[:width]]
    faces = live.latest
    if not faces:
        return [*lines, "", "no face in view"]
    shown = len(faces)
    if shown * _LEAST_BLOCK > height - len(lines):
        shown = min(shown - 1, max(1, (height - len(lines) - 1) // _LEAST_BLOCK)) or 1
    room = max(1, (height - len(lines) - (shown < len(faces))) // shown - 2)  # classes of each
    for track, reading in list(faces.items())[:shown]:
        lines += ["", *_face(track, reading, live.class_names, room, width, unicode)]
    if shown < len(faces):
        lines.append(f"{len(faces) - shown} more in view than fit here"[:width])
    return lines[:height]


def live_line(reading: LiveReading) -> str:
    """A reading on one line: when, who, the largest shares, and how late."""
    silent = f"silent ({reading.silent}); " if reading.silent else ""
    leading = silent + ", ".join(
        f"{plain(name)} {share:.0%}" for name, share in list(reading.shares.items())[:_SHOWN_IN_LINE]
    )
    return (
        f"{reading.start:7.2f} - {reading.end:6.2f} s  face {reading.track}: {leading}  "
        f"({1000 * reading.latency:.0f} ms late)"
    )


def _pace(live: Live) -> str:
    late = f"latency {1000 * live.latencies[-1]:.0f} ms   " if live.latencies else ""
    return f"{live.elapsed:.0f} s   {late}dropped {live.dropped} of {live.captured}"


def live_summary(live: Live) -> str:
    """A few lines for the end: the timeline's, and how late readings were."""
    if not live.num_frames:
        return f"{live.source}: no frame was read"
    timeline = live.timeline()
    said = timeline.summary() if timeline.tracks else f"{live.source}: {live.elapsed:.1f} s, no face was read"
    lines = [f"{live.num_frames} frames read of {live.captured}, {live.dropped} dropped"]
    if live.latencies:
        median, most = 1000 * np.percentile(live.latencies, [50, 95])
        lines = [f"{lines[0]}; latency {median:.0f} ms (median; 95 % within {most:.0f} ms)"]
    return "\n".join([said, *lines])


def _face(
    track: int, reading: LiveReading | None, names: tuple[str, ...], most: int, width: int, unicode: bool
) -> list[str]:
    """The lines of a face: at most so many classes, those of the largest shares, in the order of the model."""
    if reading is None:
        return [f"face {track}: its first reading is on its way"]
    column = min(_LONGEST_NAME, max(map(len, names)))
    room = max(1, width - column - _NUMBER - 3)
    block = _BLOCKS if unicode else _PLAIN_BLOCKS
    lines = [f"face {track}: {f'silent, {reading.silent}' if reading.silent else plain(reading.predicted)}"]
    largest = list(reading.shares)[:most]
    for name in filter(largest.__contains__, names):
        share = reading.shares[name]
        bar = (block * round(room * share)).ljust(room)
        text = f" {plain(name)[:column]:<{column}} {bar} {share:{_NUMBER}.0%}"
        lines.append(f"{_BOLD}{text}{_USUAL}" if name == reading.predicted and not reading.silent else text)
    return lines
