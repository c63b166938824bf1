"""How the packaged reader is trained: from a network that has learned to tell faces apart, all of it tuned."""

from dataclasses import replace

from benchmarks.reader.comparison import BUDGET

READER = replace(
    BUDGET,
    model="still_sface",
    width=64,
    weights="packaged",
    size=64,
    learning_rate=0.03,
    jitter=0.5,
    epochs=12,
    precision="bf16",
)
"""Soft labels, nothing mixed. Read with its mirror image (`shipping`)."""
