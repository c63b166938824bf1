"""What has to be known of a trained model in order to use it: its classes, its input, and how to read its output."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from midas_dfer.clips.batches.crops import IMAGENET_MEAN, IMAGENET_STD
from midas_dfer.clips.faces.template import FaceTemplate
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.losses import LOSSES
from midas_dfer.mixing.normalization import check_normalization
from midas_dfer.sharing.data import template_of
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.run_folder.typed_json import read_fields
from midas_dfer.training.scoring.readings import VoteReading, vote_reading
from midas_dfer.training.scoring.temperature import TemperatureScaling
from midas_dfer.version import __version__

LIBRARY = "midas-dfer"
FORMAT = 5
"""Of `config.json`; a later one may hold what this version cannot read. In 1 was not said what becomes of the votes; in
2 no model reads mirror images; in 3 none says where faces lie in the crops that it learned from, and takes whole frames
for such; in 4 none gives log-concentrations, has its logits scaled, or has classifiers of single annotators. A model is
written in the lowest that says all of it, so that earlier versions read it."""

_SAMPLING = "middle of each segment"
_PRECISIONS = ("auto", "32", "bf16")
_WEIGHTS = ("float32", "float16")
_MOST_CLASSES = 10_000
_MOST_ANNOTATORS = 1_000_000
_MOST = 1e300  # NaN is not below it either


@dataclass(frozen=True)
class ModelInfo:
    """What a model is, what it is shown, and what its output means.

    Attributes:
        model: architecture (`midas_dfer.models.create_model`).
        class_names: in the order of the model's outputs.
        width: channels of the first stage.
        dropout: rate before the classifier; of no effect on a trained model.
        num_segments: equal parts of a clip that the model sees a frame of each: the middle one.
        frames_per_segment: how many frames of each part, one after the other.
        size: side of the pictures that the model sees, in pixels.
        extract: how faces were cut out of the videos that it learned from.
        method: what the paper calls its training.
        normalization: of the labels that it learned from: softmax, softmax_counts or none.
        temperature: of that softmax.
        num_votes: how many votes a clip had, for softmax_counts.
        precision: in which it was trained: auto, 32 or bf16. It is computed in float32 unless something else is asked.
        reading: how the annotators' distribution is read off its output, or why it cannot be.
        dataset: what it learned from; "" where that was not kept, as by earlier versions.
        license: of the weights, as whoever exported it stated it; "" where it is not stated.
        weights: how an exported folder stores them: float32 or float16. They are computed with in float32 either way.
        template: where faces lay in the clips that it learned from, if these were crops already (`extract.faces` is
            cropped) and it is known; faces are cut out of videos to lie so, too.
        gives_evidence: whether its output are log-concentrations (`midas_dfer.models.clip_model.log_concentrations`).
        annotators: how many of them it has a classifier for, of which it takes the mean; 0: it has one for all.
        mirrored: whether it reads each clip in the mirror, too, and takes the mean (`midas_dfer.models.mirrored`).
        scaling: what its logits are divided by, where it was calibrated.
    """

    model: str
    class_names: tuple[str, ...]
    width: int
    dropout: float
    num_segments: int
    frames_per_segment: int
    size: int
    extract: ExtractSettings
    method: str
    normalization: str
    temperature: float
    num_votes: float | None
    precision: str
    reading: VoteReading
    dataset: str = ""
    license: str = ""
    weights: str = "float32"
    mirrored: bool = False
    annotators: int = 0
    gives_evidence: bool = False
    template: FaceTemplate | None = None
    scaling: TemperatureScaling | None = None

    @classmethod
    def of(cls, run: Run) -> "ModelInfo":
        """What a run says of its model."""
        config = run.config
        return cls(
            model=config.model,
            class_names=run.provenance.class_names,
            width=config.width,
            dropout=config.dropout,
            num_segments=config.num_segments,
            frames_per_segment=config.frames_per_segment,
            size=config.size,
            extract=run.provenance.extract,
            method=config.method_name,
            normalization=config.normalization if config.mixer == "midas" else "none",  # no other mixer has one
            temperature=config.temperature,
            num_votes=config.num_votes,
            precision=run.provenance.precision or config.precision,
            reading=vote_reading(config, run.provenance),
            gives_evidence=LOSSES[config.loss].concentrations,
            dataset=run.provenance.dataset,
            template=template_of(run),
            annotators=run.provenance.annotators,
            scaling=TemperatureScaling.read(run),
        )

    @property
    def num_frames(self) -> int:
        """Frames of a clip that the model sees."""
        return self.num_segments * self.frames_per_segment

    @property
    def no_vote_shares(self) -> str:
        """Why the output is not the annotators' distribution; "" where it is."""
        return self.reading.why_not

    def vote_shares(self, logits: Float[Tensor, "B K"]) -> Float[Tensor, "B K"] | None:
        """The annotators' distribution that logits imply, given what the model was trained on; None if they do not."""
        return self.reading.vote_shares(logits)

    @property
    def _format(self) -> int:
        new = self.gives_evidence or self.scaling is not None or self.annotators > 0
        needs = {5: new, 4: self.template is not None, 3: self.mirrored}
        return next((number for number, needed in needs.items() if needed), 2)

    def to_dict(self) -> dict[str, Any]:
        """The content of `config.json`: plain values, under the names that are usual on the Hugging Face Hub."""
        return {
            "library_name": LIBRARY,
            "format": self._format,
            "midas_dfer_version": __version__,
            "architectures": [self.model],
            "num_classes": len(self.class_names),
            "id2label": {str(number): name for number, name in enumerate(self.class_names)},
            "label2id": {name: number for number, name in enumerate(self.class_names)},
            "width": self.width,
            "dropout": self.dropout,
            "num_frames": self.num_frames,
            "num_segments": self.num_segments,
            "frames_per_segment": self.frames_per_segment,
            "sampling": _SAMPLING,
            "image_size": self.size,
            "image_mean": list(IMAGENET_MEAN),
            "image_std": list(IMAGENET_STD),
            "extract": asdict(self.extract),
            "method": self.method,
            "label_normalization": self.normalization,
            "label_temperature": self.temperature,
            "label_num_votes": self.num_votes,
            "precision": self.precision,
            "dataset": self.dataset,
            "license": self.license,
            "weights": self.weights,
            **({"mirrored": True} if self.mirrored else {}),
            **({"annotators": self.annotators} if self.annotators else {}),
            **({"gives_evidence": True} if self.gives_evidence else {}),
            **({} if self.template is None else {"template": self.template.to_dict()}),
            **({} if self.scaling is None else {"temperature_scaling": asdict(self.scaling)}),
            "vote_shares": {"undo": [list(step) for step in self.reading.steps], "why_not": self.reading.why_not},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelInfo":
        """The inverse of `to_dict`; something missing or senseless is a `RequestError` without the file's name."""
        if values.get("library_name") != LIBRARY:
            raise RequestError(f"it is a model of {values.get('library_name')!r}; expected one of {LIBRARY!r}")
        written = _whole(values, "format", 1, 2**31)
        if written > FORMAT:
            raise RequestError(
                f"it has format {written}, and this version {__version__} of midas-dfer knows {FORMAT}; get a newer one"
            )
        fixed = {"sampling": _SAMPLING, "image_mean": list(IMAGENET_MEAN), "image_std": list(IMAGENET_STD)}
        for name, expected in fixed.items():
            if values.get(name) != expected:
                raise RequestError(
                    f"its {name} is {values.get(name)!r}; expected {expected!r}, as all models here have"
                )
        architectures = values.get("architectures")
        if not isinstance(architectures, list) or len(architectures) != 1 or not isinstance(architectures[0], str):
            raise RequestError(f"its architectures are {architectures!r}; expected a list of one name")
        normalization, temperature = _text(values, "label_normalization"), _number(values, "label_temperature")
        num_votes = None if values.get("label_num_votes") is None else _number(values, "label_num_votes")
        check_normalization(normalization, temperature, num_votes)
        precision = _text(values, "precision")
        if precision not in _PRECISIONS:
            raise RequestError(f"its precision is {precision!r}; expected {' or '.join(_PRECISIONS)}")
        weights = _text({"weights": _WEIGHTS[0], **values}, "weights")
        if weights not in _WEIGHTS:
            raise RequestError(f"its weights are {weights!r}; expected {' or '.join(_WEIGHTS)}")
        method = _text(values, "method")
        if written == 1:
            reading = _earlier_reading(method, normalization, temperature, num_votes)
        else:
            reading = _reading(values.get("vote_shares"))
        mirrored, evidence = values.get("mirrored", False), values.get("gives_evidence", False)
        for name, value in (("mirrored", mirrored), ("gives_evidence", evidence)):
            if not isinstance(value, bool):
                raise RequestError(f"its {name} is {value!r}; expected true or false")
        scaling = values.get("temperature_scaling")
        try:
            scaling = None if scaling is None else read_fields(TemperatureScaling, scaling, "temperature_scaling")
        except ValueError as error:
            raise RequestError(f"its temperature_scaling cannot be used ({error})") from error
        info = cls(
            model=architectures[0],
            class_names=_class_names(values),
            width=_whole(values, "width", 8, 512),
            dropout=_number(values, "dropout"),
            num_segments=_whole(values, "num_segments", 1, 512),
            frames_per_segment=_whole(values, "frames_per_segment", 1, 64),
            size=_whole(values, "image_size", 16, 1024),
            extract=_extract(values.get("extract")),
            method=method,
            normalization=normalization,
            temperature=temperature,
            num_votes=num_votes,
            precision=precision,
            reading=reading,
            dataset=_text({"dataset": "", **values}, "dataset"),
            license=_text({"license": "", **values}, "license"),
            weights=weights,
            mirrored=mirrored,
            annotators=_whole({"annotators": 0, **values}, "annotators", 0, _MOST_ANNOTATORS),
            gives_evidence=evidence,
            template=FaceTemplate.from_dict(values["template"]) if "template" in values else None,
            scaling=scaling,
        )
        if values.get("num_frames") != info.num_frames:
            raise RequestError(f"its num_frames is {values.get('num_frames')!r}; expected {info.num_frames}")
        return info


def _reading(values: object) -> VoteReading:
    expected = 'expected steps to undo, such as ["softmax", 1.0], and why_not'
    if not isinstance(values, dict) or not isinstance(values.get("undo"), list):
        raise RequestError(f"its vote_shares are {values!r}; {expected}")
    steps = []
    for step in values["undo"]:
        if not isinstance(step, list) or len(step) != 2 or not isinstance(step[0], str):
            raise RequestError(f"its vote_shares undo {step!r}; {expected}")
        steps.append((step[0], _number({"vote_shares": step[1]}, "vote_shares")))
    return VoteReading(tuple(steps), _text(values, "why_not"))


def _earlier_reading(method: str, normalization: str, temperature: float, num_votes: float | None) -> VoteReading:
    """What earlier versions kept of the training; labels are taken for shares of the votes, as they are by default."""
    return vote_reading(
        RunConfig(
            labels="hard" if method == "hard" or method.endswith(" with hard labels") else "soft",
            mixer="none" if normalization == "none" else "midas",
            normalization=normalization,  # type: ignore[arg-type]  # it has been checked
            temperature=temperature,
            num_votes=num_votes,
        )
    )


def _class_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    count, by_number = _whole(values, "num_classes", 1, _MOST_CLASSES), values.get("id2label")
    if not isinstance(by_number, dict) or set(by_number) != {str(number) for number in range(count)}:
        raise RequestError(f"its id2label is not a name for each of {count} classes, under the keys 0 to {count - 1}")
    names = tuple(by_number[str(number)] for number in range(count))
    if not all(isinstance(name, str) for name in names) or len(set(names)) < count:
        raise RequestError("its id2label holds a class twice, or one that is not text")
    if values.get("label2id") != {name: number for number, name in enumerate(names)}:
        raise RequestError("its label2id is not id2label the other way round")
    return names


def _extract(values: object) -> ExtractSettings:
    try:
        return ExtractSettings(**{"search_every": None, **values})  # type: ignore[arg-type, dict-item]
    except RequestError:
        raise
    except (TypeError, ValueError) as error:
        raise RequestError(f"its extract does not say how faces are cut out ({error})") from error


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise RequestError(f"its {name} is {value!r}; expected text")
    return value


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        raise RequestError(f"its {name} is {value!r}; expected a number")
    return float(value)


def _whole(values: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(f"its {name} is {value!r}; expected a whole number from {low} to {high}")
    return value
