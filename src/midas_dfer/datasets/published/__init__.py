"""The published data sets, a reader each, of their name.

- `dfew`, `ferv39k`, `afew`, `mafw`, `crema_d`, `ferplus`: their annotations. Doors: `read_dfew` and so on.
- `dfew_splits`: DFEW's folds. `frame_lists`: list files of other code bases. `fer2013`: the pictures of FER+, which
  `midas prepare` writes first, and so its row of the register.
"""
