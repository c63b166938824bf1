"""The checks: each makes a batch, mixes it, and says what came out."""

import random
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.peers.batches import (
    ALPHA,
    CLIPS,
    ROWS,
    SOUNDS,
    STILLS,
    Finding,
    coded_rows,
    draw_partners,
    draw_shares,
    first_line,
    hard_labels,
    judge,
    labels_for,
    seed_everything,
    soft_labels,
)
from benchmarks.peers.candidate import Candidate


def check_soft_labels(candidate: Candidate) -> Finding:
    """Soft labels [B, K] give the soft labels mixed in the pixels' shares."""
    return judge(candidate, coded_rows(STILLS, candidate.dtype), soft_labels())


def check_hard_labels(candidate: Candidate) -> Finding:
    """Class numbers [B] give the one-hot labels mixed in the pixels' shares."""
    return judge(candidate, coded_rows(STILLS, candidate.dtype), hard_labels())


def check_clips(candidate: Candidate) -> Finding:
    """A plain tensor [B, T, C, H, W]; where that is refused, the library's own type for video, if it has one."""
    clips, labels = coded_rows(CLIPS, candidate.dtype), labels_for(candidate)
    finding = judge(candidate, clips, labels)
    if finding.value != "yes" and candidate.as_video is not None:
        wrapped = judge(candidate, candidate.as_video(clips), labels)
        if wrapped.value == "yes":
            seen = f"plain tensor: {finding.value}, {finding.observed}; the library's Video: {wrapped.observed}"
            return Finding("as its Video", seen)
    return finding


def check_stills(candidate: Candidate) -> Finding:
    """A plain tensor [B, C, H, W]."""
    return judge(candidate, coded_rows(STILLS, candidate.dtype), labels_for(candidate))


def check_any_shape(candidate: Candidate) -> Finding:
    """A plain tensor [B, L], as of sound."""
    return judge(candidate, coded_rows(SOUNDS, candidate.dtype), labels_for(candidate))


def check_uint8(candidate: Candidate) -> Finding:
    """Stills of uint8."""
    return judge(candidate, coded_rows(STILLS, torch.uint8), labels_for(candidate))


def check_half(candidate: Candidate) -> Finding:
    """Stills of float16 and of bfloat16."""
    labels = labels_for(candidate)
    found = {
        dtype: judge(candidate, coded_rows(STILLS, dtype), labels, 2e-2) for dtype in (torch.float16, torch.bfloat16)
    }
    seen = "; ".join(f"{str(dtype).removeprefix('torch.')}: {f.value}, {f.observed}" for dtype, f in found.items())
    values = {finding.value for finding in found.values()}
    return Finding(values.pop() if len(values) == 1 else "one of two", seen)


