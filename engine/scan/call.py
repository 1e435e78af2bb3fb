"""Hold one call of `scan` as data: what every executor is handed. Below the executors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.apply import asarray, name_leaf
from engine.backends import DType
from engine.backends import numpy as host
from engine.checks import byte_count, is_whole
from engine.ops.chance import subkey
from engine.ops.indexing import index
from engine.pytree import Rebuild, flatten, structure
from engine.random import fresh_key
from engine.scan.padding import row_mask
from engine.state import Draws, current
from engine.stepping import stepping
from engine.tensor import Tensor

METHODS = ("steps", "stretches", "chunks")

Step = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class ScanCall:
    """Describe `step` over `length` steps: flat states and inputs, and how to nest them again.

    `mask` (T, B) says which rows have which steps; None: all have all.
    """

    step: Step
    init: list[Tensor]
    init_nest: Rebuild
    init_structure: str
    xs: list[Tensor]
    xs_nest: Rebuild
    length: int
    reverse: bool
    mask: Tensor | None
    unroll: bool
    checkpoint: bool | int | str = False
    path: str = ""  # the scope's, where the call was made
    outer: tuple[Draws, int] | None = None  # the draws of the step that the call was made in
    first: int = 0  # the time of the first step, where this is part of another call
    since: int = 0  # what a step's label t begins at, where this is part of a longer sequence
    method: str | None = None  # how a fused executor is to run it; None: as is fastest
    memo: dict[Any, Any] = field(default_factory=dict)  # what executors remember of it

    @property
    def key(self) -> Tensor:
        """Return the key of all that is drawn in the steps, taken when it is first asked for."""
        if "key" not in self.memo:
            outer = self.outer
            self.memo["key"] = (
                fresh_key(self.path, self.device) if outer is None
                else subkey(outer[0].key(), outer[0].t, number=outer[1])
            )  # fmt: skip
        found: Tensor = self.memo["key"]
        return found

    @property
    def device(self) -> str | None:
        """Return the device of the first state or input."""
        if "device" not in self.memo:
            tensors = (*self.init, *self.xs)
            self.memo["device"] = tensors[0].device if tensors else None
        found: str | None = self.memo["device"]
        return found

    @property
    def library(self) -> str:
        """Return the library of the arrays: ``"numpy"`` or ``"cupy"``."""
        return (self.device or "numpy").partition(":")[0]

    def draws_at(self, t: int) -> Draws:
        """Return where chance comes from in step `t`; its key is taken only if there is any."""
        return Draws(lambda: self.key, asarray(host.asarray(t), device=self.device))

    def stepped(self, states: list[Tensor], xs: list[Tensor]) -> tuple[Any, Any]:
        """Return (state, y) of one step. Raises TypeError where it returns something else."""
        found = self.step(self.init_nest(states), self.xs_nest(xs))
        if not isinstance(found, tuple | list) or len(found) != 2:
            told = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
            raise TypeError(f"scan: the step must return (state, y), got {told}")
        return found[0], found[1]

    @property
    def times(self) -> Iterable[int]:
        """Return the time steps in the order in which they are computed."""
        return reversed(range(self.length)) if self.reverse else range(self.length)

    def inputs_at(self, t: int) -> list[Tensor]:
        """Return the flat inputs of step `t`."""
        parts = [index(x, t) for x in self.xs]
        for number, part in enumerate(parts):  # a part that needs no gradient is a leaf: name it
            own = self.xs[number].node.name
            name_leaf(part, own or ("x" if len(parts) == 1 else f"x{number}"))
        return parts


def prepare(
    step: Step, init: Any, xs: Any, *, length: int | None = None, reverse: bool = False,
    lengths: Any = None, mask: Any = None, unroll: bool | None = False,
    checkpoint: bool | int | str | None = False, method: str | None = None,
) -> ScanCall:  # fmt: skip
    """Check the arguments of `scan` and lay them out flat.

    Raises ValueError for xs of different lengths, wrong `lengths`, or an unknown method.
    """
    if method not in (None, *METHODS):
        told = ", ".join(map(repr, METHODS))
        raise ValueError(f"scan: method must be None or one of {told}, got {method!r}")
    state = current()
    states, init_nest = flatten(init)
    inputs, xs_nest = flatten(xs)
    states = [asarray(x) if not isinstance(x, Tensor) else x for x in states]
    inputs = [asarray(x) if not isinstance(x, Tensor) else x for x in inputs]
    if flat := [x for x in inputs if not x.ndim]:
        raise ValueError(f"scan: xs need a leading time axis; got a tensor of {flat[0].shape}")
    found = sorted({len(x) for x in inputs} | ({length} if length is not None else set()))
    if len(found) != 1:
        given = f"differ: {found}" if found else "are missing: give xs or length"
        raise ValueError(f"scan: the lengths of time {given}")
    device = (*states, *inputs)[0].device if states or inputs else None
    rows = row_mask(lengths, mask, states, inputs, found[0], device)
    outer = None if state.draws is None else (state.draws, next(state.draws.count))
    return ScanCall(step, states, init_nest, structure(init), inputs, xs_nest, found[0],
                    reverse, rows, bool(unroll), checked(checkpoint), path=state.scope.path,
                    outer=outer, since=stepping().since, method=method)  # fmt: skip


def checked(checkpoint: Any) -> bool | int | str:
    """Return a setting of `checkpoint` as it was given; an empty one as False.

    Raises ValueError for what is neither True, a positive integer, nor a number of bytes.
    """
    if checkpoint is None or checkpoint is False:
        return False
    if checkpoint is True or (isinstance(checkpoint, str) and byte_count(checkpoint)):
        return checkpoint
    if not is_whole(checkpoint, 1):
        raise ValueError(
            "scan: checkpoint must be True, a positive number of steps or of bytes such as "
            f"'200MB', got {checkpoint!r}"
        )
    return int(checkpoint)


def check_state(call: ScanCall, state: Any) -> list[Tensor]:
    """Return the flat new state of a step. Raises ValueError if its form or a shape changed."""
    new, _ = flatten(state)
    names = getattr(call.step, "state_names", None)  # of a cell
    if structure(state) != call.init_structure:
        told = f"scan: step returned a state of form {structure(state)}, "
        raise ValueError(
            f"{told}expected {call.init_structure} as in init; step returns (state, y)"
            if names is None
            else f"{told}expected {call.init_structure}, as state_size has {', '.join(names)}; "
            "step of a cell returns (y, state)"
        )
    new = [x if isinstance(x, Tensor) else asarray(x, device=call.device) for x in new]
    for number, (one, old) in enumerate(zip(new, call.init, strict=True)):
        if one.shape != old.shape or one.dtype != old.dtype:
            name = f"{number}, {names[number]}," if names else number
            fix = (
                f"; convert it, or what it is computed from, by engine.astype(..., {old.dtype})"
                if one.shape == old.shape
                else ""
            )
            raise ValueError(
                f"scan: state {name} changed from {_kind(old)} to {_kind(one)} in one step{fix}"
            )
    return new


def outputs_of(call: ScanCall, y: Any) -> tuple[list[Tensor], Rebuild]:
    """Return the flat outputs of a step as tensors, and how to nest them."""
    flat, rebuild = flatten(y)
    return [x if isinstance(x, Tensor) else asarray(x, device=call.device) for x in flat], rebuild


def _kind(x: Tensor) -> str:
    dtype: DType = x.dtype
    return f"{dtype}{list(x.shape)}"
