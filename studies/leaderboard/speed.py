"""How many faces a second readers read, side by side on one core."""

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import UInt8

from studies.leaderboard.peers import Read

FACES, ROUNDS = 64, 9
ONE, TOGETHER = "one at a time", "64 together"


def faces_a_second(
    readers: Mapping[str, Read],
    images: UInt8[np.ndarray, "N 48 48"],
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, dict[str, float]]:
    """Time all readers in turns, and take the median of the turns; torch is to use one thread.

    The clock counts this process's own time on the processor, so that other work on the machine does not.

    Args:
        readers: by their names; what is timed goes from the grey pictures to the shares.
        images: the first `FACES` are read in each turn.
        rounds: turns of each reader, after one that is not counted.
        clock: in seconds.

    Returns:
        for each reader the faces a second, one at a time and together.
    """
    faces = images[:FACES]
    found: dict[str, dict[str, list[float]]] = {name: {ONE: [], TOGETHER: []} for name in readers}
    for turn in range(rounds + 1):
        for name, read in readers.items():
            for way, size in ((ONE, 1), (TOGETHER, len(faces))):
                began = clock()
                for start in range(0, len(faces), size):
                    read(faces[start : start + size])
                if turn:
                    found[name][way].append(len(faces) / (clock() - began))
    return {name: {way: statistics.median(each) for way, each in ways.items()} for name, ways in found.items()}
