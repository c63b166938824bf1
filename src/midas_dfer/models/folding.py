"""Batch-norms folded into the convolutions before them, for networks that only read."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS, _NORMS = (nn.Conv2d, nn.Conv3d), (nn.BatchNorm2d, nn.BatchNorm3d)


def folded(model: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, that computes the same (to rounding) with fewer steps.

    In a trained network a batch-norm multiplies and adds constants, which the convolution before it can do. That is
    done in each `nn.Sequential`, and in this project's own modules, which compute their parts in the order in which
    they name them; a test holds every network of the zoo to that.
    """
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        if not (isinstance(parent, nn.Sequential) or type(parent).__module__.startswith("midas_dfer.")):
            continue
        for (name, child), (next_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(child, _CONVOLUTIONS) and isinstance(norm, _NORMS):
                setattr(parent, name, fuse_conv_bn_eval(child, norm))
                setattr(parent, next_name, nn.Identity())
    return model
