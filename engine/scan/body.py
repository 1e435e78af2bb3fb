"""Record the step of a recurrence, once, on arrays that have shapes and no numbers.

Leaves of the graph are the states, this step's inputs, and invariants such as weights. A step that
asks for a number raises NotRecordableError here, and the explicit loop runs it. Above `call.py`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.backends.abstract import AbstractArray
from engine.backends.half import FLOATING
from engine.backends.numpy import int64
from engine.errors import NotRecordableError
from engine.graph import Graph
from engine.hooks import HOOKED
from engine.interpreter import Recording
from engine.node import Node, Shape, new_id
from engine.pytree import Rebuild
from engine.scan.call import ScanCall, check_state, outputs_of
from engine.state import Draws, equations, using
from engine.stepping import while_stepping
from engine.tensor import Tensor, leaf_node


@dataclass(frozen=True, eq=False)
class Body:
    """Hold one step as data: from `states` and `xs` to `new_states` and `ys`, all flat.

    `key` and `t` are what chance in the step depends on. Nodes of the step have ids from `start`
    on. `groups` are its states in groups that read each other, with the kind of each.

    >>> body = engine.scan_body(lambda h, x: (h + x, h * x), engine.zeros(2), engine.ones((3, 2)))
    >>> body.states[0].shape, body.xs[0].shape, len(body.ys)
    ((2,), (2,), 1)
    """

    states: tuple[Tensor, ...]
    xs: tuple[Tensor, ...]
    new_states: tuple[Tensor, ...]
    ys: tuple[Tensor, ...]
    ys_nest: Rebuild
    key: Tensor
    t: Tensor
    start: int
    groups: tuple[Any, ...] = ()

    @cached_property
    def graph(self) -> Graph:
        """Return the graph of the results."""
        return Graph.of(*self.new_states, *self.ys)

    @cached_property
    def invariants(self) -> tuple[Node, ...]:
        """Return the leaves that are the same at every step."""
        own = {x.node for x in (*self.states, *self.xs)}
        return tuple(n for n in self.graph.nodes if not n.inputs and n not in own)

    @cached_property
    def recurrent(self) -> frozenset[Node]:
        """Return the nodes that depend on the state; others are computed for all steps at once."""
        found = {x.node for x in self.states}
        for node in self.graph.nodes:
            if any(isinstance(x, Tensor) and x.node in found for x in node.inputs):
                found.add(node)
        return frozenset(found)


def record_body(call: ScanCall) -> Body:
    """Record the step of `call`.

    Raises NotRecordableError for a step that needs numbers, ValueError for a state that changes
    its shape, and what the step itself raises.
    """
    start = new_id()
    states = [stand_in(x, x.shape, f"state{i}") for i, x in enumerate(call.init)]
    xs = [stand_in(x, x.shape[1:], f"x{i}") for i, x in enumerate(call.xs)]
    device = call.device or "numpy"
    key, t = (leaf(shape, int64, device, name) for shape, name in (((2,), "key"), ((), "t")))
    draws = Draws(lambda: key, t)
    settings = {"tracing": True, "recording": True, "draws": draws, "interpreter": Recording()}
    with using(**settings), while_stepping(first_recorded=start, arguments=(*states, *xs)):
        with equations(call.step):
            state, y = call.stepped(states, xs)
        new = check_state(call, state)
        ys, ys_nest = outputs_of(call, y)
    if any(number >= start for number in list(HOOKED)):
        raise NotRecordableError("the step puts a hook on the gradient of one of its tensors")
    return Body(tuple(states), tuple(xs), tuple(new), tuple(ys), ys_nest, key, t, start)


def stand_in(like: Tensor, shape: Shape, name: str = "") -> Tensor:
    """Return a leaf without numbers, of the dtype and on the device of `like`."""
    return leaf(shape, like.dtype, like.device, name)


def leaf(shape: Shape, dtype: Any, device: str, name: str = "") -> Tensor:
    """Return a leaf without numbers; it has a gradient where its dtype can have one."""
    data = AbstractArray(tuple(shape), dtype, device)
    made = Tensor(data, None, requires_grad=dtype.kind in FLOATING)
    made._node = leaf_node(data, {"name": name} if name else {})
    return made
