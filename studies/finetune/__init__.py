"""Whether a few clips are learned better from the packaged reader: `python -m studies.finetune --out DIR`."""
