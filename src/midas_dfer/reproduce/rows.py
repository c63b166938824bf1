"""Which trainings each table needs: the paper's seven, and what goes beyond them, as data.

A `Method` is a row: a recipe of `training/recipes`, and what is changed of it. Methods of the same name are the same
training in every table, so that tables that are made in one folder share their runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from midas_dfer.errors import RequestError
from midas_dfer.mixing import MIXERS
from midas_dfer.models.zoo import architecture
from midas_dfer.reproduce.printed import TABLES, PrintedRow, PrintedTable
from midas_dfer.training.recipes import recipe
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.scoring.measures import DISTANCES, RECOGNITION

OWN_DESIGN = (
    "Own design: what is published of this network does not suffice for a copy, and parts of its inside are this "
    "project's (docs/models.md). Ours and the printed figures are of different networks."
)
OWN_SIZES = "The publication gives no sizes of this network; those of the GRU are this project's (docs/models.md)."
HARAS_RECIPE = (
    "Trained as its authors train on Kinetics (Hara et al.: rate 0.1, batches of 128, 200 epochs, weight decay 0.001). "
    "The printed figures are those of Former-DFER's comparison, which need not have trained it so."
)
FORMER_DFERS_RECIPE = "Its own training is not published; ours is Former-DFER's."
LOGO_FORMERS_RECIPE = "Its own training is not published; ours is that of its authors' later LOGO-Former."
OWN_RECIPE = "Its training is not published; ours is this project's own."
"""What makes a row of ours another network, or another training, than the printed row beside it."""

SettingValue = str | int | float | bool | None | tuple[float, ...] | tuple[int, ...]
Changes = tuple[tuple[str, SettingValue], ...]
"""Settings of `RunConfig` in place of a recipe's."""

SCORES = tuple(measure.key for measure in RECOGNITION)
WITH_VOTES = (*SCORES, *(measure.key for measure in DISTANCES))


@dataclass(frozen=True)
class Method:
    """A row of a table: how a network is trained.

    Attributes:
        name: of its runs' folders, and in results.json.
        cells: what stands in the row below the experiment's `headings`.
        printed: number of the row of the paper's table that it stands beside, from 0; None if there is none.
        departures: sentences on what makes ours another network, or another training, than that of the printed row.
    """

    name: str
    recipe: str
    cells: tuple[str, ...]
    changes: Changes = ()
    printed: int | None = None
    departures: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What it is called in a sentence, such as TSM ResNet-18 (hard)."""
        first, *more = (cell for cell in self.cells if cell)
        return f"{first} ({', '.join(more)})" if more else first

    def config(self, settings: Mapping[str, Any] = MappingProxyType({})) -> RunConfig:
        """The recipe with the changes, then with settings of the user's.

        Settings that the method is about stay: of `changes`, and its labels, mixer, group and model. A width is passed
        over where a network has only its published one, and milestones where the schedule is another.
        """
        config = recipe(self.recipe).config()
        own: dict[str, Any] = dict(self.changes)
        given: dict[str, Any] = {name: value for name, value in settings.items() if name not in own}
        if not architecture(config.model).scalable:
            given.pop("width", None)
        if given.get("schedule", config.schedule) != "step":
            given = {"milestones": (), **given}
        return replace(config, **given, **own)


FIXED = ("labels", "mixer", "group", "model", "test_fold", "seed")
"""Settings that cannot be changed for a whole experiment: they are what its rows differ in, or `--folds`, `--seeds`."""


@dataclass(frozen=True)
class Experiment:
    """A table: its rows, and on which clips they are trained and scored.

    Attributes:
        name: as typed: table-1 to table-7, normalization, mixers, votes, calibration.
        headings: of the columns that say what a row is.
        measures: what is scored.
        printed: the paper's table, if it is one of its.
        per_class: whether it shows the accuracy of each class.
        layout: methods, a row each; readings, a row for each method and reading of the network's output; matrix, no
            table but a confusion matrix, for which all runs are added up.
        published_split: trained and tested on the data set's own parts and not on folds.
        across: scored on another store.
        question: what the uncertainty of differences is asked of: pairs of methods.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    methods: tuple[Method, ...]
    measures: tuple[str, ...] = SCORES
    printed: PrintedTable | None = None
    per_class: bool = False
    layout: Literal["methods", "readings", "matrix"] = "methods"
    published_split: bool = False
    across: bool = False
    question: tuple[tuple[str, str], ...] = ()

    def printed_row(self, method: Method) -> PrintedRow | None:
        """The paper's row that a method stands beside."""
        if self.printed is None or method.printed is None:
            return None
        return self.printed.rows[method.printed]


