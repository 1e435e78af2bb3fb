"""Find by `detect_anomaly` the first number that is not finite, with its op and line of code.

While it is on, an `Anomaly` stands where `apply` and the backward pass look for an interpreter,
as a profile does, so nothing is paid for it at other times. Below `apply`.
"""

import linecache
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from weakref import ref

from engine.backends import HOST, NAMESPACES
from engine.backends.numpy import quiet
from engine.errors import shown
from engine.interpreter import Recording
from engine.node import Node
from engine.op import Op
from engine.scope import Scope
from engine.state import Pull, current, using
from engine.stepping import explicit

if TYPE_CHECKING:
    from engine.tensor import Tensor

INSIDE = str(Path(__file__).parent.parent) + os.sep


class AnomalyError(FloatingPointError):
    """Report a number that is not finite: which op gave it first, in which scope, from which line.

    >>> with engine.detect_anomaly():
    ...     engine.log(engine.zeros(2))
    Traceback (most recent call last):
    engine.debug.anomaly.AnomalyError: log: (2,): 2 of 2 results are infinite...
    """


def detect_anomaly() -> "Anomaly":
    """Return a context manager in which the first number that is not finite raises AnomalyError.

    The error names the op, its scope (with t in a recurrence, which runs explicitly here) and the
    line of code that asked for it; in a backward pass the op that was differentiated, and the line
    of its forward op. Slow, and for this thread only: for finding a fault.

    >>> with engine.detect_anomaly(), engine.scope("head"):
    ...     engine.log(engine.zeros(2))
    Traceback (most recent call last):
    engine.debug.anomaly.AnomalyError: log at head: (2,): 2 of 2 results are infinite...
    """
    return Anomaly()


class Anomaly:
    """Look at every result and every gradient, and remember which line made which array."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[ref[Any], str]] = {}  # by the address of the array
        self._settings: list[ExitStack] = []
        self._before: Any = None
        self._judging = True

    def __enter__(self) -> None:
        before = current().interpreter
        self._before = self._before if before is self else before
        # Where only shapes are computed there is nothing to look at.
        settings = ExitStack()
        settings.enter_context(explicit())
        own = before if isinstance(before, Recording) else self
        settings.enter_context(using(interpreter=own))
        self._settings.append(settings)

    def __exit__(self, *error: object) -> None:
        self._settings.pop().close()

    def compute(self, op: Op, run: Callable[[], Any]) -> Any:
        """Return the result of ``run()``, which computes an op.

        Raises AnomalyError where the result is not finite.
        """
        values = getattr(run, "args", ())[1:]  # after the namespace
        with quiet():
            out = run() if self._before is None else self._before.compute(op, run)
        if type(out) not in NAMESPACES:  # a NumPy scalar
            out = HOST.asarray(out, None, None)
        line = _line_of_user()
        if not isinstance(out, tuple) and not any(out is value for value in values):
            self._made[id(out)] = (ref(out), line)
        if self._judging and (fault := _fault(out)):
            given = ", ".join(map(shown, values))
            before = [i for i, value in enumerate(values) if _fault(value)]
            blame = (
                f"input {before[0]} was not finite already" if before else "its inputs are finite"
            )
            raise AnomalyError(
                f"{op.name}{_scope().place}: {given}: {fault % 'results'}; {blame}{_at(line)}"
            )
        return out

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return the gradients of a backward pass and how it pulls them, both looked at."""
        if self._before is not None:
            collected, pull = self._before.watched(collected, pull)
        checked = _Checked(self, collected)

        def looked_at(tensor: "Tensor", node: Node, g: Any, gradients: Any, observe: Any) -> None:
            checked.user = (tensor, node)
            before = self._judging
            # What a recorded rule computes on the way is judged by what it gives in the end.
            self._judging = before and not checked.recorded
            try:
                pull(tensor, node, g, gradients, observe)
            finally:
                self._judging = before

        return checked, looked_at

    def line_of(self, tensor: "Tensor") -> str:
        """Return where the array of a tensor was made."""
        known = self._made.get(id(tensor.data))
        if known is None or known[0]() is not tensor.data:
            return " did not run inside detect_anomaly(): put the forward pass inside, too"
        return f" ran{_at(known[1])}"


class _Checked:
    """Collect the gradients of a backward pass and look at all that is added to them."""

    __slots__ = ("_anomaly", "_collected", "_reached", "needed", "recorded", "user")

    def __init__(self, anomaly: Anomaly, collected: Any) -> None:
        self.needed, self.recorded = collected.needed, collected.recorded
        self.user: tuple[Tensor, Node] | None = None  # that is being differentiated
        self._anomaly, self._collected = anomaly, collected
        self._reached: set[int] = set()

    def add(self, number: int, part: Any) -> None:
        """Add one contribution to the gradient of node `number`."""
        if self.user is not None:
            tensor, node = self.user
            slots = [i for i, x in enumerate(node.inputs)
                     if hasattr(x, "node") and x.node.id == number]  # fmt: skip
            by = f" by its input {slots[0]}" if slots else ""
            self._look(tensor, node, getattr(part, "g", part), "the derivative of", by)
            self._reached.add(number)
        self._collected.add(number, part)

    def take(self, tensor: "Tensor", node: Node) -> Any:
        """Return the whole gradient of a tensor: its parts may be finite and their sum not."""
        g = self._collected.take(tensor, node)
        given = node.id not in self._reached
        self._look(tensor, node, g, "the grad given for" if given else "the gradient, summed, of")
        return g

    def _look(self, tensor: "Tensor", node: Node, found: Any, what: str, by: str = "") -> None:
        for one in found if isinstance(found, tuple) else (found,):
            if fault := _fault(one.data if hasattr(one, "node") else one):
                raise AnomalyError(
                    f"{what} {node.op.name}{node.scope.place}{by}: {fault % 'numbers'}; "
                    f"its forward op{self._anomaly.line_of(tensor)}"
                )


def _fault(array: Any) -> str:
    """Return how many numbers are not finite, a ``%s`` for their name; empty if all are."""
    if isinstance(array, float):
        array = HOST.asarray(array, None, None)
    if isinstance(array, tuple) or getattr(array, "dtype", None) is None or array.dtype.kind != "f":
        return ""
    finite = abs(array) < HOST.xp.inf  # false for nan
    if finite.all():
        return ""
    nans = int((array != array).sum())
    bad = array.size - int(finite.sum())
    kind = "nan" if nans == bad else "infinite" if not nans else "nan or infinite"
    return f"{bad} of {array.size} %s are {kind}"


def _scope() -> Scope:
    """Return the scope in force, with the gate or the state that is being computed."""
    state = current()
    return state.scope if state.equations is None else state.equations.label(state.scope)


def _at(line: str) -> str:
    return f" at {line}" if line else ""


def _line_of_user() -> str:
    """Return ``file:line: code`` of the innermost frame that is not the engine's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    if frame is None:
        return ""
    name, number = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(name, number).strip()
    return f"{name}:{number}: {code}" if code else f"{name}:{number}"
