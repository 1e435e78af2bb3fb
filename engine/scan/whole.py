"""Keep recurrences whole while a model is recorded on shapes alone: a node each, with its step.

What writes models in other formats reads these nodes. Above `body.py`, below `scan` itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from engine.apply import asarray
from engine.backends.abstract import AbstractArray, NotRecordableError, refuse
from engine.backends.numpy import float32
from engine.interpreter import Recording
from engine.node import Node, new_id
from engine.op import Op
from engine.pytree import flatten
from engine.scan.body import Body, record_body
from engine.scan.call import ScanCall
from engine.scan.masked import rowed_inputs
from engine.scan.padding import select_rows, zero_of
from engine.scan.recorded import read
from engine.state import current, using
from engine.stepping import while_stepping
from engine.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Whole:
    """Hold one recurrence: its call, its recorded step, and what of outside the step reads."""

    call: ScanCall
    body: Body
    outside: tuple[Tensor, ...]


def _computed(xp: Any, *inputs: Any, **attributes: Any) -> NoReturn:
    raise NotRecordableError("a recurrence that is kept whole has no numbers")


RECURRENCE = Op("recurrence", _computed, None, role="recurrence")
PART = Op("part", _computed, None, role="part")


def record_model(function: Callable[[], Any]) -> Any:
    """Return what a function returns, recorded on shapes alone, with its recurrences whole.

    Raises NotRecordableError where it needs numbers.
    """
    settings = {"tracing": True, "recording": False, "interpreter": Recording()}
    with using(**settings), while_stepping(whole=True):
        return function()


def whole(call: ScanCall) -> tuple[list[Tensor], Any]:
    """Return the final states, flat, and the pytree of all outputs (T, ...), without numbers."""
    if call.mask is not None:
        call = _selecting(call, call.mask)
    body = record_body(call)
    outside = _outside(body)
    scope = current().scope
    inputs = (*call.init, *call.xs, *outside)
    kept = {"whole": Whole(call, body, outside)}
    node = Node(RECURRENCE, inputs, kept, (), float32, scope, new_id(), None)
    whole = _without_numbers(node)
    shapes = [(x.shape, x.dtype) for x in body.new_states]
    shapes += [((call.length, *y.shape), y.dtype) for y in body.ys]
    parts = [
        _without_numbers(Node(PART, (whole,), {"number": n}, shape, dtype, scope, new_id(), None))
        for n, (shape, dtype) in enumerate(shapes)
    ]
    states = len(body.new_states)
    return parts[:states], body.ys_nest(parts[states:])


def _selecting(call: ScanCall, mask: Tensor) -> ScanCall:
    """Return a call the step of which selects the rows that have it: the mask is an input."""
    program = read(call, record_body(call)).program
    if not rowed_inputs(program, mask.shape[1])[1]:
        refuse("lengths or a mask in a step that mixes the rows of a batch")

    def step(state: Any, inputs: Any) -> tuple[Any, Any]:
        xs, rows = inputs
        new, y = call.step(state, xs)
        (news, rebuild), (ys, ys_nest) = flatten(new), flatten(y)
        tensors = [x if isinstance(x, Tensor) else asarray(x) for x in ys]
        return (
            rebuild([select_rows(rows, one, old)
                  for one, old in zip(news, flatten(state)[0], strict=True)]),
            ys_nest([select_rows(rows, one, zero_of(one)) for one in tensors]),
        )  # fmt: skip

    return replace(call, step=step, xs=[*call.xs, mask], mask=None,
                   xs_nest=lambda parts: (call.xs_nest(parts[:-1]), parts[-1]))  # fmt: skip


def _without_numbers(node: Node) -> Tensor:
    return Tensor(AbstractArray(node.shape, node.dtype, "numpy"), node)


def _outside(body: Body) -> tuple[Tensor, ...]:
    """Return the values without numbers that were there before the step and that it reads."""
    found: dict[Node, Tensor] = {}
    own = [node for node in body.graph.nodes if node.id >= body.start]
    for x in (*(x for node in own for x in node.inputs), *body.new_states, *body.ys):
        if isinstance(x, Tensor) and x.node.id < body.start and type(x.data) is AbstractArray:
            found.setdefault(x.node, x)
    return tuple(found.values())
