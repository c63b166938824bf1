"""Pictures of what is in a store: classes, coexisting emotions, ambiguity, examples, lengths."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from midas_dfer.clips.description.description import Ambiguity, Description, clip_lengths, length_histogram
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.files import make_folder
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pictures.examples import choose_examples, draw_examples
from midas_dfer.report.pictures.layout import (
    add_heading,
    clips,
    name_rows,
    short_name,
    widest_name,
    write_beside,
)
from midas_dfer.report.pictures.paper_figures import draw_coexisting
from midas_dfer.report.pictures.style import (
    ACCENT,
    INK,
    SOFT_INK,
    emotion_colors,
    house_style,
    new_figure,
    new_grid,
    save_figure,
    tint,
)

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
    if not description.num_clips:
        return []
    make_folder(folder)
    paths = [folder / "class_distribution.png"]
    draw_class_distribution(description, paths[0])
    if description.ambiguity is not None and len(description.class_names) > 1:
        paths.append(folder / "coexistence.png")
        draw_coexistence(description, paths[-1])
        paths.append(folder / "ambiguity.png")
        draw_ambiguity(description, description.ambiguity, paths[-1])
    if isinstance(store, ClipStore):
        examples = choose_examples(store.manifest)
        if examples.clear or examples.ambiguous:
            paths.append(folder / "examples.png")
            draw_examples(store, examples, paths[-1])
        paths.append(folder / "clip_lengths.png")
        draw_clip_lengths(description, clip_lengths(store), paths[-1])
    return paths


def draw_class_distribution(description: Description, path: Path) -> None:
    """Draw how many clips each class has, by single label and by soft labels, as figure 4 of the paper."""
    d = description
    names, colors = list(d.class_names), emotion_colors(d.class_names)
    counts = [*d.class_clips, d.num_unlabelled] if d.num_unlabelled else list(d.class_clips)
    if d.num_unlabelled:
        names.append(_NO_LABEL)
    with house_style():
        figure, axes = new_figure(
            max(5.8, 4.8 + widest_name([short_name(name) for name in names])), 0.6 + 0.34 * len(names)
        )
        for row, (name, count) in enumerate(zip(names, counts, strict=True)):
            axes.barh(row, count, height=0.62, color=colors.get(name, "#DDE1E6"))
        for row, mass in enumerate(d.soft_label_mass):
            axes.plot([mass, mass], [row - 0.4, row + 0.4], color=INK, linewidth=1.8, solid_capstyle="butt")
        name_rows(axes, [short_name(name) for name in names])
        axes.set(xlim=(0, 1.04 * max(1.0, *counts, *d.soft_label_mass)), xlabel="clips")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10]))
        axes.grid(axis="x")
        total = max(1, sum(counts))
        write_beside(axes, [(f"{count:,}", f"{100 * count / total:.1f} %") for count in counts])
        line = "bars: clips by single label \u00b7 strokes: sum of the clips' soft labels"
        add_heading(figure, "Emotion classes", [_subject(d), line])
        save_figure(figure, path)


def draw_coexistence(description: Description, path: Path) -> None:
    """Draw which emotions are voted for together, as figure 5 of the paper."""
    d = description
    width = len(d.class_names)
    shares = np.array([row if row is not None else [np.nan] * width for row in d.coexistence], dtype=np.float64)
    draw_coexisting(
        d.class_names,
        shares,
        np.array(d.majority_clips, dtype=np.int64),
        [path],
        row_name="top class",
        lines=[_subject(d), "rows: clips in which a class has the most votes; columns: their mean soft label, in %"],
        note=f"{clips(d.num_tied)} with a tie for the most votes left out." if d.num_tied else "",
    )


def draw_ambiguity(description: Description, ambiguity: Ambiguity, path: Path) -> None:
    """Draw how much annotators disagree: the entropy of the votes, and how many clips of each class are clear."""
    d = description
    names, colors = d.class_names, emotion_colors(d.class_names)
    with house_style():
        height = max(3.0, 0.7 + 0.3 * len(names))
        figure, panels = new_grid(
            7.4 + widest_name([short_name(name) for name in names]), height, 1, 2, width_ratios=[4.6, 3.0]
        )
        left, right = panels[0]
        _draw_entropy(left, ambiguity)
        texts = []
        for row, (name, share) in enumerate(zip(names, ambiguity.clear_by_class, strict=True)):
            texts.append(("-" if share is None else f"{100 * share:.1f} %", f"{d.majority_clips[row]:,}"))
            right.barh(row, 100 * (share or 0.0), height=0.62, color=colors[name])
        name_rows(right, [short_name(name) for name in names])
        right.set_title("Clear clips of each class")
        right.set(xlim=(0, 100), xlabel="share of clear clips, %")
        right.grid(axis="x")
        write_beside(right, texts, ("", "of clips"))
        line = (
            f"{100 * ambiguity.clear:.1f} % of {clips(d.num_voted)} with votes are clear: "
            "over 90 % of their votes are for one class"
        )
        note = "Entropy is divided by log(number of classes). The class of a clip is the one with the most votes."
        add_heading(figure, "How ambiguous the clips are", [d.dataset, line], note=note)
        save_figure(figure, path)


def draw_clip_lengths(description: Description, lengths: Int64[np.ndarray, " N"], path: Path) -> None:
    """Draw how long the clips are, in frames; a logarithmic axis where lengths differ a lot."""
    d = description
    middle, longest = float(np.median(lengths)), int(lengths.max())
    shortest = int(lengths.min())
    binned = length_histogram(lengths)
    edges, counts = np.array(binned.edges, dtype=np.float64), binned.counts
    with house_style():
        figure, axes = new_figure(6.4, 2.6)
        widths = np.diff(edges)
        axes.bar(edges[:-1] - 0.5, counts, width=widths * 0.94, align="edge", color=tint(ACCENT, 0.6))
        if binned.logarithmic:
            axes.set_xscale("log")
            ticks = [t for t in round_numbers(longest) if shortest <= t <= longest]
            axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            margin = max(0.04 * (longest - shortest), 1.5)
            axes.set_xlim(shortest - 0.5 - margin, float(edges[-1]) - 0.5 + margin)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _mark(axes, middle, f"median {middle:g}")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set(xlabel="frames of a clip", ylabel="clips", ylim=(0, 1.16 * max(1, *counts)))
        axes.grid(axis="y")
        reach = f"{shortest:,} to {longest:,} frames" if longest > shortest else f"{longest:,} frames each"
        add_heading(figure, "Length of the clips", [f"{_subject(d)} \u00b7 {reach} \u00b7 {lengths.sum():,} in all"])
        save_figure(figure, path)


def _draw_entropy(axes: Axes, ambiguity: Ambiguity) -> None:
    edges = np.linspace(0.0, 1.0, len(ambiguity.histogram) + 1)
    axes.bar(edges[:-1], ambiguity.histogram, width=np.diff(edges) * 0.94, align="edge", color=tint(ACCENT, 0.6))
    _mark(axes, ambiguity.mean_entropy, f"mean {ambiguity.mean_entropy:.2f}")
    axes.set_title("Entropy of the votes")
    axes.set(xlim=(0, 1), ylim=(0, 1.16 * max(1, *ambiguity.histogram)), ylabel="clips")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0\nall agree", "0.25", "0.5", "0.75", "1\nall equal"])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.grid(axis="y")


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


def round_numbers(limit: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... up to a limit."""
    return [digit * 10**power for power in range(len(str(limit))) for digit in (1, 2, 5)]


def _subject(description: Description) -> str:
    d = description
    people = f" of {d.num_subjects:,} people" if d.num_subjects > 1 else ""
    return f"{d.dataset} \u00b7 {clips(d.num_clips)}{people}"
