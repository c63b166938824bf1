"""When a model should be silent: what its own predictions of held-out clips say of its errors, and the rule from that.

FOLDER/abstention.json, in an exported folder and beside a packaged reader, holds the few numbers that it takes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from midas_dfer import metrics
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text, read_json
from midas_dfer.labels import NO_LABEL
from midas_dfer.training.run_folder.typed_json import read_fields
from midas_dfer.training.scoring.scores import USED_IN_TRAINING, Evaluation, Predictions
from midas_dfer.wording import count, percent

ABSTENTION_FILE = "abstention.json"
CONFIDENCE = 0.95
"""Of the bound of the risk, and of the interval of the coverage."""

Reason = Literal["people would disagree", "does not know", "not sure"]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""Why a model is silent; the last where it cannot tell the other two apart."""

_QUANTILES = np.linspace(0, 1, 41)
_CURE = "get the folder again, whole, or export the run again"


@dataclass(frozen=True)
class HeldOut:
    """What is kept of predictions of held-out clips with a single label.

    Attributes:
        source: which clips, in words ("412 clips of the validation part of toy").
        caution: a sentence if they are not quite held-out; else "".
        num_clips: how many have a label.
        thresholds, answered, wrong: `metrics.SelectiveCounts`, of the largest judged share.
        disagreement, not_knowing: quantiles of both parts of the uncertainty; empty where these are not known.
    """

    source: str
    caution: str
    num_clips: int
    thresholds: tuple[float, ...]
    answered: tuple[int, ...]
    wrong: tuple[int, ...]
    disagreement: tuple[float, ...] = ()
    not_knowing: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.thresholds), len(self.answered), len(self.wrong)}
        increasing = all(np.all(np.diff(each) >= 0) for each in (self.thresholds, self.disagreement, self.not_knowing))
        if len(lengths) > 1 or not self.thresholds or not increasing or len(self.disagreement) != len(self.not_knowing):
            raise RequestError("its columns are empty, of different lengths, or not in order")
        if not all(
            0 <= wrong <= answered <= self.num_clips for answered, wrong in zip(self.answered, self.wrong, strict=True)
        ):
            raise RequestError("it counts more errors than answers, or more answers than clips")

    @classmethod
    def of(cls, evaluation: Evaluation, predictions: Predictions) -> "HeldOut":
        """Keep what matters of an evaluation.

        Raises:
            RequestError: no clip has a single label, or they are clips that were trained on.
        """
        labels, shares = predictions.labels, predictions.judged
        known = labels != NO_LABEL
        if not known.any():
            raise RequestError("none of its clips has a single label, so no prediction can be right or wrong")
        if evaluation.part in ("train", "all") and USED_IN_TRAINING in evaluation.caution:
            raise RequestError(f"{evaluation.caution}; evaluate on --part validation")
        part = "" if evaluation.part == "all" else f" of the {evaluation.part} part"
        caution = evaluation.caution
        if evaluation.part == "test" and not caution:
            caution = "the threshold was chosen on test clips: errors on these are no longer those of unseen clips"
        counts = metrics.SelectiveCounts.of(shares[known].max(axis=1), (shares.argmax(axis=1) != labels)[known])
        parts: dict[str, tuple[float, ...]] = {}
        if predictions.uncertainty is not None:
            for name, values in zip(("disagreement", "not_knowing"), predictions.uncertainty, strict=True):
                parts[name] = tuple(np.quantile(values[known], _QUANTILES).round(6).tolist())
        return cls(
            source=f"{count(counts.num_clips, 'clip')}{part} of {evaluation.dataset}",
            caution=caution,
            num_clips=counts.num_clips,
            thresholds=tuple(counts.thresholds.round(9).tolist()),
            answered=tuple(counts.answered.tolist()),
            wrong=tuple(counts.wrong.tolist()),
            **parts,
        )

    @classmethod
    def read(cls, folder: Path) -> "HeldOut":
        """Read the abstention.json of a folder."""
        path = folder / ABSTENTION_FILE
        try:
            return read_fields(cls, read_json(path, _CURE), ABSTENTION_FILE)
        except ValueError as error:
            raise RequestError(f"{path} is damaged ({error}); {_CURE}") from error

    @property
    def content(self) -> str:
        """That of abstention.json."""
        return json_text(asdict(self)) + "\n"

    def silent_above(self, risk: float) -> "Abstention":
        """The rule that keeps the share of errors at or below `risk`; see `metrics.guaranteed_selection`.

        Raises:
            RequestError: no threshold does; names the lowest risk that one does keep.
        """
        counts = metrics.SelectiveCounts(
            np.array(self.thresholds), np.array(self.answered), np.array(self.wrong), self.num_clips
        )
        if (found := metrics.guaranteed_selection(counts, risk, CONFIDENCE)) is None:
            lowest = metrics.lowest_guaranteed_risk(counts, CONFIDENCE)
            cure = f"take --abstain {lowest:.3g} or more, or evaluate on more clips"
            if lowest >= 1:
                cure = "evaluate on more clips"
            raise RequestError(
                f"a risk of {risk:g} cannot be kept: by the {self.source}, no threshold keeps it with {CONFIDENCE:.0%} "
                f"confidence; {cure}"
            )
        return Abstention(risk, found, self)


