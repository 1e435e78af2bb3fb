"""Holds the garbage collector back while a picture is made. Below `drawing.py`."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection inside.

    A layout makes many small objects at once and no cycles; looking through them again and again
    would take half of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
