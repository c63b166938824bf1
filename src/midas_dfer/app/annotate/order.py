"""Which clip a person is shown next, from what this person did and how many people voted on each clip.

Nobody's answers but the person's own can have an influence: others' are no argument here. An order can be taken up on
another day, since it follows from what was stored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midas_dfer.app.annotate.project import Clip, Project
from midas_dfer.app.annotate.votes import History, Presentation, Vote

APART = 10
"""A clip is repeated after this many showings or more; after half as many as there are clips, where they are few."""


@dataclass(frozen=True)
class Plan:
    """What a person is shown next, None at the end; and how many showings are left, with this one.

    `left` is what is planned: it shrinks where others vote on clips that then have enough votes.
    """

    clip: Clip | None
    left: int


def plan(project: Project, annotator: int, history: History, others: Mapping[str, int]) -> Plan:
    """Find the next clip of a person.

    First showings come in an order of the person's own; where a number of votes is wanted for each clip, those with
    the fewest come first, and those with enough are left out. Gold clips are spread among them. After an undo the clip
    of the vote that was taken back comes again.

    Args:
        project: the clips and rules.
        annotator: number of the person, who gets an order of their own by it.
        history: what the person did.
        others: how many other people voted on each clip, by path.
    """
    keys = {clip.path: _key(project, annotator, "order", clip) for clip in project.clips}
    seen = {vote.clip for vote in history.votes}
    wanted = project.rules.votes_wanted
    gold = sorted((clip for clip in project.clips if clip.gold), key=lambda clip: keys[clip.path])
    gold_left = [clip for clip in gold if clip.path not in seen]
    fresh = [
        clip
        for clip in project.clips
        if not clip.gold and clip.path not in seen and (wanted is None or others.get(clip.path, 0) < wanted)
    ]
    places = {vote.clip: place for place, vote in enumerate(history.votes) if vote.presentation == "first"}
    repeated = {vote.clip for vote in history.votes if vote.presentation == "repeat"}
    total = len(places) + len(fresh)
    apart = min(APART, total // 2)
    aged = [path for path, place in places.items() if len(history.votes) - place >= apart]
    repeats = round(project.rules.repeats * total)
    left = len(fresh) + len(gold_left) + max(0, repeats - len(repeated))

    if history.taken_back is not None:
        return Plan(project.by_path[history.taken_back], max(1, left))
    due = int(project.rules.repeats * len(aged)) if fresh or gold_left else repeats
    ready = [path for path in aged if path not in repeated]
    if len(repeated) < due and ready:
        again = min(ready, key=lambda path: _key(project, annotator, "repeat", project.by_path[path]))
        return Plan(project.by_path[again], left)
    if gold_left:
        shown = len(gold) - len(gold_left)
        behind = len(places) / total if total else 1.0
        if behind * len(gold) >= shown + _key(project, annotator, "gold", gold_left[0]):
            return Plan(gold_left[0], left)
    if not fresh:
        return Plan(None, 0)
    fewest = min(fresh, key=lambda clip: (0 if wanted is None else others.get(clip.path, 0), keys[clip.path]))
    return Plan(fewest, left)


def presentation_of(clip: Clip, votes: Sequence[Vote]) -> Presentation | None:
    """Why a person is shown a clip, given the person's votes; None where there is no reason left."""
    times = sum(vote.clip == clip.path for vote in votes)
    if clip.gold:
        return None if times else "gold"
    by_times: tuple[Presentation, ...] = ("first", "repeat")
    return by_times[times] if times < len(by_times) else None


def _key(project: Project, annotator: int, purpose: str, clip: Clip) -> float:
    """A number from 0 to 1 that depends on nothing but seed, person, purpose and clip."""
    text = f"{project.rules.seed}\0{annotator}\0{purpose}\0{clip.path}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48
