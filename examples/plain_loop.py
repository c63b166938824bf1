"""MIDAS in a training loop of your own: three lines more than without.

python examples/plain_loop.py
"""

import torch
from torch.utils.data import DataLoader

from made_up import CLASSES, MadeUpClips
from midas_dfer import MIDAS, SoftTargetCrossEntropy, create_model, implied_vote_shares

EPOCHS = 3


def main() -> None:
    torch.manual_seed(0)
    # 25 clips in batches of 8: the last batch is a single clip, which has nobody to be mixed with and is not mixed.
    train = DataLoader(MadeUpClips(25), batch_size=8, shuffle=True)
    test = MadeUpClips(12, seed=1)
    model = create_model("tsm_resnet18", num_classes=len(CLASSES), width=8)  # or any network that takes your clips
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)

    mixer, criterion = MIDAS(alpha=0.4), SoftTargetCrossEntropy()
    generator = torch.Generator().manual_seed(0)  # all that is random about the mixing comes from it
    for epoch in range(1, EPOCHS + 1):
        model.train()
        total = 0.0
        for clips, soft_labels, video_ids in train:
            mixed, targets = mixer(clips, soft_labels, video_ids=video_ids, generator=generator)
            loss = criterion(model(mixed), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(train):.3f} on mixed clips")

    model.eval()
    with torch.inference_mode():
        logits = model(test.clips)  # never mixed
    # MIDAS trains on the softmax of votes, so the votes are read back from the logits, not from their softmax.
    shares = implied_vote_shares(logits)
    off = (shares - test.soft_labels).abs().sum(dim=1).mean() / 2
    print(f"{off:.0%} of the votes of unseen clips would have to be moved to be as predicted")


if __name__ == "__main__":
    main()
