"""Where in the picture the panels of a video go: along the edge, near their face, over nobody's face."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from midas_dfer.clips.faces.tracks import mean_size
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import TrackTimeline

_PLACES = 13  # tried along each edge
_MOMENTS = 24  # of a track that are looked at
_FEATURES = 4.0  # how much worse it is to hide eyes and mouth than the rest of a face
_MOST_AREA = 0.4  # of the picture that all panels that are seen together may take
_DISTANCE = 0.12  # the diagonal of the picture as a distance from the face, against hiding a whole face


def place_panels(
    timeline: Timeline, size: tuple[int, int], panels: Sequence[tuple[int, int]], margin: int, tag: tuple[float, float]
) -> list[tuple[int, int] | None]:
    """Choose one place for the panel of each face, where it stays for as long as the face is in view.

    Faces that are large and long in view choose first. No two panels that are seen together overlap.

    Args:
        timeline: the faces; their boxes are in pixels of the video.
        size: width and height of the picture that is drawn on; may be larger than that of the video.
        panels: width and height of each face's panel, in the order of `timeline.tracks`.
        margin: between panels and the edge, in pixels.
        tag: width and height of what stands above each face's box, in pixels.

    Returns:
        x and y of each panel's upper left corner; None where there is no room for it.
    """
    scale = size[0] / timeline.width
    places: list[tuple[int, int] | None] = [None] * len(panels)
    tracks = timeline.tracks
    order = sorted(range(len(tracks)), key=lambda i: -mean_size(tracks[i].face) * (tracks[i].end - tracks[i].start + 1))
    for i in order:
        tried = _along_the_edge(size, panels[i], margin)
        if not len(tried):
            continue
        cost = _hidden(tried, tracks[i], tracks, scale, tag)
        own = tracks[i].face.boxes.astype(np.float64).mean(axis=0) * scale
        away = tried[:, :2] + tried[:, 2:] / 2 - (own[:2] + own[2:] / 2)
        cost += _DISTANCE * np.hypot(away[:, 0], away[:, 1]) / np.hypot(*size)
        area = panels[i][0] * panels[i][1]
        for j, other in enumerate(places):
            if other is not None and tracks[i].start <= tracks[j].end and tracks[j].start <= tracks[i].end:
                taken = np.array([[*other, *panels[j]]], dtype=np.float64)
                cost[_overlap(tried, taken)[:, 0] > 0] = np.inf
                area += panels[j][0] * panels[j][1]
        best = int(cost.argmin())
        alone = area == panels[i][0] * panels[i][1]
        if np.isfinite(cost[best]) and (alone or area <= _MOST_AREA * size[0] * size[1]):
            places[i] = (int(tried[best, 0]), int(tried[best, 1]))
    return places


def _along_the_edge(size: tuple[int, int], panel: tuple[int, int], margin: int) -> Float64[np.ndarray, "c 4"]:
    """Rectangles x, y, width, height that touch the margin; none if the panel does not fit."""
    right, bottom = size[0] - panel[0] - margin, size[1] - panel[1] - margin
    if right < 0 or bottom < 0:
        return np.empty((0, 4))
    left, top = min(margin, right), min(margin, bottom)
    xs, ys = np.linspace(left, right, _PLACES).round(), np.linspace(top, bottom, _PLACES).round()
    corners = [(x, y) for x in (left, right) for y in ys] + [(x, y) for x in xs for y in (top, bottom)]
    return np.array([(x, y, *panel) for x, y in corners], dtype=np.float64)


def _hidden(
    tried: Float64[np.ndarray, "c 4"],
    track: TrackTimeline,
    tracks: Sequence[TrackTimeline],
    scale: float,
    tag: tuple[float, float],
) -> Float64[np.ndarray, "c"]:
    """How much of the faces each place hides, on average over the time of a track."""
    moments = np.unique(np.linspace(0, len(track.face) - 1, _MOMENTS).round().astype(int))
    cost = np.zeros(len(tried))
    for frame in track.face.frames[moments]:
        for other in tracks:
            row = int(frame - other.face.frames[0])
            if 0 <= row < len(other.face):
                face = other.face.boxes[row].astype(np.float64) * scale
                points = other.face.landmarks[row].astype(np.float64) * scale
                reach = 0.12 * face[2:]
                low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
                features = np.concatenate([low, high - low])
                area = max(1.0, float(face[2] * face[3]))
                above = np.array([face[0], face[1] - tag[1], *tag])
                seen = _overlap(tried, np.stack([face, features, above]))
                cost += seen @ np.array([1.0, _FEATURES, 1.0]) / area
    return cost / len(moments)


def _overlap(a: Float64[np.ndarray, "a 4"], b: Float64[np.ndarray, "b 4"]) -> Float64[np.ndarray, "a b"]:
    """Common area of rectangles x, y, width, height."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2))
