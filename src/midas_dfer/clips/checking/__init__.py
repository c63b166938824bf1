"""Before a long job: is a data set complete, readable, and split so that nothing leaks. `check` is the door.

- `check`: all checks of a data set, with what they found; `store`: the same for a finished store.
- `annotations`, `folders`, `decoding`: votes and parts; files on disk; videos, decoded.
- `faces_in_view`, `finding`: who is in view in a few frames of each clip; one thing that is wrong.
"""
