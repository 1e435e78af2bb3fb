"""Note on a state which of its axes is that of the batch, as another may have the same size.

The layers note it on what they return, detached tensors keep it, and nothing else does: what was
computed of a state says nothing. Training on several processes asks for it. Below the layers.
"""

from typing import Any

from engine import Tensor
from engine.pytree import flatten


def with_row_axis(state: Any, axis: int) -> Any:
    """Return a pytree of tensors, on each of which is noted that `axis` is that of the batch."""
    if type(state) is Tensor:
        state._row_axis = axis
    elif type(state) is tuple:  # as it mostly is
        for one in state:
            with_row_axis(one, axis)
    else:
        for leaf in flatten(state)[0]:
            if isinstance(leaf, Tensor):
                leaf._row_axis = axis
    return state


def row_axis(x: Tensor) -> int | None:
    """Return the axis of the batch in a state, None where it is not noted."""
    return getattr(x, "_row_axis", None)
