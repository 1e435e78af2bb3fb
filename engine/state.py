"""Keep what a thread has in force: scope, gradient mode, tracing, origin. Every change is undone.

Just above the backends; `apply` reads it for each op, the context managers here set it.
"""

import inspect
import threading
from collections.abc import Callable, Iterable
from functools import partial, wraps
from itertools import count
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from engine.backends import Array
from engine.naming.equations import Equations
from engine.op import Op
from engine.scope import ROOT, Scope

P = ParamSpec("P")
R = TypeVar("R")
Pull = Callable[..., None]


class Interpreter(Protocol):
    """Decide what becomes of an op that is applied, the one seam of `apply`; else it is computed.

    A profile measures what it computes, an anomaly detector looks at the results, and `Recording`
    of `interpreter.py` computes shapes alone.
    """

    def compute(self, op: Op, run: "partial[Any]") -> Array:
        """Return the result of ``run()``, which is ``op.forward(xp, *values, **attributes)``."""

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return what collects the gradients of a backward pass, and the function that pulls them
        through a node, in the form in which this interpreter sees them.
        """


class Draws:
    """Count the draws of one step: where its key comes from, its time, and how many there were."""

    __slots__ = ("count", "key", "t")

    def __init__(self, key: Callable[[], Any], t: Any) -> None:
        self.key, self.t, self.count = key, t, count()


class Rows(NamedTuple):
    """Hold the rows `first` to `first + size` of a batch of `total` rows."""

    first: int
    size: int
    total: int


class State:
    """Hold one thread's settings."""

    __slots__ = (
        "deterministic", "draws", "equations", "interpreter", "keys", "origin", "recording",
        "rows", "scope", "sealed", "tracing",
    )  # fmt: skip

    def __init__(self) -> None:
        self.recording = True  # ops that need gradients are put on the graph
        self.deterministic = False  # sums do not depend on the order in which threads come
        self.tracing = False  # every op is put on the graph
        self.interpreter: Interpreter | None = None  # what becomes of ops; None: they are computed
        self.scope: Scope = ROOT
        self.origin: Any = None  # the forward `Node` that is being differentiated
        self.equations: Equations | None = None  # the step that names nodes by its assignments
        self.draws: Draws | None = None  # inside a step of a recurrence: where chance comes from
        self.keys: Callable[[str], int] | None = None  # in what is run twice: the keys it takes
        self.rows: Rows | None = None  # which rows of a batch are here, where others are elsewhere
        self.sealed = False  # tensors must not be read as arrays: a foreign rule is recorded


class _Threads(threading.local):
    def __init__(self) -> None:
        self.state = State()


threads = _Threads()


def current() -> State:
    """Return the settings of this thread."""
    return threads.state


class Settings:
    """Set the given settings inside a context and put them back after; the base of such contexts.

    Before a function they hold in every call of it, ``@engine.no_grad()``.
    """

    __slots__ = ("_after", "_before")

    def __init__(self, **settings: Any) -> None:
        self._after = settings
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        state = self._state()
        self._before.append({name: getattr(state, name) for name in self._after})
        for name, value in self._after.items():
            setattr(state, name, value)

    def __exit__(self, *error: object) -> None:
        state = self._state()
        for name, value in self._before.pop().items():
            setattr(state, name, value)

    def __call__(self, f: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function. Raises TypeError for one that runs on after it has returned."""
        if inspect.isgeneratorfunction(f) or inspect.iscoroutinefunction(f):
            raise TypeError(f"{f.__qualname__} is run in pieces; write the `with` inside of it")

        @wraps(f)
        def run(*args: P.args, **keywords: P.kwargs) -> R:
            # One for each call: threads do not share what was before.
            with type(self)(**self._after):
                return f(*args, **keywords)

        return run

    def _state(self) -> Any:
        """Return the object that has the settings in this thread."""
        raise NotImplementedError


class using(Settings):
    """Set the given settings of ops inside a context and put them back after."""

    __slots__ = ()

    def _state(self) -> Any:
        return threads.state


def no_grad() -> using:
    """Record nothing for gradients inside; ``@engine.no_grad()`` decorates a function.

    >>> w = engine.ones(2, requires_grad=True)
    >>> with engine.no_grad():
    ...     (w * 2).requires_grad
    False
    """
    return using(recording=False)


def deterministic() -> using:
    """Make gradients of embeddings and of indexing inside the same to the bit in every run.

    On a CUDA device numbers that belong to one place are added in the order in which threads come.
    Inside, they are sorted by place and added in a fixed order, which takes more time; on NumPy
    nothing changes. Hold it around the backward pass.

    >>> w = engine.ones((3, 2), requires_grad=True)
    >>> with engine.deterministic():
    ...     engine.sum(engine.embedding(w, [0, 2, 2])).backward()
    >>> w.grad.tolist()
    [[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]
    """
    return using(deterministic=True)


def tracing() -> using:
    """Put every op inside on the graph, also where no gradient is asked for.

    >>> with engine.tracing():
    ...     engine.exp(engine.ones(2)).node
    <node exp float32[2] at top>
    """
    return using(tracing=True)


def equations(step: Callable[..., Any], states: Iterable[str] = ()) -> using:
    """Name nodes inside after the variables that `step` assigns while it runs.

    Names in `states` become the label ``state=``, others ``gate=``.

    >>> def step(h, x):
    ...     m = engine.tanh(x)
    ...     return h + m
    >>> with engine.equations(step), engine.tracing():
    ...     engine.Graph.of(step(1.0, engine.ones(2))).nodes[1].scope
    top/gate=m
    """
    return using(equations=Equations.of(step, states))


class scope:
    """Name everything that is recorded inside: a path part and labels such as ``t=3``.

    Scopes nest: paths join with a dot, labels are laid over the outer ones. What `viz` knows of
    cells and time it reads from here.

    >>> x = engine.ones(2, requires_grad=True)
    >>> with engine.scope("lstm"), engine.scope("l0", t=3):
    ...     (x * 2).node.scope
    lstm.l0/t=3
    """

    __slots__ = ("_before", "_labels", "_name")

    def __init__(self, name: str = "", **labels: Any) -> None:
        self._name = name
        self._labels = labels
        self._before: list[Scope] = []

    def __enter__(self) -> Scope:
        state = threads.state
        self._before.append(state.scope)
        state.scope = state.scope.child(self._name, self._labels)
        return state.scope

    def __exit__(self, *error: object) -> None:
        threads.state.scope = self._before.pop()
