"""Scores over folds and seeds: what the field calls the result of a method, out of the results of its runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from midas_dfer import metrics
from midas_dfer.comparison.differences import Difference
from midas_dfer.comparison.predictions import PooledPredictions, pool_predictions, score_together
from midas_dfer.errors import RequestError
from midas_dfer.experiments.jobs import JobResult
from midas_dfer.files import make_folder, read_json, write_json
from midas_dfer.metrics import MeanScore
from midas_dfer.training.run_folder.runs import EVALUATION_FOLDER
from midas_dfer.training.run_folder.typed_json import read_fields
from midas_dfer.training.scoring.measures import DISTANCES
from midas_dfer.training.scoring.predictions_file import read_predictions
from midas_dfer.training.scoring.scores import PREDICTIONS_FILE, Evaluation, Predictions

RESULTS_FILE = "results.json"
CURE = "run the experiment again, it goes fast"
"""What to do about a damaged one."""


@dataclass(frozen=True)
class MethodResult:
    """A method, with a result for each of its folds and seeds."""

    name: str
    results: tuple[JobResult, ...]

    def __post_init__(self) -> None:
        if not self.results:
            raise RequestError(f"there are no results of {self.name}")
        if len({each.evaluation.class_names for each in self.results}) > 1:
            raise RequestError(f"the results of {self.name} are over different classes; they have no mean")

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of recalls and confusion matrices."""
        return self.results[0].evaluation.class_names

    @property
    def seeds(self) -> tuple[int, ...]:
        """In ascending order."""
        return tuple(sorted({each.job.config.seed for each in self.results}))

    @property
    def folds(self) -> tuple[int | None, ...]:
        """In ascending order; None for the data set's own split."""
        return tuple(sorted({each.job.config.test_fold for each in self.results}, key=lambda fold: fold or 0))

    def of_seed(self, seed: int) -> tuple[JobResult, ...]:
        """The results of a seed, by fold."""
        chosen = [each for each in self.results if each.job.config.seed == seed]
        return tuple(sorted(chosen, key=lambda each: each.job.config.test_fold or 0))

    def over_folds(self, measure: str, seed: int) -> MeanScore | None:
        """The mean of uar or war over the folds of a seed; None where no clip has a label."""
        return MeanScore.of([getattr(each.evaluation, measure) for each in self.of_seed(seed)])

    def over_seeds(self, measure: str) -> MeanScore | None:
        """The mean over seeds of the mean over folds."""
        means = [self.over_folds(measure, seed) for seed in self.seeds]
        return MeanScore.of([None if each is None else each.mean for each in means])

    def interval(self, measure: str) -> metrics.SeedInterval | None:
        """Where the mean of `over_seeds` lies for many more seeds, in 95 of 100 cases; None of a single seed."""
        score = self.over_seeds(measure)
        return None if score is None or len(score.values) < 2 else metrics.seed_interval(score.values)

    def recalls(self) -> tuple[MeanScore | None, ...]:
        """Of each class, over all folds and seeds; None where a fold has no clip of the class."""
        columns = zip(*(each.evaluation.recall for each in self.results), strict=True)
        return tuple(MeanScore.of(column) for column in columns)

    def why_not_pooled(self, seed: int) -> str:
        """Say why the folds of a seed cannot be pooled; "" if they can: each clip is tested once."""
        counts = Counter(name for each in self.of_seed(seed) for name in _read(each).video_ids)
        times = sum(count > 1 for count in counts.values())
        return f"not pooled: {times} clips are tested by more than one run" if times else ""

    def pooled(self, seed: int) -> Evaluation | None:
        """Scores over the predictions of all folds of a seed, each clip once; None where a clip would count twice."""
        if self.why_not_pooled(seed):
            return None
        results = self.of_seed(seed)
        return score_together(self._pool(results), [each.evaluation for each in results])

    def predictions(self) -> PooledPredictions:
        """All predictions of all folds and seeds, as the runs' predictions.csv hold them (to nine digits)."""
        return self._pool([result for seed in self.seeds for result in self.of_seed(seed)])

    def _pool(self, results: Sequence[JobResult]) -> PooledPredictions:
        places = [(_read(each), each.job.config.test_fold, each.job.config.seed) for each in results]
        return pool_predictions(self.class_names, places)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the results, and what is computed from them."""
        seeds = []
        for seed in self.seeds:
            pooled = self.pooled(seed)
            means = {measure: _plain(self.over_folds(measure, seed)) for measure in ("uar", "war")}
            pool = None if pooled is None else _pooled(pooled)
            seeds.append({"seed": seed, **means, "pooled": pool, "why_not_pooled": self.why_not_pooled(seed)})
        return {
            "name": self.name,
            "class_names": list(self.class_names),
            "uar": _plain(self.over_seeds("uar")),
            "war": _plain(self.over_seeds("war")),
            "interval": {name: _plain(self.interval(name)) for name in ("uar", "war")},
            "recall": [_plain(each) for each in self.recalls()],
            "seeds": seeds,
            "results": [each.to_dict() for each in self.results],
        }


@dataclass(frozen=True)
class ExperimentResult:
    """An experiment, such as table-2: its methods, what lies between them, and notes for who reads it."""

    name: str
    methods: tuple[MethodResult, ...]
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "methods": [each.to_dict() for each in self.methods],
            "differences": [asdict(each) for each in self.differences],
            "notes": list(self.notes),
        }

    def write(self, out: Path) -> Path:
        """Write OUT/results.json; gives its path."""
        make_folder(out)
        write_json(out / RESULTS_FILE, self.to_dict())
        return out / RESULTS_FILE

    @classmethod
    def read(cls, out: Path) -> "ExperimentResult":
        """Read OUT/results.json; runs that were moved together with it are found where they are now.

        Raises:
            RequestError: it is missing or damaged.
        """
        path = out / RESULTS_FILE
        values = read_json(path, CURE)
        try:
            if absent := sorted({"differences", "notes"} - values.keys()):
                raise ValueError(f"{absent[0]} is missing")
            result = read_fields(cls, values, "the experiment")
            methods = (replace(each, results=tuple(_moved(r, out) for r in each.results)) for each in result.methods)
            return replace(result, methods=tuple(methods))
        except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise RequestError(f"{path} is damaged ({' '.join(str(error).split())}); {CURE}") from error


def _moved(result: JobResult, out: Path) -> JobResult:
    here = out / result.job.name
    Path(result.run).is_dir()  # what is no path at all is said of results.json
    return replace(result, run=str(here)) if here.is_dir() else result


def _plain(score: MeanScore | metrics.SeedInterval | None) -> dict[str, Any] | None:
    return None if score is None else asdict(score)


def _pooled(e: Evaluation) -> dict[str, Any]:
    names = ("num_clips", "num_labelled", "num_voted", "uar", "war", "recall", "confusion")
    agreement = {name: {m.key: m.of(each) for m in DISTANCES} for name, each in (e.agreement or {}).items()}
    return {**{name: getattr(e, name) for name in names}, "agreement": agreement}


def _read(result: JobResult) -> Predictions:
    return read_predictions(Path(result.run) / EVALUATION_FOLDER / PREDICTIONS_FILE, result.evaluation)
