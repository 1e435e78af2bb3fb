"""Divide a step into parts, each of which every block can do without waiting for another.

A part has the products and folds of a level and the nests that read them. Where each nest counts
the same units and reads its products unit by unit, the part is *tiled*: a block has some units of
some rows, multiplies what they need, and hands it to its own threads through shared memory.
Elsewhere the threads of the whole grid share the products, and in a further part the nests. Above
`threads.py`, below `source.py`.
"""

import math
from dataclasses import dataclass, field

from engine.scan.cuda.threads import Access, ThreadArrays, Threads, put
from engine.scan.kernels.arrays import Box
from engine.scan.kernels.terms import ROW, At
from engine.scan.program import NotFusableError, Value

NARROW = 32  # numbers a row of a fold that every block computes for itself, at most

Group = tuple[tuple[int, ...], list[tuple[int, Box]]]


@dataclass
class Part:
    """Hold what is done between two waits: of a level, its products and folds, and its nests."""

    name: str
    level: int
    breaks: list[Value]
    groups: list[Group]
    copies: list[int]  # states that are what a product, an input or another state is
    tiled: bool = False
    extents: tuple[int, ...] = ()
    offsets: dict[int, tuple[int, ...]] = field(default_factory=dict)  # of products: columns
    memory: set[int] = field(default_factory=set)  # products and folds that others read
    reads: list[tuple[int, Access]] = field(default_factory=list)
    writes: list[tuple[int, Access]] = field(default_factory=list)

    @property
    def products(self) -> list[Value]:
        """Return the products."""
        return [v for v in self.breaks if v.kind == "product"]

    @property
    def folds(self) -> list[Value]:
        """Return the folds."""
        return [v for v in self.breaks if v.kind == "reduction"]


def levels(arrays: ThreadArrays) -> list[Part]:
    """Return a part for each level that has anything to do."""
    program, layout = arrays.program, arrays.layout
    found, top = [], arrays.top
    for level in range(top + 1):
        at = [arrays.values[p] for p in sorted(program.core) if layout.level[p] == level]
        copies = [
            i for i, p in enumerate(program.carry) if not arrays.stored_by_level(i)
            and (layout.level[p] if p in program.core else top) == level
        ]  # fmt: skip
        part = Part(f"level_{level}", level, [v for v in at if v.breaks],
                    arrays.by_extents(arrays.written(level)), copies)  # fmt: skip
        if part.breaks or part.groups or part.copies:
            found.append(part)
    return found


def nests(arrays: ThreadArrays, part: Part) -> list[tuple[Threads, list[str]]]:
    """Return the nests of a part with their statements; reads and writes are noted in the part."""
    arrays.reads, arrays.writes = part.reads, part.writes
    part.reads.clear()
    part.writes.clear()
    made = []
    for extents, pairs in part.groups:
        dims, names = arrays.dims(extents)
        nest = Threads(arrays, part.level, dims)
        statements = []
        for p, box in pairs:
            index = arrays.index(p, box, arrays.variables(p, names))
            term = nest.emit(p, index)
            statements += [put(to, term) for to in nest.store(p, index)]
        made.append((nest, statements))
    for i in part.copies:
        p = arrays.program.carry[i]
        for box in arrays.boxes(p):
            dims, names = arrays.dims(arrays.extents(p, box))
            nest = Threads(arrays, arrays.top + 1, dims)
            own = arrays.index(p, box, arrays.variables(p, names))
            term = nest.emit(p, arrays.fitted(p, own))
            made.append((nest, [put(nest.carry(i, p, own), term)]))
    return made


def divided(arrays: ThreadArrays, *, library: bool) -> list[Part]:
    """Return the parts of a step. With `library` products with a weight are computed elsewhere."""
    found: list[Part] = []
    for part in levels(arrays):
        if library:
            part.breaks = [v for v in part.breaks if not _by_library(arrays, v)]
        made = nests(arrays, part)
        part.tiled = _tile(arrays, part, made)
        if part.tiled or not (part.breaks and (part.groups or part.copies)):
            found.append(part)
            continue
        found.append(Part(f"{part.name}_products", part.level, part.breaks, [], []))
        found.append(Part(part.name, part.level, [], part.groups, part.copies))
        nests(arrays, found[-1])
    _note_memory(arrays, found)
    return found


