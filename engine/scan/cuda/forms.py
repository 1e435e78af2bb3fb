"""The forms in which the core of a program can run on a GPU, with the time that each should take.

Above `model.py` and `source.py`, below `core.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from engine.scan.cuda import model
from engine.scan.cuda.model import H200, Cost, Machine, Tile, Tiling
from engine.scan.cuda.source import Kernel, Writer
from engine.scan.kernels.layout import KernelLayout
from engine.scan.program import NotFusableError, Program

SWEEP, GRAPH, LAUNCHES = "sweep", "graph", "launches"
PLAIN = Tile(32, 2)  # where there is no product to choose by: a number for each thread


@dataclass(frozen=True)
class Choice:
    """A form, its kernels, and the predicted seconds of a step."""

    form: str
    kernel: Kernel
    seconds: float
    text: str


def choices(
    program: Program, layout: KernelLayout, precision: int, machine: Machine = H200
) -> list[Choice]:
    """Return the forms that a program has on a machine, by predicted time."""
    found = [*_of(Writer(program, layout, precision=precision), machine)]
    if found[0].kernel.barriers:  # there is something to wait for: a library may be worth it
        found += _launches(Writer(program, layout, precision=precision, library=True), machine)
    fitting = [one for one in found if one.kernel.most_shared <= machine.shared]
    if not fitting:
        raise NotFusableError("a block has too little shared memory for it")
    return sorted(fitting, key=lambda one: one.seconds)


def _of(writer: Writer, machine: Machine) -> Iterator[Choice]:
    """Yield the forms with kernels that multiply themselves."""
    tile, cost = _tile(writer, machine)
    kernel = writer.kernel(tile)
    if kernel.barriers == 0:
        yield _choice(SWEEP, writer, kernel, cost, 0.0, _independent(kernel))
        return
    nodes = len(kernel.segments)
    told = f"{_counted(nodes, 'kernel')} a step"
    yield _choice(GRAPH, writer, kernel, cost, nodes * model.NODE, told)
    if writer.tiled and (best := _tiling(writer, machine).best(resident=True)) is not None:
        kernel = writer.kernel(best[0], resident=True)
        waits = kernel.barriers * model.BARRIER
        told = f"one kernel, {_counted(kernel.barriers, 'barrier')} a step"
        yield _choice(SWEEP, writer, kernel, best[1], waits, told)


def _launches(writer: Writer, machine: Machine) -> Iterator[Choice]:
    """Yield the form in which a library multiplies; where there is a product with a weight."""
    products = writer.by_library
    if not products:
        return
    kernel = writer.kernel(_tile(writer, machine)[0])
    operations = sum(2 * writer.depth(v) * prod(v.shape) for v in products)
    cost = Cost(operations / model.RATE[writer.precision], "arithmetic")
    waits = len(kernel.segments) * model.LAUNCH + len(products) * model.LIBRARY
    own, theirs = _counted(len(kernel.segments), "kernel"), _counted(len(products), "product")
    told = f"{own} and {theirs} of the library a step"
    yield _choice(LAUNCHES, writer, kernel, cost, waits, told)


def _tiling(writer: Writer, machine: Machine) -> Tiling:
    return Tiling(writer.products, writer.units, writer.layout.batch, writer.precision,
                  writer.real, writer.warps, writer.folded, machine)  # fmt: skip


def _tile(writer: Writer, machine: Machine) -> tuple[Tile, Cost]:
    """Return the best tile; a plain one where no product says which."""
    batch = writer.layout.batch
    plain = Tile(PLAIN.units, max(min(PLAIN.rows, batch), -(-batch // model.GRID))), Cost(0.0, "L2")
    if not any(writer.products):
        return plain
    return _tiling(writer, machine).best(resident=False) or plain


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _independent(kernel: Kernel) -> str:
    shared = "; lanes share the steps of long calls" if kernel.stretches else ""
    return f"one kernel, no thread waits for another{shared}"


def _choice(
    form: str, writer: Writer, kernel: Kernel, cost: Cost, waits: float, told: str
) -> Choice:
    """Return a form with its predicted time: its waits, and the slowest of its other terms."""
    memory = writer.bytes / model.HBM
    slowest = Cost(memory, "memory") if memory > cost.seconds else cost
    fixed = model.FIXED * max(1, sum(map(bool, writer.products)))
    seconds = waits + fixed + slowest.seconds
    text = (
        f"{form}: {told}; predicted {seconds * 1e6:.2g} us a step, {waits * 1e6:.2g} of it waits, "
        f"{slowest.seconds * 1e6:.2g} {slowest.term} (a floor, not fitted to a GPU)"
    )
    return Choice(form, kernel, seconds, text)
