"""A LightningModule that takes every mixer, those that mix inside the network included.

python examples/lightning_module.py
"""

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from made_up import CLASSES, MadeUpClips
from midas_dfer import MIDAS, CutMix, ManifoldMixup, SoftTargetCrossEntropy, create_model
from midas_dfer.mixing import Mixer, RandomChoice


class MixedTraining(lightning.LightningModule):
    """Mixes, predicts, compares.

    Args:
        mixer: any of midas_dfer.mixing.
        seed: of all that is drawn for mixing.
    """

    def __init__(self, mixer: Mixer, seed: int = 0) -> None:
        super().__init__()
        self.model = create_model("tsm_resnet18", num_classes=len(CLASSES), width=8)
        self.mixer, self.criterion, self.seed = mixer, SoftTargetCrossEntropy(), seed

    def training_step(self, batch: tuple[Tensor, Tensor, list[str]], batch_idx: int) -> Tensor:
        clips, soft_labels, video_ids = batch
        # Of the step's own number: what is drawn is the same after a restart from a checkpoint.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step)
        plan = self.mixer.draw(video_ids, generator=generator)
        logits, targets = self.mixer.through(self.model, clips, soft_labels, plan)
        loss = self.criterion(logits, targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, list[str]], batch_idx: int) -> None:
        clips, soft_labels, _ = batch  # never mixed
        self.log("val_loss", self.criterion(self.model(clips), soft_labels), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9)


def main() -> None:
    torch.manual_seed(0)
    either = RandomChoice((MIDAS(alpha=0.4, normalization="none"), CutMix(), ManifoldMixup()))
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(
        MixedTraining(either),
        DataLoader(MadeUpClips(24), batch_size=8, shuffle=True),
        DataLoader(MadeUpClips(12, seed=1), batch_size=8),
    )
    print(f"loss {trainer.callback_metrics['val_loss']:.3f} on unseen clips, which are not mixed")


if __name__ == "__main__":
    main()
