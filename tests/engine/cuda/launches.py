"""Count launches and transfers of the fake of CuPy, for tests that assert them.

With a real GPU nothing is counted: then a count equals any number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any


class Anything:
    """Equal any count: on a real device none is known."""

    def __eq__(self, other: object) -> bool:
        return True

    def __lt__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, key: object) -> bool:
        return False

    def __getitem__(self, key: object) -> Any:
        return self


def on_fake() -> bool:
    """Return whether `cupy` is the fake."""
    import cupy

    return bool(getattr(cupy, "IS_FAKE", False))


@contextmanager
def counted() -> Iterator[Any]:
    """Yield what the code inside launches and moves, known once it is left.

    `launches` has kernels by name, without copies to memory of the host that nothing waits for;
    `to_host` and `to_device` have the shapes of arrays that are moved; `total` is all launches.
    """
    found = SimpleNamespace()
    if not on_fake():
        found.launches = found.to_host = found.to_device = found.total = Anything()
        yield found
        return
    from cupy._state import count

    before = count.launches.copy(), len(count.to_host), len(count.to_device)
    yield found
    launches = count.launches - before[0]
    found.total = launches.total()
    launches.pop("get", None)
    found.launches = launches
    found.to_host = [shape for _, shape in count.to_host[before[1] :]]
    found.to_device = list(count.to_device[before[2] :])
