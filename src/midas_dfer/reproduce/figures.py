"""The paper's figures on any store: drawn as PNG and SVG, with the numbers behind them as CSV."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from midas_dfer import metrics
from midas_dfer.clips.description.description import Description, describe
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import canonical_name
from midas_dfer.errors import RequestError
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.files import csv_cell, csv_text, make_folder, write_file
from midas_dfer.labels import NO_LABEL, coexistence_matrix, votes_to_soft_labels
from midas_dfer.report.pictures.description_figures import class_chart, coexisting_chart
from midas_dfer.report.pictures.evaluation_figures import confusion_chart
from midas_dfer.report.pictures.examples import choose_examples, draw_examples, load_examples
from midas_dfer.report.pictures.layout import one_line, short_name
from midas_dfer.report.pictures.mixing_figure import draw_mixed_pair
from midas_dfer.report.pictures.style import house_style
from midas_dfer.reproduce.mixed_pair import mix_pair
from midas_dfer.reproduce.plan import SMOKE
from midas_dfer.reproduce.printed import FIGURES as FIGURES
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.wording import count, joined, percent

_HAPPY_RECALL = "87.40 %"  # section 5.4, and table 1


def make_figure(
    name: str,
    store: ClipStore,
    out: Path,
    results: ExperimentResult | MethodResult | Evaluation | None = None,
    *,
    seed: int = 0,
) -> list[Path]:
    """Draw a figure of the paper from the clips of a store, and set what the paper says of its own beside it.

    Args:
        name: one of `FIGURES`.
        store: the clips.
        out: folder for NAME.png, NAME.svg and NAME.csv; made if it is not there.
        results: for figure 6 alone, and needed there: whose confusion matrix; of an experiment with several
            methods each gets one, NAME-METHOD. Folds and seeds of a method are added up.
        seed: chooses the clips and the ratio of figure 1.

    Returns:
        the files.

    Raises:
        RequestError: there is no such figure, or the store holds nothing to draw in it.
        JobError: a frame cannot be read, or a file cannot be written.
    """
    if name not in FIGURES:
        raise RequestError(f"there is no {name!r} to draw; there are {', '.join(FIGURES)}")
    if name != "figure-6" and not len(store):
        raise RequestError(f"the store {store.path} holds no clip; there is nothing to draw in {name}")
    make_folder(out)
    if name == "figure-1":
        return _mixing(store, out / name, seed)
    if name == "figure-6":
        return _confusions(results, out / name)
    draw = {"figure-3": _examples, "figure-4": _class_distribution, "figure-5": _coexistence}[name]
    return draw(store, out / name)


def _mixing(store: ClipStore, stem: Path, seed: int) -> list[Path]:
    """Figures 1 and 2: two clips with their votes, and what MIDAS makes of them."""
    pair = mix_pair(store, seed)
    table, *pictures = _files(stem)
    note = (
        "Bars: shares, all on the scale from 0 to 100 %. Mixed label: full colour is the first clip's part, "
        "light colour the second's. Broken line: all classes equal. The softmax is of shares, as the paper is "
        "read here, so that targets are flat. Ratios between 0.3 and 0.7 show both clips; this is the first such one "
        f"of those drawn with seed {seed}; most ratios of this distribution lie near 0 or 1."
    )
    draw_mixed_pair(pair, pictures, note=note)
    rows = [
        ("first", pair.first.video_id, pair.ratio, pair.first.soft_label),
        ("second", pair.second.video_id, 1 - pair.ratio, pair.second.soft_label),
        ("mixed", "", 1.0, pair.mixed),
        ("target", "", 1.0, pair.target),
    ]
    columns = ["distribution", "video_id", "ratio", *(f"share_{each}" for each in pair.class_names)]
    return [*pictures, _write_table(table, columns, ([*head, *shares.tolist()] for *head, shares in rows))]


def _examples(store: ClipStore, stem: Path) -> list[Path]:
    """Figure 3: clear and ambiguous clips with their votes."""
    chosen = choose_examples(store.manifest)
    groups = load_examples(store, chosen)
    if not groups:
        raise RequestError(f"no clip of {store.path} has votes or a label; there is nothing to draw in figure-3")
    table, *pictures = _files(stem)
    for path in pictures:
        draw_examples(store, chosen, path)
    rows = [
        [group.title, clip.video_id, clip.entropy if clip.voted else "", "yes" if clip.voted else "no", *clip.votes]
        for group in groups
        for clip in group.clips
    ]
    columns = ["group", "video_id", "entropy", "voted", *(f"votes_{each}" for each in store.class_names)]
    return [*pictures, _write_table(table, columns, rows)]


def _class_distribution(store: ClipStore, stem: Path) -> list[Path]:
    """Figure 4: clips by single label, beside the sum of their soft labels."""
    d = describe(store)
    table, *pictures = _files(stem)
    ranked = [d.class_names[k] for k in np.argsort(-np.array(d.soft_label_mass), kind="stable")]
    here = f"Here, by votes: most {_listed(ranked[:2])}"
    here += f", fewest {_listed(ranked[-2:])}." if len(ranked) > 3 else "."
    note = (
        f"{here} The paper, of DFEW: \u201crelatively more \u2018natural\u2019 and \u2018happy\u2019 and less "
        "\u2018disgust\u2019 and \u2018fear\u2019\u201d (no figures printed). A clip without votes counts as its label."
    )
    with house_style():
        class_chart(d, lines=[_subject(d)], note=note).save(*pictures)
    rows: list[list[Any]] = [
        [each, clips, mass] for each, clips, mass in zip(d.class_names, d.class_clips, d.soft_label_mass, strict=True)
    ]
    return [*pictures, _write_table(table, ["class", "clips", "soft_label_sum"], [*rows, ["", d.num_unlabelled, 0.0]])]


def _coexistence(store: ClipStore, stem: Path) -> list[Path]:
    """Figure 5: the mean soft label of the clips of each class."""
    manifest = store.manifest
    usable = np.flatnonzero(manifest.has_votes & (manifest.labels != NO_LABEL))
    if not len(usable):
        raise RequestError(f"no clip of {store.path} has both votes and a single label, as figure-5 needs")
    known, names = manifest.select(usable), store.class_names
    shares = coexistence_matrix(votes_to_soft_labels(known.votes), known.labels)
    counts = np.bincount(known.labels, minlength=len(names)).astype(np.int64)
    table, *pictures = _files(stem)
    left_out = len(manifest) - len(usable)
    lines = [
        f"{one_line(store.dataset)} \u00b7 {count(len(usable), 'clip')} with votes and a single label",
        "rows: clips of a class; columns: their mean soft label, in %",
    ]
    note = (
        f"{_coexisting_words(names, shares)}The paper, of DFEW (no figures printed): neutral \u201ctends to coexist "
        "with all other emotion classes\u201d; happy \u201cdoes not coexist much with other emotion classes\u201d; "
        "angry and disgust coexist frequently; sad, surprise and fear often. The tint leaves out the diagonal."
    )
    if left_out:
        note += f" {count(left_out, 'clip')} without votes or without a single label left out."
    with house_style():
        coexisting_chart(names, shares, counts, lines=lines, note=note).save(*pictures)
    columns = ["class", "clips", *(f"share_{each}" for each in names)]
    rows = [
        [each, int(number), *("" if np.isnan(share) else float(share) for share in row)]
        for each, number, row in zip(names, counts, shares, strict=True)
    ]
    return [*pictures, _write_table(table, columns, rows)]


def _coexisting_words(names: Sequence[str], shares: Float64[np.ndarray, "K K"]) -> str:
    """What the matrix says of this store, where the paper has a sentence; "" if there is too little in it."""
    there = [k for k, row in enumerate(shares) if np.isfinite(row).all()]
    if len(there) < 3:
        return ""
    inner = shares[there]
    of_others = np.array([inner[[a != k for a in there], k].mean() for k in range(len(names))])
    most = int(of_others.argmax())
    purest = max(there, key=lambda k: float(shares[k, k]))
    words = (
        f"Here, most voted for in clips of other classes: {short_name(names[most])} ({100 * of_others[most]:.1f} % on "
        f"average); with the fewest votes for others: {short_name(names[purest])} "
        f"({100 * (1 - shares[purest, purest]):.1f} %)"
    )
    pairs = [(a, b) for a in there for b in there if a < b and most not in (a, b)]
    if pairs:
        both = max(pairs, key=lambda pair: float(shares[pair] + shares[pair[::-1]]))
        words += f"; most together, without {short_name(names[most])}: {_listed([names[k] for k in both])}"
    return f"{words}. "


def _confusions(results: ExperimentResult | MethodResult | Evaluation | None, stem: Path) -> list[Path]:
    """Figure 6: the confusion matrix of each method."""
    if results is None:
        raise RequestError("figure-6 is the confusion matrix of a network; give the results of one")
    if isinstance(results, Evaluation):
        return _confusion([results], "", stem)
    if isinstance(results, MethodResult):
        return _confusion([each.evaluation for each in results.results], _runs(results), stem)
    paths = []
    for method in results.methods:
        place = stem if len(results.methods) == 1 else stem.with_name(f"{stem.name}-{method.name.replace('/', '-')}")
        evaluations = [each.evaluation for each in method.results]
        notes = [note for note in results.notes if note != SMOKE]
        toy = "toy size, not a result" if SMOKE in results.notes else ""
        paths += _confusion(evaluations, _runs(method), place, notes, toy)
    return paths


def _confusion(
    evaluations: Sequence[Evaluation], runs: str, stem: Path, notes: Sequence[str] = (), toy: str = ""
) -> list[Path]:
    e = evaluations[0]
    confusion: Int64[np.ndarray, "K K"] = np.sum([np.array(each.confusion, dtype=np.int64) for each in evaluations], 0)
    if not confusion.sum():
        raise RequestError(f"no clip of {e.dataset} has a single label; there is no confusion matrix for figure-6")
    which = "all clips" if e.part == "all" else f"{e.part} part"
    scores = f"UAR {percent(metrics.uar(confusion), 2)} \u00b7 WAR {percent(metrics.war(confusion), 2)}"
    lines = [
        one_line(f"{e.method} ({e.model}) on {e.dataset}, {which}{runs}"),
        f"{scores} \u00b7 {count(int(confusion.sum()), 'clip')}"
        + (", all runs added up" if len(evaluations) > 1 else ""),
    ]
    happy = [k for k, name in enumerate(e.class_names) if canonical_name(name) == "happy"]
    recall = metrics.recall_per_class(confusion)
    note = "In cells: per cent of the row's clips, and clips."
    if happy and np.isfinite(recall[happy[0]]):
        note += (
            f" Of happy clips, {percent(recall[happy[0]], 2)} are found here; the text of the paper has "
            f"{_HAPPY_RECALL}, of DFEW with MIDAS (its table 1 has all classes)."
        )
    cautions = [toy, *(each.caution for each in evaluations)]
    caution = "; ".join(dict.fromkeys(each for each in cautions if each))
    table, *pictures = _files(stem)
    said = f"CAUTION: {caution}." if caution else ""
    with house_style():
        confusion_chart(confusion, e.class_names, lines=lines, caution=said, note=" ".join([note, *notes])).save(
            *pictures
        )
    rows = [
        [name, int(row.sum()), "" if np.isnan(share) else float(share), *(int(clips) for clips in row)]
        for name, row, share in zip(e.class_names, confusion, recall, strict=True)
    ]
    columns = ["class", "clips", "recall", *(f"predicted_{name}" for name in e.class_names)]
    return [*pictures, _write_table(table, columns, rows)]


def _runs(method: MethodResult) -> str:
    """How many folds and seeds a method has, in words; "" of a single run."""
    if len(method.results) == 1:
        return ""
    folds, seeds = len(method.folds), len(method.seeds)
    parts = [f"{folds} folds"] if folds > 1 else []
    parts += [f"{seeds} seeds, each clip counted once for each"] if seeds > 1 else []
    return f"; {', '.join(parts)}"


def _subject(d: Description) -> str:
    people = f" of {d.num_subjects:,} people" if d.num_subjects > 1 else ""
    votes = f", {d.num_voted:,} with votes" if d.num_voted < d.num_clips else ""
    return f"{one_line(d.dataset)} \u00b7 {count(d.num_clips, 'clip')}{people}{votes}"


def _listed(names: Sequence[str]) -> str:
    return joined([short_name(name) for name in names])


def _files(stem: Path) -> list[Path]:
    return [stem.with_name(stem.name + suffix) for suffix in (".csv", ".png", ".svg")]


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    cells = ([csv_cell(each) if isinstance(each, str) else each for each in row] for row in (columns, *rows))
    write_file(path, csv_text(cells))
    return path
