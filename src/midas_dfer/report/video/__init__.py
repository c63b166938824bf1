"""A copy of a video with its reading drawn in: `annotated_video`, with `overlay` and `panel_places`.

`write_prediction` is the door: all that is kept of one video's reading.
"""