def _row(recipe_name: str, cells: tuple[str, ...], printed: int | None = None, *departures: str) -> Method:
    """A recipe as it is, and the number of the printed row that it stands beside."""
    return Method(recipe_name, recipe_name, cells, (), printed, departures)


_HARD, _SOFT, _MIDAS = _row("hard", ("hard",), 0), _row("soft", ("soft",), 1), _row("midas", ("MIDAS",), 2)
_MIDAS_HARD = _row("midas_hard_labels", ("MIDAS with hard labels",), 2)
_THREE = (("midas", "soft"), ("midas", "hard"), ("soft", "hard"))


def _across(method: Method) -> Method:
    # Scores on another store are kept beside the weights, so these runs have folders of their own.
    return replace(method, name=f"across/{method.name}")


def _paper(
    number: int, headings: tuple[str, ...], methods: tuple[Method, ...], question: tuple[tuple[str, str], ...]
) -> Experiment:
    printed = TABLES[number]
    name, title = f"table-{number}", f"Table {number}: {printed.title} (%)"
    return Experiment(name, title, headings, methods, printed=printed, question=question)


_PAPER = (
    replace(
        _paper(
            1,
            ("Method", "Label"),
            (
                _row("resnet3d_18", ("3D ResNet-18", "hard"), 0, HARAS_RECIPE),
                _row("cnn_gru_resnet18", ("ResNet-18 + GRU", "hard"), 1, OWN_SIZES, FORMER_DFERS_RECIPE),
                _row("former_dfer", ("Former-DFER", "hard"), 2),
                _row("stt", ("STT", "hard"), 3, OWN_DESIGN, LOGO_FORMERS_RECIPE),
                _row("dpcnet", ("DPCNet", "hard"), 4, OWN_DESIGN, FORMER_DFERS_RECIPE),
                _row("gca_ial", ("GCA+IAL", "hard"), 5),
                _row("midas", ("TSM ResNet-18", "MIDAS"), 6),
            ),
            (("midas", "dpcnet"), ("midas", "gca_ial")),
        ),
        per_class=True,
    ),
    _paper(2, ("Label",), (_HARD, _SOFT, _MIDAS), _THREE),
    _paper(
        3,
        ("Label",),
        (_HARD, _SOFT, _MIDAS_HARD, replace(_MIDAS, printed=3)),
        (*_THREE, ("midas_hard_labels", "hard"), ("midas", "midas_hard_labels")),
    ),
    replace(
        _paper(
            4,
            ("Method", "Label"),
            (
                _row("two_vgg13_lstm", ("Two VGG13-LSTM", "hard"), 0, OWN_DESIGN, OWN_RECIPE),
                _row("former_dfer", ("Former-DFER", "hard"), 1),
                _row("gca_ial", ("GCA+IAL", "hard"), 2),
                Method("hard_rate_0.01", "hard", ("TSM ResNet-18", "hard"), (("learning_rate", 0.01),)),
                _row("midas_ferv39k", ("TSM ResNet-18", "MIDAS with hard labels"), 3),
            ),
            (("midas_ferv39k", "hard_rate_0.01"),),
        ),
        published_split=True,
    ),
    replace(
        _paper(
            5,
            ("Label",),
            (_across(_HARD), _across(_SOFT), _across(_MIDAS)),
            tuple((f"across/{first}", f"across/{second}") for first, second in _THREE),
        ),
        across=True,
    ),
    _paper(
        6,
        ("Clips",),
        (_row("midas_clear", ("clear expressions",), 0), _row("midas_mixed", ("mixed expressions",), 1)),
        (("midas_mixed", "midas_clear"),),
    ),
    _paper(
        7,
        ("Label",),
        (
            _row("cnn_gru_hard", ("hard",), 0, OWN_SIZES),
            _row("cnn_gru_soft", ("soft",), 1, OWN_SIZES),
            _row("cnn_gru_midas", ("MIDAS",), 2, OWN_SIZES),
        ),
        tuple((f"cnn_gru_{first}", f"cnn_gru_{second}") for first, second in _THREE),
    ),
)

NORMALIZATIONS: tuple[tuple[str, float], ...] = (
    ("none", 1.0),
    ("softmax", 1.0),
    ("softmax", 0.5),
    ("softmax", 0.25),
    ("softmax_counts", 1.0),
    ("softmax_counts", 2.0),
)
"""The readings of "normalized by using a softmax operation", with temperatures."""

