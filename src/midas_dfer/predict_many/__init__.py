"""Many videos at once; `read_many` is the door.

- `source`, `discovery`: what is to be read, found by name; `reading`: on all cores, a folder for each.
- `results`, `summary`: one table over all, and what it says.
"""
