"""Charts of what is in a store: classes, coexisting emotions, ambiguity, examples, lengths."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from midas_dfer.clips.description.description import (
    Ambiguity,
    Description,
    clip_lengths,
    length_histogram,
)
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.files import make_folder
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.examples import choose_examples, draw_examples
from midas_dfer.report.pictures.layout import (
    class_panel,
    counted,
    draw_bars,
    matrix_figure,
    short_name,
    widest_name,
    write_beside,
)
from midas_dfer.report.pictures.style import (
    ACCENT,
    INK,
    NO_CLASS,
    SOFT_INK,
    emotion_colors,
    explain,
    house_style,
    new_figure,
    new_grid,
    tint,
)
from midas_dfer.wording import count, percent

_NO_LABEL = "no single label"


def draw_description(store: ClipStore | Manifest, description: Description, folder: Path) -> list[Path]:
    """Draw all pictures that there is something to draw for.

    Args:
        store: the store; of a manifest, the pictures that need no frames are drawn.
        description: what `describe` says of it.
        folder: for class_distribution.png, coexistence.png, ambiguity.png, examples.png, clip_lengths.png;
            made if it is not there.

    Returns:
        the files; without votes (or with one class) there is no coexistence and no ambiguity, of an empty store
        nothing.

    Raises:
        JobError: a picture cannot be written, or a frame cannot be read.
    """
    d, paths = description, []
    if not d.num_clips:
        return []
    make_folder(folder)
    with house_style():
        charts = {"class_distribution": class_chart(d)}
        if d.ambiguity is not None and len(d.class_names) > 1:
            charts |= {"coexistence": coexistence_chart(d), "ambiguity": ambiguity_chart(d, d.ambiguity)}
        if isinstance(store, ClipStore):
            charts["clip_lengths"] = lengths_chart(d, clip_lengths(store))
        for name, chart in charts.items():
            paths.append(folder / f"{name}.png")
            chart.save(paths[-1])
    if isinstance(store, ClipStore):
        examples = choose_examples(store.manifest)
        if examples.clear or examples.ambiguous:
            paths.insert(-1, folder / "examples.png")
            draw_examples(store, examples, paths[-2])
    return paths


def class_chart(description: Description, *, lines: Sequence[str] = (), note: str = "") -> Chart:
    """How many clips each class has, by single label and by soft labels, as figure 4 of the paper."""
    d = description
    names, colors = [*d.class_names], [*emotion_colors(d.class_names).values()]
    clips, masses = [*map(float, d.class_clips)], [*d.soft_label_mass]
    if d.num_unlabelled:
        names, colors, clips = [*names, _NO_LABEL], [*colors, NO_CLASS], [*clips, float(d.num_unlabelled)]
    total, voted = sum(clips) or 1, d.votes_per_clip is not None
    figure, axes = class_panel(names, 6.2 if voted else 5.2, 0.6)
    rows: list[tuple[str, ...]] = [
        (name, f"{number:,.0f}", percent(number / total)) for name, number in zip(names, clips, strict=True)
    ]
    draw_bars(axes, names, clips, colors, [f"{name}: {number} clips, {share}" for name, number, share, *_ in rows])
    if voted:
        of_votes = [(f"{mass:,.1f}", percent(mass / sum(masses))) for mass in masses] + [("", "")]
        rows = [(*row, *votes) for row, votes in zip(rows, of_votes, strict=False)]
        for row, mass in enumerate(masses):
            axes.plot([mass, mass], [row - 0.4, row + 0.4], color=INK, linewidth=1.8, solid_capstyle="butt")
    axes.set(xlim=(0, 1.04 * max(1.0, *clips, *masses)), xlabel="clips")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    write_beside(axes, [row[1:] for row in rows], heads=("clips", "", *(("votes", "") if voted else ())))
    said = "bars: clips by single label" + " \u00b7 strokes: sum of the clips' soft labels" * voted
    columns = ("class", "clips", "of clips", *(("sum of soft labels", "of votes") if voted else ()))
    title = "Distribution of the emotion classes"
    return Chart(figure, title, [*(lines or [_subject(d)]), said], note=note, columns=columns, rows=rows)


def coexistence_chart(description: Description) -> Chart:
    """Which emotions are voted for together, as figure 5 of the paper."""
    d = description
    nothing = [np.nan] * len(d.class_names)
    return coexisting_chart(
        d.class_names,
        np.array([nothing if row is None else row for row in d.coexistence], dtype=np.float64),
        np.array(d.majority_clips, dtype=np.int64),
        row_name="top class",
        lines=[_subject(d), "rows: clips in which a class has the most votes; columns: their mean soft label, in %"],
        note=f"{count(d.num_tied, 'clip')} with a tie for the most votes left out." if d.num_tied else "",
    )


def coexisting_chart(
    class_names: Sequence[str],
    shares: Float64[np.ndarray, "K K"],
    counts: Int64[np.ndarray, " K"],
    *,
    row_name: str = "single label",
    lines: Sequence[str] = (),
    note: str = "",
) -> Chart:
    """The mean soft label of the clips of each class as a matrix of tinted cells.

    The tint is by the largest share of another class: the diagonal, far larger, has none.
    """
    others = shares[~np.eye(len(shares), dtype=bool) & np.isfinite(shares)]
    rows = [counted(name, int(number)) for name, number in zip(class_names, counts, strict=True)]
    title, labels = "Which emotions coexist", ("mean share of the votes, %", f"{row_name} (clips)")
    top = float(others.max(initial=0.0))
    said = {
        (a, b): f"{row_name} {name}: {percent(share)} of the votes for {class_names[b]}"
        for a, name in enumerate(class_names)
        for b, share in enumerate(shares[a].tolist())
    }
    return share_matrix(
        title, shares, rows, class_names, labels, said, top=top, plain_diagonal=True, lines=lines, note=note
    )


def share_matrix(
    title: str,
    shares: Float64[np.ndarray, "R C"],
    rows: Sequence[str],
    columns: Sequence[str],
    labels: tuple[str, str],
    said: Mapping[tuple[int, int], str],
    *,
    top: float = 1.0,
    plain_diagonal: bool = False,
    lines: Sequence[str] = (),
    note: str = "",
) -> Chart:
    """A matrix of shares in percent.

    Args:
        title: of the chart.
        shares: from 0 to 1; NaN where there is none.
        rows: their names, with which the table begins.
        columns: their names.
        labels: of the two axes.
        said: of a cell when it is pointed at.
        top: the share of the strongest tint.
        plain_diagonal: give the diagonal no tint.
        lines: below the title.
        note: small print at the bottom.
    """
    cells = [
        [(f"{100 * share:.1f}", "", said[a, b]) if np.isfinite(share) else ("", "", "") for b, share in enumerate(line)]
        for a, line in enumerate(shares.tolist())
    ]
    figure = matrix_figure(shares, cells, rows, columns, labels, top, plain_diagonal=plain_diagonal)
    table = [(row, *(text for text, _, _ in line)) for row, line in zip(rows, cells, strict=True)]
    return Chart(figure, title, lines, note=note, columns=(labels[1], *columns), rows=table)


def ambiguity_chart(description: Description, ambiguity: Ambiguity) -> Chart:
    """How much annotators disagree: the entropy of the votes, and how many clips of each class are clear."""
    d, names = description, description.class_names
    room = widest_name([short_name(name) for name in names])
    figure, panels = new_grid(7.4 + room, max(3.0, 0.7 + 0.3 * len(names)), 1, 2, width_ratios=[4.6, 3.0])
    left, right = panels[0]
    edges = np.linspace(0.0, 1.0, len(ambiguity.histogram) + 1)
    ranges = [f"entropy {low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    counts = _draw_histogram(left, edges, ambiguity.histogram, ranges)
    left.set_title("Entropy of the votes")
    left.set_xlim(0, 1)
    left.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0\nall agree", "0.25", "0.5", "0.75", "1\nall equal"])
    _mark(left, ambiguity.mean_entropy, f"mean {ambiguity.mean_entropy:.2f}")
    shares = [share or 0.0 for share in ambiguity.clear_by_class]
    texts = [
        ("-" if share is None else percent(share), f"{clips:,}")
        for share, clips in zip(ambiguity.clear_by_class, d.majority_clips, strict=True)
    ]
    said = [f"{name}: {share} of {clips} clips are clear" for name, (share, clips) in zip(names, texts, strict=True)]
    draw_bars(right, names, [100 * share for share in shares], [*emotion_colors(names).values()], said)
    right.set_title("Clear clips of each class")
    right.set(xlim=(0, 100), xlabel="share of clear clips, %")
    write_beside(right, texts, heads=("", "of clips"))
    line = (
        f"{percent(ambiguity.clear)} of {count(d.num_voted, 'clip')} with votes are clear: "
        "over 90 % of their votes are for one class"
    )
    note = "Entropy is divided by log(number of classes). The class of a clip is the one with the most votes."
    clear = [(f"clear clips of {name}", share, clips) for name, (share, clips) in zip(names, texts, strict=True)]
    rows = [*((each, clips, "") for each, clips in counts), *((each, clips, share) for each, share, clips in clear)]
    columns = ("what", "clips", "of them clear")
    return Chart(figure, "How ambiguous the clips are", [d.dataset, line], note=note, columns=columns, rows=rows)


def lengths_chart(description: Description, lengths: Int64[np.ndarray, " N"]) -> Chart:
    """How long the clips are, in frames; a logarithmic axis where lengths differ a lot."""
    shortest, longest, middle = int(lengths.min()), int(lengths.max()), float(np.median(lengths))
    binned = length_histogram(lengths)
    edges = np.array(binned.edges, dtype=np.float64) - 0.5  # a bar of one length stands around its number
    ranges = [
        f"{low:,} frames" if high - low == 1 else f"{low:,} to {high - 1:,} frames"
        for low, high in pairwise(binned.edges)
    ]
    figure, axes = new_figure(6.4, 2.6)
    rows = _draw_histogram(axes, edges, binned.counts, ranges)
    if binned.logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(LogLocator(subs=[1.0, 2.0, 5.0], numticks=9))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        margin = max(0.04 * (longest - shortest), 1.0)
        axes.set_xlim(edges[0] - margin, edges[-1] + margin)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _mark(axes, middle, f"median {middle:g}")
    axes.set_xlabel("frames of a clip, logarithmic" if binned.logarithmic else "frames of a clip")
    reach = f"{shortest:,} to {longest:,} frames" if longest > shortest else f"{longest:,} frames each"
    line = f"{_subject(description)} \u00b7 {reach} \u00b7 {lengths.sum():,} in all"
    return Chart(figure, "Length of the clips", [line], columns=("frames", "clips"), rows=rows)


def _draw_histogram(
    axes: Axes, edges: Float64[np.ndarray, " E"], counts: Sequence[int], ranges: Sequence[str]
) -> list[tuple[str, str]]:
    """Draw it, and give the rows of its table: range and number of clips."""
    gap = 0.03 * np.diff(edges)
    bars = axes.bar(edges[:-1] + gap, counts, width=np.diff(edges) - 2 * gap, align="edge", color=tint(ACCENT, 0.6))
    for bar, where, number in zip(bars, ranges, counts, strict=True):
        explain(bar, f"{where}: {count(number, 'clip')}")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set(ylabel="clips", ylim=(0, 1.16 * max(1, *counts)))
    axes.grid(axis="y")
    return [(where, f"{number:,}") for where, number in zip(ranges, counts, strict=True) if number]


def _mark(axes: Axes, place: float, text: str) -> None:
    """A line across the panel with its name beside its top."""
    axes.axvline(place, color=SOFT_INK, linewidth=1.0, linestyle=(0, (4, 3)))
    low, high = axes.get_xlim()
    left = place > (low + high) / 2 if axes.get_xscale() == "linear" else False
    axes.annotate(
        text,
        (place, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, -2),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=8.5,
        color=INK,
    )


def _subject(description: Description) -> str:
    d = description
    people = f" of {d.num_subjects:,} people" if d.num_subjects > 1 else ""
    return f"{d.dataset} \u00b7 {count(d.num_clips, 'clip')}{people}"
