"""From videos to batches: faces found and followed, a store of aligned clips, and what a network trains on.

- `faces`: where faces are, who is who from frame to frame, and the upright crop around each.
- `preparing`: a manifest and videos -> a store. Door: `prepare`.
- `store`: aligned clips on disk, any frame of any of them. Door: `ClipStore`.
- `batches`: the store -> batches of clips and labels. Door: `ClipDataset`.
- `checking`: what is wrong with a data set before a long job begins. Door: `check`.
- `description`: what is in a store. Door: `describe`.
"""
