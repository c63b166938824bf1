"""The paper's figures 4, 5 and 6 of any clips: classes by labels and by votes, coexisting emotions, confusion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from midas_dfer.report.pictures.layout import (
    add_heading,
    counted,
    draw_matrix,
    matrix_size,
    name_rows,
    short_name,
    widest_name,
    write_beside,
)
from midas_dfer.report.pictures.style import emotion_colors, house_style, new_figure, new_grid, save_figure

_NO_LABEL = "no single label"


def draw_class_shares(
    class_names: Sequence[str],
    labelled: Sequence[int],
    num_unlabelled: int,
    mass: Sequence[float],
    paths: Sequence[Path],
    *,
    lines: Sequence[str] = (),
    note: str = "",
) -> None:
    """Draw how many clips each class has by their single labels, beside the sum of their soft labels.

    Args:
        class_names: from top to bottom.
        labelled: clips by single label.
        num_unlabelled: clips without one; a row of their own where there are any.
        mass: the sum of the soft labels, in clips.
        paths: files to write it to, .png or .svg.
        lines: below the title.
        note: small print at the bottom.

    Raises:
        JobError: a picture cannot be written.
    """
    names = [short_name(name) for name in class_names] + ([_NO_LABEL] if num_unlabelled else [])
    colors = list(emotion_colors(class_names).values())
    left = [*labelled, num_unlabelled] if num_unlabelled else list(labelled)
    longest = max(1.0, *left, *mass)
    with house_style():
        figure, panels = new_grid(7.9 + widest_name(names), 0.85 + 0.34 * len(names), 1, 2, sharey=True)
        first, second = panels[0]
        _draw_amounts(first, left, [*colors, "#DDE1E6"], longest, [f"{count:,}" for count in left])
        _draw_amounts(second, mass, colors, longest, [f"{amount:,.1f}" for amount in mass])
        first.set_title("By single label")
        second.set_title("By votes: sum of the soft labels")
        for axes in (first, second):
            name_rows(axes, names)
        second.tick_params(axis="y", labelleft=False)
        add_heading(figure, "Distribution of the emotion classes", lines, note=note)
        for path in paths:
            save_figure(figure, path)


def draw_coexisting(
    class_names: Sequence[str],
    shares: Float64[np.ndarray, "K K"],
    counts: Int64[np.ndarray, " K"],
    paths: Sequence[Path],
    *,
    row_name: str = "single label",
    lines: Sequence[str] = (),
    note: str = "",
) -> None:
    """Draw the mean soft label of the clips of each class as a matrix of tinted cells.

    The tint is by the largest share of another class: the diagonal, far larger, has none.

    Args:
        class_names: of rows and columns.
        shares: [a][b], the mean share of b in the clips of a; a row of NaN where no clip is of class a.
        counts: clips of each class.
        paths: files to write it to, .png or .svg.
        row_name: what the class of a row is to its clips.
        lines: below the title.
        note: small print at the bottom.

    Raises:
        JobError: a picture cannot be written.
    """
    others = shares[~np.eye(len(shares), dtype=bool) & np.isfinite(shares)]
    names = [short_name(name) for name in class_names]
    rows = [counted(name, int(count)) for name, count in zip(class_names, counts, strict=True)]
    cells = [[(f"{100 * share:.1f}" if np.isfinite(share) else "", "") for share in row] for row in shares]
    with house_style():
        figure, axes = new_figure(*matrix_size(rows, names))
        draw_matrix(axes, shares, cells, rows, names, top=float(others.max(initial=0.0)), plain_diagonal=True)
        axes.set_xlabel("mean share of the votes, %")
        axes.set_ylabel(f"{row_name} (clips)")
        add_heading(figure, "Which emotions coexist", lines, note=note)
        for path in paths:
            save_figure(figure, path)


def draw_confusion(
    confusion: Int64[np.ndarray, "K K"],
    class_names: Sequence[str],
    paths: Sequence[Path],
    *,
    title: str = "Confusion matrix",
    lines: Sequence[str] = (),
    caution: str = "",
    note: str = "",
) -> None:
    """Draw a confusion matrix, each row in per cent of its class with counts below.

    Args:
        confusion: clips by class (row) and predicted class (column).
        class_names: of both.
        paths: files to write it to, .png or .svg.
        title: of the picture.
        lines: below the title.
        caution: what a reader must not miss.
        note: small print at the bottom.

    Raises:
        JobError: a picture cannot be written.
    """
    totals = confusion.sum(axis=1)
    shares = np.divide(confusion, totals[:, None], out=np.full(confusion.shape, np.nan), where=totals[:, None] > 0)
    names = [short_name(name) for name in class_names]
    rows = [counted(name, int(total)) for name, total in zip(class_names, totals, strict=True)]
    cells = [
        [(f"{100 * share:.1f}", f"{count:,}") if total else ("", "") for share, count in zip(row, line, strict=True)]
        for row, line, total in zip(shares, confusion, totals, strict=True)
    ]
    with house_style():
        figure, axes = new_figure(*matrix_size(rows, names))
        draw_matrix(axes, shares, cells, rows, names, top=1.0)
        axes.set_xlabel("predicted")
        axes.set_ylabel("label (clips)")
        add_heading(figure, title, lines, caution=caution, note=note)
        for path in paths:
            save_figure(figure, path)


def _draw_amounts(
    axes: Axes, amounts: Sequence[int | float], colors: Sequence[str], longest: float, texts: Sequence[str]
) -> None:
    total = sum(amounts) or 1
    for row, (amount, color) in enumerate(zip(amounts, colors, strict=False)):
        axes.barh(row, amount, height=0.62, color=color)
    beside = [(text, f"{100 * amount / total:.1f} %") for text, amount in zip(texts, amounts, strict=True)]
    axes.set(xlim=(0, 1.04 * longest), xlabel="clips")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="x")
    write_beside(axes, beside)
