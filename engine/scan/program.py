"""Describe a step as a program to be compiled: plain values in topological order, and their roles.

A program leads from the carried state and this step's inputs to the new state, to what is wanted at
every step, and to what is wanted as a sum over all steps. The step of a recurrence is one, and so
is its derivative of any order. One analysis serves them all: what depends on the carry and leads to
it is *core* and runs step by step; what does not depend on it is *hoisted*, computed for all steps
at once before; the rest is *deferred*, computed for all steps at once afterwards. `reading.py`
makes programs, the executors run them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from engine.backends import DType
from engine.errors import NotRecordableError
from engine.node import Shape
from engine.op import Op
from engine.ops.keys import Slot

Source = tuple[str, int]


class NotFusableError(NotRecordableError):
    """Report a program that cannot be run by one of the fused executors."""


def named(value: Any) -> Any:
    """Return a setting of an op in a form that is equal for settings that do the same, bit for bit.

    Raises NotRecordableError for one that cannot be named.
    """
    if value is None or isinstance(value, str | bytes | type(Ellipsis)):
        return value
    if isinstance(value, bool | int):
        return (type(value).__name__, value)
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, slice):
        return ("slice", named(value.start), named(value.stop), named(value.step))
    if isinstance(value, Slot):
        return ("slot", value.position)
    if isinstance(value, tuple | list):
        return (type(value).__name__, *map(named, value))
    if isinstance(value, Mapping | MappingProxyType):
        return tuple((name, named(value[name])) for name in sorted(value))
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return (str(value.dtype), value.shape, value.tobytes())
    if hasattr(value, "name") and hasattr(value, "itemsize"):  # a dtype
        return ("dtype", str(value))
    if callable(value):
        return value
    raise NotRecordableError(f"an op of the step has the setting {value!r}")


@dataclass(frozen=True)
class Literal:
    """Hold a Python number that stands as an input."""

    value: float | int | bool


@dataclass(frozen=True, eq=False)
class Value:
    """Hold a value of a step: an op on earlier values (by position), or a leaf with its source."""

    position: int
    op: Op | None
    inputs: tuple["int | Literal", ...]
    attrs: Mapping[str, Any]
    shape: Shape
    dtype: DType
    source: Source | None
    label: str
    stopped: bool = False  # recorded where no gradients were: none goes through it

    @cached_property
    def operands(self) -> tuple[int, ...]:
        """Return the positions of the inputs that are values."""
        return tuple(one for one in self.inputs if isinstance(one, int))

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Return what two ops of a program have in common that compute the same."""
        return (self.op, self.inputs, named(self.attrs), self.shape)

    @cached_property
    def kind(self) -> str:
        """Return the kind of its op; empty for a leaf."""
        return "" if self.op is None else self.op.kind

    @cached_property
    def degree(self) -> str:
        """Return the degree of its op; empty for a leaf."""
        return "" if self.op is None else self.op.degree

    @cached_property
    def linear(self) -> bool:
        """Return whether it is x W^T, with or without a bias, rather than a product x W."""
        return self.op is not None and self.kind == "product" and self.op.inputs == 3

    @cached_property
    def breaks(self) -> bool:
        """Return whether the value needs whole rows of its inputs: a product or a fold."""
        return self.kind in ("product", "reduction")


