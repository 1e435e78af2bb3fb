"""Compute Jacobians along a graph: of later tensors by earlier ones, for what lies between.

The nodes between are recorded once more from leaves with the values of the earlier tensors, so that
nothing older is walked, and a state that requires no gradient can be differentiated at. Above the
backward pass and `variables.py`; tables and pictures of gradients through time are made of it.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

from engine.apply import apply, asarray
from engine.backends.half import FLOATING
from engine.backends.numpy import quiet
from engine.derivatives.seeds import seeds
from engine.derivatives.transforms import pulled
from engine.graph_base import behind
from engine.node import Node
from engine.ops.creation import eye, zeros
from engine.ops.shaping import broadcast_to, concat, reshape, stack
from engine.reading.scaled import Scaled
from engine.reading.variables import StateRun
from engine.scan.expansion import expanded
from engine.scan.nodes import SCAN
from engine.state import using
from engine.tensor import Tensor

RECORDED = {"recording": True, "tracing": False, "equations": None}


def jacobian_along(later: Sequence[Tensor], earlier: Sequence[Tensor]) -> Tensor:
    """Return the exact derivative of all of `later` by all of `earlier`, side by side: (B, S, S').

    Tensors are (B, ...) with one B; S and S' count what a row of theirs holds, tensor after tensor,
    of (B,) one number. If all are (S,), they have no batch and give (S, S'). All of `earlier` are
    free: that one of them was computed from another is cut, so h moves without c. One backward pass
    a unit of `later`, over the nodes between alone. Rows of the batch must be independent. Raises
    ValueError where they are not, for shapes without a common B, for a tensor given twice and for
    none at all, TypeError for tensors that are not floats.

    >>> from engine.reading.jacobians import jacobian_along
    >>> x = engine.asarray([[1.0, 2.0]], requires_grad=True)
    >>> jacobian_along([x * x], [x])
    tensor([[[2., 0.],
             [0., 4.]]], dtype=float32)
    """
    one = _unbatched(later, earlier)
    free, made = _between("jacobian_along", later, earlier)
    with using(**RECORDED), quiet():
        out = _beside(made, one=one)
    _check_rows(out, free)
    rows = [
        _beside(pulled([out], free, [broadcast_to(unit, out.shape)]), one=one)
        for unit in eye(out.shape[-1], dtype=out.dtype, device=out.device)
    ]
    if not rows:
        return zeros((*earlier[0].shape[: 0 if one else 1], 0, _beside(free, one=one).shape[-1]),
                     dtype=out.dtype, device=out.device)  # fmt: skip
    table = stack(rows, axis=1)
    return reshape(table, table.shape[1:]) if one else table


def gradients_along(
    outputs: Tensor | Sequence[Tensor], earlier: Sequence[Tensor], grads: Any = None
) -> list[Tensor]:
    """Return the gradient of `outputs` by each of `earlier`, all free: zeros where none leads.

    As `engine.gradients`, with `grads` as weights of outputs that are no single numbers, but it
    does not count what runs from one of `earlier` through another, it is there for tensors that
    require no gradient, and it walks what lies between alone. Raises besides as `jacobian_along`.

    >>> from engine.reading.jacobians import gradients_along
    >>> h = 2 * (c := engine.asarray([3.0], requires_grad=True))
    >>> [g.item() for g in gradients_along(engine.sum(h * c), [h, c])]
    [3.0, 6.0]
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    weights = seeds(outputs, grads)
    free, made = _between("gradients_along", outputs, earlier)
    return pulled(made, free, weights)


def step_jacobians(run: StateRun) -> list[Tensor | None]:
    """Return the Jacobian (B, S, S) of every step of a run: all states after it by those before.

    In the order in which the steps were run, states side by side as `run.names`. The first is None
    where the graph does not tell the state before it (`run.before`). The derivative after step i
    by that after step j is the product of those of the steps i, i - 1, ..., j + 1.

    >>> import engine, rnn
    >>> from engine.reading.jacobians import step_jacobians
    >>> from engine.reading.variables import state_runs
    >>> y, _ = rnn.Recurrent(rnn.GRUCell(3, 5))(engine.ones((7, 2, 3)))
    >>> (run,) = state_runs(y)
    >>> [one.shape for one in step_jacobians(run)] == [(2, 5, 5)] * 7
    True
    """
    first = None if run.before is None else jacobian_along(run.after[0], run.before)
    return [first, *(jacobian_along(after, before) for before, after in pairwise(run.after))]


def spectral_norm(matrices: Tensor) -> float:
    """Return the largest singular value of a matrix, or of a batch (B, M, N) on a diagonal.

    inf or NaN where an element is.

    >>> from engine.reading.jacobians import spectral_norm
    >>> spectral_norm(engine.asarray([[3.0, 0.0], [0.0, 4.0]]))
    4.0
    """
    return Scaled.of(matrices).norm("spectral")


def _unbatched(later: Sequence[Tensor], earlier: Sequence[Tensor]) -> bool:
    """Return whether all tensors are (S,). Raises ValueError where they have no one B either."""
    if not later or not earlier:
        raise ValueError("jacobian_along: expected tensors on both sides, got none")
    shapes = [x.shape for x in (*later, *earlier)]
    flat = all(len(shape) == 1 for shape in shapes)
    if not flat and any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        raise ValueError(
            "jacobian_along: expected tensors (B, ...) with the same B, or all of them (S,), got "
            f"{', '.join(map(str, shapes))}; gradients_along takes a single number"
        )
    return flat


def _between(
    name: str, later: Sequence[Tensor], earlier: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return `earlier` as leaves, and `later` recorded again from them."""
    for x in (*later, *earlier):
        if x.dtype.kind not in FLOATING:
            raise TypeError(f"{name}: {x.node} is no float and has no derivative")
    made = {x.node: asarray(x.data, requires_grad=True) for x in earlier}
    if len(made) < len(earlier):
        raise ValueError(f"{name}: a tensor is given twice in earlier")
    free = list(made.values())
    lowest_id = min(node.id for node in made)
    nodes = behind((x.node for x in later), lambda one: one.id > lowest_id and one not in made)
    if any(node.op is SCAN for node in nodes):  # which stands for steps that are put back first
        both = expanded(*later, *earlier)
        return _between(name, both[: len(later)], both[len(later) :])
    for node in nodes:
        if not any(type(x) is Tensor and x.node in made for x in node.inputs):
            continue
        inputs = tuple(_again(x, made) if type(x) is Tensor else x for x in node.inputs)
        with using(scope=node.scope, origin=None, **RECORDED), quiet():
            made[node] = apply(node.op, inputs, dict(node.attrs))
    return free, [_again(x, made) for x in later]


def _again(x: Tensor, made: dict[Node, Tensor]) -> Tensor:
    """Return an input as it was recorded again, or its value alone where that was not needed."""
    found = made.get(x.node)
    return x.detach() if found is None else found


def _beside(tensors: Sequence[Tensor], *, one: bool) -> Tensor:
    """Return tensors side by side, (B, S); `one` row where they have no batch."""
    shapes = [(1, *x.shape) if one else x.shape for x in tensors]
    flat = [
        reshape(x, (shape[0], prod(shape[1:]))) for x, shape in zip(tensors, shapes, strict=True)
    ]
    return concat(flat, axis=-1)


def _check_rows(out: Tensor, free: list[Tensor]) -> None:
    """Raise where a half of the batch depends on the other."""
    rows, units = out.shape
    half = rows // 2
    weights = [1 + i / units for i in range(units)]  # so that units do not cancel each other
    for first in (True, False) if rows > 1 else ():
        seed = [weights if (b < half) is first else [0.0] * units for b in range(rows)]
        weight = asarray(seed, dtype=out.dtype, device=out.device)
        for g in pulled([out], free, [weight]):
            other = g.numpy()[half:] if first else g.numpy()[:half]
            if (abs(other) > 0).any():
                raise ValueError(
                    "jacobian_along: rows of the batch depend on each other (a norm over the "
                    "batch?), so there is no Jacobian a row; take a batch of one"
                )
