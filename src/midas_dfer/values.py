"""Is a value that somebody gave from Python the one number that a setting takes?"""

from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is one real number, of Python, NumPy or torch; text, lists and true or false are none."""
    if getattr(value, "ndim", 0) == 0 and hasattr(value, "item"):
        value = value.item()
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is one whole number, and not one such as 2.0, which what counts with it would refuse."""
    if getattr(value, "ndim", 0) == 0 and hasattr(value, "item"):
        value = value.item()
    return isinstance(value, int) and not isinstance(value, bool)
