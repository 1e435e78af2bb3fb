"""Write the core of a program in the ops that kernels have, by the rules of the ops themselves.

The rule of an op, called with the engine as namespace, records its parts. Above `layout.py`.
"""

from dataclasses import replace

from engine.node import Node
from engine.scan.program import Program, Source, Value
from engine.scan.reading import ConstantReader, placeholder, shapes_only, traced
from engine.scan.rows import moves_of
from engine.tensor import Tensor

ROUNDS = 4  # an op may be made of others that have to be lowered too


def lowered(program: Program) -> Program:
    """Return the program with every op of its core in the place of which simpler ones can stand."""
    for _ in range(ROUNDS):
        found = _once(program)
        if found is program:
            break
        program = found
    return program


def _once(program: Program) -> Program:
    wanted = {p for p in program.core if _expands(program.values[p], program)}
    if not wanted:
        return program
    made: list[Tensor] = []
    changed = False
    with shapes_only():
        for value in program.values:
            if value.op is None:
                made.append(placeholder(value))
                continue
            new = traced(value, made)
            if value.position in wanted and (other := _expanded(value, made, new)) is not None:
                new, changed = other, True
            made.append(new)
    return _read(program, made) if changed else program


def _expands(value: Value, program: Program) -> bool:
    """Return whether kernels lack an op, or have it in a simpler form only."""
    op = value.op
    assert op is not None
    if op.kind == "product":
        fixed = value.operands[1] not in program.varies
        plain = fixed and len(program.values[value.operands[1]].shape) == 2
        return len(value.operands) > 2 or (op.inputs == 3 and not plain)
    if op.kind == "reduction":
        return not op.start
    if op.kind == "elementwise":
        return not op.expression(value.attrs)
    return moves_of(value, program) is None


def _expanded(value: Value, made: list[Tensor], plain: Tensor) -> Tensor | None:
    """Return what an op is made of; None where that cannot be recorded, or is the op again."""
    try:
        out = traced(value, made, expand=True)
    except Exception:
        return None
    same = out.node.op is value.op or out.shape != plain.shape or out.dtype != plain.dtype
    return None if same or not out.node.operands else out


def _read(program: Program, made: list[Tensor]) -> Program:
    """Return the program that tensors stand for, value by value."""
    known: dict[Node, Source] = {made[at].node: source for source, at in program.leaves.items()}
    reader = ConstantReader(known, program.constants)
    carry, steps, totals = (
        tuple(reader.read(made[p]) for p in positions)
        for positions in (program.carry, program.steps, program.totals)
    )
    added = tuple(("constant", i) for i in range(len(program.constants), len(reader.constants)))
    return replace(program, values=tuple(reader.values), carry=carry, steps=steps, totals=totals,
                   fixed=(*program.fixed, *added), constants=tuple(reader.constants),
                   memo={})  # fmt: skip
