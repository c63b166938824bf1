"""The paper's tables and figures on any store; `reproduce` and `make_figure` are the doors.

- `printed`: what the paper printed; `rows`: the trainings behind each table; `plan`: folds, and what cannot be trained.
- `reproduce`, `figures`: one table, one figure; `compare_printed`: our scores beside the printed ones.
- `baseline_rows`: what rows are held against.
- `experiment_report`: what `midas report` shows of an experiment; `substores`, `mixed_pair`: their clips.
"""
