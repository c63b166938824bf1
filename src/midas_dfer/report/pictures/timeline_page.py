"""What the pictures of all readings have in common: the sheet with its heading and caption."""

import numpy as np

from midas_dfer.predict.timeline import Timeline
from midas_dfer.report.pictures.layout import Sheet, fitted, one_line, wrap
from midas_dfer.report.pictures.style import SOFT_INK

PAGE_WIDTH, PAGE_EDGE = 10.0, 0.3
"""Width of the sheet and of its margins, in inches."""
HEADER_HEIGHT = 0.82
"""In inches."""

_LINE, _SIZE = 0.155, 7.2  # of the caption: inches, points


def timeline_sheet(timeline: Timeline, subtitle: str, body: float, shown: int) -> Sheet:
    """A sheet with the video's name at its top, and the caption below a body of so many inches."""
    caption = caption_lines(timeline, shown)
    sheet = Sheet(PAGE_WIDTH, HEADER_HEIGHT + body + _LINE * len(caption))
    room = PAGE_WIDTH - 2 * PAGE_EDGE
    sheet.write(
        PAGE_EDGE, 0.24, fitted(timeline.video, room, 13, bold=True) or "video", size=13, bold=True, middle=True
    )
    sheet.write(PAGE_EDGE, 0.48, one_line(subtitle), size=9, color=SOFT_INK, middle=True)
    for number, line in enumerate(reversed(caption)):
        y = sheet.height - 0.14 - number * _LINE
        sheet.write(PAGE_EDGE, y, line, size=_SIZE, color=SOFT_INK, middle=True)
    return sheet


def caption_lines(timeline: Timeline, shown: int) -> list[str]:
    """Which reading is which, how many faces are left out, who read, and what was wrong with the video; wrapped."""
    sentences = [f"Probabilities: the network's softmax. They are {timeline.no_vote_shares}."]
    if not timeline.no_vote_shares:
        sentences = [
            "Vote shares: how the votes of annotators on this expression would be distributed, as the network's output "
            "implies them. "
            + (
                "Network output: its softmax. Trained on softmax-normalised targets, it is flat by construction; the "
                "vote shares undo that."
                if readings_differ(timeline)
                else "They are the softmax of the output: the targets that this network was trained on were not "
                "normalised."
            )
        ]
    if shown < len(timeline.tracks):
        which = "longest in view" if timeline.duration > 0 else "largest"
        sentences.append(f"{len(timeline.tracks)} faces were found; the {shown} {which} are shown.")
    sentences += [f"Read by {timeline.read_by}."] if timeline.read_by else []
    if (rule := timeline.abstention) is not None:
        words = rule.words[0].upper() + rule.words[1:]
        sentences.append(f"{words}. {f'CAUTION: {rule.held_out.caution}.' if rule.held_out.caution else ''}".strip())
    sentences += [f"Note: {timeline.note}"] if timeline.note else []
    return [line for sentence in sentences for line in wrap(sentence, PAGE_WIDTH - 2 * PAGE_EDGE, _SIZE)]


def readings_differ(timeline: Timeline) -> bool:
    """Whether vote shares are not simply the network's softmax."""
    windows = [w for track in timeline.tracks for w in track.windows]
    return any(
        w.vote_shares is not None and not np.allclose(w.probabilities, w.vote_shares, atol=1e-3) for w in windows
    )


def training_name(timeline: Timeline) -> str:
    """How the model was trained, for a subtitle."""
    return f"{timeline.method} labels" if timeline.method in ("hard", "soft") else timeline.method
