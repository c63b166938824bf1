"""The two clips of figure 1, and what MIDAS makes of them."""

import numpy as np
import torch

from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.labels import NO_LABEL, majority_labels, top_share, votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.mixing.midas import MIDAS
from midas_dfer.mixing.plan import MixPlan, draw_ratios
from midas_dfer.report.pictures.mixing_figure import MixedPair, SourceClip

_FRAMES = 5
_SHOWN_RATIOS = (0.3, 0.7)
_DRAWS = 256


def mix_pair(store: ClipStore, seed: int) -> MixedPair:
    """Choose two clips of different emotions and mix them, as in training."""
    mixer = MIDAS()
    chosen = store.manifest.select(_choose_pair(store.manifest, seed))
    lengths = [store.num_frames(video_id) for video_id in chosen.video_ids]
    shown = min(_FRAMES, max(lengths))
    frames = [
        store.read(video_id, sample_segments(length, shown).tolist())
        for video_id, length in zip(chosen.video_ids, lengths, strict=True)
    ]
    soft = votes_to_soft_labels(chosen.votes)
    ratios = draw_ratios(_DRAWS, mixer.alpha, torch.Generator().manual_seed(seed))
    low, high = _SHOWN_RATIOS
    ratio = ratios[int(((ratios >= low) & (ratios <= high)).int().argmax())]
    plan = MixPlan(torch.stack([ratio, 1 - ratio]), torch.tensor([1, 0]))
    pixels = torch.from_numpy(np.stack(frames)).permute(0, 1, 4, 2, 3)
    labels = torch.from_numpy(soft)
    mixed, targets = mixer.apply(pixels, labels, plan)
    _, plain = MIDAS(alpha=mixer.alpha, normalization="none").apply(pixels, labels, plan)
    picture = mixed[0].permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8).numpy()
    counts = np.where(chosen.has_votes, chosen.votes.sum(axis=1), 0)
    sources = [
        SourceClip(video_id, pictures, label, int(count))
        for video_id, pictures, label, count in zip(chosen.video_ids, frames, soft, counts, strict=True)
    ]
    return MixedPair(
        dataset=store.dataset,
        class_names=store.class_names,
        first=sources[0],
        second=sources[1],
        ratio=float(ratio),
        alpha=mixer.alpha,
        frames=picture,
        mixed=plain[0].double().numpy(),
        target=targets[0].double().numpy(),
    )


def _choose_pair(manifest: Manifest, seed: int) -> list[int]:
    """Two clips of different emotions by chance; of different people, and with split votes, where there are such."""
    voted = manifest.has_votes
    rows = np.flatnonzero(voted if voted.any() else manifest.labels != NO_LABEL)
    if len(rows):
        votes = manifest.select(rows).votes
        single = majority_labels(votes) != NO_LABEL
        rows, votes = rows[single], votes[single]
    if not len(rows) or len(set(majority_labels(votes).tolist())) < 2:
        raise RequestError(f"no two clips of {manifest.name} are of different emotions; there is nothing to mix")
    classes, agreed = majority_labels(votes), top_share(votes) == 1
    subjects = manifest.select(rows).table["subject"].to_list()
    order = np.random.default_rng(seed).permutation(len(rows))
    order = order[np.argsort(agreed[order], kind="stable")]
    first = int(order[0])
    others = [int(row) for row in order if classes[row] != classes[first]]
    strangers = [row for row in others if subjects[row] is None or subjects[row] != subjects[first]]
    return [int(rows[first]), int(rows[(strangers or others)[0]])]
