"""The losses that a picture is asked for, by the names of their networks. Below `picture.py`."""

from collections.abc import Mapping, Sequence

from engine import Tensor
from engine.suggestions import kind_of

Losses = Tensor | Mapping[str, Tensor] | Sequence[Tensor]


def networks_of(loss: Losses) -> dict[str, Tensor]:
    """Return the losses by name. Raises where one is none."""
    if isinstance(loss, Mapping):
        named = {str(name): x for name, x in loss.items()}
    elif isinstance(loss, Sequence):
        named = {f"network {i + 1}" if len(loss) > 1 else "": x for i, x in enumerate(loss)}
    else:
        named = {"": loss}
    if not named:
        raise ValueError("draw_story: no loss was given")
    for name, x in named.items():
        which = f"draw_story: the loss of {name}" if name else "draw_story: the loss"
        if not isinstance(x, Tensor):
            raise TypeError(f"{which} must be a tensor, got {kind_of(x)}")
        if x.size != 1:
            raise ValueError(f"{which} has shape {x.shape}, expected one number; add it up first")
        if not x.requires_grad:
            raise ValueError(f"{which} depends on nothing that requires a gradient")
    return named
