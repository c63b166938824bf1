"""How sure a score is, and whether methods differ: their predictions of the same clips, side by side.

- `run_results`, `run_groups`: what run folders say of their scores, and which runs are one method.
- `predictions`, `pairing`: predictions of several runs, and the clips that they share.
- `intervals`: the interval of each score; every picture, page and table takes it from here.
- `paired_tests`, `differences`: tests between methods. Door: `find_differences`.
"""
