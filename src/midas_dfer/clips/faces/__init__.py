"""Faces in pictures and from picture to picture.

- `detection`: `FaceDetector`, five landmarks a face; `align_face`, the upright crop around them.
- `following`: `FaceFollower`, which searches whole frames only where needed.
- `frames`: `faces_in`, the faces of all frames of a video, on the CPU or a GPU; `network`: the detector's, for a GPU.
- `tracker`: `follow_faces`, one track per person and shot; `tracks`: steadied, and which of them is the clip's.
- `one_picture`: `find_faces` and `align`, for pictures in memory.
- `template`: where a face lies in crops that somebody else has cut.

The detector is YuNet, in `yunet/` with its licence.
"""
