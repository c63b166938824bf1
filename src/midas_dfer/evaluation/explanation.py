"""What `explain` found: evidence for a class, by pixel and by frame, of a few clips; and its files."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from midas_dfer.files import json_text, make_folder, write_together

Group = Literal["right", "wrong", "ambiguous", "asked"]
"""Why a clip is shown: surely right, surely wrong, ambiguous to people, or asked for by name."""

GROUPS: tuple[Group, ...] = ("right", "wrong", "ambiguous", "asked")


@dataclass(frozen=True)
class ExplainedClip:
    """A clip, what people and the network say of it, and the evidence for one class.

    Attributes:
        trained_on: whether a clip of this name was used in training; None where that is not recorded.
        frames: as the network saw them, RGB.
        positions: which of the clip's frames they are, from 0.
        label: the single label; None if it has none.
        voted: whether there are votes; without, `votes` is the label, one-hot.
        votes: the annotators' distribution over the classes.
        probabilities: softmax of the network's output.
        vote_shares: the annotators' distribution as the output implies it; None where it does not.
        maps: the evidence for it (`ActivationMaps`): above 0 for, below 0 against.
        frame_shares: the share of the evidence for it that lies in each frame.
    """

    video_id: str
    group: Group
    trained_on: bool | None
    frames: UInt8[np.ndarray, "T S S 3"]
    positions: tuple[int, ...]
    label: str | None
    predicted: str
    voted: bool
    votes: Float64[np.ndarray, " K"]
    probabilities: Float64[np.ndarray, " K"]
    vote_shares: Float64[np.ndarray, " K"] | None
    target: str
    logit: float
    maps: Float32[np.ndarray, "T h w"]
    frame_shares: Float32[np.ndarray, " T"]

    @property
    def shown(self) -> Float64[np.ndarray, " K"]:
        """The vote shares, or the probabilities where there are none."""
        return self.probabilities if self.vote_shares is None else self.vote_shares

    @property
    def peaks(self) -> list[tuple[float, float] | None]:
        """The middle of the cell with the most evidence of each frame, as parts of height and width; None if none."""
        height, width = self.maps.shape[1:]
        peaks: list[tuple[float, float] | None] = []
        for cells in self.maps:
            row, column = divmod(int(cells.argmax()), width)
            peaks.append(((row + 0.5) / height, (column + 0.5) / width) if cells.max() > 0 else None)
        return peaks


@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Attributes:
        method: what the paper calls the training.
        part: which of them were looked through: test, validation, train or all.
        class_names: those that model and clips both have.
        no_vote_shares: why the output is not the annotators' distribution; "" where it is.
        precision: what was computed in: 32 or bf16.
        device: what it was computed on.
        read_by: which model it was, in words.
        parts_caution: a sentence, where it is not recorded which clips the model learned from; else "".
    """

    method: str
    model: str
    dataset: str
    part: str
    class_names: tuple[str, ...]
    clips: tuple[ExplainedClip, ...]
    no_vote_shares: str = ""
    precision: str = "32"
    device: str = ""
    read_by: str = ""
    parts_caution: str = ""

    @property
    def caution(self) -> str:
        """A sentence, if some of the clips were used in training, or may have been; else ""."""
        trained_on = sum(bool(clip.trained_on) for clip in self.clips)
        if not trained_on:
            return self.parts_caution
        return (
            f"{trained_on} of these {len(self.clips)} clips were used in training: on others the network may look "
            "elsewhere"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the maps themselves are in maps.npz."""
        names = ("read_by", "method", "model", "dataset", "part", "no_vote_shares", "precision", "device")
        about = {name: getattr(self, name) for name in names}

        def by_class(values: Float64[np.ndarray, " K"]) -> dict[str, float]:
            return dict(zip(self.class_names, values.tolist(), strict=True))

        clips = [
            {
                "video_id": clip.video_id,
                "group": clip.group,
                "trained_on": clip.trained_on,
                "label": clip.label,
                "predicted": clip.predicted,
                "votes": by_class(clip.votes) if clip.voted else None,
                "probabilities": by_class(clip.probabilities),
                "vote_shares": None if clip.vote_shares is None else by_class(clip.vote_shares),
                "target": clip.target,
                "logit": clip.logit,
                "frames": [
                    {"frame": frame, "share": share, "peak": peak}
                    for frame, share, peak in zip(clip.positions, clip.frame_shares.tolist(), clip.peaks, strict=True)
                ],
            }
            for clip in self.clips
        ]
        return {**about, "caution": self.caution, "class_names": list(self.class_names), "clips": clips}


def write_explanation(explanation: Explanation, out: Path) -> list[Path]:
    """Write explanation.json, and maps.npz with the evidence of each clip.

    The arrays of maps.npz have a row for each clip: video_ids, targets, logits ``[N]``, positions ``[N, T]``,
    frame_shares ``[N, T]`` and maps ``[N, T, h, w]``.
    """
    make_folder(out)
    paths = [out / "explanation.json", out / "maps.npz"]
    shown = explanation.clips
    content = io.BytesIO()
    np.savez_compressed(
        content,
        video_ids=np.array([clip.video_id for clip in shown]),
        targets=np.array([clip.target for clip in shown]),
        logits=np.array([clip.logit for clip in shown], np.float32),
        positions=np.array([clip.positions for clip in shown], np.int64),
        frame_shares=np.stack([clip.frame_shares for clip in shown]),
        maps=np.stack([clip.maps for clip in shown]),
    )
    write_together({paths[0]: json_text(explanation.to_dict(), indent=2) + "\n", paths[1]: content.getvalue()})
    return paths
