"""Made-up copies of published data sets, in their official layout and with its faults: `midas imitate` writes them.

`dfew`, `ferv39k`, `afew`, `mafw`, `ferplus`: one each, with clips from `drawn_clips`.
"""
