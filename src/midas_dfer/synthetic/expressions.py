"""Which facial action units each of the seven emotions of DFEW moves, and how far.

The combinations are those of the Emotional Facial Action Coding System (Ekman, Friesen and Hager, 2002), with
intensities chosen for drawn faces.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from midas_dfer.synthetic.face.anatomy import ACTION_UNITS, Expression

EMOTIONS: tuple[str, ...] = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
"""Class names in the order of DFEW."""

PROTOTYPES: dict[str, Expression] = {
    "happy": Expression(au6=0.9, au12=1.0, au25=0.75, au26=0.12),
    "sad": Expression(au1=1.0, au4=0.55, au15=1.0, au17=0.55, au43=0.12, gaze_y=0.35),
    "neutral": Expression(),
    "angry": Expression(au4=1.0, au5=0.35, au7=0.75, au10=0.2, au17=0.3, au23=0.8, au24=0.6),
    "surprise": Expression(au1=1.0, au2=1.0, au5=0.9, au25=1.0, au26=0.95),
    "disgust": Expression(au4=0.6, au6=0.35, au7=0.6, au9=1.0, au10=1.0, au15=0.45, au17=0.35, au25=0.35),
    "fear": Expression(au1=1.0, au2=0.55, au4=0.65, au5=1.0, au7=0.15, au20=1.0, au25=0.8, au26=0.22),
}
"""The face of each emotion at its full intensity."""

_FIELDS = (*ACTION_UNITS, "gaze_x", "gaze_y")
_MATRIX: Float64[np.ndarray, "K A"] = np.array(
    [[getattr(PROTOTYPES[name], field) for field in _FIELDS] for name in EMOTIONS]
)


def expression_of(
    activations: Float64[np.ndarray, " K"], *, style: Float64[np.ndarray, " A"] | None = None, asymmetry: float = 0.0
) -> Expression:
    """The face of a mixture of emotions."""
    values = activations @ _MATRIX
    units = len(ACTION_UNITS)
    if style is not None:
        values[:units] *= style
    values[:units] = np.clip(values[:units], 0.0, 1.1)
    fields = dict(zip(_FIELDS, (float(value) for value in values), strict=True))
    return replace(Expression(asymmetry=asymmetry), **fields)
