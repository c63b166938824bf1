"""midas-dfer: emotion recognition in video from ambiguous labels."""

__version__ = "0.1.0"
