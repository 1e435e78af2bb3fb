"""Write docs/reference/modern.md and its pictures: modern recurrences, their parts, how they run.

Run ``python -m docs.make_modern``; the tests compare the page and its pictures with what this would
write. The cells of the table are those that models and examples take by name.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import engine
import rnn
import viz
from benchmarks import cell_language
from benchmarks.tables import table
from docs.gallery_networks import marked
from docs.gallery_parts import claim
from docs.make_gallery import filled as wrapped
from docs.modern_networks import STATES, STEPS, UPDATES, Recalling, error, networks
from engine.scan.affine.kinds import MEANING
from engine.scan.executors import DELTA, ENTRIES, LEAST, OUTER
from examples import parity, recall
from rnn.models.blocks import CELLS
from viz import Diagram

PAGE = Path(__file__).parent / "reference" / "modern.md"
PICTURES = Path(__file__).parent / "pictures" / "modern"
H = 32
TEMPLATE = Path(__file__).parent / "modern_template.txt"
METHODS = ("chunks", "stretches")


def made(name: str) -> tuple[Any, Any, Any, rnn.Cell]:
    """Return step, first state and inputs (T, B, H) of the cell of a name, and the cell."""
    cell = CELLS[name](H, H)
    x = engine.ones((4, 2, H))
    return (lambda s, x: cell.step(x, s)[::-1]), cell.zero_state(2, like=x[0]), x, cell


def groups(name: str) -> list[tuple[list[str], str]]:
    """Return the groups of the states of a cell, by their names, with the kind of each."""
    step, state, x, cell = made(name)
    names = list(cell.state_size)
    found = engine.scan_body(step, state, x).groups
    return [([names[i] for i in one.states], one.kind) for one in found]


def methods(name: str) -> list[str]:
    """Return the methods that apply to a cell."""
    step, state, x, _ = made(name)
    found = ["steps"]
    for method in METHODS:
        try:
            engine.scan(step, state, x, method=method)
        except ValueError:
            continue
        found.append(method)
    return found


def shape(size: Any) -> str:
    """Return the size of a state with its rows."""
    widths = size if isinstance(size, tuple) else (size,)
    return f"(B, {', '.join(map(str, widths))})"


def cells() -> str:
    """Return the table of all cells."""
    lines = [
        "| name | cell | states | numbers a row | core | methods |",
        "|---|---|---|---|---|---|",
    ]
    for name in CELLS:
        cell = CELLS[name](H, H)
        sizes = cell.state_size
        states = ", ".join(f"{key} {shape(size)}" for key, size in sizes.items())
        numbers = sum(prod(one if isinstance(one, tuple) else (one,)) for one in sizes.values())
        core = "; ".join(f"{', '.join(own)}: {kind}" for own, kind in groups(name))
        lines.append(f"| `{name}` | {type(cell).__name__} | {states} | {numbers:,} | {core} "
                     f"| {', '.join(methods(name))} |")  # fmt: skip
    return "\n".join(lines)


def kinds() -> str:
    """Return the list of the kinds of a group."""
    return "\n".join(f"- **{kind}**: {told}." for kind, told in MEANING.items())


def pictures(nets: dict[str, Recalling]) -> dict[str, Diagram]:
    """Return the story of the four networks, and the Jacobians of each."""
    losses = {name: net(*marked(STEPS, 1, 3, mark=3)) for name, net in nets.items()}
    found = {"story": viz.draw_story(losses)}
    for name, loss in losses.items():
        found[name.lower()] = viz.draw_jacobian_heatmap(loss, of=STATES[name])
    return found


def read(drawn: dict[str, Diagram], nets: dict[str, Recalling]) -> str:
    """Return what the pictures show, in numbers that are read from them."""
    story = {cell["network"]: cell for cell in drawn["story"].graph.graph["cells"]}
    jacobians = {name: drawn[name.lower()].graph.edges[0, STEPS - 1, 0]["jacobian_norm"]
                 for name in story}  # fmt: skip
    errors = {name: error(net) for name, net in nets.items()}
    factors = {name: cell["factor"] for name, cell in story.items()}
    claim("modern", abs(factors["DeltaNet"] - 1) < 0.01, factors["LIF"] < factors["minGRU"] < 1)
    claim("modern", abs(jacobians["DeltaNet"] - 1) < 0.01, jacobians["minGRU"] < 1)
    told = ", ".join(f"{errors[name]:.3f} ({name})" for name in errors)
    return (
        f"Each network has eight units, reads {STEPS} numbers of which one is marked, and says at "
        f"the end which it was; after {UPDATES} updates its mean square error on 1,000 other "
        f"sequences is {told}. A step back multiplies the norm of the gradient by "
        f"{factors['LSTM']:.2f} in the LSTM, {factors['minGRU']:.2f} in the minGRU, "
        f"{factors['DeltaNet']:.2f} in the DeltaNet and {factors['LIF']:.2f} in the spiking "
        f"network. The Jacobian from the first state to the last has the norm "
        f"{jacobians['LSTM']:.2f}, {jacobians['minGRU']:.2f}, {jacobians['DeltaNet']:.2f} and "
        f"{jacobians['LIF']:.2f}: the delta rule overwrites only along its key and leaves all "
        "other directions as they are, a gate below 1 shrinks what it keeps."
    )


def page(told: str) -> str:
    """Return the whole page, `told` being what the pictures show."""
    filled = {
        "CELLS": cells(),
        "KINDS": kinds(),
        "TOLD": wrapped(told),
        "LANGUAGE": _generated("cell_language"),
        "TASKS": _generated("cell_tasks"),
        "UPDATES": f"{cell_language.UPDATES:,}",
        "CHUNK": f"{cell_language.B} streams of {cell_language.T} characters",
        "ROUNDS": str(cell_language.ROUNDS),
        "LEAST": f"{LEAST:,}",
        "OUTER": f"{OUTER:,}",
        "DELTA": f"{DELTA:,}",
        "ENTRIES": f"{ENTRIES:,}",
        "H": str(H),
        "PAIRS": str(recall.parse([]).pairs),
        "T": str(parity.parse([]).T),
        "TEST": str(parity.parse([]).test),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for key, value in filled.items():
        text = text.replace(f"[[{key}]]", value)
    return text


def _generated(name: str) -> str:
    """Return a table between the marks that `benchmarks.tables` looks for."""
    return f"<!-- {name} -->\n{table(name)}\n<!-- /{name} -->"


def files() -> Iterator[tuple[Path, str]]:
    """Yield every file with its text, the page last."""
    nets = networks()
    drawn = pictures(nets)
    for name, diagram in drawn.items():
        yield PICTURES / f"{name}.svg", diagram.svg()
    yield PAGE, page(read(drawn, nets))


def main() -> None:
    """Write all files."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path, text in files():
        path.write_text(text, encoding="utf-8")
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
