"""What `midas prepare`, `midas check` and `midas train` know by name, with a line on each."""

DATASETS = {
    "dfew": "DFEW: ROOT holds Annotation, EmoLabel_DataSplit, Clip",
    "ferv39k": "FERV39k: ROOT holds 4_setups, 2_ClipsforFaceCrop",
    "afew": "AFEW: ROOT holds train and validation, a folder per emotion",
    "mafw": "MAFW: ROOT holds 'Train & Test Set' and the clips",
    "crema_d": "CREMA-D: ROOT holds processedResults, VideoFlash",
    "ferplus": "FER+ stills: ROOT holds fer2013new.csv, data",
    "table": "any votes: ROOT is a .csv, .jsonl or .parquet, see --videos",
    "folders": "any clips or pictures: ROOT holds a folder per class",
    "label_studio": "Label Studio: ROOT is a JSON export, see --videos",
    "cvat": "CVAT: ROOT is an export (XML 1.1, Datumaro), or a folder",
    "synthetic": "made-up faces and votes, rendered into ROOT by prepare",
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
