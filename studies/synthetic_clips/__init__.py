"""How close each method's predicted distribution comes to the true one, on made-up clips whose truth is known.

`python -m studies.synthetic_clips` draws clips of the made-up corpus straight into memory, trains a small network by
hard labels, soft labels and MIDAS, and compares what it predicts of other people with the distribution that the votes
were drawn from, and not only with ten votes. A training is written once under `--work` and not made again: the study
goes on where it was stopped. `--quick` does the same at toy size in less than a minute.
"""
