"""Draw the sections of the gallery on how far a gradient gets: the story, and the backward pass as
a graph, still and animated.
"""

import viz
from docs.gallery_networks import Networks, Recall, Trained, mark_of, scaled
from docs.gallery_parts import Section, box, claim, edges, number
from engine import Tensor
from viz import Diagram


def story(untrained: Recall, eight: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_story(untrained(*eight))


def read_story(d: Diagram, n: Networks) -> str:
    steps, mark = len(n.eight[0]), mark_of(n.eight)
    norms = [d.graph.nodes[f"h{t}"]["norm"] for t in range(steps)]
    adds = [d.graph.nodes[f"weight_hh@{t}"]["adds"] for t in range(steps)]
    (cell,) = d.graph.graph["cells"]
    claim("story", norms == sorted(norms), adds[-1] > 0.8 * cell["weight_norm"])
    return (
        f"The norm of dL/dh falls from {number(norms[-1])} at the last step to {number(norms[0])} "
        f"at the first, by ×{cell['factor']:.2f} a step. The number to be recalled stands at "
        f"t = {mark}, where {norms[mark] / norms[-1]:.1%} of the gradient arrives. The last step "
        f"alone gives {adds[-1] / cell['weight_norm']:.0%} of the gradient of the recurrent "
        "weights. The curves of its training show that this network does not learn to recall."
    )


def story_networks(runs: dict[str, Trained], forty: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_story({name: run.net(*forty) for name, run in runs.items()})


def read_story_networks(d: Diagram, n: Networks) -> str:
    elman, lstm = d.graph.graph["cells"]
    claim("story_networks", elman["ratio"] < 0.05, lstm["verb"] == "holds")
    return (
        f"Both were trained to recall one of twelve numbers and read {len(n.forty[0])} here. The "
        f"gradient shrinks by ×{elman['factor']:.3f} a step in the Elman network, which leaves "
        f"1/{1 / elman['ratio']:.0f} of it at the first state, and by ×{lstm['factor']:.4f} along "
        f"c in the LSTM, which leaves {lstm['ratio']:.0%}. Widths, lines and bars of both networks "
        "have the same scale."
    )


def story_weights(untrained: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    losses = {f"weights × {k}": scaled(untrained, k)(*twelve) for k in (0.3, 1, 3)}
    return viz.draw_story(losses)


def read_story_weights(d: Diagram, n: Networks) -> str:
    factors = [cell["factor"] for cell in d.graph.graph["cells"]]
    claim("story_weights", factors == sorted(factors), factors[2] < 3 * factors[1])
    return (
        "The recurrent weights of the same untrained Elman network times 0.3, 1 and 3: a step back "
        f"multiplies the gradient by {', '.join(f'{f:.2g}' for f in factors[:2])} and "
        f"{factors[2]:.2g}. Three times the weights give {factors[2] / factors[1]:.1f} times the "
        "factor, not three times, because larger states lie where tanh is flatter. Ribbons of "
        "norms under 10⁻⁶ are dotted."
    )


def gradients(untrained: Recall, five: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_gradients(untrained(*five))


def read_gradients(d: Diagram, n: Networks) -> str:
    norms = [dict(box(d, t=t, kind="cell")["grads"])["h"] for t in range(len(n.five[0]))]
    uses = {b["t"]: own["grad_norm"] for _, b, own in edges(d, "parameter") if b["kind"] == "cell"}
    claim("gradients", norms == sorted(norms), uses[4] == max(uses.values()))
    return (
        "Blue runs forward, red back, as wide and dark as the norm of its gradient on one "
        "logarithmic scale. The number in a cell is the norm of dL/dh: "
        f"{number(norms[-1])} at the last of five steps, {number(norms[0])} at the first. What the "
        f"use at t = 4 adds to the gradient of the weights has norm {number(uses[4])}, the use at "
        f"t = 0 adds {number(uses[0])}."
    )


def animated(untrained: Recall, five: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_gradients(untrained(*five), title="The backward pass, step by step")


def read_animated(d: Diagram, n: Networks) -> str:
    backward = sum(wire.kind == "backward" for wire in d.scene.wires)
    return (
        f"The {backward} red wires of the picture above appear one stage after another, from the "
        "loss to the first step, each after all that lead to it. The file is an SVG without a "
        "script, so it moves in a README and on slides, and stands still where the reader asks "
        "for less motion."
    )


def window(lstm: Recall, forty: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_gradients(lstm(*forty), steps=range(20, 23))


def read_window(d: Diagram, n: Networks) -> str:
    norms = {b["t"]: own["grad_norm"] for _, b, own in edges(d, "parameter") if b["kind"] == "cell"}
    mark = mark_of(n.forty)
    others = [norm for t, norm in norms.items() if t != mark]
    claim("window", norms[mark] > max(others))
    return (
        f"Steps {min(norms)} to {max(norms)} of {len(n.forty[0])}; the dashed boxes are all "
        f"others. The number to be recalled stands at t = {mark}: there the weights of the LSTM "
        f"get a gradient of norm {number(norms[mark])}, from the steps beside it "
        f"{number(others[0])} and {number(others[1])}."
    )


SECTIONS = [
    Section(
        "The story of a gradient",
        "Shows how far the gradient of a last loss gets on its way back in time, and which steps "
        "the recurrent weights learn from.",
        story,
        read_story,
    ),
    Section(
        "The story of two networks",
        "Shows why an LSTM learns what an Elman network does not: its cell state carries the "
        "gradient to the first step.",
        story_networks,
        read_story_networks,
    ),
    Section(
        "The story of three sizes of weights",
        "Shows how the size of the recurrent weights decides how fast a gradient vanishes.",
        story_weights,
        read_story_weights,
    ),
    Section(
        "The gradient of a last loss",
        "Shows every path that the gradient takes through the network, to states and to weights.",
        gradients,
        read_gradients,
    ),
    Section(
        "The backward pass, animated",
        "Shows in which order back-propagation through time visits the steps.",
        animated,
        read_animated,
        animated=True,
    ),
    Section(
        "A window on a long sequence",
        "Shows whether the weights learn from the step that matters, in the middle of a long "
        "sequence.",
        window,
        read_window,
    ),
]
