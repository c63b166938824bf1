"""evaluation.json and results.json: written, read back, and refused in a sentence where they are damaged."""

import copy
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.experiments.jobs import Job, JobResult
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.files import write_json
from midas_dfer.manifest.classes import DroppedClass, MappingReport
from midas_dfer.reproduce.experiment_report import experiment_report
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import Provenance, Run
from midas_dfer.training.scoring.predictions_file import predictions_table
from midas_dfer.training.scoring.scores import Evaluation, Predictions, score
from midas_dfer.training.scoring.scores_file import read_evaluation

NAMES = ("a", "b", "c")
MADE = Provenance("toy", NAMES, "store", "0", ExtractSettings(), "rule", 9, 0, 9)
MAPPING = MappingReport("toy", ("a", "b", "x"), NAMES, ("c",), (DroppedClass("x", 4, 3, 2),), 9, 2, 0, 40)
ODD = (None, True, -1, 1.5, 10**400, "x", [], {}, [None], [[1]], {"a": None}, float("1e308"))


def scores(mapping: MappingReport | None = MAPPING, **more) -> Evaluation:
    rng = np.random.default_rng(0)
    tables = [rng.dirichlet(np.ones(3), 6) for _ in range(3)]
    predictions = Predictions(tuple("stuvwx"), np.array([0, 1, 0, 1, 0, -1]), np.ones(6, dtype=bool), *tables)
    about = {"method": "MIDAS", "model": "m", "dataset": "toy", "class_names": NAMES, "part": "test", "caution": ""}
    return score(predictions, **about, mapping=mapping, precision="32", device="cpu", **more)


def run_in(folder: Path, **settings) -> Run:
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    return Run(folder, RunConfig(**settings), MADE)


def test_what_is_written_is_read(tmp_path):
    run = run_in(tmp_path)
    assert read_evaluation(run) is None
    for evaluation in (scores(), scores(None)):
        write_json(tmp_path / "evaluation" / "evaluation.json", evaluation.to_dict())
        assert read_evaluation(run) == evaluation


def test_files_of_earlier_versions(tmp_path):
    """They lack what came later; vote shares that are none are not read."""
    values = {
        k: v for k, v in scores().to_dict().items() if k not in ("mapping", "no_vote_shares", "precision", "device")
    }
    write_json(run_in(tmp_path).path / "evaluation" / "evaluation.json", values)
    read = read_evaluation(run_in(tmp_path))
    assert read == replace(scores(None), precision="", device="")
    assert read.judged == read.agreement["vote_shares"]
    read = read_evaluation(run_in(tmp_path, normalization="softmax_counts", num_votes=10.0))
    assert list(read.agreement) == ["probabilities"]
    assert read.judged == read.agreement["probabilities"]
    assert "softmax of mixed vote counts" in read.no_vote_shares
    hard = JobResult(Job("hard/1", "hard", RunConfig(labels="hard"), "store"), "run", scores(), 1.0)
    assert "single label" in JobResult.from_dict(hard.to_dict()).evaluation.no_vote_shares


def test_folds_of_a_seed_are_pooled_clip_by_clip(tmp_path):
    """Also where they have other numbers of clips: each counts once."""
    rng, tables, results = np.random.default_rng(1), [], []
    about = {"method": "MIDAS", "model": "m", "dataset": "toy", "class_names": NAMES, "part": "test", "caution": ""}
    for fold, count in ((1, 4), (2, 11)):
        votes, first, second = (rng.dirichlet(np.ones(3), count) for _ in range(3))
        ids = tuple(f"{fold}-{n}" for n in range(count))
        tables.append(Predictions(ids, votes.argmax(axis=1), np.ones(count, dtype=bool), votes, first, second))
        evaluation = score(tables[-1], **about)
        folder = run_in(tmp_path / str(fold)).path
        (folder / "evaluation" / "predictions.csv").write_text(predictions_table(tables[-1], NAMES))
        job = Job(f"soft/{fold}", "soft", RunConfig(test_fold=fold), "store")
        results.append(JobResult(job, str(folder), evaluation, 1.0))
    method = MethodResult("soft", tuple(results))
    together = score(method.predictions(), **about)
    pooled = method.pooled(0)
    assert (pooled.num_clips, pooled.num_voted) == (15, 15)
    assert (pooled.uar, pooled.war) == pytest.approx((together.uar, together.war))
    for reading in ("probabilities", "vote_shares"):
        for measure, value in vars(pooled.agreement[reading]).items():
            assert value == pytest.approx(getattr(together.agreement[reading], measure), abs=1e-7)


