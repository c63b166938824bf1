"""A picture of FER+ as a clip whose frames are the ways in which a face may be cut.

The published crop shows the face from brows to chin. What the project cuts out of a video is turned upright and shows
more around it (`clips.faces.TEMPLATE`). A reader has to know both, so the training clip of a picture has both as
frames, and training draws one of them. The face is looked for in the picture enlarged four times; where none is found,
the published crop is the only frame. To measure one cut alone, clips of just that frame are written.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from midas_dfer.clips.faces.detection import Face, FaceDetector, align_face
from midas_dfer.clips.preparing.prepare import prepare
from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.datasets.published.ferplus import read_ferplus
from midas_dfer.errors import RequestError
from midas_dfer.files import make_folder, write_file
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.progress import Progress
from studies.reader.parts import KEPT_BACK, read_kept_back, with_parts

SIZE = 64
"""Side of the stored pictures."""

ENLARGED = 4
"""How many times a picture is enlarged to look for the face in it."""

Cut = Literal["published", "aligned", "boxed"]
CUTS: tuple[Cut, ...] = ("published", "aligned", "boxed")
"""The picture as it is; cut by landmarks as out of a video; cut by the detector's box, not turned, as in DFEW."""


def read_pictures(root: Path, kept_back: Path = KEPT_BACK) -> tuple[Manifest, UInt8[np.ndarray, "N 48 48"]]:
    """FER+'s training and validation pictures with their votes, in our own parts.

    Args:
        root: FER+ as it is published.
        kept_back: the list of pictures for validation and testing.

    Raises:
        RequestError: a picture is missing or unreadable, or these are other pictures than the published ones.
    """
    manifest = read_ferplus(root)
    manifest = with_parts(manifest.select((manifest.table["split"] != "test").to_numpy()), read_kept_back(kept_back))
    pictures = []
    for path in manifest.table["path"].to_list():
        picture = cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE)
        if picture is None or picture.shape != (48, 48):
            raise RequestError(f"{root / path} is missing or no picture of 48x48 pixels; unpack FER+ again")
        pictures.append(picture)
    return manifest, np.stack(pictures)


def pool_copies(manifest: Manifest, pictures: UInt8[np.ndarray, "N 48 48"]) -> Manifest:
    """Make one training clip of pictures with the same pixels, with the votes on all of them: twenty for two.

    Pictures of the other parts stay as they are.
    """
    places = defaultdict(list)
    for place, (picture, split) in enumerate(zip(pictures, manifest.table["split"], strict=True)):
        places[picture.tobytes() if split == "train" else place].append(place)
    votes = manifest.votes.copy()
    for same in places.values():
        votes[same[0]] = votes[same].sum(axis=0)
    kept = sorted(same[0] for same in places.values())
    return manifest.with_columns(votes=votes.tolist()).with_majority_labels().select(kept)


def cut_face(
    picture: UInt8[np.ndarray, "48 48"], cut: Cut, detector: FaceDetector
) -> UInt8[np.ndarray, "S S 3"] | None:
    """Cut a face out of a picture as `cut` says; None where no face is found in it."""
    if cut == "published":
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    large = cv2.resize(picture, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    large = cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)
    faces = detector.detect(large)
    if not faces:
        return None
    return align_face(large, faces[0].landmarks, SIZE) if cut == "aligned" else boxed(large, faces[0], SIZE)


def boxed(image: UInt8[np.ndarray, "H W 3"], face: Face, size: int) -> UInt8[np.ndarray, "S S 3"]:
    """The square around the detector's box; beyond the picture its border is repeated."""
    x, y, width, height = face.box
    scale = size / max(width, height)
    middle = np.array([x + width / 2, y + height / 2])
    move = np.array([size / 2, size / 2]) - scale * middle
    matrix = np.array([[scale, 0.0, move[0]], [0.0, scale, move[1]]])
    shrunk = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shrunk, dtype=np.uint8)


def make_store(
    manifest: Manifest,
    pictures: UInt8[np.ndarray, "N 48 48"],
    cuts: Sequence[Cut],
    out: Path,
    *,
    progress: Progress,
) -> ClipStore:
    """Write a store of the pictures, each cut in the ways named, or go on where an earlier call stopped.

    Args:
        manifest: the pictures.
        pictures: likewise.
        cuts: one frame each; a picture of which none can be had is left out.
        out: folder of the store; the frames are written beside it first.
        progress: told of each clip.
    """
    frames, detector, found = out.with_name(f"{out.name}_frames"), FaceDetector(), []
    progress.start(len(manifest))
    for name, picture in zip(manifest.video_ids, pictures, strict=True):
        folder = frames / name
        if not (folder / "1.png").exists():
            make_folder(folder)
            faces = [face for cut in cuts if (face := cut_face(picture, cut, detector)) is not None]
            for number in range(len(faces), 0, -1):  # the first comes last: it says that all are there
                write_file(folder / f"{number}.png", cv2.imencode(".png", faces[number - 1])[1].tobytes())
        found.append(any(folder.glob("*.png")))
        progress.advance()
    progress.finish()
    clips = manifest.select(np.array(found, dtype=np.bool_)).with_columns(
        path=[name for name, there in zip(manifest.video_ids, found, strict=True) if there]
    )
    prepare(clips, frames, out, settings=ExtractSettings(faces="cropped", size=SIZE), progress=progress)
    return ClipStore.open(out)
