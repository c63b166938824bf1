"""One training by several processes, each with some rows of every batch (DDP): `World` is the door.

- `world`: which processes there are, which of them this is, and what each may do.
- `shared_batches`: the batches that they share: plans of mixing, weights of losses.
- `launching`: starts them on this machine, and ends all where one is lost; `fit_process`: what each of them does.
"""
