"""`midas app`: pages on this machine.

- `annotate`: votes of several people on the clips of a folder.
"""
