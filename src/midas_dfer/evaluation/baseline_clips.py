"""The clips that constant guesses are made from: those that a model learned from, or what is at hand instead."""

from contextlib import suppress

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import MidasError
from midas_dfer.manifest.classes import map_classes
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.sharing.trained import TrainedModel
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.baselines import LEARNED
from midas_dfer.wording import count


def baseline_clips(trained: TrainedModel, store: ClipStore, tested: Manifest, part: str) -> tuple[Manifest, str]:
    """Choose them, under the classes of `tested`, and say which they are: "the 192 training clips", for one."""
    learned = None if trained.run is None else _training_clips(trained.run, store)
    why = "not recorded" if trained.run is None else "not at hand"
    if learned is not None and len(clips := map_classes(learned, tested.class_names)):
        return clips, f"the {count(len(clips), 'clip')} {LEARNED}"
    return clips_at_hand(store.manifest, tested, part, why)


def clips_at_hand(known: Manifest, tested: Manifest, part: str, why: str) -> tuple[Manifest, str]:
    """The train part of all clips that are known, else the tested clips; `why`: what of those of the training."""
    train = known.partition().train
    if part != "all" and len(train) and len(clips := map_classes(train, tested.class_names)):
        number = count(len(clips), "clip")
        return clips, f"the {number} of the store's train part, as those that it learned from are {why}"
    return tested, f"the tested clips themselves, as those that it learned from are {why}"


def _training_clips(run: Run, store: ClipStore) -> Manifest | None:
    """The training clips of a run, from the store at hand if it is the run's, else from where that was."""
    made = run.provenance
    if store.fingerprint != made.store_fingerprint:
        home = None
        with suppress(MidasError, OSError):
            home = ClipStore.open(made.store)
        if home is None or home.fingerprint != made.store_fingerprint:
            return None
        store = home
    ids = run.part("train")
    return store.manifest.select([row for row, name in enumerate(store.manifest.video_ids) if name in ids])
