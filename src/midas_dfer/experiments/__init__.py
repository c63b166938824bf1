"""Many trainings: folds and seeds, on one machine or many. `cross_validate` is the door.

- `crossval`: a recipe on all folds; `results`, `fold_scores`: its scores over folds and seeds.
- `jobs`, `job_process`: one training of an experiment, which goes on where it stopped.
- `engines`, `ray_engine`, `ray_shares`: where jobs run.
"""
