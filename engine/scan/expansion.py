"""Puts the steps of fused recurrences on the graph, for pictures and for reading.

Above the executors.
"""

from dataclasses import replace

from engine.apply import apply
from engine.graph import Graph
from engine.nest import flatten
from engine.node import Node
from engine.scan.explicit import Explicit
from engine.scan.fused import OUTPUT, SCAN
from engine.scan.job import Job
from engine.state import using
from engine.tensor import Tensor


def expanded(*outputs: Tensor) -> tuple[Tensor, ...]:
    """The same values computed with every step of every recurrence on the graph.

    Leaves are kept, and so is all that no fused recurrence leads to; outputs that depend on none
    come back as they are.
    """
    graph = Graph.of(*outputs)
    if not any(node.op is SCAN for node in graph.nodes):
        return outputs
    made: dict[Node, Tensor] = {}
    steps: dict[Node, list[Tensor]] = {}
    for node in graph.nodes:
        tensors = [x for x in node.inputs if isinstance(x, Tensor)]
        if node.op is SCAN:
            steps[node] = _explicit_steps(node, made)
        elif node.op is OUTPUT and tensors[0].node in steps:
            made[node] = steps[tensors[0].node][node.attrs["number"]]
        elif any(x.node in made for x in tensors):
            inputs = tuple(made.get(x.node, x) if isinstance(x, Tensor) else x for x in node.inputs)
            with using(scope=node.scope, origin=node.origin, equations=None):
                made[node] = apply(node.op, inputs, dict(node.attrs))
    return tuple(made.get(out.node, out) for out in outputs)


def _explicit_steps(node: Node, made: dict[Node, Tensor]) -> list[Tensor]:
    """The outputs of one recurrence, run step by step where it was made."""
    job: Job = node.attrs["job"]
    new = [made.get(x.node, x) for x in (*job.call.init, *job.call.xs)]
    states = len(job.call.init)
    call = replace(job.call, init=new[:states], xs=new[states:])
    with using(scope=node.scope, recording=True):
        final, ys = Explicit().run(call)
    return [*final, *flatten(ys)[0]]
