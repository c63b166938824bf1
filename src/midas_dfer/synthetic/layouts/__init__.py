"""Synthetic copies of published data sets, in their official layout and with its faults: `midas imitate` writes them.

`dfew`, `ferv39k`, `afew`, `mafw`, `ferplus`: one each, with clips from `drawn_clips`. Door: `WRITERS`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from midas_dfer.synthetic.layouts.afew import write_afew
from midas_dfer.synthetic.layouts.dfew import write_dfew
from midas_dfer.synthetic.layouts.ferplus import write_ferplus
from midas_dfer.synthetic.layouts.ferv39k import write_ferv39k
from midas_dfer.synthetic.layouts.mafw import write_mafw

WRITERS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "dfew": write_dfew,
        "ferv39k": write_ferv39k,
        "afew": write_afew,
        "mafw": write_mafw,
        "ferplus": write_ferplus,
    }
)
"""(ROOT, clips=, seed=) writes a copy of the data set of that name: one with a licence, or pictures from elsewhere."""
