"""Many trainings: folds and seeds, on one machine or many. `cross_validate` is the door.

- `crossval`: a recipe on all folds; `results`, `fold_scores`: its scores over folds and seeds.
- `jobs`, `job_process`: one training of an experiment, which goes on where it stopped.
- `engines`, `ray_engine`: where jobs run; `local_shares`, `ray_shares`: what each of them gets of a machine.
"""
