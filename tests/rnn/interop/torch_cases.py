"""List the layers that were recorded with torch: options, and their inputs, drawn by number."""

from itertools import product
from pathlib import Path
from typing import Any

from tests.draws import normal

T, B, I, H, P = 4, 3, 2, 3, 2
LENGTHS = [2, 4, 1]
RECORDED = Path(__file__).parent / "data" / "torch_layers.safetensors"

Case = dict[str, Any]

# Kind of layer, number of layers, both directions, the batch first, a packed batch.
AXES: tuple[tuple[Any, ...], ...] = (
    ("RNN", "LSTM", "GRU", "LSTM projected"), (1, 2), (False, True), (False, True), (False, True),
)  # fmt: skip


def label(kind: str, layers: int, both: bool, first: bool, packed: bool) -> str:
    return (f"{kind} {layers}{' both' if both else ''}{' first' if first else ''}"
            f"{' packed' if packed else ''}")  # fmt: skip


def cases() -> dict[str, Case]:
    """Return every case by name: kind of layer, options, and whether the batch is packed."""
    found: dict[str, Case] = {}
    for kind, layers, both, first, packed in product(*AXES):
        name, _, projected = kind.partition(" ")
        options = {"num_layers": layers, "bidirectional": both, "batch_first": first}
        if projected:
            options["proj_size"] = P
        found[label(kind, layers, both, first, packed)] = {
            "kind": name, "options": options, "packed": packed,
        }  # fmt: skip
    return found


def arrays(case: Case, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the input, initial states, gradients from above, and weights of these shapes."""
    options = case["options"]
    count = options["num_layers"] * (2 if options["bidirectional"] else 1)
    width = options.get("proj_size", H)
    out = width * (2 if options["bidirectional"] else 1)
    turn = (lambda a, b: (b, a)) if options["batch_first"] else (lambda a, b: (a, b))
    found = {
        "x": normal(*turn(T, B), I, salt=1), "dy": normal(*turn(T, B), out, salt=2),
        "h": normal(count, B, width, salt=3), "dh": normal(count, B, width, salt=4),
    }  # fmt: skip
    if case["kind"] == "LSTM":
        found |= {"c": normal(count, B, H, salt=5), "dc": normal(count, B, H, salt=6)}
    for number, (name, shape) in enumerate(shapes.items()):
        found[name] = 0.5 * normal(*shape, salt=10 + number)
    return found
