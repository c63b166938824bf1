"""Synthetic faces and annotators: the embedded default data and the fixture of the tests.

There are no real people or votes. Everything is known (what was performed, what ideal observers see, who errs how),
which makes it good for checking a pipeline; it is never a benchmark of emotion recognition.

- `identity`, `expressions`, `face`: who is drawn, with which expression, and how.
- `performances`, `plan`, `new_video`: what is performed in a clip, and its video.
- `annotators`: who votes, and how they err. `corpus`: a whole data set;
  `data_set`: its row among the data sets.
- `layouts`: synthetic copies of published data sets.
"""

from midas_dfer.synthetic.annotators import Annotator, cast_votes, draw_annotators, expected_votes
from midas_dfer.synthetic.corpus import clips_and_seed, read_synthetic, write_corpus
from midas_dfer.synthetic.expressions import EMOTIONS
from midas_dfer.synthetic.face.portrait import Picture, Portrait, render_face
from midas_dfer.synthetic.identity import Identity, Light, draw_identity, draw_light
from midas_dfer.synthetic.new_video import write_new_video, write_two_people
from midas_dfer.synthetic.performances import Performance, activations, draw_performance, render_clip, true_distribution
from midas_dfer.synthetic.plan import ClipPlan, plan_clip

__all__ = [
    "EMOTIONS",
    "Annotator",
    "ClipPlan",
    "Identity",
    "Light",
    "Performance",
    "Picture",
    "Portrait",
    "activations",
    "cast_votes",
    "clips_and_seed",
    "draw_annotators",
    "draw_identity",
    "draw_light",
    "draw_performance",
    "expected_votes",
    "plan_clip",
    "read_synthetic",
    "render_clip",
    "render_face",
    "true_distribution",
    "write_corpus",
    "write_new_video",
    "write_two_people",
]
