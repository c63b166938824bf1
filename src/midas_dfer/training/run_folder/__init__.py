"""The run folder, a file a module; `Run` in `runs` is the door.

- `runs`, `run_file`, `provenance`: the folder, run.json, and what is in that.
- `identity`: what ties the files of a run together.
- `typed_json`: dataclasses out of JSON, each value checked against the type of its field.
- `weights_file`, `checkpoint`: safetensors, and what a training is resumed from.
- `parts_file`, `metrics_file`: which clip was in which part; a line per epoch.
- `predicted_labels`: soft labels that other runs predict for the training clips.
- `beginning`: what is refused before the folder is made; `origin`: a training that begins from another run's weights.
"""
