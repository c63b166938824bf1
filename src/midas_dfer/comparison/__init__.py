"""How sure a score is, and whether methods differ: their predictions of the same clips, put side by side."""
