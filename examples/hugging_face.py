"""Hugging Face's Trainer with MIDAS: training batches are mixed, those of the evaluation are not.

    pip install transformers accelerate
    python examples/hugging_face.py

VideoMAE starts from random weights here, so that nothing is downloaded; in earnest take
VideoMAEForVideoClassification.from_pretrained("MCG-NJU/videomae-base", num_labels=...).
"""

import tempfile

import torch
from torch.utils.data import DataLoader, Dataset, default_collate
from transformers import Trainer, TrainingArguments, VideoMAEConfig, VideoMAEForVideoClassification

from made_up import CLASSES, MadeUpClips
from midas_dfer import MIDAS, SoftTargetCrossEntropy
from midas_dfer.mixing import MixCollate


class Dictionaries(Dataset):
    """Samples as a Trainer has them, under the keys that `MixCollate` looks for (others: keys=(clip, label, id))."""

    def __init__(self, clips: MadeUpClips) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> dict:
        clip, soft_label, video_id = self.clips[row]
        return {"pixel_values": clip, "labels": soft_label, "video_id": video_id}


def plain_collate(samples: list[dict]) -> dict:
    """A batch as it is, without the id, which no model takes."""
    return default_collate([{key: sample[key] for key in ("pixel_values", "labels")} for sample in samples])


class MixingTrainer(Trainer):
    """A Trainer has one collator for training and evaluation; only training is to be mixed."""

    def get_train_dataloader(self) -> DataLoader:
        plain, self.data_collator = self.data_collator, MixCollate(MIDAS(alpha=0.4))
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = plain


def soft_loss(outputs, labels, num_items_in_batch=None) -> torch.Tensor:
    """The loss of the paper; the model's own would take distributions for several classes at once."""
    return SoftTargetCrossEntropy()(outputs.logits, labels)


def main() -> None:
    config = VideoMAEConfig(
        image_size=32,
        patch_size=16,
        num_frames=4,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=len(CLASSES),
    )
    with tempfile.TemporaryDirectory() as out:
        trainer = MixingTrainer(
            model=VideoMAEForVideoClassification(config),
            args=TrainingArguments(
                output_dir=out,
                num_train_epochs=2,
                per_device_train_batch_size=8,
                remove_unused_columns=False,  # else the ids are taken away before the collator sees them
                report_to=[],
                save_strategy="no",
                use_cpu=True,
                seed=0,
            ),
            train_dataset=Dictionaries(MadeUpClips(25)),
            eval_dataset=Dictionaries(MadeUpClips(12, seed=1)),
            data_collator=plain_collate,
            compute_loss_func=soft_loss,
        )
        trainer.train()
        scores = trainer.evaluate()
    print(f"loss {scores['eval_loss']:.3f} on unseen clips, which are not mixed")


if __name__ == "__main__":
    main()
