"""A store and a recipe -> a trained run. `train` and `resume` are the doors.

- `recipes`: `RunConfig`, one validated recipe, and the published ones by name.
- `train`, `fitting`, `recognizer`, `callbacks`: the training, its loop, its step, and what happens around it.
- `learners`: training methods that need more of a step than a loss; `LEARNERS` has them by name.
- `mixers`, `parts`: what a recipe names: mixer, clips.
- `loading`: the clips of each part, in batches; which decoded frames are kept.
- `devices`, `inference`, `pace`: where it is computed, logits of clips, how long it will take.
- `processes`: one training by several processes, each with some rows of every batch.
- `run_folder`: all that is needed to repeat a training, to resume it, and to use its weights. Door: `Run`.
- `scoring`: predictions compared with labels and votes. Doors: `score`, `Evaluation`.
"""
