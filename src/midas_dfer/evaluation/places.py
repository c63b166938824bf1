"""Where scores go: a model's own test scores into its folder `evaluation`, all others into folders of their own."""

from pathlib import Path

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.errors import RequestError
from midas_dfer.sharing.trained import TrainedModel
from midas_dfer.training.scoring.scores import EVALUATION_FILE, Evaluation

_LONGEST = 40  # letters of a store's name: with all else, a folder's name has at most 255 bytes


def is_own_test(trained: TrainedModel, store: ClipStore, part: str) -> bool:
    """Whether these are the clips that a model kept for testing, as it knew them.

    Of a run that is told by the store's fingerprint. An exported model does not record its clips: of it, the test part
    of any store of its data set will do.
    """
    if part != "test":
        return False
    if trained.run is None:
        return bool(trained.info.dataset) and store.dataset == trained.info.dataset
    return store.fingerprint == trained.run.provenance.store_fingerprint


def evaluation_place(trained: TrainedModel, store: ClipStore, part: str) -> Path:
    """The folder for a model's scores on a part of a store, if no other is named; it never holds those on other clips.

    The scores on its own test part go into `evaluation`, which report and model card show. Others go into
    `evaluation-STORE-PART`; where that holds those of another store of this name, the fingerprint is added.
    """
    own = trained.evaluation_folder()
    name = f"{own.name}-{store.path.resolve().name[:_LONGEST]}-{part}"
    places = [own.with_name(name), own.with_name(f"{name}-{store.fingerprint[:8]}")]
    if is_own_test(trained, store, part):
        places.insert(0, own)
    return next((each for each in places if _is_for(each, own, trained, store, part)), places[-1])


def _is_for(place: Path, own: Path, trained: TrainedModel, store: ClipStore, part: str) -> bool:
    """Whether nothing is lost where scores on these clips are written into a folder."""
    if not (place / EVALUATION_FILE).exists():
        return True
    try:
        there = Evaluation.read(place)
    except RequestError:  # damaged: to evaluate again is the cure
        return True
    if not there.store_fingerprint:  # of an earlier version, which wrote any scores into `evaluation`
        return (place == own and trained.run is not None) or (there.dataset, there.part) == (store.dataset, part)
    return (there.store_fingerprint, there.part) == (store.fingerprint, part)
