"""What mixing, and other ways to learn from votes, bring on FER+: `python -m studies.disagreement`.

docs/disagreement_protocol.md was written before the first training, and says what is trained, measured and tested:

- `data`: FER+, dealt into parts; `grid`: the trainings; `running`: doing them.
- `kept`: what finished trainings said, in `predictions`; all that follows is computed from it.
- `regularised`: which regulariser soft labels get, chosen on the validation part.
- `measured`: what trainings scored, and the tests; `uncertainty`: one test.
- `figures`: all of that in results.json, with the curves of votes needed.
- `names`: what is called how; `page` and `pictures`: docs/disagreement.md, with its `answers.md`.
- `__main__`: the commands.
"""
