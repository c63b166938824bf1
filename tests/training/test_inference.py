"""Logits of clips: each frame is computed once where the network sees frames alone, and the result is the same."""

import pytest
import torch

from midas_dfer.clips.batches.augment import normalize_pixels
from midas_dfer.models import create_model
from midas_dfer.models.mirrored import Mirrored
from midas_dfer.training.inference import predict_logits

CPU = torch.device("cpu")


def clips_sharing_frames() -> torch.Tensor:
    frames = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    return frames[torch.tensor([[0, 1, 2, 3], [2, 3, 4, 5], [5, 5, 5, 5], [3, 2, 1, 0]])]


@pytest.mark.parametrize("name", ["mean_resnet18", "still_resnet10", "still_sface", "tsm_resnet18", "tsm_sface"])
@pytest.mark.parametrize("mirrored", [False, True], ids=["plain", "mirrored"])
def test_frames_that_are_seen_alone_are_computed_once(name, mirrored):
    width = None if "sface" in name else 8
    model = create_model(name, 3, 4, width=width, generator=torch.Generator().manual_seed(1))
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[0] * inputs[0].shape[1]))
    network = Mirrored(model).eval() if mirrored else model.eval()
    clips = clips_sharing_frames()
    with torch.inference_mode():
        expected = network(normalize_pixels(clips))
    seen.clear()
    found = predict_logits(network, clips, CPU)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    alone = not name.startswith("tsm")
    assert sum(seen) == (6 if alone else 16) * (2 if mirrored else 1)
