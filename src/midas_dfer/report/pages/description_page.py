"""What is in a store, as one HTML page: everything that `describe` counts, with examples, to show and to keep."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from midas_dfer.clips.description.annotators import Annotator, habit_sentence
from midas_dfer.clips.description.description import (
    Ambiguity,
    Description,
    LengthHistogram,
    Part,
    Spread,
    clip_lengths,
    length_histogram,
)
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.files import make_folder, write_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pages.page import Histogram, clean_text, histogram, percent, picture_uri, render_page
from midas_dfer.report.pictures.description_figures import round_numbers
from midas_dfer.report.pictures.examples import ExampleClip, choose_examples, load_examples
from midas_dfer.report.pictures.style import emotion_colors

PAGE_FILE = "description.html"

_FRAME_SIDE = 208
_MOST_CLASSES, _MOST_PARTS, _MOST_NOTES, _MOST_KINDS = 30, 12, 40, 12
_PAIRS_NAMED = 7
_MOST_CONFUSIONS = 6
_STRONGEST_TINT = 0.5


@dataclass(frozen=True)
class _Bar:
    """A row of the class chart: lengths in percent of the longest."""

    name: str
    color: str
    clips: int
    share: float
    length: float
    mass_share: float | None
    stroke: float | None


@dataclass(frozen=True)
class _Cell:
    text: str
    tint: float
    title: str


@dataclass(frozen=True)
class _Row:
    name: str
    color: str
    clips: int
    cells: tuple[_Cell, ...]


@dataclass(frozen=True)
class _Pair:
    name: str
    other: str
    color: str
    share: float


@dataclass(frozen=True)
class _VoteBar:
    name: str
    color: str
    length: float
    text: str


@dataclass(frozen=True)
class _Example:
    name: str
    pictures: tuple[Markup, ...]
    alt: str
    line: str
    bars: tuple[_VoteBar, ...]


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
    shown = len(d.class_names) <= _MOST_CLASSES
    notes = (*(f"{_clips(number)} whose file {remark}." for remark, number in d.remarks.items()), *d.notes)
    groups, lengths = [], None
    if isinstance(store, ClipStore) and len(store):
        chosen = load_examples(store, choose_examples(store.manifest))
        groups = [(g.title, g.line, [_example(clip, d.class_names, colors) for clip in g.clips]) for g in chosen]
        lengths = length_histogram(clip_lengths(store))
    parts = [_part_row(part, d.class_names, colors) for part in d.parts]
    splits = sorted((row for row in parts if row.part.column == "split"), key=lambda row: _natural_order(row.part.name))
    folds = [row for row in parts if row.part.column == "fold"]
    return render_page(
        "description.html",
        title=d.dataset,
        description=d,
        colors=colors,
        lead=_lead(d),
        ribbon=_segments(d.soft_label_mass, d.class_names, colors, "of all votes" if d.num_voted else "of the labels"),
        bars=_bars(d, colors),
        matrix=_matrix(d, colors) if d.ambiguity is not None and len(d.class_names) > 1 and shown else None,
        pairs=_pairs(d, colors),
        most_classes=_MOST_CLASSES,
        head_tail=max(0.0, 0.34 * min(16, len(d.class_names[-1])) - 1.0),
        head_height=1.2 + 0.36 * min(16, max(map(len, d.class_names))),
        examples=groups,
        people=_people(d, colors),
        habits=habit_sentence(d.annotators) if d.annotators is not None else "",
        pair_rows=_pair_rows(d),
        pairs_height=1.2 + 0.36 * min(16, max((len(each.name) for each in d.annotators.shown), default=0))
        if d.annotators is not None
        else 0.0,
        confusions=_confusions(d, colors) if shown else [],
        entropy=None if d.ambiguity is None else _entropy(d.ambiguity),
        lengths=_lengths(lengths, d.frames) if lengths is not None and d.frames is not None else None,
        splits=splits[:_MOST_PARTS],
        folds=folds[:_MOST_PARTS],
        parts_left=max(0, len(splits) - _MOST_PARTS) + max(0, len(folds) - _MOST_PARTS),
        kinds=list(d.failures.items())[:_MOST_KINDS],
        kinds_left=len(d.failures) - _MOST_KINDS,
        notes=notes[:_MOST_NOTES],
        notes_left=len(notes) - _MOST_NOTES,
    )


def _lead(d: Description) -> str:
    """What there is, in a sentence."""
    parts = [f"{d.num_clips:,} {'clip' if d.num_clips == 1 else 'clips'}"]
    if d.num_subjects:
        parts.append(f"of {d.num_subjects:,} {'person' if d.num_subjects == 1 else 'people'}")
    names = len(d.class_names)
    if not d.num_clips:
        return "No clip can be used."
    parts.append(f"in {names:,} emotion {'class' if names == 1 else 'classes'}")
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


def _bars(d: Description, colors: dict[str, str]) -> list[_Bar]:
    longest, total, mass = max(1.0, *d.class_clips, *d.soft_label_mass), sum(d.class_clips), sum(d.soft_label_mass)
    bars = [
        _Bar(
            name=name,
            color=colors[name],
            clips=clips,
            share=clips / max(1, total + d.num_unlabelled),
            length=100 * clips / max(longest, d.num_unlabelled),
            mass_share=soft / mass if mass else None,
            stroke=100 * soft / max(longest, d.num_unlabelled) if mass else None,
        )
        for name, clips, soft in zip(d.class_names, d.class_clips, d.soft_label_mass, strict=True)
    ]
    if d.num_unlabelled:
        share = d.num_unlabelled / (total + d.num_unlabelled)
        length = 100 * d.num_unlabelled / max(longest, d.num_unlabelled)
        bars.append(_Bar("no single label", "", d.num_unlabelled, share, length, None, None))
    return bars


def _matrix(d: Description, colors: dict[str, str]) -> list[_Row]:
    """The co-existence ratios; the strongest tint is that of the strongest pair of different classes."""
    others = [v for a, row in enumerate(d.coexistence) for b, v in enumerate(row or ()) if a != b]
    top = max(others, default=0.0) or 1.0
    rows, names = [], [clean_text(name) for name in d.class_names]
    for number, (name, shares) in enumerate(zip(d.class_names, d.coexistence, strict=True)):
        cells = []
        for other, share in enumerate(shares or [None] * len(d.class_names)):
            if share is None:
                cells.append(_Cell("", 0.0, "no clip has most of its votes here"))
                continue
            text = f"{100 * share:.1f}"
            title = f"top class {names[number]}: {percent(share)} of the votes for {names[other]}"
            cells.append(_Cell(text, 0.0 if other == number else _STRONGEST_TINT * share / top, title))
        rows.append(_Row(name, colors[name], d.majority_clips[number], tuple(cells)))
    return rows


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


def _pair_rows(d: Description) -> list[_Row]:
    """How often two annotators agree, as a table; the strongest tint is that of full agreement."""
    if d.annotators is None or not d.annotators.pairs:
        return []
    pairs = {frozenset((pair.first, pair.second)): pair for pair in d.annotators.pairs}
    names = [each.name for each in d.annotators.shown]
    rows = []
    for name in names:
        cells = []
        for other in names:
            pair = pairs.get(frozenset((name, other))) if name != other else None
            if pair is None:
                cells.append(_Cell("", 0.0, "" if name == other else "no common clip"))
                continue
            kappa = "" if pair.kappa is None else f", kappa {pair.kappa:.2f}"
            title = (
                f"{clean_text(name)} and {clean_text(other)}: {percent(pair.agreement)} of {_clips(pair.clips)}{kappa}"
            )
            cells.append(_Cell(f"{100 * pair.agreement:.0f}", _STRONGEST_TINT * pair.agreement, title))
        rows.append(_Row(name, "", 0, tuple(cells)))
    return rows


def _confusions(d: Description, colors: dict[str, str]) -> list[tuple[str, list[_Row]]]:
    """What each annotator says where the others see what; of many annotators, the first few."""
    tables = []
    for each in d.annotators.shown[:_MOST_CONFUSIONS] if d.annotators is not None else ():
        if not each.compared:
            continue
        rows = []
        for seen, counts in zip(d.class_names, each.confusion, strict=True):
            total = sum(counts)
            cells = [
                _Cell(
                    f"{100 * count / total:.0f}",
                    _STRONGEST_TINT * count / total,
                    f"others {clean_text(seen)}: {percent(count / total)} {clean_text(said)}",
                )
                if total
                else _Cell("", 0.0, "the others see this nowhere")
                for said, count in zip(d.class_names, counts, strict=True)
            ]
            rows.append(_Row(seen, colors[seen], round(total), tuple(cells)))
        tables.append((each.name, rows))
    return tables


def _example(clip: ExampleClip, names: tuple[str, ...], colors: dict[str, str]) -> _Example:
    total = int(clip.votes.sum())
    bars = tuple(
        _VoteBar(
            names[k],
            colors[names[k]],
            100 * int(clip.votes[k]) / total,
            f"{int(clip.votes[k]):,} of {total:,}" if clip.voted else "label",
        )
        for k in clip.order
    )
    number = len(clip.frames)
    what = "The only frame" if number == 1 else f"{number} frames, from beginning to end,"
    return _Example(
        name=clip.video_id,
        pictures=tuple(picture_uri(frame, _FRAME_SIDE) for frame in clip.frames),
        alt=f"{what} of the face in clip {clean_text(clip.video_id)}",
        line=f"entropy {clip.entropy:.2f}" if clip.voted else "a label, no votes",
        bars=bars,
    )


def _entropy(ambiguity: Ambiguity) -> Histogram:
    counts = ambiguity.histogram
    edges = [float(edge) for edge in np.linspace(0.0, 1.0, len(counts) + 1)]
    titles = [
        f"entropy {low:.2f} to {high:.2f}: {_clips(count)}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return histogram(
        edges,
        counts,
        titles,
        [(value, f"{value:g}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)],
        mark=(ambiguity.mean_entropy, f"mean {ambiguity.mean_entropy:.2f}"),
        summary=(
            f"Histogram of the entropy of the votes, 0 to 1. Mean {ambiguity.mean_entropy:.2f}; "
            f"{percent(ambiguity.clear)} of the clips are clear."
        ),
    )


def _lengths(binned: LengthHistogram, frames: Spread) -> Histogram | None:
    """None if all clips are equally long: then a sentence says it."""
    if frames.min == frames.max:
        return None
    shift = 0.0 if binned.logarithmic else 0.5  # a bar of one length stands around its number
    edges = [edge - shift for edge in binned.edges]
    titles = [
        (f"{low:,} frames" if high - low == 1 else f"{low:,} to {high - 1:,} frames") + f": {_clips(count)}"
        for low, high, count in zip(binned.edges[:-1], binned.edges[1:], binned.counts, strict=True)
    ]
    ticks = _round_logarithmic(binned) if binned.logarithmic else _round_linear(binned)
    return histogram(
        edges,
        binned.counts,
        titles,
        [(float(tick), f"{tick:,}") for tick in ticks],
        mark=(frames.median, f"median {frames.median:g}"),
        logarithmic=binned.logarithmic,
        summary=f"Histogram of the clips' lengths, {frames.min:,} to {frames.max:,} frames, median {frames.median:g}.",
    )


def _round_linear(binned: LengthHistogram) -> list[int]:
    low, high = binned.edges[0], binned.edges[-1]
    step = next((s for s in round_numbers(10 * high) if (high - low) / s <= 5), 1)
    return list(range(-(-low // step) * step, high + 1, step))


def _round_logarithmic(binned: LengthHistogram) -> list[int]:
    """Powers of ten, and two and five times them where there is room."""
    low, high = binned.edges[0], binned.edges[-1]
    ticks = [n for n in round_numbers(high) if low <= n <= high]
    return ticks if len(ticks) <= 7 else [n for n in ticks if str(n)[0] == "1"]


def _natural_order(part: str) -> tuple[int, str]:
    """The usual parts in the order of their use, others behind them."""
    usual = ("train", "validation", "test")
    return usual.index(part) if part in usual else len(usual), part


def _part_row(part: Part, names: tuple[str, ...], colors: dict[str, str]) -> _PartRow:
    segments = _segments(part.class_clips, names, colors, "of its labelled clips")
    return _PartRow(part, segments, "; ".join(segment.title for segment in segments) or "no labelled clips")


def _clips(number: int) -> str:
    return f"{number:,} {'clip' if number == 1 else 'clips'}"
