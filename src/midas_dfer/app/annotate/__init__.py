"""Votes of several people on the clips of a folder, each person blind to the others; no HTTP, no torch.

- `videos`: the clips in a folder. `classes`: what people can answer. `project`: a project: its clips, classes and
  rules; `make_project`, `open_project`, `want_votes`. `growth`: more clips, `add_clips`.
- `votes`: the store, `VoteStore`: one row per event in SQLite; `database`: such a file.
- `invitation`: the link by which people join, and the text to which they agree.
- `order`: which clip comes next for whom. `session`: all that annotators may ask and do, `Session`.
- `counting`: which answers are votes. `reliability`: agreement with intervals.
- `progress`: what the organiser sees, `voting_progress`. `export`: tables for `midas prepare`, and Label Studio.
"""
