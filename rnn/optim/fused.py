"""Runs the rule of an optimiser as one kernel over all parameters, where a device has such kernels.

The kernel reads parameters and gradients where they lie, by their pointers, and is printed from the
recorded rule: in CUDA, or in C for many numbers on the host. Above `recording.py`, below `flat.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.backends import Array, DType
from engine.backends.multi import TYPES, Many, each
from rnn.optim import on_host
from rnn.optim.elements import head, narrowed, widened
from rnn.optim.recording import NotRecordableRuleError, Recorder, recorded


@lru_cache(maxsize=256)
def kernel(
    dtype: DType, lines: tuple[str, ...], numbers: int, states: tuple[bool, ...], *, master: bool
) -> Many:
    """Return the kernel of a rule; `states` says for each slot whether the rule changes it. With a
    `master` parameters of half precision have a copy in float32, which is stepped instead.
    """
    kind, slots = TYPES[dtype.itemsize], range(len(states))
    if master:
        narrow = widened(dtype, "xs[i]")
        first = [
            "real x = masters[place + i];",
            # Set by something else since the last step, where it is not its copy rounded.
            f"if ({widened(dtype, narrowed(dtype, 'x'))} != {narrow}) x = {narrow};",
        ]
    else:
        first = ["real x = xs[i];"]
    body = [
        *first,
        f"real g = {widened(dtype, 'gs[i]')};",
        *(f"real s{slot} = state{slot}[place + i];" for slot in slots),
        *lines,
        *(f"state{slot}[place + i] = s{slot};" for slot in slots if states[slot]),
        *(["masters[place + i] = x;"] if master else []),
        f"out[at] = {narrowed(dtype, 'x')};",
    ]
    return Many(
        "step",
        head=head(dtype),
        columns=(f"const {kind} *xs", f"const {kind} *gs", "long long place"),
        shared=(
            f"{kind} *out",
            *(["real *masters"] if master else []),
            *(f"real *state{slot}" for slot in slots),
            *(f"real c{number}" for number in range(numbers)),
        ),
        body=each("\n".join(f"        {line}" for line in body)),
    )


def stepped(
    xp: Any,
    columns: Sequence[Sequence[Any]],
    rule: Callable[..., None],
    state: Mapping[str, Array],
    master: Array | None,
    steps: int,
) -> Array:
    """Return parameters after a step, in one array; the columns are their arrays, their gradients
    and the places of their state.

    `state` and `master`, which parameters of half precision have, are changed. Raises
    NotRecordableRuleError, before anything has changed, for a rule that no kernel can have.
    """
    arrays = columns[0]
    found = recorded(rule, state, steps)
    if xp.multi is None:
        return _on_host(xp, columns, found, list(state.values()))
    changes = tuple(f"s{slot}" in found.changed for slot in range(len(state)))
    own = kernel(arrays[0].dtype, tuple(found.lines), len(found.numbers), changes,
                 master=master is not None)  # fmt: skip
    out = xp.empty(sum(array.size for array in arrays), dtype=arrays[0].dtype)
    masters = [] if master is None else [master]
    numbers = map((masters or [out])[0].dtype.type, found.numbers)
    there = [place for place, array in enumerate(arrays) if array.size]
    if there:
        rows = [[column[place] for place in there] for column in columns]
        xp.multi(own, rows, (out, *masters, *state.values(), *numbers))
    return out


def _on_host(
    xp: Any, columns: Sequence[Sequence[Any]], found: Recorder, state: Sequence[Array]
) -> Array:
    """Return the parameters after a step of compiled C; the operations are those of NumPy."""
    slots = range(len(state))
    lines = [
        "real x = own->xs[i], g = own->gs[i];",
        *(f"real s{slot} = state{slot}[own->place + i];" for slot in slots),
        *found.lines,
        *(f"state{slot}[own->place + i] = s{slot};" for slot in slots
          if f"s{slot}" in found.changed),
        "out[own->start + i] = x;",
    ]  # fmt: skip
    body = "\n".join(f"        {line}" for line in lines)
    kernel = on_host.Kernel(
        columns=("const real *xs, *gs;", "long place;"),
        shared=("out", *(f"state{slot}" for slot in slots)),
        numbers=tuple(f"c{number}" for number in range(len(found.numbers))),
        body=f"#pragma omp simd\n    for (long i = first; i < last; i++) {{\n{body}\n    }}",
    )
    arrays = columns[0]
    out = xp.empty(sum(array.size for array in arrays), dtype=arrays[0].dtype)
    if not on_host.run(kernel, columns, [out, *state], found.numbers):
        raise NotRecordableRuleError("there is no compiler")
    return out
