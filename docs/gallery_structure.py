"""Draw the sections of the gallery on the structure of a network: rolled, unrolled by three levels,
layers and directions, encoder and decoder.
"""

import numpy as np

import engine
import rnn
import viz
from docs.gallery_networks import Networks, Recall, Reverser
from docs.gallery_parts import Section, claim, edges
from engine import Graph, Tensor
from viz import Diagram


def rolled(lstm: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_rolled(lstm(*twelve))


def read_rolled(d: Diagram, n: Networks) -> str:
    ((_, _, loop),) = edges(d, "time")
    steps = len(n.twelve[0])
    recorded = Graph.of(*engine.expanded(n.lstm(*n.twelve)))
    claim("rolled", loop["dt"] == 1)
    return (
        f"The {len(recorded):,} operations and leaves of {steps} steps in {len(d.graph)} boxes. "
        "Time is folded up: the thick loop z⁻¹ carries "
        f"{loop['label'].replace(', ', ' and ')} from one step to the next. Yellow boxes are "
        "trained."
    )


def unrolled(losses: list[Tensor]) -> Diagram:
    return viz.draw_unrolled(losses)


def read_unrolled(d: Diagram, n: Networks) -> str:
    weights = sum(own["kind"] == "parameter" for _, own in d.graph.nodes(data=True))
    uses = len(edges(d, "parameter"))
    return (
        f"A column a step, one cell a column; thick edges are the {len(edges(d, 'time'))} states "
        f"that go from a step to the next. The {weights} modules with weights stand once, at the "
        f"left: their {uses} grey edges say that every step uses the same ones, which is why "
        "their gradients are sums over time."
    )


def unrolled_gates(losses: list[Tensor]) -> Diagram:
    return viz.draw_unrolled(losses[:2], level="gate")


def read_unrolled_gates(d: Diagram, n: Networks) -> str:
    gates = [own["label"] for _, own in d.graph.nodes(data=True)
             if own.get("t") == 0 and own["kind"] == "gate"]  # fmt: skip
    claim("unrolled_gates", {"i", "f", "g", "o"} <= set(gates))
    return (
        "One box for each variable in the cell's equations, by the names that its `step` gives "
        f"them ({', '.join(sorted(gates))}, and the states c and h). Two ways lead to the next "
        "step: c goes straight to c, h goes through all gates."
    )


def unrolled_ops(losses: list[Tensor]) -> Diagram:
    return viz.draw_unrolled(losses[0], level="op")


def read_unrolled_ops(d: Diagram, n: Networks) -> str:
    return (
        f"The recorded graph itself, {len(d.graph)} nodes for one step. `i = σ` is the operation "
        "that ends the equation of i; an operation without a name of its own stands with its "
        "sign. Of more steps than fit the middle is left out, and the picture says how many."
    )


def stacked() -> Diagram:
    net = rnn.LSTM(3, 4, num_layers=2, bidirectional=True)
    y, _ = net(engine.ones((3, 1, 3)))
    return viz.draw_unrolled(y)


def read_stacked(d: Diagram, n: Networks) -> str:
    back = sum(own["dt"] < 0 for _, _, own in edges(d, "time"))
    on = len(edges(d, "time")) - back
    claim("stacked", on > 0, back > 0)
    return (
        f"Two layers, each with a row that runs on in time ({on} edges of states to the right in "
        f"all) and one that runs back ({back} to the left). What the two say of a step is put "
        "together before the second layer reads it."
    )


def attention(reverser: Reverser) -> Diagram:
    symbols = np.array([[0], [1]])  # (T, B)
    title = "Two symbols said backwards"
    return viz.draw_unrolled(reverser(symbols), weights="off", title=title)


def read_attention(d: Diagram, n: Networks) -> str:
    weights = {(b["t"], a["t"]): own["weight"] for a, b, own in edges(d, "attention")}
    claim("attention", weights[1, 1] > 0.9)
    return (
        "The encoder reads two symbols, the decoder says them from the last to the first, and "
        "green wires carry the states of the encoder to it. The purple fan shows where the last "
        f"step of the decoder looks, as wide as its weight: {weights[1, 1]:.2f} at the second "
        f"state, {weights[1, 0]:.2f} at the first; the matrix below has all steps."
    )


SECTIONS = [
    Section(
        "Rolled up",
        "Shows the parts of a network at one glance, and which states it carries through time.",
        rolled,
        read_rolled,
    ),
    Section(
        "Unrolled, a box a cell",
        "Shows that every step uses the same weights.",
        unrolled,
        read_unrolled,
    ),
    Section(
        "Unrolled, a box an equation",
        "Shows how states go from step to step through the gates of a cell.",
        unrolled_gates,
        read_unrolled_gates,
    ),
    Section(
        "Unrolled, a box an operation",
        "Shows every operation that a step records, down to the slices.",
        unrolled_ops,
        read_unrolled_ops,
    ),
    Section(
        "Layers and directions",
        "Shows how stacked layers and both directions of time are wired.",
        stacked,
        read_stacked,
    ),
    Section(
        "Encoder, decoder, attention",
        "Shows how a decoder gets at the states of an encoder.",
        attention,
        read_attention,
    ),
]
