"""The body of a recurrence: its step recorded once as a small graph, to be read and compiled.

Leaves of the graph are the states, this step's inputs, and invariants such as weights.
"""

from dataclasses import dataclass
from functools import cached_property

from engine.graph import Graph
from engine.nest import Rebuild, flatten
from engine.node import Node
from engine.ops.creation import zeros
from engine.scan.call import ScanCall, check_state
from engine.state import equations, using
from engine.tensor import Tensor


@dataclass(frozen=True)
class Body:
    """One step as data: `graph` from `states` and `xs` to `new_states` and `ys`, all flat."""

    graph: Graph
    states: tuple[Tensor, ...]
    xs: tuple[Tensor, ...]
    new_states: tuple[Tensor, ...]
    ys: tuple[Tensor, ...]
    ys_nest: Rebuild

    @cached_property
    def invariants(self) -> tuple[Node, ...]:
        """The leaves that are the same at every step."""
        own = {x.node for x in (*self.states, *self.xs)}
        return tuple(n for n in self.graph.nodes if not n.inputs and n not in own)

    @cached_property
    def recurrent(self) -> frozenset[Node]:
        """The nodes that depend on the state; all others can be computed for all steps at once."""
        found = {x.node for x in self.states}
        for node in self.graph.nodes:
            if any(isinstance(x, Tensor) and x.node in found for x in node.inputs):
                found.add(node)
        return frozenset(found)


def record_body(call: ScanCall) -> Body:
    """Run the step of `call` once on zeros, with every op recorded, and return it as data."""
    states = [_placeholder(x, f"state{i}", x.shape) for i, x in enumerate(call.init)]
    xs = [_placeholder(x, f"x{i}", x.shape[1:]) for i, x in enumerate(call.xs)]
    with using(tracing=True, draws=call.draws_at(0)), equations(call.step):
        state, y = call.step(call.init_nest(states), call.xs_nest(xs))
    new = check_state(call, state)
    ys, ys_nest = flatten(y)
    return Body(Graph.of(*new, *ys), tuple(states), tuple(xs), tuple(new), tuple(ys), ys_nest)


def _placeholder(like: Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
    """A named leaf of zeros that stands for a state or for one step's input."""
    return zeros(
        shape, dtype=like.dtype, device=like.device, requires_grad=like.requires_grad, name=name
    )
