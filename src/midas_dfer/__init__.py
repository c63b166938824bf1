"""midas-dfer: emotion recognition in video from ambiguous labels.

From votes and videos to a trained and honestly evaluated model, a report, and predictions for any video. The
mixing of MIDAS (Kawamura et al., WACV 2024) works on its own in `midas_dfer.mixing`. The names below are
public; each is imported on first use, so `import midas_dfer` costs nothing.
"""

from typing import TYPE_CHECKING

from midas_dfer.exports import lazy_exports
from midas_dfer.version import __version__ as __version__

_PUBLIC = {
    "votes_to_soft_labels": "labels",
    "majority_labels": "labels",
    "entropy": "labels",
    "Manifest": "manifest.manifest",
    "Sample": "manifest.sample",
    "ClipStore": "clips.store.clip_store",
    "ClipDataset": "clips.batches.dataset",
    "ClipBatch": "clips.batches.dataset",
    "ClipLoader": "clips.batches.loader",
    "ClipView": "clips.batches.dataset",
    "sample_segments": "clips.batches.sampling",
    "iter_frames": "video.read",
    "find_faces": "clips.faces.one_picture",
    "align": "clips.faces.one_picture",
    "MIDAS": "mixing.midas",
    "Mixup": "mixing.midas",
    "CutMix": "mixing.regions",
    "ManifoldMixup": "mixing.features",
    "MixPlan": "mixing.plan",
    "mix_and_normalize": "mixing.fused",
    "implied_vote_shares": "mixing.normalization",
    "create_model": "models.zoo",
    "list_models": "models.zoo",
    "SoftTargetCrossEntropy": "losses",
    "IntensityAwareLoss": "losses",
    "balanced_class_weights": "losses",
    "uar": "metrics",
    "war": "metrics",
    "confusion_matrix": "metrics",
    "prepare": "clips.preparing.prepare",
    "RunConfig": "training.recipes.config",
    "train": "training.train",
    "resume": "training.train",
    "evaluate": "evaluation.evaluate",
    "cross_validate": "experiments.crossval",
    "save_pretrained": "sharing.folder",
    "from_pretrained": "sharing.trained",
    "export_onnx": "sharing.onnx",
    "Predictor": "predict.predictor",
    "live": "predict.live",
    "MidasError": "errors",
    "RequestError": "errors",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]

__getattr__, __dir__ = lazy_exports(__name__, _PUBLIC)

if TYPE_CHECKING:
    from midas_dfer.clips.batches.dataset import ClipBatch as ClipBatch
    from midas_dfer.clips.batches.dataset import ClipDataset as ClipDataset
    from midas_dfer.clips.batches.dataset import ClipView as ClipView
    from midas_dfer.clips.batches.loader import ClipLoader as ClipLoader
    from midas_dfer.clips.batches.sampling import sample_segments as sample_segments
    from midas_dfer.clips.faces.one_picture import align as align
    from midas_dfer.clips.faces.one_picture import find_faces as find_faces
    from midas_dfer.clips.preparing.prepare import prepare as prepare
    from midas_dfer.clips.store.clip_store import ClipStore as ClipStore
    from midas_dfer.errors import MidasError as MidasError
    from midas_dfer.errors import RequestError as RequestError
    from midas_dfer.evaluation.evaluate import evaluate as evaluate
    from midas_dfer.experiments.crossval import cross_validate as cross_validate
    from midas_dfer.labels import entropy as entropy
    from midas_dfer.labels import majority_labels as majority_labels
    from midas_dfer.labels import votes_to_soft_labels as votes_to_soft_labels
    from midas_dfer.losses import IntensityAwareLoss as IntensityAwareLoss
    from midas_dfer.losses import SoftTargetCrossEntropy as SoftTargetCrossEntropy
    from midas_dfer.losses import balanced_class_weights as balanced_class_weights
    from midas_dfer.manifest.manifest import Manifest as Manifest
    from midas_dfer.manifest.sample import Sample as Sample
    from midas_dfer.metrics import confusion_matrix as confusion_matrix
    from midas_dfer.metrics import uar as uar
    from midas_dfer.metrics import war as war
    from midas_dfer.mixing.features import ManifoldMixup as ManifoldMixup
    from midas_dfer.mixing.fused import mix_and_normalize as mix_and_normalize
    from midas_dfer.mixing.midas import MIDAS as MIDAS
    from midas_dfer.mixing.midas import Mixup as Mixup
    from midas_dfer.mixing.normalization import implied_vote_shares as implied_vote_shares
    from midas_dfer.mixing.plan import MixPlan as MixPlan
    from midas_dfer.mixing.regions import CutMix as CutMix
    from midas_dfer.models.zoo import create_model as create_model
    from midas_dfer.models.zoo import list_models as list_models
    from midas_dfer.predict.live import live as live
    from midas_dfer.predict.predictor import Predictor as Predictor
    from midas_dfer.sharing.folder import save_pretrained as save_pretrained
    from midas_dfer.sharing.onnx import export_onnx as export_onnx
    from midas_dfer.sharing.trained import from_pretrained as from_pretrained
    from midas_dfer.training.recipes.config import RunConfig as RunConfig
    from midas_dfer.training.train import resume as resume
    from midas_dfer.training.train import train as train
    from midas_dfer.video.read import iter_frames as iter_frames
