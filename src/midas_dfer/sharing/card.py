"""The model card: what a model is, for whom, what it learned from, how well it does, and how to use it.

A Markdown file that begins with the YAML which the Hugging Face Hub reads. Names of classes and data sets can be
anything: each is escaped where it is written, so that it is shown as it is and means nothing to Markdown or HTML.
"""

import re
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from midas_dfer.errors import RequestError
from midas_dfer.sharing.data import count_classes
from midas_dfer.sharing.info import LIBRARY, ModelInfo
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER, MACHINE_SETTINGS, Run
from midas_dfer.training.scoring.limits import ScoreLimits
from midas_dfer.training.scoring.measures import DISTANCES, MEASURES, READINGS, Limits, Measure
from midas_dfer.training.scoring.scores import Evaluation
from midas_dfer.training.scoring.scores_file import read_evaluation, shown_folder
from midas_dfer.version import __version__
from midas_dfer.wording import harmless, setting_text, shortened

_LONGEST = 200
_NOT_OF_THE_RECIPE = frozenset({*MACHINE_SETTINGS, "precision"})  # of the machine
_FURTHER = {
    "corrected_total_variation": "0 is as close as a perfect prediction comes to so few votes",
    "kullback_leibler": "nats; 0 is perfect",
    "dirichlet_multinomial_nll": "nats; of the votes, less is better",
    "soft_macro_f1": "1 is perfect; rare classes count as much as frequent ones",
    "risk_coverage_area": "errors among the surest clips, the mean over all numbers of them",
    "selective_risk_90": "",
    "selective_risk_80": "",
}
"""What the card says of disagreement, the most telling first, and how to read it."""
_MEASURES = (*DISTANCES, MEASURES["expected_calibration_error"])
_VERSIONS = ("midas-dfer", "python", "torch", "lightning", "numpy", "av", "opencv-python-headless")  # not its platform
_MEANS_SOMETHING = re.compile(r"[\\`*\[\]<>|~&$#!{}@^=]|:(?=[A-Za-z/+_])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def model_card(
    run: Run, info: ModelInfo, *, name: str, onnx: bool, license_name: str | None, mirrored_scores: bool = False
) -> str:
    """Write the content of README.md, with the scores and the classes of the clips where they are at hand.

    `onnx`: whether `model.onnx` is beside it; `license_name`: of the weights, None says that it is not known;
    `mirrored_scores`: whether the run's scores are those of the mean with the mirror image.
    """
    folder = shown_folder(run.path)
    scores = None if folder is None else read_evaluation(run, folder)
    of_this_reading = mirrored_scores or not info.mirrored
    scaled = scores is None or scores.read_with == ("" if info.scaling is None else info.scaling.words)
    front = front_matter(run, scores if of_this_reading and scaled else None, name=name, license_name=license_name)
    provenance = run.provenance
    parts = {"train": provenance.num_train, "validation": provenance.num_validation, "test": provenance.num_test}
    return (
        _environment()
        .get_template("card.md")
        .render(
            front_matter=Markup(yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=100)),  # noqa: S704
            name=name,
            info=info,
            provenance=provenance,
            config=run.config,
            parts={part: count for part, count in parts.items() if count},
            classes=count_classes(run),
            recipe=recipe_rows(run.config),
            scores=scores,
            is_own=folder is not None and folder.name == EVALUATION_FOLDER,
            of_this_reading=of_this_reading,
            of_this_scaling=scaled,
            recalls=_recalls(scores),
            limits=_limits(scores),
            further=_further(scores),
            strata=(scores and scores.judged and scores.judged.calibration_by_ambiguity) or (),
            measures=_MEASURES,
            readings=READINGS,
            onnx=onnx,
            license_name=license_name,
            versions={each: provenance.versions[each] for each in _VERSIONS if each in provenance.versions},
            version=__version__,
        )
    )


def _recalls(scores: Evaluation | None) -> tuple[tuple[str, float | None, Limits | None], ...]:
    if scores is None:
        return ()
    limits = _limits(scores)
    ends = limits.recall if limits is not None else (None,) * len(scores.recall)
    return tuple(zip(scores.class_names, scores.recall, ends, strict=True))


def _limits(scores: Evaluation | None) -> ScoreLimits | None:
    """Those of the recognition, where there are some."""
    limits = None if scores is None else scores.limits
    return None if limits is None or limits.uar is None else limits


def _further(scores: Evaluation | None) -> list[tuple[Measure, float, Limits | None, str]]:
    """The measures of disagreement that are known, of the reading that the model is judged by."""
    if scores is None or scores.judged is None:
        return []
    limits = {} if scores.limits is None else scores.limits.agreement.get(scores.judged_reading, {})
    known = [(MEASURES[key], MEASURES[key].of(scores.judged), said) for key, said in _FURTHER.items()]
    return [(measure, value, limits.get(measure.key), said) for measure, value, said in known if value is not None]


