"""Draw the sections of the gallery on graphs: faults, differences, and the second order."""

import numpy as np

import engine
import rnn
import viz
from docs.gallery_networks import Networks, Normed, penalty, squared
from docs.gallery_parts import Section, box, claim
from viz import Diagram


def nonfinite() -> Diagram:
    x = np.array([[[0.0, 0.0]], [[1.0, 2.0]]])  # (T, B, I): zeros, then numbers
    y, _ = rnn.Recurrent(Normed(2, 3))(x)
    return viz.draw_nonfinite(engine.sum(y))


def read_nonfinite(d: Diagram, n: Networks) -> str:
    traces = [own["trace"] for _, own in d.graph.nodes(data=True)]
    return (
        "A cell that divides its state by its length, on a sequence that begins with zeros: "
        f"{d.graph.graph['fault']}. Blue are the {traces.count('led')} boxes that led to "
        f"it, grey the {traces.count('spoiled')} that it spoiled, "
        "through h those of the next step too."
    )


def difference() -> Diagram:
    before, after = (rnn.Recurrent(Normed(2, 3, floor)) for floor in (0.0, 1e-12))
    x = engine.ones((2, 1, 2))
    return viz.draw_difference(engine.sum(before(x)[0]), engine.sum(after(x)[0]))


def read_difference(d: Diagram, n: Networks) -> str:
    counts = [own["difference"] for _, own in d.graph.nodes(data=True)]
    added, changed = counts.count("added"), counts.count("changed")
    claim("difference", added == changed == 2, "removed" not in counts)
    return (
        "The repair of the fault above: a floor under the sum, before the root. Green and + is new "
        f"({added} nodes, one a step), amber and ~ is changed ({changed}: the root takes "
        f"another input), dashed edges are gone, and grey ({counts.count('both')} nodes) is as "
        "before."
    )


def double_backward() -> Diagram:
    cell = rnn.ElmanCell(2, 3, bias=False, dtype="float64")
    return viz.draw_double_backward(squared(cell, steps=2), [cell.weight_hh])


def read_double_backward(d: Diagram, n: Networks) -> str:
    kinds = [own["kind"] for _, own in d.graph.nodes(data=True)]
    back = kinds.count("gradient")
    return (
        f"With `create_graph=True` a backward pass is a graph of its own: {back} red nodes, each "
        "in the column of the step that it undoes and named after what it differentiates. Purple "
        "are forward values that derivatives need: this is why a backward pass keeps the states of "
        "all steps in memory."
    )


def second_backward() -> Diagram:
    cell = rnn.ElmanCell(2, 3, bias=False, dtype="float64")
    loss = squared(cell, steps=2)
    return viz.draw_double_backward(loss, [cell.weight_hh], grad_of=penalty, level="gate")


def read_second_backward(d: Diagram, n: Networks) -> str:
    forward, back = (box(d, t=0, label=label)["grad_norm"] for label in ("h", "∂ a"))
    dead = sum(own.get("grad_norm") == 0 for _, _, own in d.graph.edges(data=True))
    claim("second_backward", dead > 0)
    return (
        "The penalty ‖dL/dW‖² is differentiated again: red lines run from it through the gradient "
        f"nodes ({back:.2g} at ∂a of t = 0), and on through the forward ones ({forward:.2g} at h). "
        f"{dead} edges are dead: the state before the first step is zero."
    )


SECTIONS = [
    Section(
        "The origin of a NaN",
        "Shows which operation made the first NaN, and all that it spoiled.",
        nonfinite,
        read_nonfinite,
    ),
    Section(
        "The difference between two graphs",
        "Shows what a change of the code did to the recorded graph.",
        difference,
        read_difference,
    ),
    Section(
        "The gradient as a graph",
        "Shows the operations of a backward pass, and the forward values that it keeps in memory.",
        double_backward,
        read_double_backward,
    ),
    Section(
        "The second backward pass",
        "Shows how the gradient of a gradient travels, for penalties and meta-learning.",
        second_backward,
        read_second_backward,
    ),
]