ALPHAS = (0.2, 0.4, 1.0)
PARTNERS: tuple[tuple[str, str, bool], ...] = (
    ("batch", "batch", False),
    ("training set", "training_set", False),
    ("equal classes", "training_set", True),
)
VOTES_USED = (1, 2, 5, 10)

_IN_WORDS = {"none": "none", "softmax": "softmax of shares", "softmax_counts": "softmax of counts"}


def _normalization(kind: str, temperature: float, alpha: float, partner: tuple[str, str, bool]) -> Method:
    words, source, balanced = partner
    changes: Changes = (
        ("normalization", kind),
        ("temperature", temperature),
        ("alpha", alpha),
        ("partners", source),
        ("class_balanced", balanced),
    )
    name = f"{kind}-{temperature:g}/alpha-{alpha:g}/{words.replace(' ', '-')}"
    shown = "" if kind == "none" else f"{temperature:g}"
    return Method(name, "midas", (_IN_WORDS[kind], shown, f"{alpha:g}", words), changes)


def _mixer(name: str, saliency: str = "") -> Method:
    changes: Changes = (("mixer", name), ("alpha", MIXERS[name].alpha))
    place, words = f"mixer-{name}", name
    if saliency:
        place, words, changes = f"{place}-{saliency}", f"{name} ({saliency})", (*changes, ("saliency", saliency))
    return Method(place, "midas", (words, "", f"{MIXERS[name].alpha:g}"), changes)


def _mixers() -> tuple[Method, ...]:
    found = [_row("soft", ("none", "", "")), _row("midas", ("midas", "softmax of shares", "0.4"))]
    found.append(Method("midas-none", "midas", ("midas", "none", "0.4"), (("normalization", "none"),)))
    for name, entry in MIXERS.own.items():
        if entry.looks:
            found += [_mixer(name, "picture"), _mixer(name, "model")]
        elif name != "midas":
            found.append(_mixer(name))
    return tuple(found)


def _votes() -> tuple[Method, ...]:
    return tuple(
        Method(f"votes-{count}/{name}", name, (words, str(count)), (("votes_used", count),))
        for count in VOTES_USED
        for name, words in (("hard", "hard"), ("soft", "soft"), ("midas", "MIDAS"))
    )


_BEYOND = (
    Experiment(
        "normalization",
        "How the mixed label is normalised, the mixing ratio, and where partners come from",
        ("Normalisation", "Temp.", "alpha", "Partners"),
        tuple(_normalization(*each, alpha, rule) for each in NORMALIZATIONS for alpha in ALPHAS for rule in PARTNERS),
        WITH_VOTES,
        question=(
            ("softmax-1/alpha-0.4/batch", "none-1/alpha-0.4/batch"),
            ("softmax_counts-1/alpha-0.4/batch", "none-1/alpha-0.4/batch"),
            ("softmax-1/alpha-0.4/batch", "softmax_counts-1/alpha-0.4/batch"),
        ),
    ),
    Experiment(
        "mixers",
        "Every mixer, each with the alpha of its publication",
        ("Mixer", "Normalisation", "alpha"),
        _mixers(),
        WITH_VOTES,
        question=(("midas", "soft"), ("midas", "midas-none"), ("midas", "mixer-mixup"), ("midas", "mixer-cutmix")),
    ),
    Experiment(
        "votes",
        "Labels from a part of the annotators' votes",
        ("Label", "Votes"),
        _votes(),
        WITH_VOTES,
        question=tuple(
            (f"votes-{VOTES_USED[-1]}/{name}", f"votes-{VOTES_USED[0]}/{name}") for name in ("hard", "soft", "midas")
        ),
    ),
    Experiment(
        "calibration",
        "How close predicted distributions come to the votes",
        ("Label", "Reading"),
        (_HARD, _SOFT, _MIDAS),
        WITH_VOTES,
        layout="readings",
    ),
)

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({each.name: each for each in (*_PAPER, *_BEYOND)})
"""The tables by name."""


def experiment(name: str) -> Experiment:
    """Look a table up."""
    if name not in EXPERIMENTS:
        raise RequestError(f"there is no table {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that an experiment sets itself."""
    known = {setting.name for setting in fields(RunConfig)}
    wrong = sorted((set(settings) & set(FIXED)) | (set(settings) - known))
    if wrong:
        raise RequestError(f"--{wrong[0]} is not to be set for a whole table; its rows say what it is")
