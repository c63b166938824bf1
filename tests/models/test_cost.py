import pytest
import torch

from midas_dfer.errors import RequestError
from midas_dfer.models.cost import model_cost
from midas_dfer.models.zoo import MODELS, list_models


def convolution(out_side, in_channels, out_channels, kernel):
    return out_side**2 * in_channels * out_channels * kernel**2


def test_cost_of_a_small_network_counted_by_hand():
    """A TSM-ResNet-18 of width 8 on clips of 2 x 32 x 32: the sides are 16, 8, 8, 4, 2 and 1."""
    frame = convolution(16, 3, 8, 7) + 4 * convolution(8, 8, 8, 3)
    for side, channels in ((4, 16), (2, 32), (1, 64)):
        frame += convolution(side, channels // 2, channels, 3) + 3 * convolution(side, channels, channels, 3)
        frame += convolution(side, channels // 2, channels, 1)
    frame += 64 * 5
    cost = model_cost("tsm_resnet18", num_classes=5, num_frames=2, size=32, width=8)
    assert cost.multiply_adds == 2 * frame


def test_published_costs_are_the_defaults():
    cost = model_cost("tsm_resnet18", num_classes=1000)
    assert cost.parameters == 11_689_512  # torchvision's resnet18; the shift adds none
    assert cost.multiply_adds / 1e9 == pytest.approx(14.6, rel=0.03)


def test_cost_computes_nothing():
    before = torch.random.get_rng_state()
    model_cost("tsm_resnet34", num_frames=64, size=1024)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", list_models())
def test_listed_costs_are_those_counted(name):
    cost = model_cost(name)
    assert MODELS[name].cost == (cost.parameters, cost.multiply_adds)


def test_unknown_names_are_refused():
    with pytest.raises(RequestError, match="Did you mean 'tsm_resnet18'"):
        model_cost("tsm_resnet8")