def front_matter(run: Run, scores: Evaluation | None, *, name: str, license_name: str | None) -> dict[str, Any]:
    """What the Hub reads of a card. Scores on clips that were used in training are not given to it."""
    method = run.config.method_name
    front: dict[str, Any] = {
        **_license(license_name),
        "library_name": LIBRARY,
        "pipeline_tag": "video-classification",
        "tags": [
            "facial-expression-recognition",
            "emotion-recognition",
            "soft-labels",
            run.config.model,
            *(["midas"] if "midas" in method.lower() else []),
        ],
    }
    dataset = _identifier(run.provenance.dataset)
    if dataset:
        front["datasets"] = [dataset]
    front["metrics"] = ["recall", "accuracy"]
    if scores is not None and not scores.caution and scores.uar is not None and scores.war is not None:
        result = {
            "task": {"type": "video-classification", "name": "Facial expression recognition"},
            "dataset": {
                "type": _identifier(scores.dataset) or "other",
                "name": plain_text(scores.dataset),
                "split": scores.part,
            },
            "metrics": [
                {"type": "recall", "name": "UAR", "value": round(scores.uar, 4)},
                {"type": "accuracy", "name": "WAR", "value": round(scores.war, 4)},
            ],
        }
        front["model-index"] = [{"name": plain_text(name), "results": [result]}]
    return front


def with_license(card: str, license_name: str, path: Path) -> str:
    """A card with another licence: in front for the Hub, and in its section; all else stays, edited or not.

    Raises:
        RequestError: the card has been edited so that there is no such place.
    """
    parts = re.fullmatch(r"---\n(.*?\n)---\n(.*\n## Licence\n)(.*?)(\n## .*)?", card, re.DOTALL)
    front = None
    if parts is not None:
        with suppress(yaml.YAMLError):
            front = yaml.safe_load(parts[1])
    if parts is None or not isinstance(front, dict):
        raise RequestError(
            f"{path} has no YAML in front or no section Licence any more, so --license finds no place in it; leave "
            "--license out, and edit the card"
        )
    kept = {name: value for name, value in front.items() if name not in ("license", "license_name", "license_link")}
    text = yaml.safe_dump({**_license(license_name), **kept}, sort_keys=False, allow_unicode=True, width=100)
    said = f"{escaped(license_name)}. The data that it learned from has terms of its own."
    return f"---\n{text}---\n{parts[2]}\n{said}\n{parts[4] or ''}"


def recipe_rows(config: RunConfig) -> list[tuple[str, str, str]]:
    """Each setting of a recipe, its value, and the default where that is another. Of files, only the name."""
    rows, papers = [], RunConfig()
    for setting in fields(RunConfig):
        if setting.name in _NOT_OF_THE_RECIPE:
            continue
        value, default = getattr(config, setting.name), getattr(papers, setting.name)
        if setting.name == "weights" and value is not None:
            value = Path(value).name
        if setting.name == "alpha" and config.mixer != "midas":  # each mixer has its own
            default = None
        rows.append((setting.name, setting_text(value), "" if value == default else setting_text(default)))
    return rows


def _license(name: str | None) -> dict[str, str]:
    """The Hub takes its own identifiers, and "other" with a name for all else."""
    if name is None:
        return {"license": "unknown"}
    if re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name.lower()):
        return {"license": name.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "other"}


def _identifier(name: str) -> str | None:
    """A data set's name as the Hub takes names; None where it is none."""
    return name if re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", name, re.ASCII) else None


def plain_text(text: str) -> str:
    """Text on one line, and not too long."""
    return shortened(harmless(text), _LONGEST)


def escaped(text: str) -> Markup:
    """Text that Markdown and HTML show as it is."""
    return Markup(_MEANS_SOMETHING.sub(r"\\\g<0>", plain_text(text)))  # noqa: S704 - it has become harmless


def _escaped_if_text(value: Any) -> Any:  # noqa: ANN401 - any value of a template
    return escaped(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _interval(limits: Limits | None, scale: float, decimals: int) -> str:
    return "" if limits is None else " to ".join(f"{scale * end:.{decimals}f}" for end in (limits.low, limits.high))


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - it is no HTML; `finalize` escapes every text
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        finalize=_escaped_if_text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share: "" if share is None else f"{100 * share:.2f}"
    environment.filters["interval"] = _interval
    environment.filters["nats"] = lambda value: "" if value is None else f"{value:.4f}"
    return environment
