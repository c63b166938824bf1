"""A trained model and any video -> a timeline of the emotions of every face in it.

The video is decoded twice, as when clips are prepared: once to find and follow the faces, of which only numbers
are kept, and once to cut out the frames that the windows ask for. A crop is dropped as soon as no open window
needs it, so memory does not grow with the length of the video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from midas_dfer.clips.augment import apply_crop
from midas_dfer.clips.extract import ExtractSettings, FaceSource, fit, read_frames
from midas_dfer.clips.faces import TEMPLATE, align_face
from midas_dfer.clips.template import UNKNOWN
from midas_dfer.clips.tracks import Track
from midas_dfer.errors import DamagedVideoError, JobError, RequestError
from midas_dfer.predict.passes import TwoPasses
from midas_dfer.predict.people import find_people
from midas_dfer.predict.timeline import Timeline
from midas_dfer.predict.windows import WindowPlan, check_windows
from midas_dfer.progress import NoProgress, Progress
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.devices import checked_precision, choose_device, choose_dtype
from midas_dfer.training.inference import predict_logits
from midas_dfer.training.runs import Run
from midas_dfer.video.read import Frame

WINDOWS_PER_BATCH = 8


class Predictor:
    """Reads emotions from videos with a trained model; made with `Predictor.from_run` or `Predictor.from_pretrained`.

    Args:
        model: the trained model, in evaluation mode.
        info: what it is, what it is shown, and what its output means.
        device: auto, cpu or cuda.
        precision: 32, which gives the same on all machines (to 1e-4); bf16; or auto, which leaves it to the hardware.
        read_by: which model it is, in words, for its timelines.

    Attributes:
        info, read_by: as given.
        class_names: in the order of all results.
    """

    def __init__(
        self, model: nn.Module, info: ModelInfo, device: str = "auto", precision: str = "32", read_by: str = ""
    ) -> None:
        self.info, self.read_by = info, read_by
        self.class_names = info.class_names
        self.device = choose_device(device)
        self.dtype = choose_dtype(checked_precision(precision), self.device)
        self.model = model.to(self.device)
        self.settings = replace(info.extract, faces="detect")
        # Faces are cut as those were that the model learned from.
        self.template = TEMPLATE if info.template is None else info.template.points

    @classmethod
    def from_run(cls, path: Path | str, device: str = "auto", precision: str = "32") -> "Predictor":
        """Open a run folder and load its weights.

        Args:
            path: the run folder.
            device: auto (a GPU if there is one), cpu or cuda.
            precision: as for `Predictor`.

        Raises:
            RequestError: there is no run, its training has not ended, or there is no such device.
        """
        return cls.from_pretrained(Run.open(path), device, precision)

    @classmethod
    def from_pretrained(
        cls, trained: TrainedModel | Run | Path | str, device: str = "auto", precision: str = "32"
    ) -> "Predictor":
        """Open a packaged reader by its name, or a folder that `midas export` wrote. Nothing is downloaded.

        Args:
            trained: the name ("ferplus") or the folder, or what else `open_trained` takes.
            device: auto (a GPU if there is one), cpu or cuda.
            precision: as for `Predictor`.

        Raises:
            RequestError: there is no such model, its folder is damaged, or there is no such device.
        """
        trained = open_trained(trained)
        return cls(trained.load(), trained.info, device, precision, trained.described)

    def predict_clips(
        self, clips: UInt8[Tensor, "B T 3 H W"]
    ) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"] | None]:
        """Read clips that are aligned and cut already.

        Args:
            clips: RGB, 0 to 255, as `ClipDataset` gives them.

        Returns:
            probabilities (the softmax of the network's output) and vote shares (the annotators' distribution that
            the output implies; None where it does not, and `info.no_vote_shares` says why); rows sum to 1, float32,
            on the CPU.

        Raises:
            JobError: the output is not finite.
        """
        logits = predict_logits(self.model, clips, self.device, self.dtype)
        return logits.softmax(dim=1), self.info.vote_shares(logits)

    def predict_video(
        self,
        path: Path | str,
        *,
        window_seconds: float = 2.0,
        stride_seconds: float = 0.5,
        max_people: int | None = None,
        max_side: int | None = None,
        min_score: float | None = None,
        faces: FaceSource = "detect",
        progress: Progress | None = None,
    ) -> Timeline:
        """Read the emotions of every face in a video over time.

        Faces are found, followed, steadied and aligned as when clips are prepared. A face that is in view for less
        than 0.3 s is left out, unless that is half of the video. If the model's clips were face crops already
        (`--faces cropped`), faces are cut to lie as in those crops, which `info.template` tells; where it is not known,
        they are cut as this project cuts them, and `note` says so.

        Args:
            path: a video, a picture or a folder of pictures.
            window_seconds: length of the piece that one reading is made from; a face that is in view for a shorter
                time gets one window.
            stride_seconds: from the start of a window to the start of the next; the last one ends with the track.
            max_people: keep the tracks that are longest in view, at most so many; None keeps all.
            max_side: longer pictures are shrunk to this side (pixels) to look for faces; None: as when the model's
                clips were prepared.
            min_score: lowest score of the detector that counts as a face; None likewise.
            faces: detect looks for faces; cropped takes each frame whole: it must be the crop of one face, and `note`
                says so.
            progress: told of each frame twice: when faces are looked for in it, and when it is read.

        Returns:
            the timeline; of a damaged video, that of what came before the damage, which its `note` describes.

        Raises:
            RequestError: a length or number makes no sense, or frames that should be crops are far from square.
            VideoError: nothing of the video can be read.
            NoFaceError: no face could be followed.
            JobError: the network's output is not finite.
        """
        path = Path(path)
        check_windows(window_seconds, stride_seconds)
        if max_people is not None and max_people < 1:
            raise RequestError(f"max_people is {max_people}; expected 1 or more.")
        settings = self._settings_with(faces, max_side=max_side, min_score=min_score)
        progress = NoProgress() if progress is None else progress
        steps = TwoPasses(progress, path)
        frames = (self.info.num_segments, self.info.frames_per_segment)
        try:
            seen = find_people(path, settings, steps, max_people)
            plans = [
                WindowPlan.of(number, track, window_seconds, stride_seconds, *frames)
                for number, track in enumerate(seen.tracks, start=1)
            ]
            self._read_windows(path, plans, steps, whole=faces == "cropped")
            steps.complete()
        finally:
            progress.finish()
        return Timeline(
            video=path.name,
            class_names=self.class_names,
            duration=seen.duration,
            num_frames=seen.num_frames,
            width=seen.width,
            height=seen.height,
            method=self.info.method,
            window_seconds=window_seconds,
            stride_seconds=stride_seconds,
            tracks=tuple(plan.result() for plan in plans),
            note="; ".join(filter(None, [seen.note, self._note_on_faces(faces)])),
            faces=faces,
            no_vote_shares=self.info.no_vote_shares,
            read_by=self.read_by,
        )

    def _settings_with(self, faces: FaceSource, **changes: float | None) -> ExtractSettings:
        """How faces are looked for, if it is to be done otherwise than when clips were prepared."""
        wanted = {name: value for name, value in changes.items() if value is not None}
        if wanted and faces == "cropped":
            raise RequestError(
                f"{next(iter(wanted))} is of no use with --faces cropped: whole frames are taken, so no face is looked "
                "for; leave one of the two out"
            )
        return replace(self.settings, faces=faces, **wanted)  # type: ignore[arg-type]  # max_side is whole, as its flag

    def _note_on_faces(self, faces: FaceSource) -> str:
        """What whoever reads the result should know of how faces were cut; "" if nothing."""
        if faces == "cropped":
            return "whole frames were taken for faces (--faces cropped); none was looked for"
        if self.info.extract.faces == "cropped" and self.info.template is None:
            return (
                f"{UNKNOWN}, so faces were cut as midas-dfer cuts them; if the store is still there, the same midas "
                "prepare again finds it out"
            )
        return ""

    def _read_windows(self, path: Path, plans: Sequence[WindowPlan], steps: TwoPasses, *, whole: bool) -> None:
        wanted = {frame for plan in plans for frame in plan.frames_wanted()}
        last = max(wanted)
        frames = _before_damage(read_frames(path, wanted=wanted.__contains__))
        batch: list[tuple[WindowPlan, UInt8[Tensor, "T 3 S S"]]] = []
        for frame in steps.reading(frames):
            for plan in plans:
                if plan.wants(frame.index):
                    crop = self._crop(frame, plan.track, whole=whole)
                    plan.give(frame, crop, apply_crop(crop[None], None, self.info.size)[0])
                    batch += [(plan, clip) for clip in plan.complete(frame.index)]
            while len(batch) >= WINDOWS_PER_BATCH:
                self._read_batch(batch[:WINDOWS_PER_BATCH])
                del batch[:WINDOWS_PER_BATCH]
            if frame.index == last:
                break
        if batch:
            self._read_batch(batch)
        if any(plan.open for plan in plans):
            raise JobError(f"{path.name} could be read less far the second time; do not change it meanwhile.")

    def _crop(self, frame: Frame, track: Track, *, whole: bool) -> UInt8[np.ndarray, "S S 3"]:
        """The face, RGB, in the size in which a store keeps it."""
        size = self.settings.size
        if whole:
            face = fit(frame.image, size)
        else:
            landmarks = track.landmarks[frame.index - int(track.frames[0])]
            face = align_face(frame.image, landmarks, size, self.template)
        return np.ascontiguousarray(face[:, :, ::-1])

    def _read_batch(self, batch: Sequence[tuple[WindowPlan, UInt8[Tensor, "T 3 S S"]]]) -> None:
        probabilities, shares = self.predict_clips(torch.stack([clip for _, clip in batch]))
        votes = [None] * len(batch) if shares is None else list(shares.double().numpy())
        for (plan, _), p, v in zip(batch, probabilities.double().numpy(), votes, strict=True):
            plan.readings.append((p, v))


def _before_damage(frames: Iterator[Frame]) -> Iterator[Frame]:
    try:
        yield from frames
    except DamagedVideoError:
        return  # known from the first pass
