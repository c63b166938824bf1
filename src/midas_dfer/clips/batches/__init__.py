"""A store -> batches; `ClipDataset` and `ClipLoader` are the doors.

- `dataset`: which frames of which clips, with which labels; `loader`: in which order, and read by whom; `batch`: what
  comes of it.
- `sampling`: `sample_segments`, and where the randomness of a sample comes from.
- `augment`, `jitter`, `crops`: random changes of a clip, drawn once and applied to all of its frames.
- `reading_processes`: processes that read batches.
- `transfer`: small tensors on their way to a GPU.
- `frame_cache`, `device_cache`, `device_crops`: decoded frames in memory or on a GPU, and crops made there.
"""
