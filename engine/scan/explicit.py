"""The explicit executor: an ordinary loop, every step's nodes on the graph, scoped with `t`."""

from typing import Any

from engine.backends.abstract import NotRecordableError
from engine.nest import Rebuild
from engine.ops.creation import zeros, zeros_like
from engine.ops.shaping import stack
from engine.scan.body import record_body
from engine.scan.call import ScanCall, check_state, outputs_of
from engine.scan.padding import has_rows, selected, zero_of
from engine.state import equations, scope, using
from engine.tensor import Tensor


class Explicit:
    """Runs any step, one after another."""

    name = "explicit"

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""
        return ""

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the nest of all outputs (T, ...)."""
        if call.length == 0:
            return call.init, _no_steps(call)
        named = equations(call.step)
        states = call.init
        outputs: list[list[Tensor]] = []
        nest: Rebuild = list
        for t in call.times:
            time = call.first + t
            with scope(t=call.since + time), using(draws=call.draws_at(time), since=0):
                rows = None if call.mask is None else call.mask[t]
                with scope(input="x"):
                    xs = call.inputs_at(t)
                    if rows is not None:
                        xs = [selected(rows, x, zero_of(x)) if has_rows(x, rows) else x
                              for x in xs]  # fmt: skip
                with named, using(arguments=(*states, *xs)):
                    state, y = call.step(call.init_nest(states), call.xs_nest(xs))
                new = check_state(call, state)
                states = [selected(rows, one, old) for one, old in zip(new, states, strict=True)]
                flat, nest = outputs_of(call, y)
                outputs.append([selected(rows, one, zero_of(one)) for one in flat])
        if call.reverse:
            outputs.reverse()
        return states, nest([stack(over_time) for over_time in zip(*outputs, strict=True)])


def _no_steps(call: ScanCall) -> Any:
    """Return the outputs of no steps at all: of length 0, in the shapes that a step would give."""
    try:
        body = record_body(call)
        ys, nest = list(body.ys), body.ys_nest
    except NotRecordableError:  # a step that needs numbers gets zeros
        states = [zeros_like(x) for x in call.init]
        xs = [zeros(x.shape[1:], dtype=x.dtype, device=x.device) for x in call.xs]
        with using(recording=False, draws=call.draws_at(0)):
            ys, nest = outputs_of(call, call.step(call.init_nest(states), call.xs_nest(xs))[1])
    return nest([zeros((0, *y.shape), dtype=y.dtype, device=call.device) for y in ys])
