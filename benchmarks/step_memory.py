"""`python -m benchmarks.step_memory`: the most memory that a training step of the paper's recipe takes on a CPU.

8 clips of 8 frames of 224x224, tsm_resnet18, forward, loss, backward and SGD in bfloat16, one thread: the peak of the
whole process, PyTorch included; what reads the clips comes on top (docs/training.md).
"""

import resource

import torch
from torch.nn import functional as F

from midas_dfer.models import create_model
from midas_dfer.training.recipes.config import RunConfig


def main() -> None:
    """Take two steps and print the peak."""
    torch.set_num_threads(1)
    recipe = RunConfig()
    model = create_model(recipe.model, 7, recipe.num_frames).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    clips = torch.rand(recipe.batch_size, recipe.num_frames, 3, recipe.size, recipe.size)
    targets = torch.full((recipe.batch_size, 7), 1 / 7)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(clips).float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
