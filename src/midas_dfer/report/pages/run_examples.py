"""Clips that networks get wrong, and clips that people are divided on, with votes and predictions side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.comparison.run_results import Entry, by_clip
from midas_dfer.errors import MidasError
from midas_dfer.labels import NO_LABEL, entropy
from midas_dfer.report.pictures.chart import Chart
from midas_dfer.report.pictures.examples import Bar, Card, Examples, card_chart, load_examples
from midas_dfer.report.pictures.layout import short_name
from midas_dfer.report.pictures.style import emotion_colors
from midas_dfer.training.scoring.scores import Predictions

CLIPS_SHOWN, ENTRIES_SHOWN = 6, 4
"""How many clips of each kind, and how many entries beside the votes."""

_MOST_BARS = 5


@dataclass(frozen=True)
class ShownClips:
    """Clips of one kind, under a title."""

    title: str
    line: str
    clips: tuple[Chart, ...]


def choose_clips(entries: Sequence[Entry], store: ClipStore | None) -> tuple[tuple[ShownClips, ...], tuple[str, ...]]:
    """Choose the most confused and the most ambiguous clips that all of the first entries predicted.

    Most confused: where the predictions give a wrong class the most more than the label, on average. Most
    ambiguous: where the entropy of the votes is largest.
    """
    known = [(each, each.evaluation, each.predictions) for each in entries if each.evaluation and each.predictions]
    if not known:
        return (), ()
    names = known[0][1].class_names
    alike = [(entry, by_clip(p)) for entry, e, p in known if e is not None and p is not None and e.class_names == names]
    alike = alike[:ENTRIES_SHOWN]
    common = set(alike[0][1].video_ids).intersection(*(each.video_ids for _, each in alike))
    ids = [video_id for video_id in alike[0][1].video_ids if video_id in common]
    if not ids:
        return (), ()
    aligned = [_rows(each, ids) for _, each in alike]
    first, shares = aligned[0], np.mean([each.judged for each in aligned], axis=0)
    heads = ("votes", *(entry.name for entry, _ in alike))
    groups = []
    confusion = _confusion(shares, first)
    confused = [int(i) for i in np.argsort(-confusion, kind="stable") if confusion[i] > 0][:CLIPS_SHOWN]
    spread = np.where(first.has_votes, entropy(first.votes, normalized=True), -1.0)
    ambiguous = [int(i) for i in np.argsort(-spread, kind="stable") if spread[i] > 0][:CLIPS_SHOWN]

    def about_label(i: int) -> str:
        return f"label: {short_name(names[first.labels[i]])}" if first.labels[i] != NO_LABEL else "no single label"

    def about_votes(i: int) -> str:
        return f"entropy {spread[i]:.2f}"

    kinds: tuple[tuple[str, str, list[int], Callable[[int], str]], ...] = (
        ("Most confused", "A wrong class is given far more than the label.", confused, about_label),
        ("Most ambiguous", "The votes are divided most.", ambiguous, about_votes),
    )
    for title, line, chosen, about in kinds:
        if chosen:
            clips = tuple(_shown(i, about(i), ids, aligned, names, heads, _frames(store, ids[i])) for i in chosen)
            groups.append(ShownClips(title, line, clips))
    return tuple(groups), heads[1:]


def open_store(entries: Sequence[Entry]) -> tuple[ClipStore | None, str]:
    """The store that the runs were trained on, if it is still what it was; else None, and a sentence that says so."""
    stores = dict.fromkeys(
        (run.provenance.store, run.provenance.store_fingerprint) for e in entries for run in e.trainings
    )
    reasons = [] if stores else ["where the clips are is not recorded"]
    for path, fingerprint in stores:
        try:
            store = ClipStore.open(Path(path))
            if store.fingerprint == fingerprint:
                return store, ""
            reasons.append(f"the store {path} holds other clips by now")
        except (MidasError, OSError):
            reasons.append(f"the store {path} is not there")
    return None, f"No frames are shown: {'; '.join(reasons)}."


def _confusion(shares: Float64[np.ndarray, "N K"], of: Predictions) -> Float64[np.ndarray, " N"]:
    """How much more a wrong class is given than the label; negative where the label is given most."""
    places, labels = np.arange(len(shares)), np.where(of.labels == NO_LABEL, 0, of.labels)
    others = shares.copy()
    others[places, labels] = -1.0
    gap: Float64[np.ndarray, " N"] = np.where(of.labels == NO_LABEL, -1.0, others.max(axis=1) - shares[places, labels])
    return gap


def _rows(predictions: Predictions, ids: Sequence[str]) -> Predictions:
    order = {video_id: place for place, video_id in enumerate(predictions.video_ids)}
    rows = np.array([order[video_id] for video_id in ids])
    p = predictions
    shares = None if p.vote_shares is None else p.vote_shares[rows]
    return Predictions(tuple(ids), p.labels[rows], p.has_votes[rows], p.votes[rows], p.probabilities[rows], shares)


def _frames(store: ClipStore | None, video_id: str) -> UInt8[np.ndarray, "n size size 3"] | None:
    if store is None or video_id not in store.manifest.video_ids:
        return None
    row = store.manifest.video_ids.index(video_id)
    try:
        return load_examples(store, Examples((row,), (), all_clear=True, voted=True))[0].clips[0].frames
    except MidasError:
        return None


def _shown(
    place: int,
    line: str,
    ids: Sequence[str],
    aligned: Sequence[Predictions],
    names: tuple[str, ...],
    heads: tuple[str, ...],
    frames: UInt8[np.ndarray, "n size size 3"] | None,
) -> Chart:
    first = aligned[0]
    known = bool(first.has_votes[place]) or first.labels[place] != NO_LABEL
    columns = [first.votes[place] if known else None, *(each.judged[place] for each in aligned)]
    largest = np.max([column for column in columns if column is not None], axis=0)
    order = [int(k) for k in np.argsort(-largest, kind="stable")[:_MOST_BARS] if largest[k] >= 0.005]
    rows = tuple(
        (
            names[k],
            tuple(c if c is None else Bar(float(c[k]), f"{100 * c[k]:.0f}", int(c.argmax()) == k) for c in columns),
        )
        for k in order
    )
    return card_chart(Card(ids[place], line, frames, heads, rows), emotion_colors(names))
