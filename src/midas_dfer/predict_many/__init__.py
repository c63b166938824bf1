"""Many videos at once; `read_many` is the door.

- `sources`, `source`: what is to be read; `reading`: on all cores, a folder for each.
- `results`, `summary`: one table over all, and what it says.
"""
