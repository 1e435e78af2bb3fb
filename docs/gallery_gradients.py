"""Draw the sections of the gallery on paths, Jacobians, truncation, and the part of each step."""

import engine
import rnn
import viz
from docs.gallery_networks import Networks, Recall, Speller, mark_of
from docs.gallery_parts import Section, claim, edges, number
from engine import Tensor
from viz import Diagram


def path(losses: list[Tensor]) -> Diagram:
    return viz.draw_bptt_path(losses[:4], "L3", "h0")


def read_path(d: Diagram, n: Networks) -> str:
    numbers = d.graph.graph["paths"]
    product = numbers.strongest[0][1]
    claim("path", product < numbers.whole < numbers.bound)
    return (
        f"All {numbers.count} paths from the loss of step 3 to the state h of step 0. A number on "
        "a wire is the largest factor by which this hop can change a gradient, the rest held "
        f"fixed. The whole derivative has norm {number(numbers.whole)}, the strongest path alone "
        f"carries {number(product)}, and the norms of all hops, multiplied and summed, give "
        f"{number(numbers.bound)}: an upper bound {numbers.bound / numbers.whole:.1f} times too "
        "large, because directions turn and cancel."
    )


def path_to_weights(losses: list[Tensor]) -> Diagram:
    return viz.draw_bptt_path(losses[:3], "L2", "lstm.weight_hh")


def read_path_to_weights(d: Diagram, n: Networks) -> str:
    numbers = d.graph.graph["paths"]
    along = {t: own for t, (_, own) in numbers.contributions.items()}
    last = max(along)
    before = sum(own for t, own in along.items() if t != last)
    claim("path_to_weights", along[0] == 0)
    return (
        f"All {numbers.count} paths from the loss of step 2 count, for every step uses the weight. "
        f"Of a gradient of norm {number(numbers.whole)} the use at t = {last} adds "
        f"{number(along[last])} along it, those before add {number(before)}, and that at t = 0 "
        "adds nothing, for the state that it multiplies is zero."
    )


def jacobians_fading(untrained: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_jacobian_heatmap(untrained(*twelve), of="h")


def read_jacobians_fading(d: Diagram, n: Networks) -> str:
    end = len(n.twelve[0]) - 1
    next_to, far = (d.graph.edges[k, end, 0]["jacobian_norm"] for k in (end - 1, 0))
    claim("jacobians_fading", far < 0.01 * next_to)
    return (
        "Row t, column k: the norm of the derivative of state t by state k, which is the largest "
        "factor for a gradient on its way from t back to k. White is 1. In the untrained Elman "
        f"network it is {number(next_to)} over the last step and {number(far)} over all {end}: "
        "hardly any gradient comes from the blue corner."
    )


def jacobians_holding(lstm: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    return viz.draw_jacobian_heatmap(lstm(*twelve), of="c")


def read_jacobians_holding(d: Diagram, n: Networks) -> str:
    steps, mark = len(n.twelve[0]), mark_of(n.twelve)
    norms = [d.graph.edges[k, t, 0]["jacobian_norm"] for t in range(steps) for k in range(t)]
    claim("jacobians_holding", min(norms) > 0.3, max(norms) < 3)
    return (
        f"The cell state of the trained LSTM: all norms lie between {number(min(norms))} and "
        f"{number(max(norms))}, and from the mark at t = {mark} to the end the norm is "
        f"{number(d.graph.edges[mark, steps - 1, 0]['jacobian_norm'])}. Nothing fades and nothing "
        "explodes."
    )


def truncation(losses: list[Tensor]) -> Diagram:
    return viz.draw_truncation(losses[:4], 2)


def read_truncation(d: Diagram, n: Networks) -> str:
    lost = d.graph.graph["lost"]
    share, cosine = lost["lstm.weight_hh"]
    cut = [own["refused"] for _, _, own in edges(d, "time") if "refused" in own]
    claim("truncation", lost["head.weight"][0] == 0, len(cut) == 2)
    return (
        "Four letters in chunks of two: at each pair of scissors stands the norm of the gradient "
        f"that would have passed, {number(cut[0])} along h and {number(cut[1])} along c. The bars "
        f"give the loss of each weight: that of the recurrent weights is {share:.0%} as long as "
        "the whole gradient, and what is left points elsewhere, by a cosine of "
        f"{cosine:.2f}; the head loses nothing."
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
        f"sum to the norm of the gradient, {number(d.graph.graph['norm'])}. At k = 2, the first l "
        f"of hello, the loss of the l that follows adds {number(same)} and the loss of the o after "
        f"that {number(other)}: the same letter has to mean two things, and the two losses pull "
        "against each other. Step 0 adds nothing, for the state before it is zero."
    )


def estimators(lstm: Recall, twelve: tuple[Tensor, Tensor]) -> Diagram:
    methods = ("rtrl", "eprop", "tbptt:6", "tbptt:3")
    given = (lstm.recurrent, twelve[0], [twelve[1]] * 12, engine.mse_loss)
    found = rnn.online.compare(*given, methods=methods, readout=lstm.head)
    return viz.draw_estimators(found.cosines)


def read_estimators(d: Diagram, n: Networks) -> str:
    last = {own["method"]: own["cosine"] for _, own in d.graph.nodes(data=True)
            if own["kind"] == "step"}  # fmt: skip
    claim("estimators", last["rtrl"] > 1 - 1e-9, last["eprop"] < 0.999,
          last["tbptt:3"] < last["tbptt:6"])  # fmt: skip
    return (
        "The LSTM that recalls one of twelve numbers is asked for it at every step. The gradients "
        "of its own weights and the head's, summed up to a step, beside those of "
        "back-propagation through all of time: real-time recurrent learning, which looks back at "
        f"nothing, has a cosine of 1; e-prop ends at {last['eprop']:.3f}, a state that is detached "
        f"every six steps at {last['tbptt:6']:.3f}, every three at {last['tbptt:3']:.3f}."
    )


SECTIONS = [
    Section(
        "From a loss back to a state",
        "Shows by which paths a loss reaches an early state, and how much of the gradient each "
        "hop lets through.",
        path,
        read_path,
    ),
    Section(
        "From a loss back to a weight",
        "Shows how the gradient of a weight is a sum over all steps that use it.",
        path_to_weights,
        read_path_to_weights,
    ),
    Section(
        "Jacobians that fade",
        "Shows between which pairs of steps a gradient can travel at all.",
        jacobians_fading,
        read_jacobians_fading,
    ),
    Section(
        "Jacobians that hold",
        "Shows that training has opened a way through all steps.",
        jacobians_holding,
        read_jacobians_holding,
    ),
    Section(
        "Truncation",
        "Shows how much gradient each weight loses when back-propagation stops at chunk borders.",
        truncation,
        read_truncation,
    ),
    Section(
        "Contributions of every step",
        "Shows which losses pull a weight in the same direction at which step, and which against "
        "each other.",
        contributions,
        read_contributions,
    ),
    Section(
        "Estimators of a gradient",
        "Shows how near methods that do not go back through all of time come to the gradient.",
        estimators,
        read_estimators,
    ),
]
