"""The reading of a single picture: for each face its bars of vote shares, or of probabilities."""

from collections.abc import Sequence

from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.track_timeline import TrackTimeline
from midas_dfer.report.pictures.layout import Sheet, draw_distribution, one_line
from midas_dfer.report.pictures.style import INK, PAPER, SOFT_INK
from midas_dfer.report.pictures.timeline_page import (
    HEADER_HEIGHT,
    PAGE_EDGE,
    PAGE_WIDTH,
    readings_differ,
    timeline_sheet,
    training_name,
)

_GAP = 0.4  # inches between the cards
_NAMES, _NUMBERS = 1.0, 0.4  # inches


def draw_picture(timeline: Timeline, tracks: Sequence[TrackTimeline], faces: bool) -> Sheet:
    """Draw the faces of a picture, which has no time, as cards in two columns; with `faces`, show them."""
    columns = min(2, len(tracks))
    rows = -(-len(tracks) // columns)
    card = 0.35 + 0.2 * len(timeline.class_names)
    rings = readings_differ(timeline)
    bar = "probability" if timeline.no_vote_shares else f"vote share{'; ring: network output' * rings}"
    subtitle = f"Perceived expression; model trained with {training_name(timeline)}. Bar: {bar}"
    sheet = timeline_sheet(timeline, subtitle, rows * card + (rows - 1) * _GAP + 0.3, len(tracks))
    half = (PAGE_WIDTH - 2 * PAGE_EDGE - _GAP) / 2
    side = min(card - 0.35, 1.5) if faces and any(t.thumbnails for t in tracks) else 0.0
    most = "likeliest" if timeline.no_vote_shares else "most votes for"
    for number, track in enumerate(tracks):
        left = PAGE_EDGE + (number % columns) * (half + _GAP)
        top = HEADER_HEIGHT + (number // columns) * (card + _GAP)
        sheet.write(left, top + 0.11, f"Face {track.track}", size=10, bold=True, middle=True)
        silent = timeline.never_answers(track)
        said = one_line(f"silent: {silent}" if silent else f"{most} {timeline.class_names[track.summary.top]}")
        sheet.write(left + 0.7, top + 0.11, said, size=8.5, color=SOFT_INK, middle=True)
        if side and track.thumbnails:
            sheet.picture(left, top + 0.35, side, side, track.thumbnails[0].image, interpolation="lanczos")
        axes = sheet.panel(left + side + _NAMES, top + 0.35, half - side - _NAMES - _NUMBERS, card - 0.35)
        shares = track.summary.shown
        texts = [f"{share:.0%}" for share in shares]
        draw_distribution(axes, timeline.class_names, shares, texts, (shares >= 0.05).tolist())
        axes.texts[track.summary.top].set_fontweight("bold")
        if rings:
            places = track.summary.probabilities, range(len(shares))
            axes.scatter(*places, s=22, facecolor=PAPER, edgecolor=INK, linewidth=0.9, zorder=3)
    return sheet
