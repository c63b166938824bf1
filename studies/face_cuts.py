"""What a network that was trained on crops reads in real video, by how the face is cut out of it.

`python -m studies.face_cuts RUN VIDEO...`, with a run on crops that were cut as `studies.reader.views` cuts those
called "boxed": the square around the detector's box, not turned, as DFEW's and FERV39k's are. Such crops of the videos'
own faces are what the network would have been trained on; readings of other cuts are compared with readings of these,
by the total variation distance of the mean probabilities over a face's frames. The measure to go by is the distance
that random jitter makes (the geometry of `clips.batches.jitter` alone, drawn once for a face): slight, within 6
degrees, 6 % of size and 5 % of the side (strength 0.4); and as much as the training crops themselves vary, in which
landmarks are spread by 6 to 8 % of the side (strength 0.8: within 12 degrees, 12 % and 10 %).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.batches.jitter import Jitter, apply_jitter, draw_jitter
from midas_dfer.clips.faces.detection import TEMPLATE, Face, align_face
from midas_dfer.clips.preparing.extract import fit, read_frames
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import DamagedVideoError, NoFaceError
from midas_dfer.predict.first_pass import find_tracks
from midas_dfer.predict.predictor import Predictor
from midas_dfer.predict.sources import CountedFrames, VideoFile
from midas_dfer.progress import NoProgress
from studies.reader.views import boxed

CUTS = (
    "as in predict",
    "the project's own template",
    "whole frames",
    "training crop, jittered slightly",
    "training crop, jittered",
)
FRAMES = 12
"""How many frames of a face are read, evenly spread."""
DRAWS, STRENGTHS = 8, (0.4, 0.8)

Crop = UInt8[np.ndarray, "S S 3"]


@dataclass(frozen=True)
class Distances:
    """Of one face.

    Attributes:
        name: of the video, and which face.
        of: total variation distance to the reading of training crops, for each of `CUTS`.
        same: whether the first class is the same, likewise.
    """

    name: str
    of: tuple[float, ...]
    same: tuple[float, ...]


def measure_video(predictor: Predictor, path: Path) -> list[Distances]:
    """The distances of every face in a video; none where no face is found."""
    try:
        source = VideoFile(path)
        seen = find_tracks(source, ExtractSettings(), CountedFrames(NoProgress(), 0))
    except NoFaceError:
        return []
    rows = {}
    for number, track in enumerate(seen.tracks, start=1):
        for row in np.unique(np.linspace(0, len(track) - 1, FRAMES).astype(int)):
            if track.detected[row]:
                rows[int(track.frames[row]), number] = row
    crops: dict[int, list[list[Crop]]] = {}
    wanted = {frame for frame, _ in rows}
    try:
        for frame in read_frames(path, wanted=wanted.__contains__):
            for number, track in enumerate(seen.tracks, start=1):
                if (row := rows.get((frame.index, number))) is None:
                    continue
                face = Face(track.boxes[row], 1.0, track.landmarks[row])
                size = predictor.settings.size
                aligned = [align_face(frame.image, face.landmarks, size, t) for t in (predictor.template, TEMPLATE)]
                trained = fit(boxed(frame.image, face, round(float(max(face.box[2:])))), size)
                cuts = [trained, *aligned, fit(frame.image, size)]
                crops.setdefault(number, [[] for _ in cuts])
                for cut, crop in zip(crops[number], cuts, strict=True):
                    cut.append(np.ascontiguousarray(crop[..., ::-1]))
    except DamagedVideoError:
        pass
    return [_distances(predictor, f"{path.name}, face {number}", cuts) for number, cuts in crops.items()]


def _distances(predictor: Predictor, name: str, cuts: list[list[Crop]]) -> Distances:
    truth, *others = (_reading(predictor, np.stack(cut)) for cut in cuts)
    generator = torch.Generator().manual_seed(0)
    jittered = [
        [
            _reading(predictor, apply_jitter(np.stack(cuts[0]), _geometry(draw_jitter(strength, generator=generator))))
            for _ in range(DRAWS)
        ]
        for strength in STRENGTHS
    ]
    groups = [[each] for each in others] + jittered
    return Distances(
        name,
        tuple(float(np.mean([np.abs(each - truth).sum() / 2 for each in group])) for group in groups),
        tuple(float(np.mean([each.argmax() == truth.argmax() for each in group])) for group in groups),
    )


def _geometry(drawn: Jitter) -> Jitter:
    return Jitter(angle=drawn.angle, zoom=drawn.zoom, stretch=drawn.stretch, right=drawn.right, down=drawn.down)


def _reading(predictor: Predictor, crops: UInt8[np.ndarray, "n S S 3"]) -> Float[np.ndarray, "K"]:
    views = apply_crop(crops, None, predictor.info.size)
    probabilities, _ = predictor.predict_clips(views[:, None].expand(-1, predictor.info.num_frames, -1, -1, -1))
    return probabilities.double().numpy().mean(axis=0)


def main() -> None:
    """Print a line for each face, then the mean over faces."""
    flags = argparse.ArgumentParser(description=main.__doc__)
    flags.add_argument("run", type=Path)
    flags.add_argument("videos", type=Path, nargs="+")
    request = flags.parse_args()
    predictor = Predictor.from_pretrained(request.run, device="cpu")
    found = []
    for path in request.videos:
        for each in measure_video(predictor, path):
            print(f"{each.name:<42}" + "".join(f"{distance:8.3f}" for distance in each.of), flush=True)
            found.append(each)
    for number, cut in enumerate(CUTS):
        distances = [each.of[number] for each in found]
        print(
            f"{cut:<34} n = {len(found)}; total variation mean {np.mean(distances):.3f}, median "
            f"{np.median(distances):.3f}; same class {np.mean([each.same[number] for each in found]):.0%}"
        )


if __name__ == "__main__":
    main()
