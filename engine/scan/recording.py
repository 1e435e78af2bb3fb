"""Records the body of a recurrence and its vjp, and reads both into programs.

Above `program.py` and `call.py`; the fused executors are above this.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engine.backends import NAMESPACES
from engine.backends.numpy import int64
from engine.backward import backward_pass
from engine.nest import Rebuild, flatten
from engine.node import Node, Shape, ordinal
from engine.ops.creation import zeros
from engine.random import Draws
from engine.scan.call import ScanCall, check_state
from engine.scan.program import Literal, NotFusableError, Program, Source, Value
from engine.state import equations, using
from engine.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Recorded:
    """The forward body of one call: its reader, and the tensors that are the same at each step."""

    reader: "_Reader"
    states: list[Tensor]
    xs: list[Tensor]
    new: list[Tensor]
    ys: list[Tensor]
    ys_nest: Rebuild
    pairs: "dict[str, Pair | NotFusableError]" = field(default_factory=dict)  # by executor

    @property
    def fixed(self) -> list[Tensor]:
        """The invariants of the body, in the order of their ``fixed`` leaves."""
        return self.reader.fixed

    @cached_property
    def signature(self) -> tuple[Any, ...]:
        """What two calls must have in common to share their compiled programs."""
        at = self.reader.position
        roots = tuple(at[x.node] for x in (*self.new, *self.ys))
        needs = tuple(x.requires_grad for x in (*self.fixed, *self.xs))
        return (*map(_signature, self.reader.values), roots, needs)


@dataclass(frozen=True)
class Pair:
    """The forward and the backward program of a body, and the constants that the vjp made."""

    forward: Program
    inference: Program  # the forward program with nothing kept for the backward
    backward: Program
    constants: tuple[Tensor, ...]
    chance: bool  # whether something is drawn in the steps
    ys: int  # how many outputs there are; after them, forward.steps is what is kept
    kept: tuple[Source, ...]  # what the backward program calls that
    xs: tuple[int, ...]  # the inputs whose gradients are backward.steps


def record(call: ScanCall) -> Recorded:
    """Run the step once, on zeros, with everything recorded.

    Raises NotFusableError for a state that is not floating point.
    """
    if wrong := [x for x in call.init if x.dtype.kind != "f"]:
        raise NotFusableError(f"a state has dtype {wrong[0].dtype}, which has no gradient")
    start = ordinal()
    states = [_placeholder(x, x.shape) for x in call.init]
    xs = [_placeholder(x, x.shape[1:]) for x in call.xs]
    key, t = (zeros(shape, dtype=int64, name=name) for shape, name in (((2,), "key"), ((), "t")))
    draws = Draws(lambda: key, t)
    settings = {"tracing": True, "recording": True, "abstract": True, "draws": draws,
                "arguments": (*states, *xs)}  # fmt: skip
    with using(**settings, unknown=(start, ordinal())), equations(call.step):
        state, y = call.step(call.init_nest(states), call.xs_nest(xs))
    new = check_state(call, state)
    ys, ys_nest = flatten(y)
    reader = _Reader(start, ordinal(), states, xs, chance=(key, t))
    for root in (*new, *ys):
        reader.read(root)
    return Recorded(reader, states, xs, new, ys, ys_nest)


def pair(recorded: Recorded) -> Pair:
    """Record the vjp of a body and lay both out as programs."""
    reader, states, xs = recorded.reader, recorded.states, recorded.xs
    known = len(reader.fixed)
    outs = [*recorded.new, *recorded.ys]
    seeds = [_placeholder(x, x.shape) for x in outs]
    d_new, d_ys = seeds[: len(states)], seeds[len(states) :]
    wanted = [x for x in (*states, *xs, *reader.fixed) if x.requires_grad]
    active = [(out, d) for out, d in zip(outs, seeds, strict=True) if out.requires_grad]
    with using(tracing=True, abstract=True):  # an invariant may be made of another: no further
        found = backward_pass(
            [a for a, _ in active], [b for _, b in active], wanted, True, oldest=reader.start
        )
    back = _Reader(reader.start, reader.middle, states, xs, reader, d_new, d_ys)
    of = {x.node: g for x, g in found}
    results = {x.node: of[x.node] if x.node in of else
               zeros(x.shape, dtype=x.dtype, device=x.device) for x in states}  # fmt: skip
    for g in (*results.values(), *of.values()):
        back.read(g)
    backward = back.program(
        [results[x.node] for x in states],
        [of[x.node] for x in xs if x.node in of],
        [of.get(x.node) for x in reader.fixed[:known]],
    )
    kept = tuple(source for source in back.sources if source[0] in ("saved", "state"))
    places = [i if name == "saved" else reader.leaf["carry", i] for name, i in kept]
    return Pair(
        forward=reader.program(recorded.new, recorded.ys, [], places),
        inference=reader.program(recorded.new, recorded.ys, []),
        backward=backward,
        constants=tuple(back.fixed[known:]),
        chance=any(source[0] == "key" for source in (*reader.leaf, *back.leaf)),
        ys=len(recorded.ys),
        kept=kept,
        xs=tuple(i for i, x in enumerate(xs) if x.node in of),
    )


def _placeholder(like: Tensor, shape: Shape) -> Tensor:
    """A leaf of the dtype of `like` that takes no memory."""
    point = zeros((), dtype=like.dtype, device=like.device).data
    data = NAMESPACES[type(point)].broadcast_to(point, shape)
    return Tensor(data, None, requires_grad=like.dtype.kind == "f")


def _signature(value: Value) -> tuple[Any, ...]:
    """What must agree for two values to be computed by the same code."""
    name = value.op.name if value.op else value.source
    return (name, value.inputs, value.settings, value.shape, value.dtype.str)


class _Reader:
    """Reads recorded nodes into values, back to the leaves of the step."""

    def __init__(
        self,
        start: int,
        middle: int,
        states: list[Tensor],
        xs: list[Tensor],
        forward: "_Reader | None" = None,
        d_new: list[Tensor] | None = None,
        d_ys: list[Tensor] | None = None,
        chance: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.start, self.middle, self.forward = start, middle, forward
        self.position: dict[Node, int] = {}
        self.values: list[Value] = []
        self.fixed: list[Tensor] = list(forward.fixed) if forward else []  # and constants
        self.sources: dict[Source, None] = {}
        self.leaf: dict[Source, int] = {}
        own = "state" if forward else "carry"
        self.known: dict[Node, Source] = {x.node: (own, i) for i, x in enumerate(states)}
        own_chance: tuple[Tensor, ...] = chance or ()
        self.chance: tuple[Tensor, ...] = forward.chance if forward else own_chance
        names = ("key", "t")
        self.known |= {x.node: (name, 0) for name, x in zip(names, self.chance, strict=False)}
        self.known |= {x.node: ("x", i) for i, x in enumerate(xs)}
        self.known |= {x.node: ("carry", i) for i, x in enumerate(d_new or [])}
        self.known |= {x.node: ("dy", i) for i, x in enumerate(d_ys or [])}

    def read(self, root: Tensor) -> None:
        """Add a tensor and all that it was computed from, each after its inputs."""
        stack: list[tuple[Tensor, bool]] = [(root, False)]
        while stack:
            tensor, ready = stack.pop()
            node = tensor.node
            if node in self.position:
                continue
            source = self._source(tensor)
            if source is not None or ready:
                self._add(tensor, source)
                continue
            stack.append((tensor, True))
            stack += [(x, False) for x in reversed(node.inputs) if isinstance(x, Tensor)]

    def _source(self, tensor: Tensor) -> Source | None:
        """Where a leaf of the step comes from; None for what the step computes."""
        node = tensor.node
        if node in self.known:
            return self.known[node]
        if node.id < self.start or not node.inputs:
            number = next((i for i, x in enumerate(self.fixed) if x is tensor), len(self.fixed))
            if number == len(self.fixed):
                self.fixed.append(tensor)
            return ("fixed", number)
        if self.forward is None or node.id > self.middle:
            return None
        earlier = self.forward.position.get(node)
        if earlier is None or not self.forward.varying(earlier):
            return None  # cheap to compute again, once for all steps
        return ("saved", earlier)

    def varying(self, position: int) -> bool:
        """Whether a value differs from step to step."""
        return position in self._varying

    @cached_property
    def _varying(self) -> frozenset[int]:
        return Program(tuple(self.values), (), (), ()).varies

    def _add(self, tensor: Tensor, source: Source | None) -> None:
        node = tensor.node
        place = len(self.values)
        self.position[node] = place
        labels = node.scope.labels
        if source is not None:
            self.sources[source] = None
            self.leaf[source] = place
        self.values.append(
            Value(
                position=place,
                op=None if source is not None else node.op,
                inputs=() if source is not None else tuple(
                    self.position[x.node] if isinstance(x, Tensor) else Literal(x)  # type: ignore[arg-type]
                    for x in node.inputs
                ),
                attrs={} if source is not None else node.attrs,
                shape=node.shape,
                dtype=node.dtype,
                source=source,
                label=str(labels.get("state") or labels.get("gate") or ""),
            )
        )  # fmt: skip

    def program(
        self,
        carry: list[Tensor],
        steps: list[Tensor],
        totals: list[Tensor | None],
        extra: Iterable[int] = (),
    ) -> Program:
        """The program with these results."""
        at = self.position
        return Program(
            values=tuple(self.values),
            carry=tuple(at[x.node] for x in carry),
            steps=(*(at[x.node] for x in steps), *extra),
            totals=tuple(None if x is None else at[x.node] for x in totals),
        )
