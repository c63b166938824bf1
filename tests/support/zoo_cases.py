"""Small models of each architecture of the zoo, the same in every test."""

import torch

from midas_dfer.models import create_model, list_models
from midas_dfer.models.zoo import architecture

NAMES = list_models()
SIDE = 32

EXPORTED = {
    "cnn_gru_resnet18",
    "former_dfer",
    "resnet3d_18",
}
"""One of each kind of arithmetic: an export takes ten seconds. The command's own tests export tsm_resnet18; `make
bench-models` exports them all, at full size."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def small_model(name, num_classes=5, num_frames=4, **options):
    """Width 8 where the architecture scales."""
    width = 8 if architecture(name).scalable else 64
    return create_model(name, num_classes, num_frames, width=width, generator=seeded(0), **options)


def settled_model(name, **options):
    """In evaluation mode, with running statistics of some clips and logits that are not all but zero."""
    model = small_model(name, dropout=0.0, **options)
    generator = seeded(1)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 4, 3, SIDE, SIDE, generator=generator))
        for head in model.heads:
            for value in model.get_submodule(head).parameters():
                value.copy_(torch.randn(value.shape, generator=generator) / max(value.shape[-1], 1) ** 0.5)
    return model.eval()


def some_clips(batch=2, num_frames=4, side=SIDE, seed=2):
    return torch.randn(batch, num_frames, 3, side, side, generator=seeded(seed))
