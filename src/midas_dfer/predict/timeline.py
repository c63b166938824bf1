"""What a model read from a video: for each face, the emotions over time, in two readings.

`probabilities` is the softmax of the network's output. A network that was trained on softmax-normalised
targets (section 3.1 of the paper) is flat by construction: even where it is certain, no class of seven gets
more than 0.31. `vote_shares` undoes that normalisation: it is the distribution of annotators' votes that the
output implies. Without the normalisation in training the two are the same. There are no vote shares where the
output does not imply them (`midas_dfer.training.scoring.readings`), as after a training on single labels.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from midas_dfer.clips.faces.tracks import mean_size
from midas_dfer.clips.store.settings import FaceSource
from midas_dfer.errors import RequestError
from midas_dfer.files import csv_cell, csv_text, json_text
from midas_dfer.notebook import Cell, Share, Strip, Table, notebook_html
from midas_dfer.predict.track_timeline import Reading, TrackTimeline
from midas_dfer.training.scoring.held_out import Abstention, Reason
from midas_dfer.values import is_number

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

FORMAT, VERSION = "midas-dfer timeline", 1
_FACES_IN_A_NOTEBOOK, _STEPS_IN_A_NOTEBOOK = 6, 120
_PLAIN = ("num_frames", "width", "height", "note", "read_by", "faces", "method", "window_seconds", "stride_seconds")
UNCERTAINTY = ("expected_disagreement", "not_knowing")
READINGS = {
    "probabilities": "softmax of the network's output; flat by construction where it was trained on "
    "softmax-normalised targets",
    "vote_shares": "the distribution of annotators' votes that the output implies: how many would choose each class",
}
"""Which reading is which, in words."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The emotions of every face in a video over time.

    Attributes:
        class_names: in the order of all vectors.
        duration: in seconds, up to the damage if there is any; 0 for a picture.
        width, height: of the upright picture, in pixels.
        method: how the network was trained, in the paper's words.
        stride_seconds: from the start of a window to the start of the next.
        note: what was wrong with the video although part of it could be read, and what is to be known of its pictures
            (that they were interlaced, for one) and of how faces were cut out of them; "" if nothing is.
        no_vote_shares: why the output is not the annotators' distribution; "" where it is.
        read_by: which model read it, and of a packaged reader what it is for and what not; "" where not said.
        faces: detect, or cropped where whole frames were taken for faces.
        abstention: when the model is silent; None where it always answers.
    """

    video: str
    class_names: tuple[str, ...]
    duration: float
    num_frames: int
    width: int
    height: int
    method: str
    window_seconds: float
    stride_seconds: float
    tracks: tuple[TrackTimeline, ...]
    note: str = ""
    no_vote_shares: str = ""
    read_by: str = ""
    faces: FaceSource = "detect"
    abstention: Abstention | None = None

    def silent(self, reading: Reading) -> Reason | None:
        """Why the model is silent about a reading; None if it answers."""
        return None if self.abstention is None else silent_about(self.abstention, reading)

    def silent_time(self, track: TrackTimeline) -> dict[Reason, float]:
        """The share of a face's time in view in which the model is silent, for each reason that occurs."""
        found: dict[Reason, float] = {}
        for step, share in enumerate(track.steps.weights.tolist()):
            if (reason := self.silent(track.steps.reading(step))) is not None:
                found[reason] = found.get(reason, 0.0) + share
        return found

    @property
    def reading(self) -> str:
        """What the shares are that are shown."""
        return "probabilities" if self.no_vote_shares else "vote shares"

    def at(self, track: int, time: float) -> Reading:
        """The mean of the windows of a track that cover a time.

        Args:
            track: number of the face, from 1.
            time: in seconds.

        Raises:
            RequestError: there is no such track, or it is not in view at that time.
        """
        if not is_number(time):
            raise RequestError(f"The time is {time!r}; expected a number of seconds")
        for found in self.tracks:
            if found.track == track:
                if not found.start - 1e-6 <= time <= found.end + 1e-6:
                    raise RequestError(
                        f"Face {track} is not in view at {time:g} s; it is from {found.start:g} to {found.end:g} s"
                    )
                return found.at(time)
        raise RequestError(f"There is no face {track}; the faces are {[t.track for t in self.tracks]}")

    def longest(self, number: int) -> tuple[TrackTimeline, ...]:
        """The faces that are longest in view, the larger of equals, in order of appearance."""
        order = sorted(self.tracks, key=lambda t: (t.start - t.end, -mean_size(t.face)))
        return tuple(sorted(order[:number], key=lambda t: t.track))

    def summary(self) -> str:
        """A few lines for a terminal: each face, when it is in view, and its mean vote shares or probabilities."""
        faces = f"{len(self.tracks)} face{'s' if len(self.tracks) > 1 else ''}"
        length = f"{self.duration:.1f} s, " if self.duration else ""
        what = f"vote shares as the {self.method} model implies them"
        if self.no_vote_shares:
            what = f"probabilities of the {self.method} model, {self.no_vote_shares}"
        lines = [f"{self.video}: {length}{faces}; {what}"]
        for track in self.tracks:
            mean = track.summary
            order = np.argsort(-mean.shown, kind="stable")[:3]
            shares = ", ".join(f"{self.class_names[k]} {mean.shown[k]:.0%}" for k in order)
            when = f"  {track.start:6.1f} - {track.end:.1f} s" if self.duration else ""
            lines.append(f"  face {track.track}{when}  {shares}")
            if silent := self.silent_time(track):
                why = ", ".join(f"{reason} {share:.0%}" for reason, share in silent.items())
                lines.append(f"    silent {sum(silent.values()):.0%} of the time: {why}")
        if self.abstention is not None:
            lines.append(f"  {self.abstention.words}")
            if self.abstention.held_out.caution:
                lines.append(f"  CAUTION: {self.abstention.held_out.caution}")
        if self.note:
            lines.append(f"  note: {self.note}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The timeline as JSON, for other programs.

        ```text
        format, version         "midas-dfer timeline", 1
        video, duration (s), num_frames, width, height (pixels), note
        read_by                 which model read it, and of a packaged reader what it is for and what not
        faces                   detect; cropped where whole frames were taken for faces
        method, window_seconds, stride_seconds, class_names
        readings                which reading is which, in words
        abstention              the rule by which the model is silent, if it was given one (--abstain): the risk, the
                                threshold, and what it did on the held-out clips
        no_vote_shares          why there are no vote shares, all of which are null then; "" where there are some
        tracks: for each face
          track, start, end     its number from 1; seconds
          predicted, probabilities, vote_shares     means over the track; vectors in the order of class_names
          windows: for each     start, end (s), box (mean x, y, width, height in pixels),
                                predicted, probabilities, vote_shares
        of track and window     expected_disagreement, not_knowing (nats), where they are known; with an abstention
                                silent: why predicted is null, else null (of a track, if it never answers)
        ```
        """
        content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "video": self.video,
            "duration": round(self.duration, 6),
            **{name: getattr(self, name) for name in _PLAIN},
            "class_names": list(self.class_names),
            "readings": READINGS,
            "no_vote_shares": self.no_vote_shares,
            **({} if self.abstention is None else {"abstention": self.abstention.to_dict()}),
            "tracks": [
                {
                    "track": track.track,
                    "start": round(track.start, 6),
                    "end": round(track.end, 6),
                    **self._values(track.summary, self.never_answers(track)),
                    "windows": [
                        {
                            "start": window.start,
                            "end": window.end,
                            "box": track.box(window.start, window.end),
                            **self._values(window.reading, self.silent(window.reading)),
                        }
                        for window in track.windows
                    ],
                }
                for track in self.tracks
            ],
        }
        text = json_text(content, indent=2)
        # A vector on one line; in JSON text a line break is never inside a string.
        return re.sub(r"\[\n\s+[^\[\]{}]*?\]", _on_one_line, text) + "\n"

    def to_csv(self) -> str:
        """The timeline as CSV: one row per face and window.

        Columns: track, start, end (s), predicted, probability_CLASS for each class, vote_share_CLASS likewise. Where
        the output is not the annotators' distribution, no_vote_shares, which says why, is in their place. Then
        expected_disagreement and not_knowing (nats), where they are known; with an abstention silent: why there is
        nothing in predicted.
        """
        return csv_text([self._columns(), *(row.values() for row in self._rows(csv_cell))])

    def to_polars(self) -> "pl.DataFrame":
        """The timeline as a table of polars: the rows and columns of `to_csv`."""
        import polars as pl

        return pl.DataFrame(self._rows(), schema=None if self.tracks else self._columns())

    def to_pandas(self) -> "pd.DataFrame":
        """The timeline as a table of pandas: the rows and columns of `to_csv`.

        Raises:
            RequestError: the package pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise RequestError(
                "to_pandas needs the package pandas, which is not installed: pip install pandas. to_polars needs "
                "nothing more"
            ) from error
        return pd.DataFrame(self._rows(), columns=self._columns())

    def _columns(self) -> list[str]:
        kinds = ("probability",) if self.no_vote_shares else ("probability", "vote_share")
        shares = [f"{kind}_{name}" for kind in kinds for name in self.class_names]
        known = any(window.not_knowing is not None for track in self.tracks for window in track.windows)
        return [
            *("track", "start", "end", "predicted"),
            *shares,
            *(["no_vote_shares"] if self.no_vote_shares else []),
            *(UNCERTAINTY if known else ()),
            *(["silent"] if self.abstention is not None else []),
        ]

    def _rows(self, written: Callable[[str], str] = str) -> list[dict[str, Any]]:
        """A row per face and window; `written` is how the names of classes are written."""
        rows = []
        for track in self.tracks:
            for window in track.windows:
                values = self._values(window.reading, self.silent(window.reading))
                row: dict[str, Any] = {"track": track.track, "start": window.start, "end": window.end}
                row["predicted"] = None if values["predicted"] is None else written(values["predicted"])
                for kind, shares in (("probability", values["probabilities"]), ("vote_share", values["vote_shares"])):
                    row |= {f"{kind}_{name}": v for name, v in zip(self.class_names, shares or (), strict=False)}
                row |= {"no_vote_shares": self.no_vote_shares} if self.no_vote_shares else {}
                rows.append(row | {name: values[name] for name in (*UNCERTAINTY, "silent") if name in values})
        return rows

    def _repr_html_(self) -> str:
        """How a notebook shows it: for each face the mean of each class, and over time."""
        about, *_ = self.summary().split("\n")
        tables = []
        for track in self.longest(_FACES_IN_A_NOTEBOOK):
            when = f", {track.start:.1f} to {track.end:.1f} s" if self.duration else ""
            mean, steps = track.summary.shown, track.steps
            count = min(_STEPS_IN_A_NOTEBOOK, len(steps.probabilities) * 4)
            times = np.linspace(track.start, track.end, count, endpoint=False) + (track.end - track.start) / count / 2
            over_time = np.array([steps.shown[steps.number(float(time))] for time in times])
            head: tuple[str, ...] = ("class", self.reading)
            rows: list[tuple[Cell, ...]] = [(name, Share(float(mean[k]))) for k, name in enumerate(self.class_names)]
            if track.end > track.start:
                head += ("over time (strong where high)",)
                rows = [(*row, Strip(tuple(over_time[:, k].tolist()))) for k, row in enumerate(rows)]
            silent = f", silent {sum(found.values()):.0%}" if (found := self.silent_time(track)) else ""
            tables.append(Table(head, tuple(rows), f"Face {track.track}{when}{silent}"))
        more = len(self.tracks) - len(tables)
        notes = [f"{more} more, shorter in view" if more else "", self.note and f"note: {self.note}"]
        notes += [] if self.abstention is None else [self.abstention.words, self.abstention.held_out.caution]
        return notebook_html(self.video, [about.partition(": ")[2], self.read_by], tables, notes)

    def never_answers(self, track: TrackTimeline) -> Reason | None:
        """The reason that takes most of a track's time, if the model is silent throughout."""
        silent = self.silent_time(track)
        if sum(silent.values()) < 1 - 1e-9:
            return None
        return max((share, reason) for reason, share in silent.items())[1]

    def _values(self, reading: Reading, silent: Reason | None) -> dict[str, Any]:
        parts = [getattr(reading, name) for name in UNCERTAINTY]
        return {
            "predicted": None if silent else self.class_names[reading.top],
            "probabilities": [round(float(v), 6) for v in reading.probabilities],
            "vote_shares": None if reading.vote_shares is None else [round(float(v), 6) for v in reading.vote_shares],
            **({} if None in parts else {name: round(v, 6) for name, v in zip(UNCERTAINTY, parts, strict=True)}),
            **({} if self.abstention is None else {"silent": silent}),
        }


def silent_about(abstention: Abstention, reading: Reading) -> Reason | None:
    """Why a model with such a rule is silent about a reading; None if it answers."""
    return abstention.reason(float(reading.shown.max()), reading.expected_disagreement, reading.not_knowing)


def _on_one_line(vector: re.Match[str]) -> str:
    return re.sub(r"\n\s+", "", vector[0].replace(",\n", ", \n"))
