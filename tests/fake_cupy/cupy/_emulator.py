"""Set how kernels run on the CPU: the order of their threads, checks, and patience.

`settings` starts from the environment; a test changes it in a `with` block. Its fields are in
emulator/README.md. Below `_build.py` and `_launch.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

ORDERS = ("first", "last", "any")


@dataclass
class Settings:
    """Hold what the next launches use."""

    order: str = "first"  # which of the threads that can run goes on; "any" draws by the seed
    seed: int = 1
    spins: int = 100_000  # rounds in which nothing but spinning threads runs, before it is stuck
    checks: bool = True  # of every address; read when a module is compiled
    races: bool = True  # are looked for in shared memory, where addresses are checked
    flags: str = ""  # more of them for g++; read when a module is compiled

    @contextmanager
    def use(self, **changes: Any) -> Iterator[None]:
        """Change fields for the length of a block."""
        before = {name: getattr(self, name) for name in changes}
        try:
            for name, value in changes.items():
                setattr(self, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)


def _from_environment() -> Settings:
    get = os.environ.get
    found = Settings(
        order=get("FAKE_CUPY_ORDER", "first"),
        seed=int(get("FAKE_CUPY_SEED", "1")),
        spins=int(get("FAKE_CUPY_SPINS", "100000")),
        checks=get("FAKE_CUPY_CHECKS", "1") == "1",
        races=get("FAKE_CUPY_RACES", "1") == "1",
        flags=get("FAKE_CUPY_CXXFLAGS", ""),
    )
    if found.order not in ORDERS:
        raise ValueError(f"FAKE_CUPY_ORDER is {found.order!r}; it is one of {', '.join(ORDERS)}")
    return found


settings = _from_environment()


class KernelError(RuntimeError):
    """Report a kernel that hangs or leaves its own memory; real hardware may show nothing."""
