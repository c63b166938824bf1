"""A trained model on clips it has not seen: how well it does, and what it goes by.

- `evaluate`: scores. Door: `evaluate`. `places`: which folder they go into.
- `foreign`: the same for predictions of any other model, in a file. Door: `evaluate_file`.
  `foreign_file`: how such a file is read.
- `calibrate`: the temperature that its logits are divided by. Door: `calibrate`.
- `explain`: which pixels and which frames the model goes by. Door: `explain`. `explanation`: what it found.
- `annotators`: what a run predicts of each of its annotators.
- `baseline_clips`: the clips that constant guesses are made from.
"""
