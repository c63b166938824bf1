"""How the packaged reader is trained: as in the comparison, with a deeper network, more epochs and full jitter."""

from dataclasses import replace

from benchmarks.reader.comparison import BUDGET

READER = replace(BUDGET, model="still_resnet18", jitter=1.0, epochs=60, precision="bf16")
"""Soft labels, nothing mixed."""