def _by_library(arrays: ThreadArrays, value: Value) -> bool:
    return value.kind == "product" and arrays.layout.packs(value)


def _tile(arrays: ThreadArrays, part: Part, made: list[tuple[Threads, list[str]]]) -> bool:
    """Return whether blocks of units and rows can do a part alone; notes its products' columns."""
    extents = {tuple(size for _, size in nest.dims) for nest, _ in made}
    if not arrays.layout.rows or len(extents) != 1:
        return False
    part.extents = extents.pop()
    for value in part.breaks:
        p = value.position
        at = [access.at for q, access in part.reads if q == p]
        if value in part.folds:
            if arrays.layout.width(p) > NARROW or arrays.layout.rows.get(p) != 0:
                return False
        else:
            offsets = _columns(arrays, value, part.extents, at)
            if offsets is None:
                return False
            part.offsets[p] = offsets
    return True


def _columns(
    arrays: ThreadArrays, value: Value, extents: tuple[int, ...], at: list[At]
) -> tuple[int, ...] | None:
    """Return the columns of a product that unit 0 reads; unit u reads those u further."""
    left = value.operands[0]
    width, depth = arrays.layout.width(value.position), arrays.values[left].shape[-1]
    if not arrays.layout.packs(value) or arrays.layout.width(left) != depth:
        return None
    if arrays.layout.rows.get(value.position) != 0:
        return None
    if not at:  # a later level reads it
        return _all_columns(width, math.prod(extents))
    factors, after = [], 1
    for number, size in reversed(list(enumerate(extents))):
        factors.append((f"u{number}", after))
        after *= size
    wanted = sorted([*factors, *([(ROW, width)] if arrays.layout.batch > 1 else [])])
    if any(list(one.factors) != wanted for one in at):
        return None
    return tuple(sorted({one.offset for one in at}))


def _all_columns(width: int, units: int) -> tuple[int, ...] | None:
    """Return the columns of a product of which each unit computes as many; None if impossible."""
    return tuple(range(0, width, units)) if width % units == 0 else None


def _note_memory(arrays: ThreadArrays, parts: list[Part]) -> None:
    """Note which products and folds of tiled parts others read; those lie in memory too."""
    made_in = {v.position: part for part in parts for v in part.breaks}
    for part in parts:
        readers = {p for p, _ in part.reads}
        for value in part.breaks:
            readers |= _operands_read(arrays, value)
        for p in readers:
            owner = made_in.get(p)
            if owner is not None and owner is not part:
                owner.memory.add(p)
    for part in parts:
        for p in sorted(part.memory & set(part.offsets)):
            if not part.tiled or _covers(arrays, part, p):
                continue
            every = _all_columns(arrays.layout.width(p), math.prod(part.extents))
            if every is None or not set(part.offsets[p]) <= set(every):
                raise NotFusableError("a product is read in pieces that leave some of it out")
            part.offsets[p] = every


def _operands_read(arrays: ThreadArrays, value: Value) -> set[int]:
    """Return which products and folds a product or a fold reads in memory."""
    held, arrays.reads = arrays.reads, []
    arrays.writes = []
    level = arrays.layout.level[value.position] - (value.kind == "reduction")
    try:
        for p in value.operands:
            if value.kind == "product" and arrays.layout.packs(value):
                arrays.reads.append((p, Access((), At())))
                continue
            for box in arrays.boxes(p):
                dims, names = arrays.dims(arrays.extents(p, box))
                nest = Threads(arrays, level, dims)
                index = arrays.index(p, box, arrays.variables(p, names))
                nest.emit(p, arrays.fitted(p, index))
        return {p for p, _ in arrays.reads}
    finally:
        arrays.reads = held


def _covers(arrays: ThreadArrays, part: Part, p: int) -> bool:
    """Return whether the tiles compute all columns of a product."""
    units = math.prod(part.extents)
    columns = {offset + u for offset in part.offsets[p] for u in range(units)}
    return columns == set(range(arrays.layout.width(p)))


def stays(first: Part, then: Part, carried: dict[int, int]) -> bool:
    """Return whether all a part reads of states that another writes is its own thread's."""
    written: dict[int, set[Access]] = {}
    for i, access in first.writes:
        written.setdefault(i, set()).add(access)
    for p, access in then.reads:
        if p in carried and carried[p] in written and access not in written[carried[p]]:
            return False
    return True
