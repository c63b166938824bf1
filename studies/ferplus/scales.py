"""How large the gradients of each kind of target are, on the study's own labels.

The gradient of the cross-entropy at the logits is p - t, prediction less target. A network begins with p = 1/K, so its
first gradients are 1/K - t: they are as long as the target is far from uniform. `gradient_scales` compares that length
between methods. Of one-hot labels the softmax of probabilities leaves (e - 1) / (e + K - 1) of it, 1 / 5.66 for K = 8.
"""

import numpy as np
import torch

from midas_dfer.clips.batches.sampling import generator_for
from midas_dfer.labels import NO_LABEL, entropy, votes_to_soft_labels
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.training.mixers import make_mixing
from midas_dfer.training.recipes.config import RunConfig
from studies.ferplus.grid import METHODS


def gradient_scales(manifest: Manifest) -> dict[str, dict[str, float]]:
    """Measure the targets of each method.

    Args:
        manifest: the training pictures.

    Returns:
        for each method, of its targets: `length`, the mean distance from the uniform distribution; `spread`, the mean
        difference of the largest and the smallest entry; `entropy`, the mean in nats, which is the lowest loss that
        a network could reach.
    """
    K = len(manifest.class_names)
    found = {}
    for method, settings in METHODS.items():
        config = RunConfig(**settings)
        kept = manifest.select(manifest.labels != NO_LABEL) if config.labels == "hard" else manifest
        if config.labels == "hard":
            targets = torch.eye(K)[torch.from_numpy(kept.labels)]
        else:
            targets = torch.from_numpy(votes_to_soft_labels(kept.votes)).float()
        mixing = make_mixing(config, kept.video_ids, targets)
        if mixing is not None:
            pixels = torch.zeros(len(kept), 1)  # a mixer wants clips; only the labels are looked at
            generator = generator_for(0, 0, "", purpose="scales")
            _, targets = mixing.mixer(pixels, targets, video_ids=kept.video_ids, generator=generator)
        shares = targets.double().numpy()
        found[method] = {
            "length": float(np.linalg.norm(shares - 1 / K, axis=1).mean()),
            "spread": float((shares.max(axis=1) - shares.min(axis=1)).mean()),
            "entropy": float(entropy(shares / shares.sum(axis=1, keepdims=True)).mean()),
        }
    return found
