"""Record one step of a cell with its numbers, for readers and pictures. Above `equations.py`."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import engine
from engine import Graph, Node, Tensor
from engine.backends import HOST
from engine.backends import numpy as host
from engine.pytree import flatten
from engine.random import random_state, set_random_state
from engine.state import Draws, using
from rnn.cells.declaration import BaseCell
from rnn.cells.equations import called, in_first_form, symbol, symbols, written
from rnn.cells.sizes import examples, given, units

SPREAD = 0.5  # the standard deviation of example values: where tanh and sigmoid still have a slope


@dataclass(frozen=True)
class StepRecord:
    """Hold one step: its graph, what it was given and what it made, by name, and its equations.

    `inputs`, `states` and the `results` of the step are tensors by their names in the equations, as
    ``x_t``, ``h_{t-1}`` and ``h_t``, and the results go state by state, then the output where it is
    none of them. `new` is the result of each state. `symbols` has the parameters too. `equations`
    are lines of LaTeX with marks (see `terms.py`).
    """

    inputs: dict[str, Tensor]
    states: dict[str, Tensor]
    results: dict[str, Tensor]
    new: dict[str, str]
    symbols: dict[Node, str]
    equations: tuple[str, ...]
    graph: Graph


def recorded_step(cell: BaseCell, x: Any = None, states: Any = None) -> StepRecord:
    """Record one step of `cell` on `x` and `states`, by default on small normal numbers.

    x (B, I) or one row (I,), or a pytree of such; `states` a tensor, a tuple or a dict by name. The
    numbers by default are the same at every call, and the engine's randomness is as it was before.
    Raises ValueError for shapes that do not fit the cell, and what the step itself raises.
    """
    before = random_state()
    try:
        return _recorded(cell, x, states)
    finally:
        set_random_state(before)


def _recorded(cell: BaseCell, x: Any, states: Any) -> StepRecord:
    kind = next((p.dtype for p in cell.parameters()), engine.float32)

    def record(sizes: Any, rows: Any) -> StepRecord:
        xs = _example(examples(sizes, (1,), kind, rows), "x") if x is None else _rows(cell, x)
        return _run(cell, xs, _states(cell, states, xs, kind), sizes)

    own = cell.input_size
    return record(own, kind) if x is not None else in_first_form(own, kind, record)


def _example(pytree: Any, *key: str) -> Any:
    """Return a pytree with small normal numbers in the place of its floats, fixed by `key`."""
    leaves, rebuild = flatten(pytree)
    return rebuild([_normal(one, *key, str(i)) for i, one in enumerate(leaves)])


def _normal(like: Tensor, *key: str) -> Tensor:
    if like.dtype.kind not in "fV":
        return like
    numbers = host.generator([sum(map(ord, "".join(key)))]).normal(0.0, SPREAD, like.shape)
    return engine.asarray(numbers, dtype=like.dtype)


def _rows(cell: BaseCell, x: Any) -> Any:
    """Return the inputs with a row axis in front."""
    pairs, rebuild = given(type(cell).__name__, x, cell.input_size)
    single = bool(pairs) and all(one.ndim == len(own) for one, own in pairs)
    return rebuild([engine.expand_dims(one, axis=0) if single else one for one, _ in pairs])


def _states(cell: BaseCell, states: Any, xs: Any, kind: Any) -> Any:
    """Return the states before the step, (B, H) each."""
    batch = max((one.shape[0] for one in flatten(xs)[0] if one.ndim), default=1)
    sizes = cell.state_size
    if states is None:
        made = tuple(_example(examples(size, (batch,), kind), name) for name, size in sizes.items())
        return made[0] if len(made) == 1 else made
    if isinstance(states, Mapping):
        states = tuple(states[name] for name in sizes)
        states = states[0] if len(states) == 1 else states
    leaves, rebuild = flatten(states)
    found = [engine.asarray(one) for one in leaves]
    lone = all(
        one.ndim == len(units(size)) for one, size in zip(found, sizes.values(), strict=False)
    )
    return cell.checked(
        rebuild([engine.expand_dims(one, axis=0) if lone else one for one in found]), batch
    )


def _run(cell: BaseCell, xs: Any, state: Any, sizes: Any) -> StepRecord:
    """Record the step, every op of it, from leaves of its own."""
    xs, state = _leaves(xs), _leaves(state)
    device = next((one.device for one in flatten(state)[0]), HOST.name)
    time = (engine.asarray(0),) if cell.takes_time else ()
    key = engine.asarray(host.asarray([0, 0]), device=device, name="key")
    chance = Draws(lambda: key, engine.asarray(host.asarray(0), device=device, name="t"))
    with warnings.catch_warnings(), using(tracing=True, recording=True, draws=chance):
        warnings.simplefilter("ignore")  # of numbers beyond what a dtype holds
        y, new = cell.stepped(xs, state, *time)
    return _described(cell, [*flatten(xs)[0], *time], flatten(state)[0], flatten(new)[0],
                      flatten(y)[0], sizes)  # fmt: skip


def _leaves(pytree: Any) -> Any:
    """Return leaves with the same values, which have a gradient where they are floats."""
    found, rebuild = flatten(pytree)
    floating = [one.dtype.kind in "fV" for one in found]
    return rebuild([engine.asarray(one.data, requires_grad=kind)
                    for one, kind in zip(found, floating, strict=True)])  # fmt: skip


def _described(
    cell: BaseCell, xs: list[Tensor], old: list[Tensor], new: list[Tensor], ys: list[Tensor],
    sizes: Any,
) -> StepRecord:  # fmt: skip
    names = list(cell.state_size)
    inputs = dict(zip(called(sizes, xs), xs, strict=True))
    known = symbols(cell, inputs, old)
    states = dict(zip(names, new, strict=True))
    graph = Graph.of(*new, *ys, *xs, *old)
    lines = written(graph, known, states, ys, marked=True)
    results = {symbol(name, "t"): x for name, x in states.items()}
    others = [y for y in ys if y.node not in {x.node for x in new}]
    outputs = ["y"] if len(others) == 1 else [f"y_{i}" for i in range(len(others))]
    results |= {symbol(name, "t"): y for name, y in zip(outputs, others, strict=True)}
    return StepRecord(
        inputs=inputs,
        states={known[x.node]: x for x in old},
        results=results,
        new={known[x.node]: symbol(name, "t") for x, name in zip(old, names, strict=True)},
        symbols=known,
        equations=tuple(lines),
        graph=graph,
    )
