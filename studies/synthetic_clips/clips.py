"""The clips of the study: the made-up corpus drawn into memory, its truth and its votes."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from midas_dfer.clips.batches.sampling import sample_segments
from midas_dfer.files import replacing
from midas_dfer.labels import NO_LABEL, majority_labels
from midas_dfer.synthetic import EMOTIONS, ClipPlan, Portrait, draw_annotators, expected_votes, plan_clip
from midas_dfer.synthetic.performances import activations, frame_of

VOTES = 10
COMMONNESS = dict(zip(EMOTIONS, (2445, 1894, 2669, 2173, 1469, 145, 902), strict=True))
"""Single-labelled clips of each class in DFEW, whose shares the training and validation parts have."""
RARE = ("fear", "disgust")
FOLDS_OF = {"train": (3, 4, 5), "validation": (2,), "test": (1,)}
"""Folds of the made-up corpus, which share no person."""
FIRST_CLIP = 60  # those before are made clear on purpose, for corpora that are small


@dataclass(frozen=True)
class Corpus:
    """The clips of the study.

    Attributes:
        train: clips to learn from, in DFEW's class shares.
        validation: clips to choose learning rates by, likewise.
        test: clips of each class that the networks are compared on.
        people: in all three parts together.
        frames: of a clip, the middle ones of as many equal segments.
        side: of the pictures, in pixels.
        seed: of all that is drawn.
    """

    train: int = 800
    validation: int = 200
    test: int = 70
    people: int = 150
    frames: int = 8
    side: int = 52
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """Clips of one part, and what is known of them.

    Attributes:
        clips: uint8 ``[N, T, 3, S, S]``.
        video_ids: their names.
        subjects: who is seen.
        emotions: ``[N]`` the main emotion that is performed.
        votes: ``[N, K]`` counts, ten votes a clip.
        truth: ``[N, K]`` the distribution that a vote on the clip is drawn from, over all annotators.
        seen: ``[N, K]`` what ideal observers, who confuse nothing, see in it.
        weights: ``[N]`` how much each clip counts so that classes count as often as they occur in training; mean 1.
    """

    clips: Tensor
    video_ids: tuple[str, ...]
    subjects: tuple[str, ...]
    emotions: np.ndarray
    votes: np.ndarray
    truth: np.ndarray
    seen: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.video_ids)


def quotas(total: int) -> dict[str, int]:
    """Divide clips among the classes in DFEW's shares, by largest remainders."""
    exact = {name: total * count / sum(COMMONNESS.values()) for name, count in COMMONNESS.items()}
    result = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: result[name] - exact[name])[: total - sum(result.values())]:
        result[name] += 1
    return result


def choose_plans(corpus: Corpus) -> dict[str, list[ClipPlan]]:
    """Take clips of the made-up corpus, in its order, until each part has its share of each class.

    Clips to learn from and to validate on have a single label, as in the paper; test clips may also be tied.
    """
    wanted = {
        "train": quotas(corpus.train),
        "validation": quotas(corpus.validation),
        "test": dict.fromkeys(EMOTIONS, corpus.test),
    }
    chosen: dict[str, list[ClipPlan]] = {part: [] for part in wanted}
    part_of = {fold: part for part, folds in FOLDS_OF.items() for fold in folds}
    number = FIRST_CLIP
    while any(count for left in wanted.values() for count in left.values()):
        plan = plan_clip(number, seed=corpus.seed, identities=corpus.people)
        part, number = part_of[plan.fold], number + 1
        if wanted[part][plan.emotion] and (part == "test" or majority_labels(_counts([plan]))[0] != NO_LABEL):
            wanted[part][plan.emotion] -= 1
            chosen[part].append(plan)
    return chosen


def draw_clip(plan: ClipPlan, frames: int, side: int) -> np.ndarray:
    """Draw a clip ``[T, 3, S, S]``, uint8, its face as large as an aligned one."""
    portrait = Portrait(plan.identity, plan.light, side, side)
    pictures, shown = np.empty((frames, side, side, 3), np.uint8), activations(plan.performance)
    for place, index in enumerate(sample_segments(plan.performance.num_frames, frames).tolist()):
        expression, pose = frame_of(plan.performance, shown[index], index)
        close = replace(pose, x=0.5 * pose.x, y=pose.y - 0.1, scale=1.7 * pose.scale)
        pictures[place] = portrait.render(expression, close, noise_seed=index).image
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))


def _counts(plans: list[ClipPlan]) -> np.ndarray:
    return np.array([np.bincount(plan.votes, minlength=len(EMOTIONS)) for plan in plans])


def make_part(plans: list[ClipPlan], clips: np.ndarray, corpus: Corpus) -> Part:
    """Put clips together with what is known of them."""
    annotators = draw_annotators(corpus.seed)
    emotions = np.array([EMOTIONS.index(plan.emotion) for plan in plans])
    weights = np.array(list(COMMONNESS.values()))[emotions] / np.bincount(emotions, minlength=len(EMOTIONS))[emotions]
    return Part(
        clips=torch.from_numpy(clips),
        video_ids=tuple(plan.video_id for plan in plans),
        subjects=tuple(plan.subject for plan in plans),
        emotions=emotions,
        votes=_counts(plans),
        truth=np.array([expected_votes(plan.truth, annotators) / VOTES for plan in plans]),
        seen=np.array([plan.truth for plan in plans]),
        weights=weights / weights.mean(),
    )


def make_parts(corpus: Corpus, work: Path | None = None) -> dict[str, Part]:
    """Draw all clips, or read the pictures that an earlier call left in `work`."""
    parts = {}
    for name, plans in choose_plans(corpus).items():
        file = None if work is None else work / f"{name}.npy"
        if file is not None and file.is_file():
            clips = np.load(file)
        else:
            clips = np.stack([draw_clip(plan, corpus.frames, corpus.side) for plan in plans])
            if file is not None:
                with replacing(file) as fresh, fresh.open("wb") as stream:
                    np.save(stream, clips)
        parts[name] = make_part(plans, clips, corpus)
    return parts
