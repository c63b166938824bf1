"""How a training begins: everything that can be refused is, then the run folder is made."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.losses import LOSSES
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.manifest.schema import KNOWN_SHARES
from midas_dfer.models.pretrained import load_pretrained
from midas_dfer.training.devices import choose_device, computed_on
from midas_dfer.training.learners.making import check_learner, check_quality, num_heads
from midas_dfer.training.loading import check_cache
from midas_dfer.training.mixers import check_compile
from midas_dfer.training.parts import part_clips
from midas_dfer.training.processes.world import World, check_processes
from midas_dfer.training.recipes.config import RunConfig
from midas_dfer.training.recipes.long_recipes import few_epochs
from midas_dfer.training.run_folder.origin import (
    keep_learned,
    open_origin,
    refuse_tested_clips,
    take_weights,
    told_differences,
)
from midas_dfer.training.run_folder.predicted_labels import predict_labels, put_predicted
from midas_dfer.training.run_folder.runs import Run, check_is_free, new_model
from midas_dfer.training.scoring.readings import votes_learned
from midas_dfer.training.scoring.scores import in_words


def begin_run(
    config: RunConfig,
    store: ClipStore | Path | str,
    out: Path,
    init: Run | Path | str | None,
    world: World,
    say: Callable[[str], None],
) -> tuple[Run, ClipStore]:
    """Make the run folder, and say what is begun; all that can be refused is refused before."""
    check_is_free(out)
    store = opened_store(store)
    check_cache(config, choose_device(config.device))
    check_compile(config, choose_device(config.device))
    partition = part_clips(store.manifest, config)
    dataset = ClipDataset(
        store, partition.train, labels=config.labels, method=config.label_method, votes_used=config.votes_used
    )
    _check_votes(config, partition.train)
    if config.mixer != "none" and len(dataset) < 2:
        raise RequestError("there is one training clip, and none to mix it with; train with --mixer none")
    check_quality(config, dataset.manifest)
    heads = num_heads(config, dataset.manifest)
    if heads and init is not None:
        raise RequestError(
            f"--learner {config.learner} has classifiers that the run {init} has not; begin with its exported folder "
            "(midas export, --weights DIR), which gives each annotator its classifier"
        )
    origin = None if init is None else open_origin(init, config)
    watched = "" if origin is None else refuse_tested_clips(origin, partition, store.dataset)
    loaded = _check_model(config, store.class_names, heads, origin)
    found = config.normalization == "softmax_counts" and config.num_votes is None
    if found:
        votes_used = 1 if config.labels in ("votes", "drawn_vote") else config.votes_used
        config = replace(config, num_votes=_mean_votes(partition.train, votes_used))
    watched_clips = partition.test if config.select == "best_test_fold" else partition.validation
    processes = check_processes(config, config.devices, world, len(watched_clips or ()))
    predicted = predict_labels(config, store, partition, say)
    if predicted is not None:
        partition = replace(partition, train=put_predicted(partition.train, predicted.table))
        dataset = ClipDataset(store, partition.train)
    run = Run.create(out, config, store, partition, num_votes_found=found)
    run.update(**votes_learned(dataset, config), **computed_on(config.precision, config.device), processes=processes)
    run.update(annotators=heads)
    if origin is not None:
        run.update(init=str(origin.path.resolve()), init_weights=origin.provenance.weights_digest)
    if predicted is not None:
        predicted.keep(run)
    if before := [*([] if origin is None else [origin]), *(() if predicted is None else predicted.runs)]:
        keep_learned(run, before)
    pending = sum(each.status == "pending" for each in store.outcomes.values())
    if pending:
        say(f"note: {pending} clips of the store {store.path} are not cut yet, and not in this training")
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    repeated = "" if partition.times is None else f" in {partition.times.sum()} samples"
    say(f"{config.model}, {config.method_name}, {len(partition.train)} clips{repeated}, {epochs}: {out}")
    say(f"clips: {run.provenance.partition}")
    say(computed_in(run))
    if run.provenance.aggregated and predicted is None:
        say(
            "labels: the known shares of the emotions in each clip; nobody voted on them"
            if run.provenance.aggregated == KNOWN_SHARES
            else f"labels: those that {run.provenance.aggregated} made of single annotators' votes; scores are of the "
            "counts"
        )
    say(f"weights: {loaded}")
    if origin is not None and (changed := told_differences(origin, config)):
        say(f"settings that are not those of {origin.path}: {changed}")
    if watched:
        say(f"note: {watched}")
    if few := few_epochs(config, len(store.class_names)):
        say(f"note: {few}")
    if config.labels == "soft" and not (dataset.manifest.has_votes.any() or run.provenance.aggregated):
        say("note: no training clip has votes, so soft labels are the single labels, as with --labels hard")
    return run, store


def opened_store(store: ClipStore | Path | str) -> ClipStore:
    """The store itself, where its folder is given."""
    return store if isinstance(store, ClipStore) else ClipStore.open(store)


def computed_in(run: Run) -> str:
    """In which precision, on what, and by how many processes a run is trained."""
    made = run.provenance
    return f"computed in {in_words(made.precision)} on {made.device}{', ' if made.processes else ''}{made.processes}"


def _check_model(config: RunConfig, class_names: Sequence[str], heads: int, origin: Run | None) -> str:
    """Make the model once before anything is written; says what it starts from."""
    model = new_model(config, class_names, heads)
    check_learner(config, model)
    if origin is not None:
        return take_weights(model, origin, class_names)
    if config.weights is not None:
        return load_pretrained(model, config.model, config.weights, class_names)
    return "random; the paper's ResNet-18 begins with ImageNet's (--weights FILE)"


def _check_votes(config: RunConfig, manifest: Manifest) -> None:
    """Refuse to learn from votes where no clip has two of them: it would be what hard labels do."""
    most = int(manifest.votes[manifest.has_votes].sum(axis=1).max(initial=0))
    if min(most, config.votes_used or most) > 1 or not len(manifest):
        return
    if config.labels in ("votes", "drawn_vote"):
        raise RequestError(f"no training clip has two votes, so --labels {config.labels} is --labels hard; take that")
    if LOSSES[config.loss].counts:
        raise RequestError(f"no training clip has two votes, which --loss {config.loss} learns from; take another loss")


def _mean_votes(manifest: Manifest, votes_used: int | None) -> float:
    votes = manifest.votes[manifest.has_votes]
    if not len(votes):
        raise RequestError("--normalization softmax_counts needs votes, and these clips have none; give --num_votes")
    totals = votes.sum(axis=1)
    return float((totals if votes_used is None else totals.clip(max=votes_used)).mean())
