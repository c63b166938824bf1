"""Exports of annotation tools, a reader each: `read_label_studio`, `read_cvat`.

- `label_studio`, `label_studio_tasks`: JSON and JSON-MIN of Label Studio.
- `cvat` and `cvat_*`: Datumaro's JSON and XML 1.1, plain or in an archive.
- `exports`: what they have in common: addresses of videos, single votes, conflicts.
"""
