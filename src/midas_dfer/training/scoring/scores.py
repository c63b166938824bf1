"""Predictions set beside labels and votes: confusion, recalls, agreement; evaluation.json."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Required, TypedDict, Unpack

import numpy as np
from jaxtyping import Bool, Float64, Int64

from midas_dfer import metrics
from midas_dfer.errors import RequestError
from midas_dfer.files import json_text, make_folder, read_json, write_together
from midas_dfer.labels import NO_LABEL
from midas_dfer.manifest.classes import MappingReport
from midas_dfer.notebook import Shade, Share, Table, notebook_html
from midas_dfer.training.run_folder.typed_json import Proportion, read_fields
from midas_dfer.training.scoring.agreement import VoteAgreement as VoteAgreement
from midas_dfer.training.scoring.agreement import VotedClips
from midas_dfer.training.scoring.annotators import AnnotatorScores
from midas_dfer.training.scoring.baselines import Baselines, HumanLine, Reference, worse_than_guesses
from midas_dfer.training.scoring.blends import BlendScores
from midas_dfer.training.scoring.limits import ScoreLimits, score_limits
from midas_dfer.training.scoring.measures import DISTANCES, NONE, READINGS, shown_measures
from midas_dfer.wording import percent

EVALUATION_FILE, PREDICTIONS_FILE = "evaluation.json", "predictions.csv"
"""What lies in the folder of an evaluation."""

USED_IN_TRAINING = "used in training"
"""What a caution says where clips were learned from; abstaining goes by it (`training.scoring.held_out`)."""

_CURE = "evaluate again, or remove it"


@dataclass(frozen=True)
class Predictions:
    """What the network says of each clip, beside what the annotators said.

    Attributes:
        labels: the single label; -1 where there is none.
        has_votes: whether annotators' votes are known; without, `votes` is the label, one-hot.
        votes: the annotators' distribution.
        probabilities: softmax of the network's output.
        vote_shares: the annotators' distribution that the output implies; None where it does not give that.
        num_votes: how many votes each clip has, 0 where there are none; None if that is not known.
        concentration: S of a Dirichlet distribution whose mean are the probabilities, so that its concentrations are
            S times these; None of a model that gives none.
        uncertainty: the entropy of the judged shares in two parts, where several networks or views said them.
    """

    video_ids: tuple[str, ...]
    labels: Int64[np.ndarray, " N"]
    has_votes: Bool[np.ndarray, " N"]
    votes: Float64[np.ndarray, "N K"]
    probabilities: Float64[np.ndarray, "N K"]
    vote_shares: Float64[np.ndarray, "N K"] | None
    num_votes: Int64[np.ndarray, " N"] | None = None
    concentration: Float64[np.ndarray, " N"] | None = None
    uncertainty: metrics.Uncertainty | None = None

    @property
    def judged(self) -> Float64[np.ndarray, "N K"]:
        """What is held against the votes: the vote shares, or the probabilities where there are none."""
        return self.probabilities if self.vote_shares is None else self.vote_shares

    @property
    def dirichlet(self) -> Float64[np.ndarray, "N K"] | None:
        """The concentrations that the network gives each class; None where it does not predict a distribution."""
        return None if self.concentration is None else self.concentration[:, None] * self.probabilities

    @property
    def predicted(self) -> Int64[np.ndarray, " N"]:
        """The predicted class, which is the same for both readings."""
        found: Int64[np.ndarray, " N"] = self.probabilities.argmax(axis=1)
        return found


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run on a set of clips.

    A network that was trained on softmax-normalised targets gives flat probabilities by construction, so
    two readings are scored: `probabilities`, what its softmax says, and `vote_shares`, the annotators'
    distribution that its output implies, where it does (`training.readings`). The predicted class is the same for both.

    Attributes:
        method: what the paper calls the training.
        dataset: of the clips.
        class_names: in the order of recalls and confusion matrix.
        part: which clips: test, validation, train or all.
        caution: a sentence, if these scores must not be taken for those of unseen clips; else "".
        num_clips: how many clips were predicted, each once.
        num_labelled: how many of them have a single label; UAR, WAR and recalls are over these.
        num_voted: how many of them have votes; the agreement is over these.
        uar: mean recall over the classes that occur; None if no clip has a label.
        war: share of clips whose class was found; None if no clip has a label.
        recall: per class; None where the class does not occur.
        confusion: clips by class (row) and predicted class (column).
        votes_entropy: mean entropy of the votes in nats, the floor of the soft cross-entropy.
        agreement: of each reading with the votes; None if no clip has votes.
        mapping: what was dropped of the clips' classes and of the run's where they differ; all scores are then over
            the classes that both have.
        no_vote_shares: why the output is not the annotators' distribution, so that `agreement` has no vote_shares and
            the run is judged by its probabilities; "" where it is.
        precision: what was computed in: 32 or bf16; "" in files of earlier versions, as all texts below.
        device: what it was computed on.
        read_by: which model it was, in words ("the packaged reader ferplus").
        read_with: what was done with its output, in words: scaled by a temperature, averaged; "" if nothing was.
        trained_on: the data set that it learned from; "" also where that is not known.
        weights: SHA-256 of its file of weights.
        store_fingerprint: of the store that the clips are in.
        baselines: scores of guesses that need no network, on the same clips; None in files of earlier versions.
        human_line: how well people predict each other, and the model them; None where no clip has two votes, and
            likewise.
        annotators: how well single votes are predicted, by a run that learned from them.
        blends: presence and salience accuracy, where the shares of the emotions in each clip are known.
        votes_noise: the total variation of a perfect prediction, since votes are few (`metrics.noise_floor`); likewise.
        limits: intervals of these scores over clips or people; None in files of earlier versions.
    """

    method: str
    model: str
    dataset: str
    class_names: tuple[str, ...]
    part: str
    caution: str
    num_clips: int
    num_labelled: int
    num_voted: int
    uar: Proportion | None
    war: Proportion | None
    recall: tuple[Proportion | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    votes_entropy: float | None
    agreement: dict[str, VoteAgreement] | None
    mapping: MappingReport | None = None
    no_vote_shares: str = ""
    precision: str = ""
    device: str = ""
    read_by: str = ""
    trained_on: str = ""
    weights: str = ""
    store_fingerprint: str = ""
    baselines: Baselines | None = None
    human_line: HumanLine | None = None
    blends: BlendScores | None = None
    annotators: AnnotatorScores | None = None
    votes_noise: float | None = None
    read_with: str = ""
    limits: ScoreLimits | None = None

    @property
    def judged(self) -> VoteAgreement | None:
        """The agreement of the reading that the run is judged by: vote shares where there are some."""
        return None if self.agreement is None else self.agreement.get("vote_shares", self.agreement["probabilities"])

    @property
    def judged_reading(self) -> str:
        """That reading, as in `agreement`."""
        return "probabilities" if self.no_vote_shares else "vote_shares"

    @property
    def judged_by(self) -> str:
        """What that reading is called."""
        return READINGS[self.judged_reading]

    @property
    def reference(self) -> Reference:
        """These scores as they are held against those of guesses: of the reading that the run is judged by."""
        distances: dict[str, Any] = {measure.key: measure.of(self.judged) for measure in DISTANCES}
        return Reference("this model", self.uar, self.war, **distances)

    @property
    def only_class(self) -> str:
        """The class that was predicted for all labelled clips, of which there are several; "" where there is none."""
        found = np.array(self.confusion).sum(axis=0)
        return self.class_names[int(found.argmax())] if self.num_labelled > 1 and (found > 0).sum() == 1 else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what makes these scores worth little: one class for all clips, no better than a guess."""
        said = []
        if name := self.only_class:
            said.append(f"One class was predicted for all {self.num_labelled:,} labelled clips: {name}.")
        if self.baselines is not None:
            said += worse_than_guesses(self.reference, self.baselines, self.judged_by)
        return tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the warnings with them, for who reads the file."""
        return {**asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, values: object) -> "Evaluation":
        """The inverse of `to_dict`, after a way through JSON.

        Raises:
            ValueError: which value is missing, of another type, out of range, or contradicts another.
        """
        e = read_fields(cls, values, "the evaluation")
        names = e.class_names
        if not names or len(set(names)) < len(names):
            raise ValueError("its class_names are none, or one is there twice")
        if {len(e.recall), len(e.confusion), *map(len, e.confusion)} != {len(names)}:
            raise ValueError(f"its recall or confusion is not of its {len(names)} classes")
        if max(e.num_labelled, e.num_voted) > e.num_clips or sum(map(sum, e.confusion)) != e.num_labelled:
            raise ValueError("its num_clips, num_labelled, num_voted and confusion contradict each other")
        if {e.uar is None, e.war is None} != {not e.num_labelled}:
            raise ValueError("its uar or war is null, or there without any clip that it could be of")
        if e.agreement is not None:
            if "probabilities" not in e.agreement or not e.agreement.keys() <= READINGS.keys():
                of = ", ".join(e.agreement) or "nothing"
                raise ValueError(f"its agreement is of {of}; expected {' and '.join(READINGS)}")
            if not e.num_voted or e.votes_entropy is None:
                raise ValueError("its agreement, num_voted and votes_entropy contradict each other")
            if ("vote_shares" in e.agreement) == bool(e.no_vote_shares):
                raise ValueError("its agreement and no_vote_shares contradict each other")
        return e

    @classmethod
    def read(cls, folder: Path) -> "Evaluation":
        """Read the evaluation.json of a folder.

        Raises:
            RequestError: the file is missing or damaged.
        """
        path = folder / EVALUATION_FILE
        values = read_json(path, _CURE)
        try:
            return cls.from_dict(values)
        except ValueError as error:
            raise RequestError(f"{path} is damaged ({error}); {_CURE}") from error

    def write(self, folder: Path, predictions: str) -> None:
        """Write evaluation.json and predictions.csv (`predictions_table`) into a folder; both or none.

        Raises:
            JobError: they cannot be written, or a score is not finite.
        """
        make_folder(folder)
        scores = json_text(self.to_dict(), indent=2) + "\n"
        write_together({folder / EVALUATION_FILE: scores, folder / PREDICTIONS_FILE: predictions})

    def without_vote_shares(self, why_not: str) -> "Evaluation":
        """These scores, without the agreement of vote shares that are not the annotators' distribution."""
        agreement = self.agreement and {"probabilities": self.agreement["probabilities"]}
        limits = self.limits and self.limits.only("probabilities")
        return replace(self, no_vote_shares=why_not, agreement=agreement, limits=limits)

    def _repr_html_(self) -> str:
        """How a notebook shows it: recalls and confusion, and the agreement with the votes."""
        facts = [
            f"{self.num_clips:,} clips of {self.dataset} (part: {self.part}); {self.num_labelled:,} with a single "
            f"label, {self.num_voted:,} with votes",
            "; ".join(filter(None, [f"read by {self.read_by}" if self.read_by else "", self.read_with])),
        ]
        tables = []
        if self.uar is not None and self.war is not None:
            facts.append(f"UAR {percent(self.uar, 2)}, WAR {percent(self.war, 2)}")
            rows = []
            for name, recall, counts in zip(self.class_names, self.recall, self.confusion, strict=True):
                of_row = [Shade(str(n), n / max(1, sum(counts))) for n in counts]
                rows.append((name, str(sum(counts)), NONE if recall is None else Share(recall), *of_row))
            head = ("class", "clips", "recall", *self.class_names)
            tables.append(Table(head, tuple(rows), "Recall, and what the clips of each class were taken for"))
        if self.agreement is not None:
            head = ("agreement with the votes", *(READINGS[name] for name in self.agreement))
            found = tuple(self.agreement.values())
            rows = [(m.name, *(m.text(m.of(each)) for each in found)) for m in shown_measures(found)]
            tables.append(Table(head, tuple(rows)))
        facts.append(f"CAUTION: {self.caution}." if self.caution else "")
        return notebook_html(f"Evaluation: {self.method}, {self.model}", facts, tables)


def in_words(precision: str | None) -> str:
    """A precision for people."""
    return {"32": "float32", "bf16": "bfloat16"}.get(precision or "", "an unknown precision")


class About(TypedDict, total=False):
    """What an `Evaluation` says beside its scores."""

    method: Required[str]
    model: Required[str]
    dataset: Required[str]
    class_names: Required[tuple[str, ...]]
    part: Required[str]
    caution: Required[str]
    mapping: MappingReport | None
    no_vote_shares: str
    precision: str
    device: str
    baselines: Baselines | None
    human_line: HumanLine | None


def score(
    predictions: Predictions, *, people: Sequence[str] | None = None, limits: bool = False, **about: Unpack[About]
) -> Evaluation:
    """Compute all scores of a set of predictions; see `Evaluation`.

    `limits`: with their intervals, by the draw of clips, or of `people` where it is known who is in each.
    """
    labels = predictions.labels
    labelled = labels != NO_LABEL
    confusion = metrics.confusion_matrix(labels[labelled], predictions.predicted[labelled], len(about["class_names"]))
    voted = predictions.has_votes
    votes = predictions.votes[voted]
    agreement = noise = found = None
    read = {"probabilities": predictions.probabilities}
    shares = predictions.vote_shares
    alike = shares is not None and np.array_equal(shares, predictions.probabilities)
    if shares is not None and not alike:
        read["vote_shares"] = shares
    clips = VotedClips.of(labels, voted, predictions.votes, predictions.num_votes, about["class_names"])
    values = {}
    if voted.any():
        values = {name: clips.clip_values(given, predictions.dirichlet) for name, given in read.items()}
        agreement = {name: clips.agreement(given, values[name]) for name, given in read.items()}
        noise = None if clips.floor is None else clips.floor.mean
    if limits:
        networks = {name: given[None] for name, given in read.items()}
        known = {name: [each] for name, each in values.items()}
        found = score_limits(clips, predictions.predicted[None], networks, values=known, people=people)
    if alike:  # nothing was done to the votes: what is said of one reading is said of the other
        agreement = agreement and {**agreement, "vote_shares": agreement["probabilities"]}
        found = found and found.with_vote_shares_alike()
    return Evaluation(
        **about,
        num_clips=len(labels),
        num_labelled=int(labelled.sum()),
        num_voted=int(voted.sum()),
        uar=metrics.uar(confusion) if labelled.any() else None,
        war=metrics.war(confusion) if labelled.any() else None,
        recall=tuple(_number(r) for r in metrics.recall_per_class(confusion)),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        votes_entropy=metrics.soft_cross_entropy(votes, votes) if voted.any() else None,
        agreement=agreement,
        votes_noise=noise,
        limits=found,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
