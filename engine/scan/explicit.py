"""Run the explicit executor: an ordinary loop, every step's nodes on the graph, scoped with `t`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.backends import HOST
from engine.backends.abstract import NotRecordableError
from engine.collector import no_full_collections
from engine.ops.creation import zeros, zeros_like
from engine.ops.shaping import stack
from engine.pytree import Rebuild, flatten
from engine.scan.body import record_body
from engine.scan.call import ScanCall, check_state, outputs_of
from engine.scan.masked import rowed_inputs
from engine.scan.padding import select_rows, zero_of
from engine.scan.recorded import recorded
from engine.state import equations, scope, using
from engine.stepping import while_stepping
from engine.tensor import Tensor


class Explicit:
    """Run any step, one after another."""

    name = "explicit"
    library = ""

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""
        return ""

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the pytree of all outputs (T, ...)."""
        if call.length == 0:
            return call.init, _no_steps(call)
        with no_full_collections:
            return self._run(call)

    def _run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        named = equations(call.step)
        states = call.init
        others = None if call.mask is None else Others(call)
        outputs: list[list[Tensor]] = []
        rebuild: Rebuild = list
        for t in call.times:
            time = call.first + t
            chance = using(draws=call.draws_at(time))
            with scope(t=call.since + time), chance, while_stepping(since=0):
                rows = None if call.mask is None else call.mask[t]
                with scope(input="x"):
                    xs = call.inputs_at(t)
                    xs = xs if others is None else others.inputs(rows, xs)
                given = states if others is None else others.before(t, rows, states)
                with named, while_stepping(arguments=(*given, *xs)):
                    state, y = call.stepped(given, xs)
                new = check_state(call, state)
                states = [select_rows(rows, one, old) for one, old in zip(new, states, strict=True)]
                flat, rebuild = outputs_of(call, y)
                outputs.append([select_rows(rows, one, zero_of(one)) for one in flat])
        if call.reverse:
            outputs.reverse()
        return states, rebuild([stack(over_time) for over_time in zip(*outputs, strict=True)])


def run_steps(call: ScanCall, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of a call for other states and inputs, with every step on the graph."""
    states = len(call.init)
    xs = list(inputs[states : states + len(call.xs)])
    final, ys = Explicit().run(replace(call, init=list(inputs[:states]), xs=xs))
    return [*final, *flatten(ys)[0]]


class Others:
    """Give rows of a call that have no step what takes the place of their state and input.

    What they compute is left out by selection, but zero times infinity is no zero. Where no row
    sees another, they are given what some row had at its first step, so that they compute nothing
    that is not computed anyway. Elsewhere they see the state that they keep, and zeros.
    """

    def __init__(self, call: ScanCall) -> None:
        assert call.mask is not None
        mask = HOST.asarray(call.mask.numpy(), None, None)
        try:
            rowed, apart = rowed_inputs(recorded(call).program, mask.shape[1])
            self.rowed = [("x", i) in rowed for i in range(len(call.xs))]
        except NotRecordableError:
            apart, self.rowed = False, [x.shape[1:2] == mask.shape[1:] for x in call.xs]
        self.states: list[Tensor] | None = None
        if apart and mask.any():
            order = mask[::-1] if call.reverse else mask
            first = order.argmax(axis=0)
            times = len(mask) - 1 - first if call.reverse else first
            some = mask.any(axis=0)
            rows = HOST.xp.where(some, HOST.xp.arange(len(some)), some.argmax())
            self.states = [_leaf(x.detach()[rows]) for x in call.init]
            self.xs = [_leaf(x.detach()[times[rows], rows]) if has else None
                       for x, has in zip(call.xs, self.rowed, strict=True)]  # fmt: skip
        self.all = mask.all(axis=1)

    def before(self, t: int, rows: Any, states: list[Tensor]) -> list[Tensor]:
        """Return the states that step `t` is given, of which only some `rows` are there."""
        if self.states is None or self.all[t]:
            return states
        return [select_rows(rows, x, other) for x, other in zip(states, self.states, strict=True)]

    def inputs(self, rows: Any, xs: list[Tensor]) -> list[Tensor]:
        """Return the inputs that a step is given of which only some `rows` are there."""
        if self.states is None:
            return [select_rows(rows, x, zero_of(x)) if has else x
                    for x, has in zip(xs, self.rowed, strict=True)]  # fmt: skip
        return [x if other is None else select_rows(rows, x, other)
                for x, other in zip(xs, self.xs, strict=True)]  # fmt: skip


def _leaf(x: Tensor) -> Tensor:
    """Return a constant with a place on the graph of its own, outside of any step."""
    x.node  # noqa: B018
    return x


def _no_steps(call: ScanCall) -> Any:
    """Return the outputs of no steps at all: of length 0, in the shapes that a step would give."""
    try:
        body = record_body(call)
        ys, rebuild = list(body.ys), body.ys_nest
    except NotRecordableError:  # a step that needs numbers gets zeros
        states = [zeros_like(x) for x in call.init]
        xs = [zeros(x.shape[1:], dtype=x.dtype, device=x.device) for x in call.xs]
        with using(recording=False, draws=call.draws_at(0)):
            ys, rebuild = outputs_of(call, call.stepped(states, xs)[1])
    return rebuild([zeros((0, *y.shape), dtype=y.dtype, device=call.device) for y in ys])
