"""Who predicts people's votes? Readers of faces, and people, against the votes on FER+ pictures that were kept back.

`python -m studies.leaderboard score FERPLUS predictions.csv` scores a file of predictions (`predictions`), and
`... board FERPLUS --reader NAME=SOURCE ...` writes docs/leaderboard.md whole, and its figures, results.json.
"""
