"""Offer the three packages under one name, and the command ``bptt``.

``import bptt`` offers `bptt.engine`, `bptt.rnn` and `bptt.viz`. The clone has this folder in
`examples/`, as only what is there may be above all three; what is installed has it as `bptt`.
Its own imports are relative, as it has two names. `look.py` draws what a run has learnt, by
`pictures.py`.
"""

from typing import TYPE_CHECKING, Any

from . import shadowed as _shadowed  # noqa: F401  # before what it checks

# isort: split
import rnn as rnn  # first, as it says where a file of the user's shadows `engine`

# isort: split
import engine as engine
from engine import __version__ as __version__

if TYPE_CHECKING:
    import viz as viz
else:

    def __getattr__(name: str) -> Any:
        """Return `bptt.viz`, imported when it is first asked for: it needs more than the others."""
        if name != "viz":
            raise AttributeError(
                f"module 'bptt' has no attribute {name!r}; it has engine, rnn, viz"
            )
        from rnn.shadowed import check

        check(name)
        import viz

        return viz


__all__ = ["__version__", "engine", "rnn", "viz"]


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
