from dataclasses import replace

import pytest
import torch
from benchmarks.learning import Recipe, as_expected, both_ways, draw_batch, learn, markdown, smiles

SIZE = 32
RECIPE = Recipe(steps=100, learning_rate=6e-3, clips=6)


@pytest.fixture(scope="module")
def people():
    """Some to learn from and others to be tested on, clips of three frames."""
    return smiles(20, 3, SIZE + 4, seed=0), smiles(12, 3, SIZE + 4, seed=1)


def test_both_classes_hold_the_same_frames(people):
    clips, labels = both_ways(people[1])
    assert labels.tolist() == [0] * 12 + [1] * 12
    assert torch.equal(clips[12:].flip(1), clips[:12])


def test_the_mouth_changes_from_the_first_frame_to_the_last(people):
    """And more than the forehead does: it is a smile that begins, not a head that moves."""
    change = (people[0][:, -1].float() - people[0][:, 0].float()).abs().mean(dim=(0, 1))
    middle = slice(SIZE // 3, 2 * SIZE // 3)
    assert change[SIZE // 2 :, middle].mean() > 1.5 * change[: SIZE // 4, middle].mean()


def test_a_clip_is_a_function_of_the_seed_and_its_number():
    few, more, other = (smiles(count, 2, 16, seed=seed) for count, seed in ((1, 3), (2, 3), (1, 4)))
    assert torch.equal(few, more[:1])
    assert not torch.equal(few, other)
    assert not torch.equal(more[0], more[1])


def test_a_batch_is_cropped_alike_in_all_frames():
    clips = torch.arange(36, dtype=torch.uint8).view(1, 1, 1, 6, 6).expand(3, 4, 3, 6, 6)
    batch = draw_batch(clips, 2, 4, torch.Generator().manual_seed(0))
    assert batch.shape == (2, 4, 3, 4, 4)
    assert torch.equal(batch, batch[:, :1, :1].expand_as(batch))


def test_a_temporal_model_learns_the_order_and_the_mean_of_frames_does_not(people):
    temporal = learn("tsm_resnet18", RECIPE, *people, SIZE, seed=0)
    blind = learn("mean_resnet18", replace(RECIPE, steps=15), *people, SIZE, seed=0)
    assert as_expected("tsm_resnet18", [temporal]), temporal
    assert as_expected("mean_resnet18", [blind]), blind
    assert not as_expected("mean_resnet18", [temporal])
    assert not as_expected("tsm_resnet18", [blind])


def test_the_page_says_what_was_found():
    content = {
        "machine": "a machine",
        "clips": {"train": 3, "test": 20, "frames": 8, "size": 48},
        "models": {
            "mean_resnet18": {
                "recipe": {"steps": 7, "learning_rate": 0.002, "clips": 8, "width": 8},
                "runs": [
                    {"seed": 0, "accuracy": 50.0, "loss": 0.693, "seconds": 2.0},
                    {"seed": 1, "accuracy": 47.5, "loss": 0.693, "seconds": 4.0},
                ],
            }
        },
    }
    page = markdown(content)
    assert "| mean_resnet18 | 8 | 7 | 16 | 0.002 | 3 | 50.0, 47.5 |" in page
    assert "40 test clips" in page
