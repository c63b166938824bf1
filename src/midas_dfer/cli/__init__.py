"""The command `midas`. Exit status: 0 done, 1 the job failed, 2 the request is wrong. `main` is the door.

- `verbs`: a module for each verb: it parses its flags, calls one function, and prints.
- `sources`, `settings`, `trainings`, `face_flags`, `reader_flags`: flags that several verbs share.
- `main`, `parsing`, `help`: complaints, paths, help pages. Heavy imports stand inside the verbs.
"""

from midas_dfer.cli.main import main

__all__ = ["main"]
