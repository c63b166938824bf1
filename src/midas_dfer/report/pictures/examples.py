"""A picture of a few clear and a few ambiguous clips: some frames of each, and its votes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped, UInt8

from midas_dfer.clips.description.description import CLEAR_SHARE
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.labels import NO_LABEL, entropy, majority_labels, top_share, votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pictures.layout import MARGIN, NAME_SIZE, one_line, short_name, text_width
from midas_dfer.report.pictures.sheet import Sheet
from midas_dfer.report.pictures.style import SOFT_INK, emotion_colors, house_style, save_figure

EXAMPLES = 3
"""How many clear and how many ambiguous clips are shown."""

_FRAMES = 5
_MOST_BARS = 5
_SIDE, _GAP, _BAR, _TITLE = 0.88, 0.04, 0.19, 0.24  # inches: a frame, between frames, a bar's row, a clip's title
_BETWEEN = 0.45  # inches between the columns, and below a clip
_HEAD = 1.05  # inches above the clips
_STRIP = _FRAMES * _SIDE + (_FRAMES - 1) * _GAP


@dataclass(frozen=True)
class Examples:
    """Which clips are shown, by their row in the manifest.

    Attributes:
        clear: those whose votes agree most.
        ambiguous: those whose votes are split most.
        all_clear: whether over 90 % of the votes of each of `clear` are for one class; without any such clip,
            the clearest of those in which one class has more than half of the votes are taken.
        voted: whether they have votes; if no clip has, clips with a label are taken, as `clear`.
    """

    clear: tuple[int, ...]
    ambiguous: tuple[int, ...]
    all_clear: bool
    voted: bool


@dataclass(frozen=True)
class ExampleClip:
    """A clip that is shown.

    Attributes:
        video_id: which.
        frames: a few of its frames from beginning to end, RGB.
        votes: counts by class; one vote for its label if it has none.
        voted: whether these are votes.
        entropy: of the votes, divided by log(number of classes).
    """

    video_id: str
    frames: UInt8[np.ndarray, "n size size 3"]
    votes: Int64[np.ndarray, " K"]
    voted: bool
    entropy: float

    @property
    def order(self) -> list[int]:
        """The classes that were voted for, most votes first; five at most."""
        return [int(k) for k in np.argsort(-self.votes, kind="stable")[:_MOST_BARS] if self.votes[k] > 0]


@dataclass(frozen=True)
class ExampleGroup:
    """Clips that are shown together: what they are, in a word and in a line, and they themselves."""

    title: str
    line: str
    clips: tuple[ExampleClip, ...]


def choose_examples(manifest: Manifest, number: int = EXAMPLES) -> Examples:
    """Choose the clearest and the most ambiguous clips, of different classes and people where that can be had.

    The choice depends on the annotations alone.

    Args:
        manifest: the clips.
        number: how many of each, at most.
    """
    voted = bool(manifest.has_votes.any())
    rows = np.flatnonzero(manifest.has_votes if voted else manifest.labels != NO_LABEL)
    if not len(rows):
        return Examples((), (), all_clear=False, voted=voted)
    known = manifest.select(rows)
    votes = known.votes
    share, spread = top_share(votes), entropy(votes_to_soft_labels(votes), normalized=True)
    classes = majority_labels(votes)
    subjects = known.table["subject"].fill_null("").to_numpy().astype(object)
    over = share > CLEAR_SHARE
    all_clear = bool(over.any())
    most = votes.sum(axis=1)
    surest = share + 1e-9 * most / most.max()  # of two clips that all agree on, the one that more people saw
    clear = _best_of_each(surest, over if all_clear else share > 0.5, classes, subjects, number)
    rest = ~over
    rest[clear] = False
    split = _best_of_each(spread, rest, classes, subjects, number)
    return Examples(
        tuple(int(rows[i]) for i in clear), tuple(int(rows[i]) for i in split), all_clear=all_clear, voted=voted
    )


def load_examples(store: ClipStore, examples: Examples) -> tuple[ExampleGroup, ...]:
    """Read the frames and the votes of the clips that were chosen, clear ones first; no group is empty.

    Raises:
        JobError: a frame cannot be read.
    """
    heading = ("Clear", "over 90 % of the votes are for one class")
    if not examples.all_clear:
        heading = ("Clearest", "most of the votes are for one class")
    if not examples.voted:
        heading = ("Labelled", "no votes are known")
    chosen = ((heading, examples.clear), (("Ambiguous", "the votes are split"), examples.ambiguous))
    return tuple(ExampleGroup(*names, tuple(_load(store, row) for row in rows)) for names, rows in chosen if rows)


def draw_examples(store: ClipStore, examples: Examples, path: Path) -> None:
    """Draw clear clips beside ambiguous ones, each with frames over its votes, as figures 1 and 3 of the paper.

    Raises:
        JobError: a frame cannot be read, or the picture cannot be written.
    """
    columns = load_examples(store, examples)
    colors = emotion_colors(store.class_names)
    heights = [
        max(_clip_height(group.clips[row]) for group in columns if row < len(group.clips))
        for row in range(max((len(group.clips) for group in columns), default=0))
    ]
    width = 2 * MARGIN + max(1, len(columns)) * (_STRIP + _BETWEEN) - _BETWEEN
    height = _HEAD + sum(heights) - 0.2
    with house_style():
        sheet = Sheet(width, height)
        sheet.write(MARGIN, MARGIN, one_line(f"Examples of {store.dataset}"), size=11.5, bold=True)
        for number, group in enumerate(columns):
            left = MARGIN + number * (_STRIP + _BETWEEN)
            sheet.write(left, 0.55, group.title, size=10.0, bold=True)
            beside = left + text_width(group.title, 10.0, bold=True) + 0.1
            sheet.write(beside, 0.565, group.line, size=8.5, color=SOFT_INK)
            top = _HEAD - 0.2
            for clip, room in zip(group.clips, heights, strict=False):
                _draw_clip(sheet, clip, left, top, store.class_names, colors)
                top += room
        save_figure(sheet.figure, path)


def _best_of_each(
    score: Float64[np.ndarray, " N"],
    allowed: Bool[np.ndarray, " N"],
    classes: Int64[np.ndarray, " N"],
    subjects: Shaped[np.ndarray, " N"],
    number: int,
) -> list[int]:
    """The best of the classes in turn, somebody new each time; when all classes had their turn, from the start."""
    chosen: list[int] = []
    left = allowed.copy()
    turn: set[int] = set()
    while left.any() and len(chosen) < number:
        candidates = left & ~np.isin(classes, list(turn))
        if not candidates.any():
            turn.clear()
            continue
        new = candidates & ~np.isin(subjects, [subjects[i] for i in chosen if subjects[i]])
        pool = np.flatnonzero(new if new.any() else candidates)
        best = int(pool[score[pool].argmax()])
        chosen.append(best)
        turn.add(int(classes[best]))
        left[best] = False
    return chosen


def _load(store: ClipStore, row: int) -> ExampleClip:
    manifest = store.manifest.select([row])
    video_id = manifest.video_ids[0]
    length = store.num_frames(video_id)
    shown = min(_FRAMES, length)
    positions = [int((i + 0.5) * length / shown) for i in range(shown)]
    frames = store.read(video_id, positions)
    votes = manifest.votes
    spread = float(entropy(votes_to_soft_labels(votes), normalized=True)[0])
    return ExampleClip(video_id, frames, votes[0], bool(manifest.has_votes[0]), spread)


def _clip_height(clip: ExampleClip) -> float:
    """Inches from the top of a clip's title to that of the next clip's."""
    return _TITLE + _SIDE + 0.1 + _BAR * min(_MOST_BARS, int((clip.votes > 0).sum())) + _BETWEEN


def _draw_clip(
    sheet: Sheet, clip: ExampleClip, left: float, top: float, names: tuple[str, ...], colors: dict[str, str]
) -> None:
    spread = f"entropy {clip.entropy:.2f}" if clip.voted else "a label, no votes"
    room = _STRIP - text_width(spread, 8.0) - 0.2
    sheet.write(left, top, _fitted(clip.video_id, room, 8.5), size=8.5)
    sheet.write(left + _STRIP, top, spread, size=8.0, color=SOFT_INK, align="right")
    top += _TITLE
    for number, frame in enumerate(clip.frames):
        sheet.picture(left + number * (_SIDE + _GAP), top, _SIDE, _SIDE, frame)
    order = clip.order
    total = int(clip.votes.sum())
    indent = max(1.0, *(text_width(short_name(names[k]), NAME_SIZE) for k in order)) + 0.08
    longest = _STRIP - indent - text_width(f"{total} of {total}", 8.0) - 0.1
    top += _SIDE + 0.1
    for k in order:
        middle = top + _BAR / 2
        sheet.write(left + indent - 0.08, middle, short_name(names[k]), size=NAME_SIZE, align="right", middle=True)
        length = longest * int(clip.votes[k]) / total
        sheet.bar(left + indent, middle - 0.065, length, 0.13, colors[names[k]])
        text = f"{clip.votes[k]} of {total}" if clip.voted else "label"
        sheet.write(left + indent + length + 0.06, middle, text, size=8.0, color=SOFT_INK, middle=True)
        top += _BAR


def _fitted(text: str, room: float, size: float) -> str:
    """Text that is at most so many inches wide: the beginning, and what was cut away is shown by dots."""
    text = one_line(text)
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "\u2026", size) > room:
        text = text[:-1]
    return text + "\u2026"
