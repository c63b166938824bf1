"""Networks from clips ``[B, T, 3, H, W]`` to logits ``[B, K]``, made by name with `create_model`.

One file per network, hence their number; `zoo` lists them by name. What they share: `clip_model` (clips in, logits
out), `blocks`, `transformer`, `recurrent`, `shifted`; `weights`, `pretrained`, `packaged`, `onnx_weights` load weights;
`activation_maps` and `cost` look at any of them; `folding` makes them faster to read with,
`mirrored` and `scaled` change how a trained one is read.
"""

from midas_dfer.models.clip_model import ClipModel
from midas_dfer.models.tsm import TSMResNet
from midas_dfer.models.weights import WeightsReport, load_trunk
from midas_dfer.models.zoo import create_model, list_models

__all__ = ["ClipModel", "TSMResNet", "WeightsReport", "create_model", "list_models", "load_trunk"]
