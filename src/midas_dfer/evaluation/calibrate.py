"""A run -> the temperature that its logits are divided by, fitted on its validation part alone."""

from dataclasses import replace
from pathlib import Path

import torch

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import choose_clips, read_clips
from midas_dfer.labels import NO_LABEL, votes_to_soft_labels
from midas_dfer.progress import Progress, reported
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.temperature import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    TemperatureScaling,
    cross_entropy,
    fit_temperature,
)


def calibrate(
    run: TrainedModel | Run | Path | str,
    store: ClipStore | Path | str,
    *,
    device: str = "auto",
    precision: str = "32",
    batch_size: int = 16,
    progress: Progress | None = None,
) -> TemperatureScaling:
    """Fit one temperature on a run's validation part and keep it in the run folder, from where every reading takes it.

    Minimised is the soft cross-entropy between the votes and the softmax of logits / T: between the votes as the
    network was taught them (`VoteReading.taught`) where vote shares are read off the output, so that these stay right.
    A run with hard labels is fitted to the labels: then it is the negative log-likelihood. The predicted class stays.

    Args:
        run: a run, or its folder. One that is calibrated is calibrated again.
        store: the clips that it was trained on, or the folder of their store.
        device: auto, cpu or cuda.
        precision: 32, bf16 or auto.
        batch_size: clips per step.
        progress: called for each clip.

    Returns:
        The temperature, and how it was found.

    Raises:
        RequestError: it is no run, it has no validation part, the store is of other clips, none of its validation
            clips has what it is fitted to, or no temperature from .05 to 20 is the best.
        JobError: the output is not finite, or the file cannot be written.
    """
    trained = open_trained(run)
    made = trained.run
    store = store if isinstance(store, ClipStore) else ClipStore.open(store)
    if made is None:
        raise RequestError(
            f"{trained.title} does not record its validation clips; calibrate the run that it came from, and export it"
        )
    if not made.part("validation"):
        raise RequestError(
            f"{trained.title} has no validation part, and its test part must stay unseen; train with "
            "--validation_fraction 0.1"
        )
    if (store.dataset, store.class_names) != (trained.info.dataset, trained.info.class_names):
        raise RequestError(f"{trained.title} is calibrated on the store that it was trained on, not on {store.path}")
    trained = replace(trained, info=replace(trained.info, scaling=None))
    clips = choose_clips(trained, store, "validation").clips
    to_labels = made.config.labels == "hard" and bool(trained.info.no_vote_shares)
    if to_labels:
        clips = clips.select(clips.labels != NO_LABEL)
    if not len(clips):
        raise RequestError(f"no validation clip of {trained.title} has a single label to be fitted to")
    with reported(progress, len(clips)) as bar:
        logits = read_clips(trained, store, clips, 0, device, precision, batch_size, bar).passes[0]
    if to_labels:
        targets = torch.eye(logits.shape[1], dtype=torch.float64)[torch.from_numpy(clips.labels)]
    else:
        targets = trained.info.reading.taught(torch.from_numpy(votes_to_soft_labels(clips.votes)))
    temperature = fit_temperature(logits, targets)
    if not LEAST_TEMPERATURE * 1.001 < temperature < MOST_TEMPERATURE * 0.999:
        raise RequestError(
            f"no temperature from {LEAST_TEMPERATURE:g} to {MOST_TEMPERATURE:g} is best on the {len(clips)} validation "
            f"clips of {trained.title}; validate on more clips, or train longer"
        )
    scores = cross_entropy(logits, targets), cross_entropy(logits, targets, temperature)
    scaling = TemperatureScaling(temperature, len(clips), "labels" if to_labels else "votes", *scores)
    scaling.write(made)
    return scaling
