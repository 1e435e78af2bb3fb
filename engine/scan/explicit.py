"""The explicit executor: an ordinary loop, every step's nodes on the graph, scoped with `t`."""

from typing import Any

from engine.nest import Rebuild, flatten
from engine.ops.creation import zeros
from engine.ops.shaping import stack
from engine.scan.body import record_body
from engine.scan.call import ScanCall, check_state, chosen, nought
from engine.state import equations, scope, using
from engine.tensor import Tensor


class Explicit:
    """Runs any step, one after another."""

    name = "explicit"

    def refusal(self, call: ScanCall) -> str:
        """Why this call cannot be run here; empty: it can."""
        return ""

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """The final states, flat, and the nest of all outputs (T, ...)."""
        if call.length == 0:
            return call.init, _no_steps(call)
        named = equations(call.step)
        states = call.init
        outputs: list[list[Tensor]] = []
        nest: Rebuild = list
        for t in call.times:
            time = call.first + t
            with scope(t=call.since + time), using(draws=call.draws_at(time), since=0):
                rows = call.within(t)
                with scope(input="x"):
                    x = call.inputs_at(t, rows)
                given = (*states, *flatten(x)[0])
                with named, using(arguments=given):
                    state, y = call.step(call.init_nest(states), x)
                new = check_state(call, state)
                states = [chosen(rows, one, old) for one, old in zip(new, states, strict=True)]
                flat, nest = flatten(y)
                outputs.append([chosen(rows, one, nought(one)) for one in flat])
        if call.reverse:
            outputs.reverse()
        return states, nest([stack(over_time) for over_time in zip(*outputs, strict=True)])


def _no_steps(call: ScanCall) -> Any:
    """The outputs of no steps at all: of length 0, in the shapes that one step would give."""
    body = record_body(call)
    return body.ys_nest([zeros((0, *y.shape), dtype=y.dtype, device=y.device) for y in body.ys])