def check_ratio(candidate: Candidate) -> Finding:
    """How many different ratios one batch has, among rows that were mixed with another."""
    most = 0
    ever: set[float] = set()
    for found in draw_shares(candidate, ALPHA, 50):
        own = found.diagonal()
        different = (own[own < 0.999] * 1e4).round().unique().tolist()
        most, ever = max(most, len(different)), ever.union(different)
    if len(ever) == 1:
        return Finding("fixed", f"the same in 50 batches of {ROWS}")
    value = {0: "no ratio", 1: "per batch", ROWS // 2: "per pair"}.get(most, "per clip")
    return Finding(value, f"at most {most} different ratios in a batch of {ROWS}, 50 batches")


def check_distribution(candidate: Candidate) -> Finding:
    """The distribution that a clip's own share follows, by the two-sample Kolmogorov-Smirnov distance."""
    own: list[float] = []
    for found in draw_shares(candidate, ALPHA, 600, side=48):
        mixed = [share for share in found.diagonal().tolist() if share < 0.999]
        own += mixed[:1]  # one per batch: the others may be the same draw
    rng = np.random.default_rng(0)
    ratio = rng.beta(ALPHA, ALPHA, 40000)
    side = np.sqrt(1 - ratio) * 48
    references = [
        ("Beta(α, α)", ratio),
        ("Beta, own ≥ 1/2", np.maximum(ratio, 1 - ratio)),
        ("uniform", rng.uniform(size=40000)),
        ("box, clipped", _clipped_box_share(ratio, rng)),
        ("box inside", 1 - (np.floor(side) / 48) ** 2),
        ("box inside", 1 - (np.round(side) / 48) ** 2),
    ]
    seen = np.asarray(own).round(4)
    distances = [(_distance(seen, drawn[drawn < 0.999].round(4)), name) for name, drawn in references]
    distance, best = min(distances)
    critical = 1.95 / np.sqrt(max(len(own), 1))  # p = 0.001
    observed = f"{len(own)} shares; distance {distance:.3f} to {best}, critical {critical:.3f}"
    return Finding(best if distance < critical else "another", observed)


def _clipped_box_share(ratio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """CutMix as published: a box around a uniform centre, cut at the border; what is left of the clip itself."""
    half = np.sqrt(1 - ratio) / 2
    sides = []
    for _ in range(2):
        centre = rng.uniform(size=len(ratio))
        sides.append(np.minimum(centre + half, 1) - np.maximum(centre - half, 0))
    return 1 - sides[0] * sides[1]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    points = np.sort(np.concatenate([one, other]))
    steps = [np.searchsorted(np.sort(drawn), points, side="right") / max(len(drawn), 1) for drawn in (one, other)]
    return float(np.abs(steps[0] - steps[1]).max())


def check_partner(candidate: Candidate) -> Finding:
    """The rule by which partners are chosen, from 1000 draws."""
    partners = draw_partners(candidate, 1000)
    rows = torch.arange(ROWS)
    names = {"previous row": rows.roll(1), "mirrored row": rows.flip(0), "none": rows}
    for name, fixed in names.items():
        if (partners == fixed).all():
            return Finding(name, "the same in 1000 draws")
    once = (partners.sort(dim=1).values == rows).all()
    value = "permutation" if once else "random row"
    return Finding(value, f"{len(torch.unique(partners, dim=0))} different ones in 1000 draws of {ROWS} rows")


def check_itself(candidate: Candidate) -> Finding:
    """How many rows of an even batch are mixed with themselves."""
    partners = draw_partners(candidate, 1000)
    if (partners == torch.arange(ROWS)).all():
        return Finding("–", "no row is mixed with another")
    share = float((partners == torch.arange(ROWS)).double().mean())
    return Finding("never" if share == 0 else f"{100 * share:.0f} %", f"1000 draws of {ROWS} rows: {share:.4f}")


def check_repeats(candidate: Candidate) -> Finding:
    """How often a row is mixed with another one of its video, where over-sampling put one video in half of the rows.

    Those rows stand elsewhere in each of 50 batches.
    """
    rows = torch.arange(ROWS)
    alike, mixed, total = 0, 0, 0
    for number in range(50):
        same = torch.randperm(ROWS, generator=torch.Generator().manual_seed(number)) < ROWS // 2
        videos = [0 if repeated else row + 1 for row, repeated in enumerate(same.tolist())]
        partners = draw_partners(candidate, 20, videos=videos)
        alike += int((same[partners] & same & (partners != rows)).sum())
        mixed += int((partners != rows).sum())
        total += int(same.sum()) * len(partners)
    if mixed == 0:
        return Finding("–", "no row is mixed with another")
    seen = (
        f"one video in {ROWS // 2} of {ROWS} rows, 1000 draws: {alike / total:.4f} of its rows, not counting themselves"
    )
    return Finding("never" if alike == 0 else f"{100 * alike / total:.0f} %", seen)


def check_odd_batch(candidate: Candidate) -> Finding:
    """A batch of seven: refused, or some row always mixed with itself, or as an even one."""
    count = ROWS - 1
    try:
        partners = draw_partners(candidate, 300, count)
    except Exception as error:  # whatever a library raises is the finding
        return Finding("raises", first_line(error))
    always = (partners == torch.arange(count)).all(dim=0).nonzero().flatten().tolist()
    if always and len(always) < count:
        return Finding("middle by itself", f"300 draws of {count} rows: always itself in row {always}")
    return Finding("yes", f"300 draws of {count} rows: no row is always mixed with itself")


def check_single(candidate: Candidate) -> Finding:
    """A batch of one clip, which has no partner."""
    seed_everything(0)
    clips = coded_rows((1, 1, 16, 16), candidate.dtype)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            mixed, _ = candidate.make(ALPHA)(clips.clone(), labels_for(candidate)[:1])
    except Exception as error:  # whatever a library raises is the finding
        return Finding("raises", first_line(error))
    same = torch.allclose(mixed.to(clips.dtype), clips)
    if same and told:
        return Finding("itself, told", f"the clip came back, with a warning: {first_line(told[0].message)}")
    return Finding("itself, silently" if same else "yes", "the clip came back" if same else "other values came back")


def check_unmutated(candidate: Candidate) -> Finding:
    """The clips and the labels that went in still hold what they held."""
    mix, labels = candidate.make(ALPHA), labels_for(candidate)
    changed = set()
    for seed in range(25):
        seed_everything(seed)
        clips, given = coded_rows(STILLS, candidate.dtype), labels.clone()
        mix(clips, given)
        changed |= set() if torch.equal(clips, coded_rows(STILLS, candidate.dtype)) else {"clips"}
        changed |= set() if torch.equal(given, labels) else {"labels"}
    seen = f"25 draws; changed: {', '.join(sorted(changed)) or 'nothing'}"
    return Finding("no" if changed else "yes", seen)


def check_generator(candidate: Candidate) -> Finding:
    """Which generator the draws come from: one that is handed in, or which global ones."""
    named = [name for name in candidate.parameters if name in {"generator", "rng", "seed"}]
    if named:
        return Finding("yes", f"takes {', '.join(named)}")
    used = [name for name, seed in _SEEDS.items() if _depends_on(candidate, seed)]
    return Finding(f"no: {' + '.join(used)}", f"draws change with the global generators of {', '.join(used)}")


_SEEDS: dict[str, Callable[[int], object]] = {
    "torch": torch.manual_seed,
    "NumPy": np.random.seed,
    "Python": random.seed,
}


def _depends_on(candidate: Candidate, seed: Callable[[int], object]) -> bool:
    mix, labels = candidate.make(ALPHA), labels_for(candidate)
    results = []
    for value in range(6):
        seed_everything(0)
        seed(value)
        results.append(mix(coded_rows(STILLS, candidate.dtype), labels.clone())[0].clone())
    return not all(torch.equal(results[0], result) for result in results[1:])


def check_replay(candidate: Candidate) -> Finding:
    """One plan, drawn once, gives the same mixed batch twice."""
    if candidate.replay is None:
        return Finding("no", f"takes {', '.join(candidate.parameters)}")
    seed_everything(0)
    one, two = candidate.replay(coded_rows(STILLS), labels_for(candidate))
    return Finding("yes" if torch.equal(one, two) else "wrong", "one plan applied twice, compared")


class _HostToDevice(TorchDispatchMode):
    """Count operations on tensors without a device to hold them that are also given values of the host's."""

    def __init__(self) -> None:
        super().__init__()
        self.copies = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204
        """Look at the arguments, then do the operation."""
        flat, _ = torch.utils._pytree.tree_flatten((args, kwargs or {}))
        tensors = [value for value in flat if isinstance(value, Tensor)]
        result = func(*args, **(kwargs or {}))
        outputs = [value for value in torch.utils._pytree.tree_leaves(result) if isinstance(value, Tensor)]
        devices = {tensor.device.type for tensor in tensors if tensor.ndim} | {out.device.type for out in outputs}
        self.copies += devices == {"cpu", "meta"}
        return result


def check_device(candidate: Candidate) -> Finding:
    """On torch's meta device, where values do not exist, a mixer that reads one back fails."""
    mix = candidate.make(ALPHA)
    labels = labels_for(candidate).to("meta")
    copies = 0
    for seed in range(25):
        seed_everything(seed)
        clips = coded_rows(STILLS, candidate.dtype).to("meta")
        try:
            with _HostToDevice() as mode:
                mixed, targets = mix(clips, labels)
        except Exception as error:  # whatever a library raises is the finding
            return Finding("CUDA only" if "CUDA" in str(error) else "no", first_line(error))
        if {mixed.device.type, targets.device.type} != {"meta"}:
            return Finding("no", f"clips on {mixed.device}, targets on {targets.device}")
        copies = max(copies, mode.copies)
    return Finding("yes", f"25 draws; per call {copies} operations were given tensors from the host")


def _takes(*words: str) -> Callable[[Candidate], Finding]:
    def check(candidate: Candidate) -> Finding:
        named = [name for name in candidate.parameters if any(word in name for word in words)]
        return Finding(f"`{named[0]}`" if named else "no", f"takes {', '.join(candidate.parameters)}")

    return check


CHECKS: dict[str, Callable[[Candidate], Finding]] = {
    "soft labels": check_soft_labels,
    "class numbers": check_hard_labels,
    "[B,T,C,H,W]": check_clips,
    "[B,C,H,W]": check_stills,
    "[B,L]": check_any_shape,
    "uint8": check_uint8,
    "half precision": check_half,
    "ratio": check_ratio,
    "distribution": check_distribution,
    "partner": check_partner,
    "with itself": check_itself,
    "with its video": check_repeats,
    "odd batch": check_odd_batch,
    "batch of one": check_single,
    "whole set": _takes("pool", "dataset", "bank"),
    "class-balanced": _takes("balanc", "class_weight"),
    "inputs kept": check_unmutated,
    "generator": check_generator,
    "replay": check_replay,
    "no read-back": check_device,
    "normalised": _takes("smoothing", "normaliz", "temperature"),
}
"""The checks by the name of their column."""
