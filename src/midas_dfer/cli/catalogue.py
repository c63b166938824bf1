"""What `midas prepare` and `midas check` know by name, with a line on each."""

DATASETS = {
    "dfew": "DFEW: ROOT holds Annotation, EmoLabel_DataSplit, Clip",
    "ferv39k": "FERV39k: ROOT holds 4_setups, 2_ClipsforFaceCrop",
    "afew": "AFEW: ROOT holds train and validation, a folder per emotion",
    "mafw": "MAFW: ROOT holds 'Train & Test Set' and the clips",
    "crema_d": "CREMA-D: ROOT holds processedResults, VideoFlash",
    "ferplus": "FER+ images: ROOT holds fer2013new.csv, data",
    "table": "any votes: ROOT is a .csv, .jsonl or .parquet, see --videos",
    "folders": "any clips or pictures: ROOT holds a folder per class",
    "label_studio": "Label Studio: ROOT is a JSON export, see --videos",
    "cvat": "CVAT: ROOT is an export (XML 1.1, Datumaro), or a folder",
    "synthetic": "synthetic faces and votes, rendered into ROOT by prepare",
}