def places(value, path=()):
    """The way to every value of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, each in inner:
        yield (*path, key)
        yield from places(each, (*path, key))


def spoilt(values: dict):
    """Every place of a document with every odd value, without it, and with one more."""
    values = json.loads(json.dumps(values))
    for path in places(values):
        for odd in (*ODD, "missing", "more"):
            damaged = copy.deepcopy(values)
            holder = damaged
            for key in path[:-1]:
                holder = holder[key]
            if odd == "missing":
                del holder[path[-1]]
            elif odd == "more":
                if not isinstance(holder[path[-1]], list):
                    continue
                holder[path[-1]].append(copy.deepcopy(holder[path[-1]][0]) if holder[path[-1]] else 0)
            else:
                holder[path[-1]] = odd
            yield path, odd, damaged


def test_no_damage_is_a_traceback_and_what_is_read_holds_together():
    read = refused = 0
    for path, odd, damaged in islice(spoilt(scores().to_dict()), 0, None, 2):
        try:
            evaluation = Evaluation.from_dict(damaged)
        except ValueError:
            refused += 1
            continue
        read += 1
        assert len(evaluation.class_names) == len(evaluation.recall) == len(evaluation.confusion), (path, odd)
        assert np.array(evaluation.confusion).shape == (3, 3), (path, odd)
        assert Evaluation.from_dict(evaluation.to_dict()) == evaluation
    assert refused > 5 * read > 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "true",
        "[]",
        "3",
        "{",
        '"x"',
        "[" * 100_000,
        '{"a":' * 2000 + "1" + "}" * 2000,
        "\x00",
        '{"uar": NaN}',
    ],
)
def test_what_is_no_object_of_json_is_refused(content, tmp_path):
    run = run_in(tmp_path)
    (tmp_path / "evaluation" / "evaluation.json").write_text(content)
    with pytest.raises(RequestError, match=r"evaluation\.json .*evaluate again, or remove it"):
        read_evaluation(run)
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(RequestError, match=r"results\.json .*run the experiment again"):
        ExperimentResult.read(tmp_path)


def test_a_folder_in_the_place_of_the_file(tmp_path):
    run = run_in(tmp_path)
    (tmp_path / "evaluation" / "evaluation.json").mkdir()
    with pytest.raises(RequestError, match=r"evaluation\.json is not a file"):
        read_evaluation(run)


def test_no_damage_of_an_experiments_results_is_a_traceback(tmp_path):
    """Also for who reports it; the runs themselves are gone here, which is a sentence too."""
    result = JobResult(Job("soft/1", "soft", RunConfig(width=8), "store"), str(tmp_path / "run"), scores(), 1.0)
    whole = ExperimentResult("crossval", (MethodResult("soft", (result,)),), (), ("a note",))
    methods = [{"name": "soft", "results": [result.to_dict()]}]
    values = {**whole.to_dict.__func__(replace(whole, methods=())), "methods": methods}
    write_json(tmp_path / "results.json", values)
    assert ExperimentResult.read(tmp_path) == whole
    tried, sentences = 0, []
    for path, _, damaged in islice(spoilt(values), 0, None, 9):
        if "evaluation" in path and len(path) > 5:
            continue  # tried above
        (tmp_path / "results.json").write_text(json.dumps(damaged))
        try:
            ExperimentResult.read(tmp_path)
            experiment_report(tmp_path)
        except MidasError as error:
            sentences.append(str(error))
        tried += 1
    assert tried > 90
    assert not any("\n" in sentence for sentence in sentences)
