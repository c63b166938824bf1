"""The scores that are reported, and the readings of a network's output: their names, units and decimals, once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from midas_dfer.metrics import Interval, MeanScore

NONE = "\u2013"
"""Stands where there is no value."""

READINGS: Mapping[str, str] = MappingProxyType({"probabilities": "probabilities", "vote_shares": "vote shares"})
"""The two readings of a network's output (see `Evaluation`), in words."""


@dataclass(frozen=True)
class Limits:
    """The ends of the 95 % interval of a score."""

    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval | None) -> "Limits | None":
        """Those of an interval."""
        return None if interval is None else cls(interval.low, interval.high)


@dataclass(frozen=True)
class Measure:
    """A score: its attribute (`key`) in `Evaluation`, `VoteAgreement` or `Reference`, and how it is shown.

    `short`: its name in narrow tables and in sentences; `unit`: "%" of a share, shown times 100; "nats"; or "".
    `detail`: shown only where all there is of an evaluation is shown, and only if there is a value.
    """

    key: str
    name: str
    short: str
    unit: str = ""
    lower_is_better: bool = False
    decimals: int = 4
    detail: bool = False

    @property
    def scale(self) -> float:
        """What a value is multiplied with to be shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def of(self, scores: object) -> float | None:
        """The value in anything that has the attribute; None where there is none."""
        value: float | None = getattr(scores, self.key, None)
        return value

    def text(self, value: float | None) -> str:
        """A value as it is shown, without its unit."""
        return NONE if value is None else f"{self.scale * value:.{self.decimals}f}"

    def spread(self, score: MeanScore | None) -> str:
        """A mean and its standard deviation as they are shown, without their unit."""
        return mean_text(score, self.mean_decimals, self.scale)

    @property
    def mean_decimals(self) -> int:
        """Of a mean with its deviation; `decimals` are those of a single value."""
        return self.decimals if self.unit == "%" else self.decimals - 1


def mean_text(score: MeanScore | None, decimals: int, scale: float = 1.0) -> str:
    """A mean, and behind it the standard deviation where there are several values."""
    if score is None:
        return NONE
    mean = f"{scale * score.mean:.{decimals}f}"
    return mean if score.deviation is None else f"{mean} \u00b1 {scale * score.deviation:.{decimals}f}"


_ALL = (
    Measure("uar", "UAR", "UAR", "%", decimals=2),
    Measure("war", "WAR", "WAR", "%", decimals=2),
    Measure("soft_cross_entropy", "soft cross-entropy", "cross-entropy", "nats", lower_is_better=True),
    Measure("jensen_shannon", "Jensen-Shannon divergence", "JSD", "nats", lower_is_better=True),
    Measure("total_variation", "total variation", "total variation", lower_is_better=True),
    Measure("entropy_pearson", "entropy correlation, Pearson", "entropy corr."),
    Measure("entropy_spearman", "entropy correlation, Spearman", "entropy rank corr."),
    Measure("expected_calibration_error", "expected calibration error", "ECE", lower_is_better=True),
    *(
        Measure(key, name, short, unit, lower_is_better=lower, detail=True)
        for key, name, short, unit, lower in (
            ("kullback_leibler", "Kullback-Leibler divergence", "KL", "nats", True),
            ("multinomial_nll", "negative log-likelihood of the votes", "NLL", "nats", True),
            ("dirichlet_multinomial_nll", "negative log-likelihood, Dirichlet", "Dirichlet NLL", "nats", True),
            ("corrected_total_variation", "total variation less noise", "TV less noise", "", True),
            ("corrected_squared_distance", "squared distance less noise", "squared less noise", "", True),
            ("wasserstein", "Wasserstein distance between emotions", "Wasserstein", "", True),
            ("manhattan", "Manhattan distance", "Manhattan", "", True),
            ("chebyshev", "Chebyshev distance", "Chebyshev", "", True),
            ("clark", "Clark distance", "Clark", "", True),
            ("canberra", "Canberra distance", "Canberra", "", True),
            ("cosine", "cosine similarity", "cosine", "", False),
            ("intersection", "intersection", "intersection", "", False),
            ("soft_micro_f1", "soft micro F1", "micro F1", "", False),
            ("soft_macro_f1", "soft macro F1", "macro F1", "", False),
            ("risk_coverage_area", "area under the risk-coverage curve", "AURC", "", True),
            ("excess_risk_coverage_area", "excess area under the risk-coverage curve", "E-AURC", "", True),
            ("selective_risk_90", "errors among the surest 90 %", "risk at 0.9", "", True),
            ("selective_risk_80", "errors among the surest 80 %", "risk at 0.8", "", True),
            ("annotator_error", "single votes for another class", "annotator error", "", True),
        )
    ),
)

MEASURES: Mapping[str, Measure] = MappingProxyType({each.key: each for each in _ALL})
"""All of them by key, in the order in which tables show them."""

RECOGNITION = tuple(MEASURES[key] for key in ("uar", "war"))
"""Against single labels."""

DISTANCES = tuple(MEASURES[key] for key in ("soft_cross_entropy", "jensen_shannon", "total_variation"))
"""From the votes."""


def shown_measures(found: Iterable[object]) -> list[Measure]:
    """Those that have a value in some of several `VoteAgreement`, and the main ones even if they have none."""
    agreements = tuple(found)
    known = [each for each in MEASURES.values() if any(each.of(a) is not None for a in agreements)]
    return [each for each in MEASURES.values() if each not in RECOGNITION and (each in known or not each.detail)]
