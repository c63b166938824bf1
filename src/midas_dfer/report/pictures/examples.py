"""Clips to look at: some frames of each over its votes; and a few clear and a few ambiguous ones beside each other."""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped, UInt8

from midas_dfer.clips.description.description import CLEAR_SHARE
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.labels import NO_LABEL, entropy, majority_labels, top_share, votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.layout import (
    MARGIN,
    NAME_SIZE,
    Sheet,
    fitted,
    short_name,
    text_width,
    widest_name,
)
from midas_dfer.report.pictures.style import SOFT_INK, emotion_colors, house_style, save_figure

EXAMPLES = 3
"""How many clear and how many ambiguous clips are shown."""

_FRAMES = 5
_MOST_BARS = 5
_SIDE, _GAP, _BAR, _TITLE = 0.88, 0.04, 0.19, 0.24  # inches: a frame, between frames, a bar's row, a card's title
_BETWEEN = 0.45  # inches between the columns, and below a clip
_HEAD = 0.35  # inches from a group's title to its clips
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
class Bar:
    """A share from 0 to 1, and what is written behind its bar."""

    share: float
    text: str
    bold: bool = False


@dataclass(frozen=True)
class Card:
    """What is shown of a clip.

    Attributes:
        name: of the clip.
        aside: what is said at the right of its name.
        frames: some of them, from beginning to end, RGB; None where they are gone.
        heads: of the columns of bars; none if empty.
        rows: a class, and its bar in each column; None where nothing is known.
    """

    name: str
    aside: str
    frames: UInt8[np.ndarray, "n size size 3"] | None
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Bar | None, ...]], ...]

    @property
    def height(self) -> float:
        """In inches, from the top of its name to the foot of its bars."""
        strip = 0.0 if self.frames is None else _SIDE + 0.1
        return _TITLE + strip + (_BAR if self.heads else 0.0) + _BAR * len(self.rows)


@dataclass(frozen=True)
class ExampleClip:
    """A clip of the store.

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

    def card(self, class_names: tuple[str, ...]) -> Card:
        """Its frames over its votes: the five classes with the most."""
        total = int(self.votes.sum())
        order = [int(k) for k in np.argsort(-self.votes, kind="stable")[:_MOST_BARS] if self.votes[k] > 0]
        texts = {k: f"{self.votes[k]:,} of {total:,}" if self.voted else "label" for k in order}
        aside = f"entropy {self.entropy:.2f}" if self.voted else "a label, no votes"
        rows = tuple((class_names[k], (Bar(int(self.votes[k]) / total, texts[k]),)) for k in order)
        return Card(self.video_id, aside, self.frames, (), rows)


@dataclass(frozen=True)
class ExampleGroup:
    """Clips that are shown together: what they are, in a word and in a line, and they themselves."""

    title: str
    line: str
    clips: tuple[ExampleClip, ...]


def choose_examples(manifest: Manifest, number: int = EXAMPLES) -> Examples:
    """Choose the clearest and the most ambiguous clips, of different classes and people where that can be had.

    The choice depends on the annotations alone.
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
    """Read the frames and the votes of the clips that were chosen, clear ones first; no group is empty."""
    heading = ("Clear", "over 90 % of the votes are for one class")
    if not examples.all_clear:
        heading = ("Clearest", "most of the votes are for one class")
    if not examples.voted:
        heading = ("Labelled", "no votes are known")
    chosen = ((heading, examples.clear), (("Ambiguous", "the votes are split"), examples.ambiguous))
    return tuple(ExampleGroup(*names, tuple(_load(store, row) for row in rows)) for names, rows in chosen if rows)


def draw_examples(store: ClipStore, examples: Examples, path: Path) -> None:
    """Draw clear clips beside ambiguous ones, each with frames over its votes, as figures 1 and 3 of the paper."""
    groups = load_examples(store, examples)
    colors = emotion_colors(store.class_names)
    columns = [[clip.card(store.class_names) for clip in group.clips] for group in groups]
    heights = [max(card.height for card in row if card) + _BETWEEN for row in zip_longest(*columns)]
    width = 2 * MARGIN + max(1, len(columns)) * (_STRIP + _BETWEEN) - _BETWEEN
    with house_style():
        sheet = Sheet(width, _HEAD + sum(heights) - _BETWEEN, f"Examples of {store.dataset}")
        for number, (group, cards) in enumerate(zip(groups, columns, strict=True)):
            left = MARGIN + number * (_STRIP + _BETWEEN)
            sheet.write(left, sheet.top, group.title, size=10.0, bold=True)
            beside = left + text_width(group.title, 10.0, bold=True) + 0.1
            sheet.write(beside, sheet.top + 0.015, group.line, size=8.5, color=SOFT_INK)
            top = sheet.top + _HEAD
            for card, room in zip(cards, heights, strict=False):
                _draw_card(sheet, card, left, top, colors)
                top += room
        save_figure(sheet.figure, path)


def card_chart(card: Card, colors: dict[str, str]) -> Chart:
    """A card by itself, for a page."""
    sheet = Sheet(_STRIP, card.height)
    _draw_card(sheet, card, 0.0, 0.0, colors)
    rows = [(name, *("" if bar is None else bar.text for bar in bars)) for name, bars in card.rows]
    summary = f"Frames of the face in clip {card.name}, from beginning to end, over bars"
    if card.frames is None:
        summary = f"Bars of clip {card.name}"
    return Chart(sheet.figure, card.name, columns=("class", *(card.heads or ("votes",))), rows=rows, summary=summary)


def _draw_card(sheet: Sheet, card: Card, left: float, top: float, colors: dict[str, str]) -> None:
    room = _STRIP - text_width(card.aside, 8.0) - 0.2
    sheet.write(left, top, fitted(card.name, room, 8.5), size=8.5)
    sheet.write(left + _STRIP, top, card.aside, size=8.0, color=SOFT_INK, align="right")
    top += _TITLE
    if card.frames is not None:
        for number, frame in enumerate(card.frames):
            sheet.picture(left + number * (_SIDE + _GAP), top, _SIDE, _SIDE, frame)
        top += _SIDE + 0.1
    indent = max(0.8, widest_name([short_name(name) for name, _ in card.rows])) + 0.08
    columns = max(1, len(card.heads))
    column = (_STRIP - indent) / columns
    starts = [left + indent + number * column for number in range(columns)]
    for start, head in zip(starts, card.heads, strict=False):
        sheet.write(start, top + _BAR / 2, fitted(head, column - 0.1, 7.0), size=7.0, color=SOFT_INK, middle=True)
    top += _BAR / 2 if card.heads else -_BAR / 2
    widest = max((text_width(bar.text, 8.0, bold=True) for _, bars in card.rows for bar in bars if bar), default=0.0)
    for name, bars in card.rows:
        top += _BAR
        sheet.write(left + indent - 0.08, top, short_name(name), size=NAME_SIZE, align="right", middle=True)
        for start, bar in zip(starts, bars, strict=True):
            if bar is not None:
                length = max(0.01, bar.share * (column - widest - 0.12))
                sheet.bar(start, top - 0.065, length, 0.13, colors[name])
                end = start + length + 0.06
                sheet.write(end, top, bar.text, size=8.0, bold=bar.bold, color=SOFT_INK, middle=True)


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
