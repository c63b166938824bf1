"""Annotations in any form -> a `Manifest` (no torch, no pictures).

- `registry`: `DATASETS`, all by name. `data_set`: what each says of itself.
- `published`: data sets with a licence: DFEW, FERV39k, AFEW, MAFW, CREMA-D, FER+.
- `tools`: exports of annotation tools: Label Studio, CVAT.
- `table`, `long_table`, `roles`: anybody's table of votes.
- `folders`: a folder per class.
- `files`: CSV, JSON, Excel and list files, read row by row with their checks.
- `people`, `face_choice`, `known_classes`: who voted, who was rated, which names are classes.
"""
