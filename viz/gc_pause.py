"""Hold the garbage collector back while a picture is made. Below `drawing.py`."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Collect nothing inside, and nothing right after it that was made inside.

    A layout makes many small objects at once and no cycles; looking through them again and again
    would take half of the time. They go to the oldest generation unseen, which costs nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # else the caller has frozen objects of its own
                gc.freeze()
                gc.unfreeze()
            gc.enable()
