"""The published data sets: one reader each, in a module of its name, hence their number; `registry` has them all.

`crema_d_annotators`: who cast CREMA-D's votes. `dfew_splits`: DFEW's folds. `ferv39k_votes`: votes on FERV39k from a
table. `frame_lists`: list files of other code bases. `fer2013`: the pictures of FER+, which `midas prepare` writes
first, and so its row of the register.
"""
