"""The command `midas`: each verb, in a module of its name, parses its flags, calls one function, and prints.

Exit status: 0 done, 1 the job failed, 2 the request is wrong. Heavy imports stand inside the verbs.
"""

from midas_dfer.cli.main import main

__all__ = ["main"]
