"""The page about losses is true: its examples run, and it names every loss."""

import re
from pathlib import Path

import midas_dfer.losses

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")


def test_the_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "losses.md", "exec"), names)  # noqa: S102 - our own page
    assert names["logits"].grad.abs().sum() > 0.0
    assert names["value"].isfinite()
    assert names["weights"].argmin() == 0


def test_every_loss_is_described():
    for name in midas_dfer.losses.__all__:
        assert f"`{name}" in PAGE, name