@dataclass(frozen=True, eq=False)
class Program:
    """Hold a step as data.

    `carry` are the positions of the new states, `steps` of what is wanted at every step, `totals`
    of what is wanted as a sum over all steps.

    Besides the carried states, ``("carry", i)``, its leaves are the sources `per_step`, which have
    a value a step, and `fixed`, which are the same at every step. Of the sources in `rowed` the
    first axis is the row of the batch; `mask` is the one that says which rows have the step. A
    program that is `whole` runs one step at a time, so all that varies is core. One that is
    `derived` is a recorded derivative or of one: it has much beside its core. The ops `beside` are
    run with the core, which they do not lead to; of those in `summed` only the sum over all steps
    is read.
    """

    values: tuple[Value, ...]
    carry: tuple[int, ...]
    steps: tuple[int, ...]
    totals: tuple[int, ...]
    per_step: tuple[Source, ...]
    fixed: tuple[Source, ...]
    rowed: frozenset[Source] = frozenset()
    mask: Source | None = None
    constants: tuple[Any, ...] = ()  # the arrays of the sources ``("constant", i)``
    whole: bool = False
    derived: bool = False
    beside: frozenset[int] = frozenset()
    summed: frozenset[int] = frozenset()
    memo: dict[Any, Any] = field(default_factory=dict)  # its derivatives

    @cached_property
    def leaves(self) -> dict[Source, int]:
        """Return where each source enters."""
        return {v.source: v.position for v in self.values if v.source is not None}

    @cached_property
    def inputs(self) -> tuple[Source, ...]:
        """Return the sources besides the states that a call gives arrays for."""
        return (*self.per_step, *(s for s in self.fixed if s[0] != "constant"))

    @cached_property
    def carried(self) -> dict[int, int]:
        """Return the number of the state at each position where one enters."""
        return {at: i for (name, i), at in self.leaves.items() if name == "carry"}

    @cached_property
    def varies(self) -> frozenset[int]:
        """Return the values that are not the same at every step."""
        fixed = set(self.fixed)
        return self._grown(v.position for v in self.values
                           if v.source is not None and v.source not in fixed)  # fmt: skip

    @cached_property
    def depends(self) -> frozenset[int]:
        """Return the values that depend on the carried state."""
        return self.varies if self.whole else self._grown(self.carried)

    def _grown(self, start: Iterable[int]) -> frozenset[int]:
        found = set(start)
        for value in self.values:
            if any(one in found for one in value.operands):
                found.add(value.position)
        return frozenset(found)

    @cached_property
    def core(self) -> frozenset[int]:
        """Return the values that depend on the carry and lead to the next one: the recurrence."""
        leads = {*self.carry, *self.steps} if self.whole else set(self.carry)
        for value in reversed(self.values):
            if value.position in leads:
                leads.update(value.operands)
        own = frozenset(p for p in self.depends & leads if self.values[p].op is not None)
        return own | self.beside

    @cached_property
    def level(self) -> dict[int, int]:
        """Return how many products and folds of the core lie before each value of it."""
        levels: dict[int, int] = {}
        for value in self.values:
            before = max((levels[one] for one in value.operands), default=0)
            levels[value.position] = before + (value.position in self.core and value.breaks)
        return levels

    @cached_property
    def hoisted(self) -> frozenset[int]:
        """Return the ops that do not depend on the carry."""
        others = self.depends | self.beside
        return frozenset(v.position for v in self.values
                         if v.op is not None and v.position not in others)  # fmt: skip

    @cached_property
    def deferred(self) -> frozenset[int]:
        """Return the ops that depend on the carry and do not lead to the next one."""
        outside = self.depends - self.core
        return frozenset(p for p in outside if self.values[p].op is not None)

    @cached_property
    def stored(self) -> tuple[int, ...]:
        """Return the core values that must be kept at every step, for what is outside."""
        wanted = {*self.steps, *self.totals}
        for value in self.values:
            if value.position not in self.core:
                wanted.update(value.operands)
        return tuple(sorted((wanted & self.core) - set(self.carry) - self.summed))

    def counts(self) -> str:
        """Return how many ops are of which class, and how many levels the core has."""
        levels = max((self.level[p] for p in self.core), default=0)
        beside = f"{len(self.beside)} beside the core, " if self.beside else ""
        return (
            f"{len(self.hoisted)} hoisted, {len(self.core - self.beside)} core in {levels + 1} "
            f"levels, {beside}{len(self.deferred)} deferred, {len(self.stored)} stored"
        )

    def text(self) -> str:
        """Return a line a value, with its class, for people and tests. The batch is B."""
        return "\n".join(self.line(value) for value in self.values)

    def _kind_of(self, value: Value) -> str:
        """Return the dtype and shape of a value."""
        state = self.values[self.carry[0]].shape if self.carry else ()
        batched = len(value.shape) == len(state) == 2 and value.shape[0] == state[0]
        sizes = ["B", value.shape[1]] if batched else value.shape
        return f"{value.dtype}[{','.join(map(str, sizes))}]"

    def line(self, value: Value) -> str:
        """Return one value as a line of the listing."""
        name = f"%{value.position}"
        kind = self._kind_of(value)
        label = f" {value.label}" if value.label else ""
        if value.op is None:
            source = value.source
            assert source is not None
            return f"{name} = {source[0]} {source[1]} -> {kind}{label}"
        given = ", ".join(
            f"%{one}" if isinstance(one, int) else repr(one.value) for one in value.inputs
        )
        return f"{name} = {value.op.name}({given}) -> {kind}{label} [{self.kind(value.position)}]"

    def kind(self, position: int) -> str:
        """Return the class of an op: hoisted, deferred, core or beside it, with level, if kept."""
        if position in self.core:
            kept = ", stored" if position in self.stored else (
                ", its sum over time alone" if position in self.summed else "")  # fmt: skip
            where = "beside the core" if position in self.beside else "core"
            return f"{where}, level {self.level[position]}{kept}"
        return "deferred" if position in self.deferred else "hoisted"
