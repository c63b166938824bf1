"""Predictions beside labels and votes: `score` -> `Evaluation`.

- `scores`, `baselines`: the scores, and the guesses and people that they are held against.
- `blends`: presence and salience accuracy, where the shares of emotions are known. `annotators`: single votes missed.
- `agreement`: of predictions with the votes, and their confidence. `limits`: an interval of each score.
- `measures`: how each score is called and shown; `readings`: what a network's output says of the annotators.
- `temperature`: temperature scaling, fitted on validation clips and kept in the run folder.
- `held_out`: by which errors on held-out clips a model is silent.
- `scores_file`, `predictions_file`: evaluations of a run; predictions.csv.
"""
