"""What is in a store, as one HTML page: everything that `describe` counts, with examples, to show and to keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midas_dfer.clips.description.annotators import Annotator, habit_sentence
from midas_dfer.clips.description.description import Description, Part, clip_lengths
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.files import make_folder, write_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pages.page import clean_text, percent, render_page
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.description_figures import (
    ambiguity_chart,
    class_chart,
    coexistence_chart,
    lengths_chart,
    share_matrix,
)
from midas_dfer.report.pictures.examples import card_chart, choose_examples, load_examples
from midas_dfer.report.pictures.layout import counted
from midas_dfer.report.pictures.style import emotion_colors, house_style
from midas_dfer.wording import count

PAGE_FILE = "description.html"

_MOST_CLASSES, _MOST_PARTS, _MOST_NOTES, _MOST_KINDS = 30, 12, 40, 12
_PAIRS_NAMED = 7
_MOST_CONFUSIONS = 6


@dataclass(frozen=True)
class _Pair:
    name: str
    other: str
    color: str
    share: float


@dataclass(frozen=True)
class _Segment:
    color: str
    length: float
    title: str


@dataclass(frozen=True)
class _PartRow:
    part: Part
    segments: tuple[_Segment, ...]
    summary: str


def write_description_page(store: ClipStore | Manifest, description: Description, folder: Path) -> Path:
    """Write the page; its size depends on the classes and the examples, not on the number of clips.

    Args:
        store: the store; of a manifest, there are no examples and no lengths.
        description: what `describe` says of it.
        folder: for description.html; made if it is not there.

    Returns:
        the file.

    Raises:
        JobError: the page cannot be written, or a frame cannot be read.
    """
    make_folder(folder)
    path = folder / PAGE_FILE
    write_file(path, description_page(store, description))
    return path


def description_page(store: ClipStore | Manifest, description: Description) -> str:
    """The page as HTML; see `write_description_page`."""
    d = description
    colors = emotion_colors(d.class_names)
    notes = (*(f"{count(number, 'clip')} whose file {remark}." for remark, number in d.remarks.items()), *d.notes)
    parts = [_part_row(part, d.class_names, colors) for part in d.parts]
    splits = sorted((row for row in parts if row.part.column == "split"), key=lambda row: _natural_order(row.part.name))
    folds = [row for row in parts if row.part.column == "fold"]
    with house_style(page=True):
        return render_page(
            "description.html",
            title=d.dataset,
            description=d,
            colors=colors,
            lead=_lead(d),
            ribbon=_segments(
                d.soft_label_mass, d.class_names, colors, "of all votes" if d.num_voted else "of the labels"
            ),
            pairs=_pairs(d, colors),
            most_classes=_MOST_CLASSES,
            people=_people(d, colors),
            habits=habit_sentence(d.annotators) if d.annotators is not None else "",
            splits=splits[:_MOST_PARTS],
            folds=folds[:_MOST_PARTS],
            parts_left=max(0, len(splits) - _MOST_PARTS) + max(0, len(folds) - _MOST_PARTS),
            kinds=list(d.failures.items())[:_MOST_KINDS],
            kinds_left=len(d.failures) - _MOST_KINDS,
            notes=notes[:_MOST_NOTES],
            notes_left=len(notes) - _MOST_NOTES,
            **_charts(store, d, colors),
        )


def _charts(store: ClipStore | Manifest, d: Description, colors: dict[str, str]) -> dict[str, Any]:
    few = len(d.class_names) <= _MOST_CLASSES
    examples, lengths = [], None
    if isinstance(store, ClipStore) and len(store):
        chosen = load_examples(store, choose_examples(store.manifest))
        examples = [(g.title, g.line, [card_chart(c.card(d.class_names), colors) for c in g.clips]) for g in chosen]
        if d.frames is not None and d.frames.min < d.frames.max:  # else a sentence says it
            lengths = lengths_chart(d, clip_lengths(store))
    return {
        "classes": class_chart(d) if d.num_clips else None,
        "matrix": coexistence_chart(d) if d.ambiguity is not None and len(d.class_names) > 1 and few else None,
        "ambiguity": None if d.ambiguity is None else ambiguity_chart(d, d.ambiguity),
        "examples": examples,
        "lengths": lengths,
        "agreeing": _agreeing(d),
        "confusions": _confusions(d) if few else [],
    }


def _lead(d: Description) -> str:
    """What there is, in a sentence."""
    parts = [count(d.num_clips, "clip")]
    if d.num_subjects:
        parts.append(f"of {count(d.num_subjects, 'person', 'people')}")
    if not d.num_clips:
        return "No clip can be used."
    parts.append(f"in {count(len(d.class_names), 'emotion class', 'emotion classes')}")
    if d.votes_per_clip is None:
        return " ".join(parts) + ", each with at most one label."
    return f"{' '.join(parts)}, judged by {d.votes_per_clip.total:,} votes."


def _segments(
    amounts: tuple[float, ...] | tuple[int, ...], names: tuple[str, ...], colors: dict[str, str], of: str
) -> tuple[_Segment, ...]:
    total = sum(amounts)
    return tuple(
        _Segment(colors[name], 100 * amount / total, f"{clean_text(name)}: {percent(amount / total)} {of}")
        for name, amount in zip(names, amounts, strict=True)
        if amount
    )


def _pairs(d: Description, colors: dict[str, str]) -> list[_Pair]:
    """Which other class is most often voted for where a class has the most votes; strongest first."""
    found = [
        _Pair(name, other, colors[other], share)
        for a, (name, shares) in enumerate(zip(d.class_names, d.coexistence, strict=True))
        for b, (other, share) in enumerate(zip(d.class_names, shares or (), strict=False))
        if a != b and share > 0
    ]
    return sorted(found, key=lambda pair: -pair.share)[:_PAIRS_NAMED]


def _people(d: Description, colors: dict[str, str]) -> list[tuple[Annotator, tuple[_Segment, ...], str]]:
    """The annotators, each with a ribbon of the classes that they chose."""
    rows = []
    for each in d.annotators.shown if d.annotators is not None else ():
        segments = _segments(each.shares, d.class_names, colors, "of the votes")
        rows.append((each, segments, "; ".join(segment.title for segment in segments)))
    return rows


def _agreeing(d: Description) -> Chart | None:
    """How often two annotators agree."""
    if d.annotators is None or not d.annotators.pairs:
        return None
    names = [each.name for each in d.annotators.shown]
    pairs = {frozenset((each.first, each.second)): each for each in d.annotators.pairs}
    shares, said = np.full((len(names), len(names)), np.nan), {}
    for a, first in enumerate(names):
        for b, second in enumerate(names):
            pair = pairs.get(frozenset((first, second)))
            if pair is not None:
                shares[a, b] = pair.agreement
                kappa = "" if pair.kappa is None else f", kappa {pair.kappa:.2f}"
                said[a, b] = f"{first} and {second}: {percent(pair.agreement)} of {count(pair.clips, 'clip')}{kappa}"
    title, labels = "Annotators in pairs", ("annotator", "annotator")
    return share_matrix(title, shares, names, names, labels, said)


def _confusions(d: Description) -> list[tuple[str, Chart]]:
    """What each annotator says where the others see what; of many annotators, the first few."""
    charts, names = [], d.class_names
    for each in d.annotators.shown[:_MOST_CONFUSIONS] if d.annotators is not None else ():
        if each.compared:
            counts = np.array(each.confusion, dtype=np.float64)
            totals = counts.sum(axis=1)
            shares = np.divide(counts, totals[:, None], out=np.full(counts.shape, np.nan), where=totals[:, None] > 0)
            said = {
                (a, b): f"others {seen}: {percent(shares[a, b])} {name}"
                for a, seen in enumerate(names)
                for b, name in enumerate(names)
            }
            rows = [counted(name, round(total)) for name, total in zip(names, totals.tolist(), strict=True)]
            title, labels = f"Confusion of {each.name}", ("said, %", "seen by the others (votes)")
            charts.append((each.name, share_matrix(title, shares, rows, names, labels, said)))
    return charts


def _natural_order(part: str) -> tuple[int, str]:
    """The usual parts in the order of their use, others behind them."""
    usual = ("train", "validation", "test")
    return usual.index(part) if part in usual else len(usual), part


def _part_row(part: Part, names: tuple[str, ...], colors: dict[str, str]) -> _PartRow:
    segments = _segments(part.class_clips, names, colors, "of its labelled clips")
    return _PartRow(part, segments, "; ".join(segment.title for segment in segments) or "no labelled clips")
