"""Finds what a kernel computes beside the core of a program, while its numbers are at hand.

What does not lead to the next state is otherwise computed op by op for all steps at once, each op
a pass over memory: most of the time of a derivative of a derivative, and of the first one where
nothing is multiplied by a matrix. Above `layout.py`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.scan.kernels.layout import KernelLayout
from engine.scan.program import Program, Value


def joined(program: Program) -> Program:
    """Return the program with element-wise ops beside its core, as it is where there are none.

    Of a first derivative those that are deferred, of a core without products: memory sets its time.
    """
    if not program.derived and any(program.values[p].breaks for p in program.core - program.beside):
        return program
    layout = KernelLayout(program)
    is_plain = plainness(layout)
    beside = _deferred(layout, is_plain)
    if program.derived:
        beside |= _hoisted(layout, is_plain, program.core | beside)
    return replace(program, beside=program.beside | beside, memo={}) if beside else program


def _deferred(layout: KernelLayout, is_plain: Callable[[Value], bool]) -> frozenset[int]:
    """Return the deferred ops done by number and row that are stored or lead to one that is."""
    program, values = layout.program, layout.values
    rows = layout.rows_from_states()
    fits: set[int] = set()
    for p in sorted(program.deferred):
        others = [one for one in values[p].operands if one in program.deferred and one not in fits]
        if not others and is_plain(values[p]) and (not layout.rows or rows[p] == 0):
            fits.add(p)
    wanted = set(program.steps)
    for p in sorted(program.deferred, reverse=True):
        if p not in fits or p in wanted:
            wanted.update(values[p].operands)
    return frozenset(fits & wanted)


def _hoisted(
    layout: KernelLayout, is_plain: Callable[[Value], bool], inside: frozenset[int]
) -> frozenset[int]:
    """Return the hoisted element-wise ops that are read afterwards, and not by what goes before; by
    the kernel, which computes the ops `inside`, in the same row alone.
    """
    if not layout.rows:
        return frozenset()
    program = layout.program
    found: set[int] = set()
    late, used, before, crooked = set(program.steps), set[int](), set[int](), set[int]()

    def read(value: Value, operands: Iterable[int]) -> None:
        """Note what the kernel reads, and what of that in rows that may not be those it writes."""
        used.update(operands)
        straight = value.op is not None and value.op.kind == "elementwise"
        crooked.update(p for p in operands if not straight or value.position in crooked - inside
                       or len(layout.values[p].shape) != len(value.shape))  # fmt: skip

    for value in reversed(program.values):
        p = value.position
        if p in inside:
            read(value, value.operands)
        elif p in before:
            before.update(value.operands)
        elif value.op is None or p not in program.varies:
            continue
        elif p in late - crooked - program.depends and _is_own(layout, value) and is_plain(value):
            found.add(p)
            read(value, value.operands)
        elif p in used - program.depends:
            if layout.inlined(value):
                read(value, value.operands)
            else:
                before.update(value.operands)
        else:
            late.update(value.operands)
    return frozenset(found)


def _is_own(layout: KernelLayout, value: Value) -> bool:
    """Return whether a value has a row for each row of the batch, computed number by number."""
    is_computed = bool(layout.expression(value))
    return is_computed and len(value.shape) > 1 and value.shape[0] == layout.batch


def plainness(layout: KernelLayout) -> Callable[[Value], bool]:
    """Return what says whether a kernel has an op, on its own dtype, no more than in the core.

    What is compared has none: it may be a matter of last bits.
    """
    program = layout.program
    compared = {p for one in layout.values if one.dtype == "bool" for p in one.operands}
    size = max(math.prod(program.values[p].shape) for p in (*program.core, *program.carry))

    def is_plain(value: Value) -> bool:
        if value.position in compared:
            return False
        flat = any(move.flat for move in layout.moves(value) or ())
        real = all(map(layout.real, (value.position, *value.operands)))
        number = value.dtype == layout.dtype and math.prod(value.shape) <= size
        return number and real and not flat and layout.is_expression(value)

    return is_plain
