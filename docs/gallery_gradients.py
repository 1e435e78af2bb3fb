"""The sections of the gallery on gradients through time, and on training."""

import numpy as np

import viz
from docs.gallery_networks import CLIP, Networks, Recall, Speller, Trained, mark_of
from docs.gallery_parts import Section, box, claim, edges, signed
from engine import Tensor
from viz import Diagram


def gradients(untrained: Recall, eight: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_gradients(untrained(*eight), title="An Elman network before training")


def read_gradients(d: Diagram, n: Networks) -> str:
    norms = [dict(box(d, t=t, kind="cell")["grads"])["h"] for t in range(len(n.eight[0]))]
    mark = mark_of(n.eight)
    claim("gradients", norms == sorted(norms), norms[0] < norms[-1] / 100)
    return (
        "Blue runs forward; red is the gradient of the loss on its way back, as wide and dark as "
        f"its norm. It vanishes: ∂h is {norms[-1]:.2g} at the last step and {norms[0]:.2g} at the "
        f"first, {norms[-1] / norms[0]:.0f} times less. The number to be recalled stands at "
        f"t = {mark}, where {norms[mark] / norms[-1]:.1%} of it arrives. The curves below show "
        "what comes of that: this network does not learn to recall."
    )


def path(losses: list[Tensor]) -> Diagram:
    return viz.draw_bptt_path(losses, "L4", "h1")


def read_path(d: Diagram, n: Networks) -> str:
    numbers = d.graph.graph["paths"]
    product = numbers.strongest[0][1]
    claim("path", numbers.whole < numbers.bound)
    return (
        f"All {numbers.count} ways from the loss of step 4 to the state h of step 1, and what "
        f"each hop does to a gradient at most: above 1 it grows, below it shrinks. The whole "
        f"derivative has norm {numbers.whole:.2g}, the product along the strongest path "
        f"{product:.2g}; the norms of the hops multiplied and summed say {numbers.bound:.2g}, an "
        f"upper bound {numbers.bound / numbers.whole:.0f} times too large."
    )


def path_to_weights(losses: list[Tensor]) -> Diagram:
    return viz.draw_bptt_path(losses, "L4", "lstm.weight_hh")


def read_path_to_weights(d: Diagram, n: Networks) -> str:
    numbers = d.graph.graph["paths"]
    along = {t: own for t, (_, own) in numbers.uses.items()}
    last = max(along)
    before = sum(own for t, own in along.items() if t != last)
    return (
        f"To a weight all {numbers.count} paths count, for every step uses it. The bars say what "
        f"each use adds: of a gradient of norm {numbers.whole:.2g} the last step adds "
        f"{along[last]:.2g} along it, all steps before together {before:.2g}."
    )


def jacobians_fading(untrained: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_jacobian_heatmap(untrained(*twelve), of="h")


def read_jacobians_fading(d: Diagram, n: Networks) -> str:
    end = len(n.twelve[0]) - 1
    next_to, far = (d.graph.edges[k, end, 0]["jacobian_norm"] for k in (end - 1, 0))
    claim("jacobians_fading", far < 0.01 * next_to)
    return (
        "Row t, column k: the norm of the derivative of state t by state k, which is what a "
        "gradient is multiplied with at most on its way from t back to k. White is 1. In the "
        f"Elman network of above it is {next_to:.2g} over the last step and {far:.2g} over all "
        f"{end}: the blue corner is what it cannot learn from."
    )


def jacobians_holding(lstm: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_jacobian_heatmap(lstm(*twelve), of="c")


def read_jacobians_holding(d: Diagram, n: Networks) -> str:
    steps, mark = len(n.twelve[0]), mark_of(n.twelve)
    norms = [d.graph.edges[k, t, 0]["jacobian_norm"] for t in range(steps) for k in range(t)]
    claim("jacobians_holding", min(norms) > 0.3, max(norms) < 3)
    return (
        f"The same for the cell state of the trained LSTM: all between {min(norms):.2g} and "
        f"{max(norms):.2g}, and {d.graph.edges[mark, steps - 1, 0]['jacobian_norm']:.2g} from the "
        f"mark at t = {mark} to the end. Nothing fades and nothing explodes."
    )


def truncation(losses: list[Tensor]) -> Diagram:
    return viz.draw_truncation(losses, 2)


def read_truncation(d: Diagram, n: Networks) -> str:
    lost = d.graph.graph["lost"]
    share, cosine = lost["lstm.weight_hh"]
    cut = [own["refused"] for _, _, own in edges(d, "time") if "refused" in own]
    claim("truncation", lost["head.weight"][0] == 0, len(cut) == 4)
    return (
        "Chunks of two steps: at the scissors stands the norm of what would have passed, up to "
        f"{max(cut):.2g}. The bars say what that does to each weight: for the recurrent "
        f"weights what is lost is {share:.0%} as long as the whole gradient, and what is left "
        f"points elsewhere, by a cosine of {cosine:.2f}; the head loses nothing."
    )


def contributions(losses: list[Tensor], speller: Speller) -> Diagram:
    return viz.draw_contributions(losses, speller.lstm.weight_hh)


def read_contributions(d: Diagram, n: Networks) -> str:
    found = {(d.graph.nodes[a]["t"], own["t"]): data["projection"]
             for a, b, data in d.graph.edges(data=True) for own in [d.graph.nodes[b]]}  # fmt: skip
    same, other = found[2, 2], found[3, 2]
    claim("contributions", same * other < 0, found[4, 0] == 0)
    return (
        "A bar for each step that uses the recurrent weights, a colour for each loss; all bars "
        f"sum to the norm of the gradient, {d.graph.graph['norm']:.2g}. At k = 2, the first l of "
        f"hello, the loss of the l that follows adds {signed(same)} and the loss of the o after "
        f"that {signed(other)}: the same letter has to mean two things, and they pull against each "
        "other. Step 0 adds nothing, for the state before it is zero."
    )


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
        "A strip is a variable of the cell, a line in it a unit, and below is the mean over the "
        f"units. The number to be recalled comes at t = {mark}: there the forget gate drops to "
        f"{f[mark]:.2f} (else {min(others):.2f} to {max(others):.2f}), the candidate g is largest, "
        f"and unit {unit} of c goes from {signed(before)} to {signed(after)}; at the end it is "
        f"still {signed(end)}."
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
        f"(1/3), and {ends['LSTM']:.2g} for the LSTM, whose loss is first under 0.03 at update "
        f"{first + 1}. Below, the norms of the gradients before clipping: {clipped['LSTM']} "
        f"updates of the LSTM were clipped and {clipped['Elman']} of the other."
    )


SECTIONS = [
    Section("The gradient of a last loss", gradients, read_gradients),
    Section("From a loss back to a state", path, read_path),
    Section("From a loss back to a weight", path_to_weights, read_path_to_weights),
    Section("Jacobians that fade", jacobians_fading, read_jacobians_fading),
    Section("Jacobians that hold", jacobians_holding, read_jacobians_holding),
    Section("Truncation", truncation, read_truncation),
    Section("What each step adds to a gradient", contributions, read_contributions),
    Section("Gates over time", gates, read_gates),
    Section("Curves of a training run", curves, read_curves),
]
