"""A trained model and any video, frames or stream -> what each face shows over time. `Predictor` is the door.

- `predictor`: whole videos and frames; `stream`: while frames come; `given_clips`: face crops that are cut already.
- `windows`, `people`: which frames are one clip, and which faces are one person.
- `timeline`: the result, as JSON, CSV and in a notebook.
- `sources`, `frame_progress`: frames of anything, counted while they are read.
"""
