"""Predictions beside labels and votes: `score` -> `Evaluation`.

- `scores`, `baselines`: the scores, and the guesses and people that they are held against.
- `readings`: what a network's output says of the annotators.
- `scores_file`, `predictions_file`: evaluation.json and predictions.csv, written and read.
"""
