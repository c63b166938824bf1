"""Before a long job: is a data set whole, readable, and parted so that nothing leaks. `check` is the door.

- `check`: all checks of a data set, with what they found; `store`: the same for a finished store.
- `annotations`, `folders`, `reading`: votes and parts; files on disk; videos, decoded.
- `seen`, `finding`: what has been looked at, and one thing that is wrong.
"""
