"""How a model's faces are cut out of frames: as those were that it learned from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from midas_dfer.clips.batches.augment import apply_crop
from midas_dfer.clips.faces.detection import align_face
from midas_dfer.clips.preparing.extract import fit
from midas_dfer.clips.store.settings import ExtractSettings


@dataclass(frozen=True)
class Cutter:
    """How a model's faces are cut out of frames: `crop` as a store keeps them (RGB), `view` as the model sees these."""

    crop: Callable[[UInt8[np.ndarray, "H W 3"], Float32[np.ndarray, "5 2"]], UInt8[np.ndarray, "C C 3"]]
    view: Callable[[UInt8[np.ndarray, "C C 3"]], UInt8[Tensor, "3 S S"]]


def cutter_of(settings: ExtractSettings, template: Float64[np.ndarray, "5 2"], size: int) -> Cutter:
    """Cut faces as a store with these settings keeps them, with their landmarks at the template's, or frames whole.

    Args:
        settings: with `faces` "cropped", each frame is a face.
        template: where the landmarks lie in a crop, in parts of its side.
        size: of what the model sees, in pixels.
    """

    def crop(
        image_bgr: UInt8[np.ndarray, "H W 3"], landmarks: Float32[np.ndarray, "5 2"]
    ) -> UInt8[np.ndarray, "C C 3"]:
        if settings.faces == "cropped":
            face = fit(image_bgr, settings.size)
        else:
            face = align_face(image_bgr, landmarks, settings.size, template)
        return np.ascontiguousarray(face[:, :, ::-1])

    return Cutter(crop, lambda face: apply_crop(face[None], None, size)[0])
