"""Cross-validation: a recipe trained and tested once for each fold, under one seed or several."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.experiments.engines import Engine, LocalEngine
from midas_dfer.experiments.jobs import Job, check_each_once, check_job, different_setting, once
from midas_dfer.experiments.results import ExperimentResult, MethodResult
from midas_dfer.files import make_folder, only_one, write_file
from midas_dfer.training.parts import part_clips
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.run_folder.runs import CONFIG_FILE, RUN_FILE


def cross_validate(
    config: RunConfig,
    store: ClipStore | Path | str,
    out: Path | str,
    *,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] = (0,),
    jobs: int = 1,
    engine: Engine | None = None,
    say: Callable[[str], None] = print,
) -> MethodResult:
    """Train and test a recipe once for each fold and seed; called again, it resumes where it stopped.

    The folds are those of the store, published or created by `midas prepare --folds`. `config.select` decides which
    epoch is kept: the last one, or the best on a validation set split off the training clips.

    Args:
        config: the recipe; `folds` and `seeds` replace its `test_fold` and `seed`.
        store: the clips, or the folder of their store.
        out: folder of the experiment: config.yaml (the recipe), a run folder for each fold and seed, results.json.
        folds: the test folds, each with training on all others; None is all folds.
        seeds: random seeds.
        jobs: number of parallel trainings on this machine.
        engine: runs the trainings instead, such as `midas_dfer.experiments.ray_engine.RayEngine`.
        say: prints a line.

    Returns:
        The scores, by fold and seed, with their means and pooled.

    Raises:
        RequestError: the store has no folds, the recipe does not fit it, or `out` holds another recipe's results.
        JobError: some trainings failed, or another process is using `out`; finished work is kept.
    """
    out = Path(out)
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    config = replace(config, test_fold=None, seed=0)
    planned = crossval_jobs(config, store, folds=folds, seeds=seeds)
    engine = LocalEngine(jobs) if engine is None else engine
    _check_folder(out, config)
    for job in planned:
        part_clips(store.manifest, job.config)
        check_job(job, out, store.fingerprint)
    make_folder(out)
    if not (out / CONFIG_FILE).exists():
        write_file(out / CONFIG_FILE, config.to_yaml())
    with only_one(out / CONFIG_FILE, f"another process works on {out}; wait for it or end it"):
        result = MethodResult(config.method_name, tuple(engine.run(planned, out, say=once(say))))
        notes = [f"epochs kept: {config.select}"]
        notes += [f"seed {seed}: {why}" for seed in result.seeds if (why := result.why_not_pooled(seed))]
        notes += sorted({each.evaluation.caution for each in result.results} - {""})
        ExperimentResult("crossval", (result,), notes=tuple(notes)).write(out)
    return result


def crossval_jobs(
    config: RunConfig,
    store: ClipStore,
    *,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] = (0,),
    method: str | None = None,
    folder: str = "",
) -> list[Job]:
    """The jobs of a cross-validation, seed by seed and in each fold by fold; see `cross_validate`.

    `method`: the row of the table, that of the recipe (`RunConfig.method_name`) if None; `folder`: what the runs'
    folders lie in, such as `soft`; "" for none.

    Raises:
        RequestError: the store has no such folds, or a fold or seed is named twice.
    """
    there = store.manifest.fold_numbers
    if len(there) < 2:
        raise RequestError(
            f"the store {store.path} has no folds to cross-validate on; make some when preparing it: "
            "midas prepare ... --folds 5"
        )
    folds = there if folds is None else tuple(folds)
    if missing := [fold for fold in folds if fold not in there]:
        raise RequestError(f"--folds: the store has no fold {missing[0]}; there are {', '.join(map(str, there))}")
    check_each_once(folds=folds, seeds=seeds)
    return [
        Job(
            name=f"{folder}/fold-{fold}-seed-{seed}".lstrip("/"),
            method=config.method_name if method is None else method,
            config=replace(config, test_fold=fold, seed=seed),
            store=str(store.path.resolve()),
        )
        for seed in seeds
        for fold in folds
    ]


def _check_folder(out: Path, config: RunConfig) -> None:
    """Refuse a folder that holds something else, or the results of another recipe."""
    if (out / RUN_FILE).exists():
        raise RequestError(f"{out} is a run folder; name another --out")
    if (out / CONFIG_FILE).exists():
        difference = different_setting(config, RunConfig.from_yaml(out / CONFIG_FILE))
        if difference:
            raise RequestError(f"{out} holds the results of another recipe: {difference}; name another --out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RequestError(f"{out} is not an empty folder; name another --out")
