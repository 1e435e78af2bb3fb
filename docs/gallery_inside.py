"""Draw the sections of the gallery on the inside of a network: gates, training, influence,
attention, and the equations of a cell.
"""

import numpy as np

import rnn
import viz
from docs.gallery_networks import CLIP, Networks, Recall, Reverser, Trained, mark_of
from docs.gallery_parts import Section, box, claim, number
from engine import Tensor
from rnn.data import Vocabulary
from viz import Diagram
from viz.influence.drawing import InfluenceDiagram


def gates(lstm: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_gates(lstm(*twelve), names=["i", "f", "g", "c"])


def read_gates(d: Diagram, n: Networks) -> str:
    rows = {(own["name"], own["t"]): own for _, own in d.graph.nodes(data=True)}
    steps, mark = len(n.twelve[0]), mark_of(n.twelve)
    f = [rows["f", t]["value"] for t in range(steps)]
    others = f[:mark] + f[mark + 1 :]
    size = [np.abs(rows["g", t]["values"]).mean() for t in range(steps)]
    c = np.array([rows["c", t]["values"] for t in (mark - 1, mark, steps - 1)])
    unit = int(np.argmax(np.minimum(abs(c[1] - c[0]), abs(c[2] - c[0]))))  # what moves and stays
    before, after, end = c[:, unit]
    held = abs(end - after) < abs(after - before) / 4
    claim("gates", min(f) == f[mark], max(size) == size[mark], held)
    return (
        "A strip is a variable of the cell, a row in it a unit, and below is the mean over the "
        f"units. The number to be recalled comes at t = {mark}: there the forget gate drops to "
        f"{f[mark]:.2f} (else {min(others):.2f} to {max(others):.2f}), the candidate g is largest, "
        f"and unit {unit} of c goes from {number(before)} to {number(after)}; at the end it is "
        f"still {number(end)}."
    )


def curves(runs: dict[str, Trained]) -> Diagram:
    losses = {name: run.losses for name, run in runs.items()}
    norms = {name: run.norms for name, run in runs.items()}
    return viz.draw_curves(losses, norms, threshold=CLIP)


def read_curves(d: Diagram, n: Networks) -> str:
    ends = {name: float(np.mean(run.losses[-20:])) for name, run in n.runs.items()}
    clipped = {name: sum(norm > CLIP for norm in run.norms) for name, run in n.runs.items()}
    first = next(i for i, loss in enumerate(n.runs["LSTM"].losses) if loss < 0.03)
    claim("curves", ends["LSTM"] < 0.01, ends["Elman"] > 0.2)
    return (
        "Recalling the marked one of twelve numbers. The last twenty losses are "
        f"{ends['Elman']:.2g} on average for the Elman network, about the variance of the numbers "
        f"(1/3), and {ends['LSTM']:.2g} for the LSTM, with the first loss under 0.03 at update "
        f"{first + 1}. Below, the norms of the gradients before clipping: {clipped['LSTM']} "
        f"updates of the LSTM were clipped and {clipped['Elman']} of the other."
    )


def influence(reader: rnn.LanguageModel, letters: Vocabulary) -> Diagram:
    text = "a dog said woof. a cat said meow."
    return viz.draw_influence(reader, text, text.index(" meow"), vocabulary=letters)


def read_influence(d: Diagram, n: Networks) -> str:
    assert isinstance(d, InfluenceDiagram)
    found, t = d.influence, d.t
    text = "".join(found.pieces)
    norms = dict(enumerate(found.norms[found.times.index(t)]))
    animal, dog = text.index("cat"), text.index("dog")
    claim("influence", norms[animal] == max(norms.values()), norms[t + 1] == 0)
    return (
        f"A model that has read sentences on three animals is about to write the m of meow, at "
        f"which it is {found.outputs[found.times.index(t)].probability:.0%} sure. No character "
        f"moves the logit of m more than the c of cat, {t - animal} characters before, by a norm "
        f"of {number(norms[animal])}; the d of dog in the sentence before has "
        f"{number(norms[dog])}. Characters after the blank have no influence, which is exactly "
        "zero and drawn in grey. The page (`.html`) lets its reader choose t."
    )


def attention_matrix(reverser: Reverser) -> Diagram:
    symbols = np.array([[0], [1], [2], [3]])  # (T, B)
    return viz.draw_attention(reverser(symbols), sources=list("abcd"), targets=list("dcba"))


def read_attention_matrix(d: Diagram, n: Networks) -> str:
    weights = {(int(a.split()[-1]), int(b.split()[-1])): own["weight"]
               for a, b, own in d.graph.edges(data=True)}  # fmt: skip
    best = {t: max(range(4), key=lambda s: weights.get((t, s), 0.0)) for t in range(4)}
    claim("attention_matrix", best == {0: 3, 1: 3, 2: 2, 3: 1})
    least = min(weights[t, s] for t, s in best.items())
    return (
        "A row is a symbol that the decoder says, a column one that the encoder has read; a row "
        f"sums to 1. Each row has at least {least:.2f} at one place. To say c it looks at d, to "
        "say b at c, and to say a at b: training has found the rule to look one step after the "
        "symbol, where the state still knows it."
    )


def cell() -> Diagram:
    return viz.draw_cell(rnn.LSTMCell(3, 4, forget_bias=1.0, dtype="float64"))


def read_cell(d: Diagram, n: Networks) -> str:
    old = box(d, label="cₜ₋₁")
    ((_, _, lane),) = (edge for edge in d.graph.edges(data=True) if d.graph.nodes[edge[0]] is old)
    claim("cell", lane["jacobian_norm"] < 1)
    return (
        "The picture is made of the recorded step and stands beside the equations that the same "
        "record gives. Along the lane of c a gradient meets no weights and no tanh, only the "
        f"forget gate, which lets {number(lane['jacobian_norm'])} of it through at most in this "
        "step. In a browser, a term lights up with its wire and its factor."
    )


SECTIONS = [
    Section(
        "Gates over time",
        "Shows at which step a network stores a value, and that it keeps it.",
        gates,
        read_gates,
    ),
    Section(
        "Curves of a training run",
        "Shows which network learns the task, and when its gradients had to be clipped.",
        curves,
        read_curves,
    ),
    Section(
        "A text shaded by influence",
        "Shows which characters before decide the character that comes next.",
        influence,
        read_influence,
    ),
    Section(
        "Attention as a matrix",
        "Shows where each step of a decoder looks.",
        attention_matrix,
        read_attention_matrix,
    ),
    Section(
        "One cell beside its equations",
        "Shows which term of the equations is which wire, and how much gradient each lets through "
        "in a step.",
        cell,
        read_cell,
    ),
]
