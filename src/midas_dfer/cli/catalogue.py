"""What `midas prepare` and `midas train` know by name, with a line on each."""

DATASETS = {
    "crema_d": "CREMA-D in its official layout: ROOT/processedResults, ROOT/VideoFlash",
    "table": "any data with votes: ROOT is a .csv, .jsonl or .parquet file, its videos lie in --videos",
    "synthetic": "made-up faces and votes, rendered into ROOT if they are not there yet",
}

MIXERS = {
    "midas": "MIDAS: pairs of clips and their soft labels, mixed and normalised (section 3 of the paper)",
    "none": "clips as they are, labels as they are",
}
