"""The current device: where a library computes and puts what it makes, of any inputs.

With one device it is always the right one, and nothing here is ever asked. Beside the backends.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

STAYING: AbstractContextManager[Any] = nullcontext()


class _Placement:
    """Hold whether a library has several devices; with one no op has to choose."""

    several = False


placement = _Placement()
