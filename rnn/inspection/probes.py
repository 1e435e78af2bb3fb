"""Measure gradients through time: how they grow and fade, and what each step adds to a weight's.

A probe runs a network with every step on the graph and holds the states and the weights of each
step as places to differentiate at. Above `wrappers/wrapper.py`.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import engine
from engine import Tensor
from engine.pytree import flatten
from engine.reading.scaled import NORMS, Scaled
from engine.scan.padding import read_lengths
from engine.state import using
from rnn.cells.sizes import width
from rnn.layers.truncation import time_axis
from rnn.modules.module import Module
from rnn.modules.values import or_zeros
from rnn.wrappers.tap import Step, Tap
from rnn.wrappers.wrapper import wrapped


class Probe:
    """Run a network over a sequence step by step, and take its derivatives through time.

    `net` is a `Recurrent`, a layer, or a module called ``(x, state) -> (y, state)`` with such
    inside, each run once. `outputs` and `state` are what it returns. `states` holds T + 1 tensors
    (B, H) for each state: number i is the state after i steps, 0 the one before the first, in the
    order in which the steps are run. States are called as the cell calls them, ``"h"``, and with
    several layers or directions ``"h_l0"``, ``"h_l0_reverse"``. A row past its end, which `lengths`
    (B,) says, keeps its state. Raises ValueError for a network without a cell, lengths that layers
    do not take, and where there are no steps.

    >>> import engine, rnn
    >>> probe = rnn.Probe(rnn.Recurrent(rnn.GRUCell(3, 5)), engine.ones((7, 2, 3)))
    >>> probe.gradient_norms(engine.sum(probe.outputs[-1]))["h"].shape
    (8,)
    >>> probe.jacobian("h", 7, 0).shape
    (2, 5, 5)
    """

    def __init__(self, net: Module, x: Any, state: Any = None, lengths: Any = None) -> None:
        if not isinstance(x, tuple | dict):
            x = x if isinstance(x, Tensor) else engine.asarray(x)
        if empty := [one for one in map(engine.asarray, flatten(x)[0]) if not one.size]:
            raise ValueError(f"Probe: there are no steps in x of shape {empty[0].shape}")
        if lengths is not None:
            first = engine.asarray(flatten(x)[0][0])
            lengths = read_lengths("Probe", lengths, first.shape[time_axis(net, x)], None)
        taps: list[Tap] = []
        with engine.explicit(), using(recording=True):
            probed = wrapped(net, lambda cell: Tap(cell, taps, lengths))
            self.outputs, self.state = probed(x, state)
        self._runs = {tap.suffix if len(taps) > 1 else "": tap.steps for tap in taps}
        self._sizes = {tap.suffix if len(taps) > 1 else "": tap.state_size for tap in taps}
        if len(self._runs) < len(taps):
            raise ValueError(
                f"Probe: {len(taps)} cells in {len(self._runs)} layers; give each its layer="
            )
        self._jacobians: dict[str, Tensor] = {}
        self._scaled: dict[str, list[Scaled]] = {}
        self._names = {id(weight): name for name, weight in net.named_parameters()}
        self._cells = {suffix: dict(tap.cell.named_parameters())
                       for suffix, tap in zip(self._runs, taps, strict=True)}  # fmt: skip

    def __getstate__(self) -> Any:
        """Raise TypeError: a graph is neither copied nor sent to another process."""
        raise TypeError(
            "Probe: it holds the graph of a run, which is no pickle and has no copy; send what it "
            "computes, such as its gradient_norms(loss), or make a Probe where it is needed"
        )

    @cached_property
    def states(self) -> dict[str, list[Tensor]]:
        """Return the states of all times, by name."""
        return {
            f"{name}{suffix}": [steps[0].before[i], *(step.after[i] for step in steps)]
            for suffix, steps in self._runs.items()
            for i, name in enumerate(self._sizes[suffix])
        }

    def gradient_norms(self, loss: Tensor | Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Return the norm (T + 1,) of dL/ds_i for every state s, over all rows of the batch.

        `loss` is one number computed from `outputs` or `state`, or a function of `outputs`.
        """
        flat = [(name, x) for name, states in self.states.items() for x in states]
        found = self._gradients(loss, [x for _, x in flat])
        norms: dict[str, list[float]] = {name: [] for name in self.states}
        for (name, _), g in zip(flat, found, strict=True):
            norms[name].append(0.0 if g is None else engine.norm(g).item())
        return {name: _table(values) for name, values in norms.items()}

    def contributions(self, loss: Tensor | Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Return what each step adds to the gradient of every weight: (T, *shape), by name.

        Entry t is the part of the step at time t; their sum is the whole gradient. Names are those
        of ``net.named_parameters()``; a weight that no cell has is left out. `loss` as above.
        """
        uses = [(self._names[id(self._cells[suffix][path])], step.t, x)
                for suffix, steps in self._runs.items()
                for step in steps
                for path, x in step.weights.items()]  # fmt: skip
        found = self._gradients(loss, [x for *_, x in uses])
        totals: dict[str, dict[int, Tensor]] = {}
        for (name, t, x), g in zip(uses, found, strict=True):
            own = totals.setdefault(name, {})
            g = engine.zeros_like(x) if g is None else g
            own[t] = own[t] + g if t in own else g  # a weight that two cells share
        return {name: engine.stack([own[t] for t in sorted(own)]) for name, own in totals.items()}

    def contribution_norms(self, loss: Tensor | Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Return the norm (T,) of what each step adds to the gradient of every weight."""
        found = self.contributions(loss)
        return {name: _table([engine.norm(one).item() for one in x]) for name, x in found.items()}

    def step_jacobians(self, run: str = "") -> Tensor:
        """Return dz_{i+1}/dz_i of every step: (T, B, S, S), z all states of a cell in a row.

        `run` is the end of the states' names, such as ``"_l0"``, where there are several. Rows of
        the batch are taken to be independent of each other.
        """
        if run not in self._runs:
            raise ValueError(f"Probe: no run {run!r}; there are {list(self._runs)}")
        if run not in self._jacobians:
            self._jacobians[run] = engine.stack([_jacobian(step) for step in self._runs[run]])
        return self._jacobians[run]

    def jacobian(self, of: str, later: int, earlier: int, by: str | None = None) -> Tensor:
        """Return the Jacobian (B, H, H') of `of` after `later` steps by `by` after `earlier`.

        `by` is `of` by default. It is exact: the product of the one-step Jacobians between, in
        float64 and scaled so that nothing is lost on the way, with all states of the earlier time
        free, so that h does not move with c. Raises ValueError for
        unknown states, states of two cells and times that are not there.
        """
        run, rows, columns = self._place(of, of if by is None else by)
        if not 0 <= earlier <= later <= len(self._runs[run]):
            raise ValueError(
                f"Probe: expected 0 <= earlier <= later <= {len(self._runs[run])}, "
                f"got earlier {earlier}, later {later}"
            )
        product = self._identity(run)
        for step in self._scaled_steps(run)[earlier:later]:
            product = step @ product
        return engine.asarray(product.block(rows, columns).numpy())

    def jacobian_norms(
        self,
        of: str,
        by: str | None = None,
        *,
        rows: Iterable[int] | None = None,
        kind: str = "spectral",
    ) -> Tensor:
        """Return the norms of all Jacobians of `of` by `by`: rows of later times, T + 1 columns.

        `rows` are the later times, as numbers of steps; all from 0 to T by default. Where the
        column is later than the row the norm is 0. `kind` is ``"spectral"`` or ``"frobenius"``, of
        the whole batch as one matrix. Raises as `jacobian`, and for another kind.
        """
        if kind not in NORMS:
            raise ValueError(f"Probe: unknown kind {kind!r}; expected one of {', '.join(NORMS)}")
        run, above, beside = self._place(of, of if by is None else by)
        steps = len(self._runs[run])
        times = range(steps + 1) if rows is None else list(rows)
        if wrong := [t for t in times if not 0 <= t <= steps]:
            raise ValueError(f"Probe: rows must lie in 0 to T = {steps}, got {wrong[0]}")
        table = []
        for t in times:
            product = self._identity(run)
            line = [0.0] * (steps + 1)
            for i in range(t, -1, -1):
                line[i] = product.block(above, beside).norm(kind)
                if i:
                    product = product @ self._scaled_steps(run)[i - 1]
            table.append(line)
        return _table(table)

    def _scaled_steps(self, run: str) -> list[Scaled]:
        """Return the Jacobian of every step in a form of which long products are exact."""
        if run not in self._scaled:
            self._scaled[run] = [Scaled.of(one) for one in self.step_jacobians(run)]
        return self._scaled[run]

    def _identity(self, run: str) -> Scaled:
        """Return the Jacobian of no step: (B, S, S)."""
        size = sum(map(width, self._sizes[run].values()))
        return Scaled.identity(self._runs[run][0].before[0].shape[0], size)

    def _place(self, of: str, by: str) -> tuple[str, slice, slice]:
        """Return the run that two states are of, and where they lie in z."""
        places = {}
        for run, sizes in self._sizes.items():
            start = 0
            for name, size in sizes.items():
                places[f"{name}{run}"] = (run, slice(start, start + width(size)))
                start += width(size)
        for name in (of, by):
            if name not in places:
                raise ValueError(f"Probe: no state {name!r}; there are {', '.join(places)}")
        if places[of][0] != places[by][0]:
            raise ValueError(f"Probe: {of} and {by} are states of two cells")
        return places[of][0], places[of][1], places[by][1]

    def _gradients(
        self, loss: Tensor | Callable[[Tensor], Tensor], inputs: list[Tensor]
    ) -> list[Tensor | None]:
        """Return the gradients of the loss. Raises ValueError for one of another run."""
        if not isinstance(loss, Tensor):
            with using(recording=True):
                loss = loss(self.outputs)
        found = engine.gradients(loss, inputs)
        if inputs and all(g is None for g in found):
            raise ValueError(
                "Probe: the loss does not depend on this run; compute it from the probe's outputs "
                "or state, or give a function of its outputs"
            )
        return found


def _jacobian(step: Step) -> Tensor:
    """Return the Jacobian (B, S, S) of one step, a row for each unit at a time."""
    out = engine.concat([_flat(x) for x in step.alone_after], axis=-1)
    eye = engine.eye(out.shape[-1], dtype=out.dtype, device=out.device)
    rows = []
    for unit in eye:
        found = engine.gradients(out, step.alone_before, engine.broadcast_to(unit, out.shape))
        rows.append(engine.concat([*map(_flat, or_zeros(found, step.alone_before))], axis=-1))
    return engine.stack(rows, axis=1)


def _flat(x: Tensor) -> Tensor:
    """Return a state with its units side by side: (B, S)."""
    return x if x.ndim == 2 else engine.reshape(x, (x.shape[0], -1))


def _table(values: list[Any]) -> Tensor:
    return engine.asarray(values, dtype="float64")
