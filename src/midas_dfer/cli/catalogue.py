"""What `midas prepare` and `midas train` know by name, with a line on each."""

DATASETS = {
    "crema_d": "CREMA-D in its official layout: ROOT/processedResults, ROOT/VideoFlash",
    "table": "any data with votes: ROOT is a .csv, .jsonl or .parquet file, its videos lie in --videos",
    "synthetic": "made-up faces and votes, rendered into ROOT if they are not there yet",
}

MIXERS = {
    "midas": "MIDAS: clips and soft labels mixed, then a softmax (eq. 1-3)",
    "mixup": "convex combination, no softmax (Zhang et al. 2018)",
    "cutmix": "a rectangle of the partner, in every frame (Yun et al. 2019)",
    "videomix": "the same as cutmix, or a box in time (Yun et al. 2020)",
    "cutout": "a blank square, no partner (DeVries and Taylor 2017)",
    "saliencymix": "a rectangle at the partner's salient spot (Uddin et al. 2021)",
    "attentive_cutmix": "the partner's most salient cells (Walawalkar et al. 2020)",
    "puzzlemix": "salient blocks of both, moved together (Kim et al. 2020)",
    "transmix": "cutmix, labels by attention (Chen et al. 2022)",
    "manifold_mixup": "mixup of features at a random depth (Verma et al. 2019)",
    "patchup": "blocks of features of the partner (Faramarzi et al. 2022)",
    "background_mix": "the partner's background, own label (Sahoo et al. 2021)",
    "none": "clips as they are, labels as they are",
}
