"""Pictures of where a network looks: frames under their evidence, the share of each frame, votes and prediction."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib import colors as mcolors

from midas_dfer.evaluation.explanation import GROUPS, ExplainedClip, Explanation, Group
from midas_dfer.report.pictures.layout import MARGIN, NAME_SIZE, Sheet, fitted, short_name, text_width
from midas_dfer.report.pictures.style import (
    ACCENT,
    HAIRLINE,
    SHADE,
    SOFT_INK,
    emotion_colors,
    house_style,
    save_figure,
    tint,
)

ROWS = 4
"""Clips on one picture, at most; fewer where a clip has more frames than fit into a line."""

_TITLES: dict[Group, str] = {
    "right": "Sure, and right",
    "wrong": "Sure, and wrong",
    "ambiguous": "Ambiguous to people",
    "asked": "Where the network looks",
}
_PER_LINE = 16  # frames
_STRIP, _GAP = 8.4, 0.05  # inches: a full line of frames, between two of them
_SIDES = (0.62, 1.02)  # inches: the smallest and the largest frame
_PANEL, _BETWEEN = 2.55, 0.3  # inches: votes and prediction, and from there to the frames
_TITLE, _BARS, _BELOW = 0.3, 0.42, 0.36  # inches: a clip's title, the highest bar under a frame, its text
_CLASS, _MOST_CLASSES, _LEAST = 0.3, 5, 0.005  # inches: a class's row of two bars
_ROW_GAP = 0.34
_SHARPNESS = 8  # pixels of the picture for each of a frame's, at least

# Evidence for a class in warm colours, against it in cold ones, told apart by colour-blind readers; both grow lighter,
# and cover more of the (grey) frame, with strength.
_FOR = ("#B8400F", "#EA7A1C", "#FFD23F")
_AGAINST = ("#0F4C8A", "#3B93D6", "#A6E0FF")
_MOST_COVER, _STEEPNESS, _DARKEST = 0.92, 1.15, 0.12


def draw_explanation(explanation: Explanation, out: Path) -> list[Path]:
    """Draw each group of clips: right.png, wrong.png, ambiguous.png, clips.png, and right_2.png where one is full.

    A row is a clip. To the left is what the annotators voted and what the network implies that they would have;
    to the right are its frames in grey under the evidence for a class (warm) and against it (cold), in the scale of
    the clip's strongest, and below each frame its share of the evidence for the class.

    Args:
        explanation: from `midas_dfer.evaluation.explain.explain`.
        out: folder that is there.

    Returns:
        the files.

    Raises:
        JobError: they cannot be written.
    """
    paths = []
    for group in GROUPS:
        clips = [clip for clip in explanation.clips if clip.group == group]
        if not clips:
            continue
        lines = -(-len(clips[0].frames) // _PER_LINE)
        per_page = max(1, ROWS // lines)
        for page, start in enumerate(range(0, len(clips), per_page), start=1):
            name = "clips" if group == "asked" else group
            path = out / (f"{name}.png" if page == 1 else f"{name}_{page}.png")
            _draw_page(explanation, clips[start : start + per_page], path)
            paths.append(path)
    return paths


def overlaid(frame: UInt8[np.ndarray, "H W 3"], strength: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Lay evidence over a frame."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    height, width = strength.shape
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    grey = _DARKEST + (1 - _DARKEST) * grey  # dark faces are seen through colour too
    size = np.abs(strength)[..., None].clip(0, 1)
    warm, cold = (_ramp(colors, size[..., 0]) for colors in (_FOR, _AGAINST))
    color = np.where(strength[..., None] >= 0, warm, cold)
    cover = _MOST_COVER * size**_STEEPNESS
    # A little of the face shows through everywhere, as brightness.
    shaded = color * (0.68 + 0.32 * grey[..., None])
    mixed = (1 - cover) * grey[..., None] + cover * shaded
    return np.asarray((mixed * 255).round().clip(0, 255), np.uint8)


def strengths(maps: Float32[np.ndarray, "T h w"], side: int) -> Float32[np.ndarray, "T side side"]:
    """Smooth evidence up to pictures, and scale it by the strongest of the clip: -1 to 1."""
    smooth = np.stack([cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC) for cells in maps])
    # Cubic interpolation overshoots: nothing may look stronger than the network's own cells.
    smooth = smooth.clip(maps.min(), maps.max())
    top = float(np.abs(maps).max())
    return np.asarray(smooth / top if top > 0 else smooth, np.float32)


def _ramp(colors: Sequence[str], size: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    stops = np.linspace(0, 1, len(colors))
    channels = np.array([mcolors.to_rgb(color) for color in colors]).T
    return np.stack([np.interp(size, stops, channel) for channel in channels], axis=-1).astype(np.float32)


def _draw_page(explanation: Explanation, clips: Sequence[ExplainedClip], path: Path) -> None:
    frames = len(clips[0].frames)
    columns = min(frames, _PER_LINE)
    side = float(np.clip((_STRIP + _GAP) / columns - _GAP, *_SIDES))
    strip = columns * (side + _GAP) - _GAP
    width = 2 * MARGIN + _PANEL + _BETWEEN + max(strip, 4.2)
    lines = -(-frames // _PER_LINE)
    row = _TITLE + max(lines * (side + _BARS + _BELOW), _MOST_CLASSES * _CLASS)
    title, note = _TITLES[clips[0].group], _note(explanation, clips[0])
    most = max(float(clip.frame_shares.max()) for clip in clips)
    largest = max(float(shares.max()) for clip in clips for shares in (clip.votes, clip.shown))
    with house_style():
        body = len(clips) * (row + _ROW_GAP) - 0.1
        page = Sheet(width, body, title, [_about(explanation)], caution=explanation.caution, note=note)
        _draw_legend(page, width - MARGIN, MARGIN)
        colors = emotion_colors(explanation.class_names)
        top = page.top
        for clip in clips:
            _draw_title(page, clip, top, width)
            _draw_classes(page, clip, explanation.class_names, colors, top + _TITLE, largest)
            left = MARGIN + _PANEL + _BETWEEN
            _draw_frames(page, clip, left, top + _TITLE, side, max(most, 1.5 / frames))
            top += row + _ROW_GAP
        save_figure(page.figure, path)


def _draw_title(page: Sheet, clip: ExplainedClip, top: float, width: float) -> None:
    end = f"evidence for {short_name(clip.target)}"
    page.write(width - MARGIN, top, end, size=9.0, align="right")
    if clip.label is None:
        said = f"no single label, taken for {short_name(clip.predicted)}"
    elif clip.label == clip.predicted:
        said = f"{short_name(clip.label)}, and taken for it"
    else:
        said = f"{short_name(clip.label)}, taken for {short_name(clip.predicted)}"
    if clip.trained_on:
        said += " \N{MIDDLE DOT} used in training"
    left = MARGIN + _PANEL + _BETWEEN
    page.write(left, top, said, size=9.0)
    name = fitted(clip.video_id, _PANEL + _BETWEEN - 0.15, 9.0, bold=True)
    page.write(MARGIN, top, name, size=9.0, bold=True)


def _draw_classes(
    page: Sheet, clip: ExplainedClip, class_names: Sequence[str], colors: dict[str, str], top: float, largest: float
) -> None:
    """Two bars for each of the likeliest classes: the votes, and what the network implies."""
    most = np.maximum(clip.votes, clip.shown)
    order = [int(k) for k in np.argsort(-most, kind="stable")[:_MOST_CLASSES] if most[k] >= _LEAST]
    indent = min(1.15, max(text_width(short_name(class_names[k]), NAME_SIZE) for k in order)) + 0.1
    longest = _PANEL - indent - 0.42
    for number, k in enumerate(order):
        name = class_names[k]
        middle = top + _CLASS * (number + 0.5)
        page.write(MARGIN + indent - 0.1, middle, short_name(name), size=NAME_SIZE, align="right", middle=True)
        for share, place, full in ((clip.votes[k], -0.062, True), (clip.shown[k], 0.062, False)):
            y = middle + place - 0.045
            length = max(float(share) / largest, 0.004) * longest
            page.bar(MARGIN + indent, y, length, 0.09, colors[name] if full else tint(colors[name], 0.42))
            text = f"{100 * share:.0f}"
            page.write(MARGIN + indent + length + 0.05, y + 0.045, text, size=6.5, color=SOFT_INK, middle=True)
    page.bar(MARGIN + indent, top, 0.008, _CLASS * len(order), HAIRLINE)


def _draw_frames(page: Sheet, clip: ExplainedClip, left: float, top: float, side: float, most: float) -> None:
    pixels = max(clip.frames.shape[1], _SHARPNESS * clip.maps.shape[1], 160)
    maps = strengths(clip.maps, pixels)
    even = 1.0 / len(clip.frames)
    strongest = int(clip.frame_shares.argmax())
    for number, (frame, strength, share) in enumerate(zip(clip.frames, maps, clip.frame_shares.tolist(), strict=True)):
        line, column = divmod(number, _PER_LINE)
        x, y = left + column * (side + _GAP), top + line * (side + _BARS + _BELOW)
        page.picture(x, y, side, side, overlaid(frame, strength))
        base, length = y + side + 0.07 + _BARS, _BARS * share / most
        page.bar(x, base - _BARS, side, _BARS, SHADE)
        page.bar(x, base - length, side, length, _FOR[1] if number == strongest else tint(_FOR[1], 0.55))
        page.bar(x, base - _BARS * even / most - 0.004, side, 0.008, SOFT_INK)
        bold = number == strongest and share > 0
        page.write(x + side / 2, base + 0.035, f"{100 * share:.0f} %", size=7.5, align="center", bold=bold)
        where = f"frame {clip.positions[number] + 1}" if side > 0.8 else f"{clip.positions[number] + 1}"
        page.write(x + side / 2, base + 0.17, where, size=6.5, color=SOFT_INK, align="center")


def _draw_legend(page: Sheet, right: float, top: float) -> None:
    """The scale of colours, from evidence against to evidence for; and the two kinds of bars."""
    scale = np.repeat(np.linspace(-1, 1, 256, dtype=np.float32)[None], 24, axis=0)
    grey = np.full((24, 256, 3), 235, np.uint8)
    length = 1.5
    word = "for"
    x = right - text_width(word, 8.0) - 0.07 - length
    page.write(right, top + 0.07, word, size=8.0, color=SOFT_INK, align="right", middle=True)
    page.picture(x, top + 0.01, length, 0.12, overlaid(grey, scale))
    page.write(x - 0.07, top + 0.07, "evidence against", size=8.0, color=SOFT_INK, align="right", middle=True)
    y = top + 0.32
    x = right
    for text, color in (("network", tint(ACCENT, 0.42)), ("votes", ACCENT)):
        page.write(x, y, text, size=8.0, color=SOFT_INK, align="right", middle=True)
        x -= text_width(text, 8.0) + 0.06 + 0.28
        page.bar(x, y - 0.055, 0.28, 0.09, color)
        x -= 0.16


def _about(explanation: Explanation) -> str:
    part = "all clips" if explanation.part == "all" else f"{explanation.part} clips"
    return f"{explanation.model}, {explanation.method} \N{MIDDLE DOT} {part} of {explanation.dataset}"


def _note(explanation: Explanation, clip: ExplainedClip) -> str:
    rows, columns = clip.maps.shape[1:]
    return (
        f"Evidence: HiResCAM (Draelos and Carin 2020) on the network's last maps, {rows} x {columns} cells a frame, "
        "smoothed; colours in the scale of each clip's strongest cell. Under a frame: its share of the clip's evidence "
        "for the class; the line is where all frames would have the same. Bars at the left, in percent: the "
        f"annotators' votes, and {_implied(explanation)}."
    )


def _implied(explanation: Explanation) -> str:
    if explanation.no_vote_shares:
        return f"the network's probabilities, which are {explanation.no_vote_shares}"
    return "the vote shares that the network's output implies"
