"""How the packaged reader is trained: the budget of the comparison with a deeper network and more epochs."""

from dataclasses import replace

from benchmarks.reader.comparison import BUDGET

READER = replace(BUDGET, model="still_resnet18", epochs=60, precision="bf16")
"""Soft labels, nothing mixed."""