@dataclass(frozen=True)
class Abstention:
    """When a model is silent.

    Attributes:
        risk: the share of errors that is allowed among what it answers.
        selection: the threshold, and what it did on the held-out clips.
        held_out: these.
    """

    risk: float
    selection: metrics.GuaranteedSelection
    held_out: HeldOut

    @property
    def coverage(self) -> tuple[float, float, float]:
        """The share of the held-out clips that it answers, and Wilson's 95 % interval."""
        share, total = self.selection.answered / self.held_out.num_clips, self.held_out.num_clips
        low, high = metrics.wilson_interval(np.array([share]), np.array([total]), CONFIDENCE)
        return share, float(low[0]), float(high[0])

    @property
    def words(self) -> str:
        """What the rule is, and what it was seen to do."""
        chosen, (share, low, high) = self.selection, self.coverage
        return (
            f"silent where the largest share is below {percent(chosen.threshold)}: at most {percent(self.risk)} of its "
            f"answers are wrong, as {chosen.wrong:,} of {chosen.answered:,} were (upper {CONFIDENCE:.0%} bound "
            f"{percent(chosen.bound)}); it answers {percent(share)} ({percent(low)} to {percent(high)}) of the "
            f"{self.held_out.source}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for results."""
        share, low, high = self.coverage
        chosen, of = self.selection, self.held_out
        return {
            "risk": self.risk,
            "threshold": round(chosen.threshold, 6),
            "answered": chosen.answered,
            "wrong": chosen.wrong,
            "risk_bound": round(chosen.bound, 6),
            "confidence": CONFIDENCE,
            "coverage": round(share, 6),
            "coverage_interval": [round(low, 6), round(high, 6)],
            "held_out": of.source,
            "caution": of.caution,
        }

    def reason(self, largest: float, disagreement: float | None, not_knowing: float | None) -> Reason | None:
        """Why it is silent about a clip; None if it answers.

        Both parts of the uncertainty are compared with those of the held-out clips: the one that is higher up among
        these is the reason.
        """
        if largest >= self.selection.threshold:
            return None
        if disagreement is None or not_knowing is None or not self.held_out.disagreement:
            return "not sure"
        known = np.interp(not_knowing, self.held_out.not_knowing, np.linspace(0, 1, len(self.held_out.not_knowing)))
        divided = np.interp(
            disagreement, self.held_out.disagreement, np.linspace(0, 1, len(self.held_out.disagreement))
        )
        return "does not know" if known > divided else "people would disagree"
