"""`midas_dfer.training.processes.fit_process` with every batch norm frozen where a recipe freezes all but the first.

Statistics of batches are then no part of a training, and what is left must not depend on the number of processes.
"""

import sys
from collections.abc import Iterable

from torch import nn

from midas_dfer.training import recognizer
from midas_dfer.training.processes import fit_process


def all_batch_norms(model: nn.Module) -> Iterable[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


if __name__ == "__main__":
    recognizer.later_batch_norms = all_batch_norms
    sys.exit(fit_process.work())
