"""Which pixels and frames speak for a class: complete where it can be, and of every network of the zoo."""

import pytest
import torch
from torch import nn

from midas_dfer.errors import RequestError
from midas_dfer.models import create_model, list_models
from midas_dfer.models.activation_maps import class_activation_maps
from midas_dfer.models.clip_model import PUBLISHED_WIDTH
from midas_dfer.models.zoo import architecture
from tests.mixing.test_attention import K, Odd, Streams, Toy3d, same_state, seeded, state
from tests.models.test_models import settled_model


def random_clips(rows=3, frames=4, height=40, width=72):
    return torch.randn(rows, frames, 3, height, width, generator=seeded(2))


def zoo_model(name):
    width = 8 if architecture(name).scalable else PUBLISHED_WIDTH
    return create_model(name, K, 4, width=width, generator=seeded(0))


@pytest.mark.parametrize("chosen", [None, [4, 0, 2]])
def test_of_a_linear_head_over_averages_they_are_class_activation_maps_and_complete(chosen):
    model, clips = settled_model(), random_clips()
    classes = None if chosen is None else torch.tensor(chosen)
    found = class_activation_maps(model, clips, classes)
    with torch.no_grad():
        logits = model(clips)
        features = torch.stack([model.feature_maps(clip, 4) for clip in clips])
    classes = logits.argmax(dim=1) if classes is None else classes
    assert torch.equal(found.classes, classes)
    torch.testing.assert_close(found.logits, logits)
    # Zhou et al. 2016: the maps weighted as the classifier weighs them, over T x h x w places.
    expected = torch.einsum("btchw,bc->bthw", features, model.fc.weight[classes]) / (4 * 2 * 3)
    assert found.maps.shape == (3, 4, 2, 3)
    torch.testing.assert_close(found.maps, expected.detach(), atol=1e-6, rtol=1e-4)
    rest = logits.gather(1, classes.unsqueeze(1)).flatten() - model.fc.bias[classes]
    torch.testing.assert_close(found.maps.sum(dim=(1, 2, 3)), rest.detach(), atol=1e-5, rtol=1e-4)
    assert chosen is None or ((found.maps < 0).any() and (found.maps > 0).any())


def test_shares_of_the_frames():
    found = class_activation_maps(settled_model(), random_clips())
    for row in range(3):
        evidence = [max(0.0, value) for value in found.maps[row].flatten().tolist()]
        parts = [sum(evidence[6 * t : 6 * t + 6]) / sum(evidence) for t in range(4)]
        torch.testing.assert_close(found.frame_shares[row], torch.tensor(parts))


def test_a_frame_alone_gets_all():
    model, clips = settled_model(fold_div=None), torch.zeros(1, 4, 3, 32, 32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bn" in name or "downsample.1" in name or name == "fc.bias":
                parameter.copy_(parameter.abs() if name.endswith("weight") else torch.zeros(()))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.zero_()
    clips[0, 2] = torch.randn(3, 32, 32, generator=seeded(4))
    found = class_activation_maps(model, clips)
    assert found.frame_shares.tolist() == [[0.0, 0.0, 1.0, 0.0]]
    nothing = class_activation_maps(model, torch.zeros(1, 4, 3, 32, 32))
    assert nothing.frame_shares.tolist() == [[0.0] * 4]
    assert not nothing.maps.any()


@pytest.mark.parametrize("frames", [4, 5, 7])
def test_gradient_times_activity_of_a_3d_network_each_step_divided_among_its_frames(frames):
    torch.manual_seed(0)
    model, clips = Toy3d().eval(), random_clips(frames=frames)
    classes = torch.tensor([0, 2, 1])
    activity = model.maps(clips.transpose(1, 2)).detach().requires_grad_()
    logits = model.fc(model.norm(activity).relu().mean(dim=(2, 3, 4)))  # in place in the model, and not here
    logits[torch.arange(3), classes].sum().backward()
    steps = (activity * activity.grad).sum(dim=1).detach()
    expected = torch.zeros(3, frames, *steps.shape[2:])
    length = frames / steps.shape[1]
    for t in range(frames):
        for step in range(steps.shape[1]):
            shared = min(t + 1, (step + 1) * length) - max(t, step * length)
            expected[:, t] += max(shared, 0.0) / length * steps[:, step]
    found = class_activation_maps(model, clips, classes)
    torch.testing.assert_close(found.maps, expected)
    torch.testing.assert_close(found.maps.sum(dim=(1, 2, 3)), steps.sum(dim=(1, 2, 3)))


def test_streams_are_summed():
    torch.manual_seed(0)
    model, clips = Streams(), random_clips(height=30, width=36)
    found = class_activation_maps(model, clips)
    assert found.maps.shape == (3, 4, 10, 12)
    rest = found.logits.gather(1, found.classes.unsqueeze(1)).flatten() - model.fc.bias[found.classes]
    torch.testing.assert_close(found.maps.sum(dim=(1, 2, 3)), rest.detach(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", list_models())
def test_every_network_of_the_zoo(name):
    model, clips = zoo_model(name), torch.randn(2, 4, 3, 64, 64, generator=seeded(3))
    model.train()
    next(module for module in model.modules() if not list(module.children())).eval()
    before = state(model)
    found = class_activation_maps(model, clips, torch.tensor([1, 2]))
    assert same_state(before, state(model))
    assert found.maps.shape[:2] == (2, 4)
    assert found.maps.isfinite().all()
    assert found.maps.abs().sum(dim=(2, 3)).all()  # of every frame
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(found.logits, model(clips), atol=1e-5, rtol=1e-4)
    alone = class_activation_maps(model, clips[1:], torch.tensor([2]))
    torch.testing.assert_close(alone.maps, found.maps[1:], atol=1e-5, rtol=1e-3)


def test_frozen_weights_and_inference_mode():
    model, clips = settled_model(), random_clips()
    expected = class_activation_maps(model, clips)
    model.requires_grad_(False)
    with torch.inference_mode():
        found = class_activation_maps(model, clips.clone())
    torch.testing.assert_close(found.maps, expected.maps)
    assert not found.maps.requires_grad


def test_wrong_requests():
    model, clips = settled_model(), random_clips()
    with pytest.raises(RequestError, match="2 classes for 3 clips"):
        class_activation_maps(model, clips, torch.tensor([0, 1]))
    with pytest.raises(RequestError, match="expected 0 to 4"):
        class_activation_maps(model, clips, torch.tensor([0, 1, 5]))
    with pytest.raises(RequestError, match="do not all lead to its logits"):
        class_activation_maps(Odd(("last",)), clips)
    with pytest.raises(RequestError, match="does not say where its maps are"):
        class_activation_maps(nn.Flatten(), clips)
