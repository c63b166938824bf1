"""A trained model and any video -> a timeline of the emotions of every face in it.

The video is decoded once: while faces are found and followed, their windows are read as they fill (`ReadAhead`). When
all tracks are known, windows that were not read as they now lie are read in a second pass. Of each frame only numbers
stay; a crop is dropped as soon as no open window needs it, so memory does not grow with the length of the video.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from midas_dfer.clips.faces.detection import TEMPLATE
from midas_dfer.clips.faces.following import SEARCH_EVERY
from midas_dfer.clips.faces.template import UNKNOWN
from midas_dfer.clips.store.settings import ExtractSettings, FaceSource
from midas_dfer.errors import RequestError
from midas_dfer.models.folding import folded
from midas_dfer.predict.cutting import Cutter, cutter_of
from midas_dfer.predict.face_windows import FaceWindows
from midas_dfer.predict.first_pass import find_tracks
from midas_dfer.predict.frame_memo import remembering
from midas_dfer.predict.given_clips import checked_clips
from midas_dfer.predict.read_ahead import ReadAhead, Tell
from midas_dfer.predict.second_pass import read_open_windows
from midas_dfer.predict.sources import CountedFrames, FrameSource, GivenFrames, VideoFile
from midas_dfer.predict.stream import Stream, StreamReading, reading_of
from midas_dfer.predict.timeline import Timeline, silent_about
from midas_dfer.predict.track_timeline import Reading
from midas_dfer.predict.windows import WindowPlan, check_windows
from midas_dfer.progress import NoProgress, Progress
from midas_dfer.sharing.abstaining import held_out_of
from midas_dfer.sharing.ensemble import Ensemble, Network, Said, combined
from midas_dfer.sharing.info import ModelInfo
from midas_dfer.sharing.trained import TrainedModel, asked_for
from midas_dfer.training.devices import checked_precision, choose_device, choose_dtype
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.held_out import Abstention, Reason
from midas_dfer.values import is_number, is_whole

_SETTLED_TOGETHER = 4  # frames; a look at the neighbours of one takes little less
_MOST_BYTES = 512_000_000  # of frames that are kept while a face is lost in them


class Predictor:
    """Reads emotions from videos with a trained model; see `Predictor.from_run` and `Predictor.from_pretrained`.

    Args:
        model: the trained model; a copy of it is kept, its batch-norms folded into the convolutions.
        info: its description: input, classes, and the meaning of its output.
        device: auto, cpu or cuda.
        precision: 32, the same on all machines (to 1e-4); bf16; or auto, which lets the hardware decide.
        read_by: a description of the model for its timelines.
        others: further models that are read with it as one, each with its description (`sharing.ensemble`). They must
            be shown the same frames.
        mc_dropout: passes of each with dropout on, which are averaged; 0 is one without.
        abstention: when it is silent (`HeldOut.silent_above`); None always answers.

    Attributes:
        info, read_by, abstention: as given.
        class_names: in the order of all results.
    """

    def __init__(
        self,
        model: nn.Module,
        info: ModelInfo,
        device: str = "auto",
        precision: str = "32",
        read_by: str = "",
        *,
        others: Sequence[tuple[nn.Module, ModelInfo]] = (),
        mc_dropout: int = 0,
        abstention: Abstention | None = None,
    ) -> None:
        self.info, self.read_by = info, read_by
        self.class_names = info.class_names
        self.device = choose_device(device)
        self.dtype = choose_dtype(checked_precision(precision), self.device)
        self.abstention = abstention
        self._networks = [
            Network(folded(each), of, self.device, self.dtype, mc_dropout) for each, of in ((model, info), *others)
        ]
        self.model = self._networks[0].model
        every = info.extract.search_every
        self.settings = replace(info.extract, faces="detect", search_every=SEARCH_EVERY if every is None else every)
        # Faces are cut as those were that the model learned from.
        self.template = TEMPLATE if info.template is None else info.template.points

    def __repr__(self) -> str:
        classes = ", ".join(self.class_names)
        return f"<Predictor of {classes}: {self.read_by or self.info.model}, on {self.device.type}>"

    @classmethod
    def from_run(cls, path: Path | str, device: str = "auto", precision: str = "32") -> "Predictor":
        """Open a run folder and load its weights.

        Args:
            path: the run folder.
            device: auto (a GPU if there is one), cpu or cuda.
            precision: as for `Predictor`.

        Raises:
            RequestError: there is no run, its training has not finished, or there is no such device.
        """
        return cls.from_pretrained(Run.open(path), device, precision)

    @classmethod
    def from_pretrained(
        cls,
        trained: Ensemble | TrainedModel | Run | Path | str,
        device: str = "auto",
        precision: str = "32",
        *,
        ensemble: Sequence[TrainedModel | Run | Path | str] = (),
        mc_dropout: int = 0,
        abstain: float | Abstention | None = None,
        abstain_by: Path | str | None = None,
        revision: str | None = None,
    ) -> "Predictor":
        """Open a packaged reader by its name, a folder that `midas export` wrote, or a model of the Hugging Face Hub.

        Args:
            trained: the name ("ferplus"), the folder, or "org/name" of the Hub, the only one that is downloaded (where
                no folder is so called; needs the extra "hub"); or anything else that `open_trained` takes.
            device: auto (a GPU if there is one), cpu or cuda.
            precision: as for `Predictor`.
            ensemble: further models that are read with it as one (`midas_dfer.sharing.ensemble`).
            mc_dropout: passes with dropout on, which are averaged; 0 is one without.
            abstain: the share of its answers that may be wrong; it is silent where it is not sure enough to keep that,
                by its own evaluation on held-out clips. Or the rule itself.
            abstain_by: the folder of that evaluation; None looks where the model's own are.
            revision: of a model of the Hub: a branch, a tag or a commit; None is the newest.

        Raises:
            RequestError: there is no such model, its folder is damaged, or there is no such device; models of an
                ensemble have other classes or are shown other frames; or the risk cannot be kept.
        """
        if not isinstance(trained, Ensemble):
            trained = Ensemble.of(asked_for(trained, revision), ensemble, mc_dropout)
        read = trained
        if abstain is not None and not isinstance(abstain, Abstention):
            abstain = held_out_of(read, None if abstain_by is None else Path(abstain_by)).silent_above(abstain)
        read.check_same_pictures()
        first, *others = [(each.load(), each.info) for each in read.members]
        made = cls(
            *first,
            device,
            precision,
            read.described,
            others=others,
            mc_dropout=read.mc_dropout,
            abstention=abstain,
        )
        made.info = read.info
        return made

    def predict_clips(self, clips: object) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"] | None]:
        """Read clips that are already aligned and cropped.

        Args:
            clips: [B, T, 3, S, S] tensor of uint8, RGB, 0 to 255, as `ClipDataset` returns them: T is
                `info.num_frames`, S is `info.size`.

        Returns:
            probabilities (the softmax of the network's output) and vote shares (the annotators' distribution implied
            by the output; None if it implies none, and `info.no_vote_shares` says why); rows sum to 1, float32, on
            the CPU.

        Raises:
            RequestError: another type, shape or range; the message says what to do.
            JobError: the output is not finite.
        """
        said = self._said(checked_clips(clips, self.info))
        return said.probabilities.float(), None if said.vote_shares is None else said.vote_shares.float()

    def silent(self, reading: Reading) -> Reason | None:
        """Why it is silent about a reading; None if it answers, and always without an `abstention`."""
        return None if self.abstention is None else silent_about(self.abstention, reading)

    def _said(self, clips: UInt8[Tensor, "B T 3 S S"]) -> Said:
        return combined([(network.info, network.read(clips)) for network in self._networks])

    def predict_video(
        self,
        path: Path | str,
        *,
        window_seconds: float = 2.0,
        stride_seconds: float = 0.5,
        max_people: int | None = None,
        max_side: int | None = None,
        min_score: float | None = None,
        search_every: float | None = None,
        faces: FaceSource = "detect",
        progress: Progress | None = None,
        on_reading: Callable[[StreamReading], None] | None = None,
        stop: Callable[[float], bool] | None = None,
    ) -> Timeline:
        """Read the emotions of every face in a video over time.

        Faces are detected, tracked, smoothed and aligned as in `prepare`. A face in view for less than 0.3 s is left
        out, unless that is half of the video. If the model's clips were face crops already (`--faces cropped`), faces
        are cropped to match them (`info.template`); if the template is unknown, they are cropped with this project's
        own, and `note` says so.

        Args:
            path: a video, a picture or a folder of pictures.
            window_seconds: length of the window of one reading; a face in view for less gets one window.
            stride_seconds: from the start of a window to the start of the next; the last one ends with the track.
            max_people: keep at most this many tracks, those longest in view; None keeps all.
            max_side: longer pictures are shrunk to this side (pixels) for face detection; None: as for the model's
                training clips.
            min_score: minimum score of a face detection; None: as for the model's training clips.
            search_every: seconds between searches of whole frames for new faces, while known ones are tracked; 0
                searches every frame; None: on a GPU every frame, many at once, else as for the model's training clips.
            faces: detect, or cropped for frames that are crops of one face each, which `note` then says.
            progress: called for each frame, and again if some windows need a second pass.
            on_reading: called with readings while the video is still being read, some seconds of video at a time. Faces
                are numbered as they came, which may be other numbers than those of the timeline; the timeline stands.
            stop: called with the time of each frame, in seconds; once it returns True, the video is taken to end
                before that frame.

        Returns:
            The timeline; of a video that is damaged, or was stopped, up to there, as its `note` says.

        Raises:
            RequestError: a length or number is invalid, or frames that should be crops are far from square.
            VideoError: nothing of the video can be read.
            NoFaceError: no face could be tracked.
            JobError: the network's output is not finite.
        """
        return self._predict(
            VideoFile.of(path),
            (window_seconds, stride_seconds),
            max_people,
            self._settings_with(faces, max_side=max_side, min_score=min_score, search_every=search_every),
            self._searched_on(search_every),
            progress,
            on_reading,
            stop,
        )

    def predict_frames(
        self,
        frames: object,
        times: object,
        *,
        window_seconds: float = 2.0,
        stride_seconds: float = 0.5,
        max_people: int | None = None,
        max_side: int | None = None,
        min_score: float | None = None,
        search_every: float | None = None,
        faces: FaceSource = "detect",
        name: str = "frames",
        progress: Progress | None = None,
    ) -> Timeline:
        """Read the emotions of every face in frames in memory; bit-identical to `predict_video`.

        Args:
            frames: [T, H, W, 3] uint8 array, RGB, or any iterable of [H, W, 3] arrays, which is loaded into memory; for
                longer or endless input, use `stream`.
            times: of each frame, in seconds, increasing. The timeline starts at the first one, as for a video; if that
                is not 0, its `note` says so.
            window_seconds: as for `predict_video`, as all that follows.
            stride_seconds: likewise.
            max_people: likewise.
            max_side: likewise.
            min_score: likewise.
            search_every: likewise.
            faces: likewise.
            name: the name of the frames in the timeline and in messages.
            progress: as for `predict_video`.

        Returns:
            The timeline.

        Raises:
            RequestError: invalid frames, times or settings; the message says what to do.
            NoFaceError: no face could be tracked.
            JobError: the network's output is not finite.
        """
        return self._predict(
            GivenFrames.of(frames, times, name),
            (window_seconds, stride_seconds),
            max_people,
            self._settings_with(faces, max_side=max_side, min_score=min_score, search_every=search_every),
            self._searched_on(search_every),
            progress,
        )

    def stream(
        self,
        *,
        window_seconds: float = 2.0,
        stride_seconds: float = 0.5,
        max_side: int | None = None,
        min_score: float | None = None,
        search_every: float | None = None,
        faces: FaceSource = "detect",
        wait: float | None = None,
    ) -> Stream:
        """Read live frames, such as a webcam's; see `Stream`.

        Args:
            window_seconds: as for `predict_video`, as all that follows.
            stride_seconds: likewise.
            max_side: likewise.
            min_score: likewise.
            search_every: likewise.
            faces: likewise.
            wait: seconds of later frames that steady a face before it is read; None: 0.16, as for `predict_video`. With
                less, readings come sooner, and shares differ a little (docs/predict.md).

        Raises:
            RequestError: a setting is invalid.
        """
        windows = check_windows(window_seconds, stride_seconds)
        if wait is not None and not (is_number(wait) and wait >= 0):
            raise RequestError(f"wait is {wait!r}; expected a number of seconds, 0 or more, or None")
        settings = self._settings_with(faces, max_side=max_side, min_score=min_score, search_every=search_every)
        return Stream(
            class_names=self.class_names,
            settings=settings,
            windows=windows,
            segments=(self.info.num_segments, self.info.frames_per_segment),
            cutter=self._cutter(settings),
            silent=self.silent,
            read=self._stream_reader(),
            note=self._note_on_faces(faces),
            wait=wait,
        )

    def _predict(
        self,
        source: FrameSource,
        windows: tuple[float, float],
        max_people: int | None,
        settings: ExtractSettings,
        searched_on: str,
        progress: Progress | None,
        on_reading: Callable[[StreamReading], None] | None = None,
        stop: Callable[[float], bool] | None = None,
    ) -> Timeline:
        windows = check_windows(*windows)
        if max_people is not None and not (is_whole(max_people) and max_people >= 1):
            raise RequestError(f"max_people is {max_people!r}; expected a whole number, 1 or more")
        progress = NoProgress() if progress is None else progress
        counted = CountedFrames(progress, source.expected_frames())
        segments = (self.info.num_segments, self.info.frames_per_segment)
        followed = FaceWindows(
            settings, windows, segments, self._cutter(settings), settle_every=_SETTLED_TOGETHER, most_bytes=_MOST_BYTES
        )
        tell = None if on_reading is None else self._telling(on_reading)
        ahead = ReadAhead(followed, self._read, windows[1], max_people, tell)
        try:
            found = find_tracks(source, settings, counted, max_people, ahead.step, searched_on, stop)
            ahead.close()
            plans = [
                WindowPlan.of(number, track, *windows, *segments) for number, track in enumerate(found.tracks, start=1)
            ]
            for plan in plans:
                ahead.give(plan)
            if any(plan.open for plan in plans):
                read_open_windows(source, plans, counted, self._cutter(settings), self._read)
            counted.complete()
        finally:
            progress.finish()
        return Timeline(
            video=source.name,
            class_names=self.class_names,
            duration=found.duration,
            num_frames=found.num_frames,
            width=found.width,
            height=found.height,
            method=self.info.method,
            window_seconds=windows[0],
            stride_seconds=windows[1],
            tracks=tuple(plan.result() for plan in plans),
            note="; ".join(filter(None, [found.note, source.note, self._note_on_faces(settings.faces)])),
            no_vote_shares=self.info.no_vote_shares,
            read_by=self.read_by,
            faces=settings.faces,
            abstention=self.abstention,
        )

    def _telling(self, on_reading: Callable[[StreamReading], None]) -> Tell:
        """Tell of windows as streams do."""
        return lambda window, reading: on_reading(reading_of(window, reading, self.class_names, self.silent(reading)))

    def _settings_with(self, faces: FaceSource, **changes: float | None) -> ExtractSettings:
        """How faces are looked for, if it is to be done otherwise than when clips were prepared."""
        wanted = {name: value for name, value in changes.items() if value is not None}
        if wanted and faces == "cropped":
            raise RequestError(
                f"{next(iter(wanted))} is of no use with --faces cropped: whole frames are taken, so no face is looked "
                "for; leave one of the two out"
            )
        return replace(self.settings, faces=faces, **wanted)  # type: ignore[arg-type]  # max_side is whole, as its flag

    def _searched_on(self, search_every: float | None) -> str:
        """The device that looks for faces: a GPU, unless tracking, which looks at one crop at a time, is asked for."""
        return "cpu" if search_every else str(self.device)

    def _note_on_faces(self, faces: FaceSource) -> str:
        """What readers of the result should know of how faces were cut; "" if nothing."""
        if faces == "cropped":
            return "whole frames were taken for faces (--faces cropped); none was looked for"
        if self.info.extract.faces == "cropped" and self.info.template is None:
            return (
                f"{UNKNOWN}, so they were cut as midas-dfer cuts them; the same midas prepare of its store again finds "
                "it out, for the run and what is exported then"
            )
        return ""

    def _cutter(self, settings: ExtractSettings) -> Cutter:
        return cutter_of(settings, self.template, self.info.size)

    def _read(self, clips: Sequence[UInt8[Tensor, "T 3 S S"]]) -> list[Reading]:
        """What is said of each clip."""
        return self._readings(self._said(torch.stack(list(clips))))

    def _stream_reader(self) -> Callable[[Sequence[UInt8[Tensor, "T 3 S S"]]], list[Reading]]:
        """As `_read`, for one stream, whose windows share frames."""
        readers = [(network.info, remembering(network)) for network in self._networks]

        def read(clips: Sequence[UInt8[Tensor, "T 3 S S"]]) -> list[Reading]:
            shown = torch.stack(list(clips))
            return self._readings(combined([(info, reader(shown)) for info, reader in readers]))

        return read

    @staticmethod
    def _readings(said: Said) -> list[Reading]:
        count = len(said.probabilities)
        votes = [None] * count if said.vote_shares is None else list(said.vote_shares.numpy())
        parts = [(None, None)] * count if said.uncertainty is None else zip(*said.uncertainty, strict=True)
        rows = zip(said.probabilities.numpy(), votes, parts, strict=True)
        return [Reading(probabilities, shares, *both) for probabilities, shares, both in rows]
