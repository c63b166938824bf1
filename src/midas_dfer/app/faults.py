"""Errors of ours in threads: what a page is told, and what the terminal is."""

import traceback
from concurrent.futures import Future


def fault(error: Exception) -> str:
    """What a page is told of an error that is ours."""
    return f"a fault of midas-dfer ({type(error).__name__}); the terminal that runs the app has the details"


def tell_of_faults(done: "Future[None]") -> None:
    """Print where an error of ours was made, for who reports it."""
    if not done.cancelled() and (error := done.exception()) is not None:
        traceback.print_exception(error)
