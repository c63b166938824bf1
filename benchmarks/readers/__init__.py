"""Other readers on the frames of a video, each run by its own code in its own environment; see `benchmarks.reading`."""
