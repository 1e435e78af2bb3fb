"""Record a step a second time and refuse one that is then another: it has effects or chance.

A counter, a list that grows, a draw of `random` or NumPy have one value in a recorded step and
another at every step of the loop. Above `body.py` and `reading.py`, below `recorded.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from inspect import unwrap
from typing import Any, NamedTuple
from weakref import WeakSet, ref

from engine.errors import ImpureStepError
from engine.node import Node
from engine.registry import REGISTRY
from engine.scan.body import Body, record_body
from engine.scan.call import ScanCall
from engine.scan.program import Literal, Program, Source, Value, named
from engine.scan.reading import Reader, signature
from engine.tensor import Tensor

FIX = (
    "a recorded step may depend on its arguments and on what stays as it is. Carry what changes as "
    "a state, draw by engine.random or engine.dropout, or call the step at each step of time: "
    "`with engine.explicit():`, without lengths or a mask"
)


def require_pure(call: ScanCall, body: Body) -> None:
    """Record the step of `call` again. Raises ImpureStepError where it is not as in `body`."""
    first = _Leaves(body)  # before the second time, which may change an array in place
    try:
        second = _Leaves(record_body(call))
    except Exception as error:  # the first time it raised nothing
        raise _impure(call, f"raises {type(error).__name__}: {error}") from error
    for one, other in zip(first.values, second.values, strict=False):
        if signature([_plain(one)]) != signature([_plain(other)]):
            raise _impure(call, f"has {_told(other)} where it had {_told(one)}")
    if len(first.values) != len(second.values) or first.roots != second.roots:
        raise _impure(call, "computes other values")
    for leaf, again in zip(first.leaves, second.leaves, strict=True):
        if leaf.node is not again.node and (leaf.bits is None or leaf.bits != again.bits):
            own = leaf.bits is not None
            raise _impure(call, "has a constant of other numbers" if own else "reads other tensors")


def is_known(step: Any, program: Program) -> bool:
    """Return whether a step was found to be pure when it was recorded as this program."""
    owner, code = _identity(step)
    known = program.memo.get("pure owners" if code is None else "pure codes", ())
    return (owner if code is None else code) in known


def make_known(step: Any, program: Program) -> None:
    """Remember that a step was found to be pure when it was recorded as this program."""
    owner, code = _identity(step)
    if code is not None:
        program.memo.setdefault("pure codes", set()).add(code)
    elif owner is not None:
        program.memo.setdefault("pure owners", WeakSet()).add(owner)


def _identity(step: Any) -> tuple[Any, Any]:
    """Return the object that a step is a method of, None for one that cannot be remembered, or else
    the code of a function, which may be made at each call, with what its closure is of.
    """
    step = unwrap(step)
    own = getattr(step, "__self__", None)
    code = getattr(step, "__code__", None)
    if own is None and code is not None:
        inside = [one for cell in step.__closure__ or () for one in _contents(cell)]
        return None, (code, *(getattr(one, "__code__", type(one)) for one in inside))
    owner = step if own is None else own
    try:
        hash(owner)
        ref(owner)
    except TypeError:
        return None, None
    return owner, None


def _contents(cell: Any) -> tuple[Any, ...]:
    """Return what a variable of a closure holds; nothing where it has no value yet."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def counters(step: Any) -> Callable[[], None]:
    """Return what gives plain numbers of a step the values that they have now: attributes of the
    object that it is a method of, and variables of its closure. A loop that follows a record that
    failed so begins as if there had been none.
    """
    step = unwrap(step)
    own = vars(step.__self__) if hasattr(getattr(step, "__self__", None), "__dict__") else {}
    numbers = {name: x for name, x in own.items() if type(x) in (int, float)}
    cells = [
        one
        for one in getattr(step, "__closure__", None) or ()
        if any(type(x) in (int, float) for x in _contents(one))
    ]
    contents = [one.cell_contents for one in cells]

    def put_back() -> None:
        for name in [name for name, x in own.items() if type(x) in (int, float)]:
            if name not in numbers:  # it was the class's before
                del own[name]
        own.update(numbers)
        for cell, content in zip(cells, contents, strict=True):
            cell.cell_contents = content

    return put_back


class _Leaf(NamedTuple):
    """Hold the node of a leaf, and the bits of one that got it while the step was recorded."""

    node: Node
    bits: Any


class _Leaves(Reader):
    """Read a recorded step back to tensors that it captures and constants that it makes."""

    def __init__(self, body: Body) -> None:
        given = (*body.states, *body.xs, body.key, body.t)
        super().__init__({x.node: ("given", i) for i, x in enumerate(given)}, self._source)
        self.start = body.start
        self.leaves: list[_Leaf] = []
        self.roots = [self.read(x) for x in (*body.new_states, *body.ys)]

    def _source(self, tensor: Tensor) -> Source | None:
        """Return the source of a leaf; None for what an op of the step made."""
        if tensor.node.id >= self.start and tensor.node.operands:
            return None
        own = tensor.node.id >= self.start
        self.leaves.append(_Leaf(tensor.node, named(tensor.numpy()) if own else None))
        return ("leaf", len(self.leaves) - 1)


def _plain(value: Value) -> Value:
    """Return a value without its name and functions: a step that makes one, or an op of one, makes
    another, and Python 3.11 calls builtins from another place once it has specialised the step.
    """
    made = value.op is not None and REGISTRY.get(value.op.name) is not value.op
    attrs = {name: x for name, x in value.attrs.items() if not callable(x)}
    return replace(value, op=None if made else value.op, attrs=attrs, label="")


def _told(value: Value) -> str:
    """Return an op with its numbers, for a person."""
    if value.op is None:
        return "an input"
    numbers = [repr(one.value) for one in value.inputs if isinstance(one, Literal)]
    return f"{value.op.name}{f' by {numbers[0]}' if numbers else ''}"


def _impure(call: ScanCall, what: str) -> ImpureStepError:
    step: Any = getattr(call.step, "__wrapped__", call.step)
    name = getattr(step, "__qualname__", type(step).__name__)
    return ImpureStepError(f"scan: {name}, called a second time for the same shapes, {what}: {FIX}")
