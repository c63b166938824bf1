"""The names of files that are videos or pictures: one list for all that look for clips or open them."""

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".flv", ".mpg", ".mpeg", ".m4v", ".wmv"),
    *(".ts", ".3gp", ".ogv", ".gif"),
)
"""Videos, in the order in which they are tried where annotations name a clip without its suffix."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Pictures: clips of one frame each, tried after the videos; or the frames of a clip that is a folder."""

CLIP_SUFFIXES = (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES)
"""All that a clip may be."""
