"""A network of timm on still faces, with soft labels and MIDAS.

pip install timm
python examples/timm_model.py
"""

import timm
import torch
from torch.utils.data import DataLoader

from made_up import CLASSES, MadeUpClips
from midas_dfer import MIDAS, SoftTargetCrossEntropy

EPOCHS = 2


def main() -> None:
    torch.manual_seed(0)
    train = DataLoader(MadeUpClips(24), batch_size=8, shuffle=True)
    model = timm.create_model("resnet18", pretrained=False, num_classes=len(CLASSES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    # timm's own Mixup mixes row b with row B - b, so with another clip of the same video where there is one, and takes
    # class numbers alone. timm.loss.SoftTargetCrossEntropy would do as the loss as well.
    mixer, criterion = MIDAS(alpha=0.4), SoftTargetCrossEntropy()
    generator = torch.Generator().manual_seed(0)
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        for clips, soft_labels, video_ids in train:
            stills = clips[:, 0]  # [B, 3, H, W]: a mixer takes whatever has the batch as its first axis
            mixed, targets = mixer(stills, soft_labels, video_ids=video_ids, generator=generator)
            loss = criterion(model(mixed), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(train):.3f} on mixed stills")


if __name__ == "__main__":
    main()
