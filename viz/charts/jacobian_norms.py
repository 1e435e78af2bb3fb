"""Compute norms of Jacobians through time, as products over single steps that cannot overflow.

Above the engine's Jacobians, below the heat map.
"""

from dataclasses import dataclass
from itertools import pairwise

from engine.reading.jacobians import step_jacobians
from engine.reading.scaled import NORMS, Scaled
from engine.reading.variables import StateRun
from viz.analysis.sampling import chosen_steps

KINDS = tuple(NORMS)


@dataclass(frozen=True, slots=True)
class NormMap:
    """Hold the norms of a picture: ``norms[i][j]`` is that of step i by step j <= i."""

    run: StateRun
    of: str
    by: str
    kind: str
    shown: tuple[int, ...]  # positions in the run
    norms: tuple[tuple[float, ...], ...]

    @property
    def batch(self) -> int:
        """Return how many rows the states have."""
        return _batch(self.run)

    @property
    def times(self) -> list[int]:
        """Return the time steps of rows and columns, in the order in which they were run."""
        return [self.run.times[i] for i in self.shown]


def norm_map(run: StateRun, of: str, by: str, kind: str, max_steps: int) -> NormMap:
    """Return the norms of the Jacobians of state `of` by state `by`, at most `max_steps` a side.

    One product over each stretch between neighbours that are shown, then one a field, so the cost
    is linear in the steps. Raises ValueError for a state that the cell does not have.
    """
    rows, columns = _place(run, of), _place(run, by)
    shown = chosen_steps(run.times, max_steps)
    jacobians = step_jacobians(run)
    nothing = Scaled.identity(_batch(run), sum(_sizes(run)))
    between = []
    for start, stop in pairwise(shown):
        product = nothing
        for i in range(start + 1, stop + 1):
            one = jacobians[i]
            assert one is not None  # only that of the first step may be missing
            product = Scaled.of(one) @ product
        between.append(product)
    norms = []
    for i in range(len(shown)):
        product = nothing
        line = []
        for j in range(i, -1, -1):
            line.append(product.block(rows, columns).norm(kind))
            product = product @ between[j - 1] if j else product
        norms.append(tuple(reversed(line)))
    return NormMap(run, of, by, kind, tuple(shown), tuple(norms))


def _batch(run: StateRun) -> int:
    return next((x.shape[0] for x in run.after[0] if x.ndim > 1), 1)


def _sizes(run: StateRun) -> list[int]:
    """Return what a row of each state holds."""
    return [one.size // max(_batch(run), 1) for one in run.after[0]]


def _place(run: StateRun, name: str) -> slice:
    """Return where a state lies among all states side by side."""
    start = 0
    for own, size in zip(run.names, _sizes(run), strict=True):
        if own == name:
            return slice(start, start + size)
        start += size
    raise ValueError(
        f"draw_jacobian_heatmap: no state {name!r}; {run.cell or run.path or 'the cell'} has "
        f"{', '.join(run.names)}"
    )
