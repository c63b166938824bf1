"""The timestamps of a stream, which may be missing or run back, made into times."""

# A timestamp that runs back by more than this (s) is a clock that was restarted: two recordings joined.
_CLOCK_RESTART = 1.0
# A timestamp that runs back by less is a slip: the frame is put this much (s) after the one before it.
_SLIP = 0.001


class Clock:
    """Turns a stream's timestamps into strictly increasing seconds after its first frame."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.last: float | None = None
        self._shift: float | None = None

    def tick(self, stamp: float | None) -> float:
        """The time of the next frame in presentation order, whose timestamp (s, or None) is `stamp`."""
        time = following = 0.0 if self.last is None else self.last + self.interval
        if stamp is not None:
            if self._shift is None:
                self._shift = following - stamp
            time = stamp + self._shift
            if self.last is not None and time <= self.last:
                restarted = self.last - time > _CLOCK_RESTART
                self._shift = following - stamp if restarted else self._shift
                time = following if restarted else self.last + min(_SLIP, self.interval / 2)
        self.last = time
        return time
