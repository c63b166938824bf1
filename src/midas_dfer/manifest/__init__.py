"""Who said what about which video; `Manifest` is the door. Votes are kept as counts. Nothing here needs torch.

- `manifest`, `sample`, `schema`, `rows`, `parquet`: one row per clip, as a table, an object, arrays and a file.
- `splits`, `folds`, `groups`, `unassigned`: which clips are trained and tested on.
- `classes`, `class_counts`, `vote_counts`, `aggregation`: other classes by name, counts, weighted annotators.
- `problems`: bad rows, named in one message; `manifest_html`: a manifest in a notebook.
"""
