"""Aligned clips on disk; `ClipStore` is the door.

- `clip_store`: which clips there are, and any frame of any of them.
- `shards`: the frames themselves: JPEG in memory-mapped Arrow files, each with its checksum.
- `outcomes`, `journal`: what became of each clip, in the manifest and while a store is prepared.
- `settings`: `ExtractSettings`, how clips were cut out of videos.
- `verifying`: whether the frames are those that were written.
"""
