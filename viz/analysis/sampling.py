"""Choose which of many steps or units a picture shows, and check what is asked for.

Some are shown, or runs of them joined. Below everything that has a limit.
"""

from collections.abc import Sequence

from engine import Graph, Tensor
from viz.checks import check_title, check_width


def chosen_steps(times: Sequence[int], most: int) -> list[int]:
    """Return positions of at most `most` steps, evenly apart, the first and the last among them."""
    n = len(times)
    if n <= most:
        return list(range(n))
    return sorted({round(i * (n - 1) / (most - 1)) for i in range(most)})


def tiles(n: int, most: int) -> list[range]:
    """Return `n` steps in at most `most` runs of one length, the last perhaps shorter."""
    size = -(-n // most) if n > most else 1
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def tile_label(times: Sequence[int], tile: range) -> str:
    """Return what a run of steps is called: 7, or 7–9."""
    first, last = times[tile[0]], times[tile[-1]]
    return f"{first}" if first == last else f"{first}–{last}"


def check_chart(name: str, width: float, least: float, title: str, **limits: int) -> float:
    """Return the width. Raise as `check_width` and `check_title`, ValueError for limits under 2."""
    for what, limit in limits.items():
        if limit < 2:
            raise ValueError(f"{name}: {what} must be at least 2, got {limit}")
    check_title(name, title)
    return check_width(name, width, least)


def check_recorded(name: str, x: Tensor | Graph | Sequence[Tensor]) -> None:
    """Raise ValueError where nothing led to the tensors: what needs no gradient is not recorded."""
    outputs = x.outputs if isinstance(x, Graph) else (x,) if isinstance(x, Tensor) else x
    if not any(one.requires_grad or one.node.inputs for one in outputs):
        raise ValueError(
            f"{name}: nothing is recorded here, for nothing requires a gradient; let the input or "
            "a parameter require one, and leave engine.no_grad"
        )
