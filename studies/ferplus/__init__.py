"""Hard, soft and mixed labels on the real votes of FER+: `python -m studies.ferplus`."""
