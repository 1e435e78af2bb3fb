"""The sections of the gallery on what a network is: rolled, unrolled by three levels, windows,
layers and directions, attention.
"""

import numpy as np

import engine
import rnn
import viz
from docs.gallery_networks import Networks, Recall, Reverser, mark_of
from docs.gallery_parts import Section, claim, edges
from engine import Graph, Tensor
from viz import Diagram


def rolled(losses: list[Tensor]) -> Diagram:
    return viz.draw_rolled(losses)


def read_rolled(d: Diagram, n: Networks) -> str:
    ((_, _, loop),) = edges(d, "time")
    claim("rolled", loop["dt"] == 1)
    return (
        f"The {len(Graph.of(*n.losses)):,} recorded operations and leaves of {len(n.losses)} "
        f"steps in {len(d.graph)} boxes. Time is folded up: the thick loop z⁻¹ carries "
        f"{loop['label'].replace(', ', ' and ')} from one step to the next. Yellow is what is "
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
    return viz.draw_unrolled(losses[:2], level="op")


def read_unrolled_ops(d: Diagram, n: Networks) -> str:
    return (
        f"The recorded graph itself, {len(d.graph)} nodes for two steps. `i = σ` is the operation "
        "that ends the equation of i; what has no name of its own stands with its sign. Of more "
        "steps than fit the middle is left out, and the picture says how many."
    )


def window(lstm: Recall, forty: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_gradients(lstm(*forty), steps=range(19, 25))


def read_window(d: Diagram, n: Networks) -> str:
    norms = {b["t"]: own["grad_norm"] for _, b, own in edges(d, "parameter") if b["kind"] == "cell"}
    mark = mark_of(n.forty)
    others = [norm for t, norm in norms.items() if t != mark]
    claim("window", norms[mark] > max(others))
    return (
        f"Steps {min(norms)} to {max(norms)} of {len(n.forty[0])}; the dashed boxes are all "
        f"others, and what they add is on their edges. The number to be recalled stood at "
        f"t = {mark}: there the weights of the LSTM get a gradient of norm {norms[mark]:.2g}, "
        f"from the steps beside it {min(others):.2g} to {max(others):.2g}."
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
    symbols = np.array([[0], [1], [2], [3]])  # (T, B)
    title = "Four symbols said backwards"
    return viz.draw_unrolled(reverser(symbols), weights="off", title=title)


def read_attention(d: Diagram, n: Networks) -> str:
    weights = {(b["t"], a["t"]): own["weight"] for a, b, own in edges(d, "attention")}
    best = {t: max((s for u, s in weights if u == t), key=lambda s: weights[t, s])
            for t in range(4)}  # fmt: skip
    claim("attention", best == {0: 3, 1: 3, 2: 2, 3: 1})
    least = min(weights[t, s] for t, s in best.items())
    return (
        "The fan says where each step of the decoder looks, as wide as its weight. The last step "
        f"looks at encoder step {best[3]} with weight {weights[3, best[3]]:.2f}, all of them with "
        f"at least {least:.2f} at one place. In training it has found a rule of its own: look one "
        "step after the symbol that is to be said, where the state still knows it."
    )


SECTIONS = [
    Section("Rolled up", rolled, read_rolled),
    Section("Unrolled, a box a cell", unrolled, read_unrolled),
    Section("Unrolled, a box an equation", unrolled_gates, read_unrolled_gates),
    Section("Unrolled, a box an operation", unrolled_ops, read_unrolled_ops),
    Section("A window on a long sequence", window, read_window),
    Section("Layers and directions", stacked, read_stacked),
    Section("Encoder, decoder, attention", attention, read_attention),
]
