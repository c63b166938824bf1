"""A trained model and any video, frames or stream -> what each face shows over time. `Predictor` is the door.

- `predictor`: whole videos and frames; `stream`: while frames come; `given_clips`: face crops that are cut already.
- `live`, `camera`: the faces before a camera, and where its frames come from.
- `first_pass`, `windows`: which faces there are, and which frames of each are one clip.
- `cutting`: faces out of frames, as those were that the model learned from.
- `face_windows`, `read_ahead`: the windows of faces that are still followed, and what the model says of them;
  `frame_memo`: frames that windows share, read once; `second_pass`: windows that were not read meanwhile.
- `timeline`, `track_timeline`: the result, as JSON, CSV and in a notebook; that of one face.
- `sources`: frames of anything, counted while they are read.
"""
