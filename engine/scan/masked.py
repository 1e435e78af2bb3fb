"""Write the program of a step that leaves rows without a step out by selection. Above `rows.py`."""

from dataclasses import replace

from engine.backends.numpy import bool_
from engine.node import Node
from engine.scan.body import leaf
from engine.scan.padding import select_rows, zero_of
from engine.scan.program import Program, Source
from engine.scan.reading import Reader, placeholder, shapes_only, traced
from engine.scan.rows import row_axes
from engine.tensor import Tensor

ROWS: Source = ("rows", 0)


def rowed_inputs(program: Program, rows: int) -> tuple[frozenset[Source], bool]:
    """Return the inputs with the row of the batch in front, and whether no row sees another.

    An input of one step has rows where its first axis has their number. One that has no other axis
    may also be shared by all rows, of as many units by chance: it is where that keeps rows apart.
    """
    found = [source for source in program.per_step if source in program.leaves
             and program.values[program.leaves[source]].shape[:1] == (rows,)]  # fmt: skip
    wide = [s for s in found if len(program.values[program.leaves[s]].shape) > 1]
    for sources in (found, wide):
        if _apart(program, sources):
            return frozenset(sources), True
    return frozenset(found), False


def _apart(program: Program, sources: list[Source]) -> bool:
    """Return whether every result depends, row by row, on the rows of states and these sources."""
    carried: list[Source] = [("carry", i) for i in range(len(program.carry))]
    axes = row_axes(program, [*carried, *sources])
    return all(axes.get(p, 0) == 0 for p in (*program.carry, *program.steps))


def masked(program: Program, rows: int) -> Program:
    """Return the program with selections by a further source, the mask (B,) of the step."""
    key = ("masked", rows)
    if key not in program.memo:
        program.memo[key] = _masked(program, rows)
    found: Program = program.memo[key]
    return found


def _masked(program: Program, rows: int) -> Program:
    own, _ = rowed_inputs(program, rows)
    made: list[Tensor] = []
    known: dict[Node, Source] = {}
    with shapes_only():
        mask = leaf((rows,), bool_, "numpy")
        known[mask.node] = ROWS
        for value in program.values:
            if value.op is not None:
                made.append(traced(value, made))
                continue
            assert value.source is not None
            x = placeholder(value)
            known[x.node] = value.source
            made.append(select_rows(mask, x, zero_of(x)) if value.source in own else x)
        before = {i: made[at] for at, i in program.carried.items()}
        new = []
        for i, p in enumerate(program.carry):
            if i not in before:  # a state that the step does not read
                before[i] = leaf(program.values[p].shape, program.values[p].dtype, "numpy")
                known[before[i].node] = ("carry", i)
            new.append(select_rows(mask, made[p], before[i]))
        ys = [select_rows(mask, made[p], zero_of(made[p])) for p in program.steps]
    reader = Reader(known)
    carry, steps = tuple(map(reader.read, new)), tuple(map(reader.read, ys))
    states: set[Source] = {("carry", i) for i in range(len(carry))}
    return replace(
        program, values=tuple(reader.values), carry=carry, steps=steps,
        per_step=(*program.per_step, ROWS), rowed=frozenset({*own, *states, ROWS}), mask=ROWS,
        memo={},
    )  # fmt: skip
