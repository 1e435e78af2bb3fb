"""Test one quantity for one symbol: the factors printed along a marked path multiply to the printed
product, and the numbers in boxes are total derivatives; over networks of every kind.
"""

import itertools
import math
import re
import xml.etree.ElementTree as ET
from decimal import Context, Decimal
from functools import partial, reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
import rnn
import viz
from tests.draws import covering, first, leaf, normal
from tests.viz.picture_cases import CASES, ORDER
from tests.viz.pictures import SVG, boxes, network
from viz.drawings.path_factors import multiplied
from viz.model.levels import recorded
from viz.model.names import Places

draw_bptt_path = partial(viz.draw_bptt_path, max_steps=12)  # all steps, however wide

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
NUMBER = r"(?:\d+(?:\.\d+)?(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?|inf|NaN)"
FACTORS = re.compile(rf"(?:(?:\d+ hops |∂\S+/∂\S+ )?×{NUMBER})+")
EXACT = Context(prec=200, Emax=10**9, Emin=-(10**9))


def read(text):
    """Parse a printed number, exactly."""
    head, _, power = text.partition("×10")
    return EXACT.scaleb(Decimal(head), int(power.translate(RAISED) or 0))


def texts(svg):
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def printed(diagram):
    """Return the factors in the SVG, on wires and in boxes, and the product under it."""
    words = texts(diagram.svg())
    factors = [read(one) for text in words if FACTORS.fullmatch(text)
               for one in re.findall(rf"×({NUMBER})(?!0)", text)]  # fmt: skip
    (product,) = re.findall(rf"multiply to ({NUMBER}),", " ".join(words))
    return factors, product


def multiply(factors):
    return reduce(EXACT.multiply, factors, Decimal(1))


def rounded_as(value, text):
    """Tell whether a number, rounded to three digits, is the printed one."""
    return Context(prec=3, Emax=10**9, Emin=-(10**9)).plus(value) == read(text)


def check(diagram):
    """Check the printed product along the path against that of the path; return its length."""
    ((path, carried),) = diagram.graph.graph["paths"].strongest
    factors, product = printed(diagram)
    assert rounded_as(multiply(factors), product), (factors, product)
    if 1e-300 < path.value < 1e300:
        assert float(read(product)) == pytest.approx(path.value, rel=5.1e-3)
        assert carried <= path.value * (1 + 1e-6)  # in float32
    return len(factors), len(path.edges)


def targets(places):
    """Return states by name, each tensor once, and parameters."""
    states, weights = {}, []
    for name, (kind, own) in places.names.items():
        if kind == "state":
            states.setdefault(own.node, name)
        elif kind == "parameter":
            weights.append(name)
    return list(states.values()), weights


@pytest.mark.parametrize(("name", "most"), first(
    12, [(name, most) for most in (False, True) for name in ORDER]
))  # fmt: skip
def test_factors_along_the_strongest_path_multiply_to_the_printed_product(name, most):
    outputs = recorded(CASES[name](), "cell").outputs
    whole = outputs[0]
    states, weights = targets(Places(engine.Graph.of(whole)))
    seen = 0
    near, far = (*states[1:2], *weights[:1]), (*states[:1], *states[2:3], *weights[1:2])
    for target in far if most else near:
        try:
            diagram = draw_bptt_path(whole, "L", target, which="strongest")
        except ValueError as error:
            if "no path leads" in str(error) or "rows of the batch" in str(error):
                continue
            raise
        shown, there = check(diagram)
        assert shown == there  # each hop has a factor of its own where no steps are left out
        seen += 1
    assert seen or most or len(states) < 2


class Three(rnn.Cell):
    """Keep three states; one is fed by another of the same step."""

    def __init__(self, inputs=3, units=4):
        self.input_size, self.state_size = inputs, {"h": units, "c": units, "m": units}
        self.W = leaf(normal(units, units), name="W")
        self.V = leaf(normal(units, units, salt=1), name="V")
        self.U = leaf(normal(inputs, units, salt=2), name="U")

    def step(self, x, state):
        h, c, m = state
        a = engine.tanh(x @ self.U + h @ self.W)
        c = engine.sigmoid(h @ self.V) * c + a
        m = engine.tanh(c) * m + c
        h = engine.tanh(c + m) * a
        return h, (h, c, m)


SIZES = {"rows": (3, 2, 4), "one row": (3, 1, 4), "one unit": (3, 2, 1), "one of all": (1, 1, 1)}
KINDS = {
    "elman": rnn.ElmanCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell,
    "three": lambda i, h, dtype: Three(i, h),
}  # fmt: skip


def losses_of(kind, size, steps=6, zeros=False):
    """Return a loss a step in float64; with `zeros` the weights and some norms are zero."""
    inputs, batch, units = SIZES[size]
    engine.seed(5)
    cell = KINDS[kind](inputs, units, dtype="float64")
    cell._name = "cell"
    if zeros:
        for name, parameter in cell.named_parameters():
            setattr(cell, name, engine.asarray(parameter.numpy() * 0, requires_grad=True))
    net = rnn.Recurrent(cell)
    y, _ = net(engine.asarray(normal(steps, batch, inputs)))
    (y,) = engine.expanded(y)
    return engine.sum(engine.tanh(y) ** 2), cell


@pytest.mark.parametrize(("kind", "size", "zeros"), covering(KINDS, SIZES, [False, True]))
def test_factors_multiply_in_small_networks(kind, size, zeros):
    loss, _ = losses_of(kind, size, zeros=zeros)
    for target in ("h1", "c2", "m0") if kind == "three" else ("h1",):
        shown, there = check(draw_bptt_path(loss, "L5", target, which="strongest"))
        assert shown == there
    if zeros:
        return
    weights = "V" if kind == "three" else "weight_hh"
    shown, there = check(draw_bptt_path(loss, "L5", weights, which="strongest"))
    assert shown == there


@pytest.mark.parametrize("kind", first(2, ["three", "elman", "lstm", "gru"]))
def test_steps_left_out_are_a_factor_of_their_own(kind):
    loss, _ = losses_of(kind, "rows", steps=40)
    diagram = draw_bptt_path(loss, "L38", "h2", which="strongest", max_steps=6)
    shown, there = check(diagram)
    assert shown < there
    gap = next(box for box in diagram.scene.boxes if box.kind == "gap" and not box.dim)
    assert re.search(rf"\d+ hops ×{NUMBER}$", gap.lines[-1])


@pytest.mark.parametrize(("kind", "which"), covering(KINDS, ["all", "strongest"]))
def test_equations_under_pictures_of_several_paths_hold(kind, which):
    steps = 30 if which == "all" else 6
    loss, _ = losses_of(kind, "rows", steps)
    diagram = draw_bptt_path(loss, f"L{steps - 1}", "h1", which=which, k=3)
    notes = " ".join(diagram.scene.notes)
    found = diagram.graph.graph["paths"]
    equations = re.findall(rf"((?:\(?(?:\d+ hops: )?{NUMBER}\)? × )+{NUMBER}) = ({NUMBER}),", notes)
    assert len(equations) == (0 if found.count == 1 else len(found.strongest))
    for (factors, product), (path, _) in zip(equations, found.strongest, strict=False):
        numbers = [read(re.search(rf"({NUMBER})\)?$", one)[1]) for one in factors.split(" × ")]
        assert rounded_as(multiply(numbers), product)
        assert float(read(product)) == pytest.approx(path.value, rel=5.1e-3)


def by_column(diagram):
    """Return the numbers in boxes by step and value: {(3, "c"): 0.063}."""
    times = {key: data.get("t") for key, data in diagram.graph.nodes(data=True)}
    found = {}
    for box in boxes(diagram.svg()):
        for words in box.words:
            if match := re.fullmatch(rf"d\S+/d(\w+) ({NUMBER})", words):
                found[times[box.key], match[1]] = float(read(match[2]))
    return found


@pytest.mark.parametrize(("kind", "which"), covering(KINDS, ["all", "state", "strongest"]))
def test_boxes_have_total_derivatives_for_any_paths_shown(kind, which):
    loss, _ = losses_of(kind, "rows")
    places = Places(engine.Graph.of(loss))
    source = places.find("L5").tensor
    found = by_column(draw_bptt_path(loss, "L5", "h1", which=which))
    values = {(t, name): places.find(f"{name}{t}").tensor for t, name in found if t is not None}
    assert {t for t, _ in values} == {1, 2, 3, 4, 5}
    for place, value in values.items():
        (g,) = engine.gradients(source, [value])
        assert found[place] == pytest.approx(np.linalg.norm(g.numpy()), rel=0.051), place


def test_total_and_direct_derivatives_of_an_lstm_are_those_of_torch():
    torch = pytest.importorskip("torch")
    loss, cell = losses_of("lstm", "rows")
    other = torch.nn.LSTMCell(3, 4).double()
    other.load_state_dict({name: torch.tensor(p.numpy()) for name, p in cell.named_parameters()})
    x = torch.tensor(normal(6, 2, 3))
    state, states = (torch.zeros(2, 4).double(),) * 2, []
    for t in range(6):
        state = other(x[t], state)
        for one in state:
            one.requires_grad_().retain_grad()
        states.append(state)
    (torch.tanh(states[5][0]) ** 2).sum().backward()
    found = by_column(draw_bptt_path(loss, "L5", "h1"))
    assert len(found) == 8
    for (t, name), norm in found.items():
        expected = states[t]["hc".index(name)].grad.norm().item()
        assert norm == pytest.approx(expected, rel=0.051)

    diagram = draw_bptt_path(loss, "L5", "h1", which="strongest")
    ((path, _),) = diagram.graph.graph["paths"].strongest
    order = {states[t][i]: (t, i) for t in range(6) for i in (0, 1)}
    product, places = 1.0, Places(engine.Graph.of(loss))
    at = {places.find(f"{'hc'[i]}{t}").tensor.node: (t, i) for t, i in order.values()}
    for earlier, later in itertools.pairwise(path.nodes[:-1]):
        (t, i), (u, j) = at[earlier], at[later]
        assert u == t + 1

        def step(value, t=t, i=i, u=u, j=j):  # all else held
            held = [one.detach() for one in states[t]]
            return other(x[u], (value, held[1]) if i == 0 else (held[0], value))[j]

        whole = torch.autograd.functional.jacobian(step, states[t][i].detach())
        product *= max(torch.linalg.matrix_norm(whole[b, :, b], 2).item() for b in range(2))
    (last,) = torch.autograd.grad((torch.tanh(h := states[5][0].detach().requires_grad_()) ** 2)
                                  .sum(), [h])  # fmt: skip
    assert path.value == pytest.approx(product * last.norm().item(), rel=1e-9)
    assert rounded_as(Decimal(product * last.norm().item()), printed(diagram)[1])


def test_a_use_of_a_weight_has_the_norm_of_its_jacobian_in_torch():
    torch = pytest.importorskip("torch")
    loss, cell = losses_of("elman", "rows")
    graph = draw_bptt_path(loss, "L5", "weight_hh", which="strongest").graph
    ((path, carried),) = graph.graph["paths"].strongest
    assert carried <= path.value
    weights = {name: torch.tensor(p.numpy()) for name, p in cell.named_parameters()}
    places = Places(engine.Graph.of(loss))
    x, h = torch.tensor(normal(6, 2, 3)), torch.tensor(places.find("h4").tensor.numpy())

    def step(w):
        return torch.tanh(x[5] @ weights["weight_ih"].T + weights["bias_ih"] + h @ w.T
                          + weights["bias_hh"])  # fmt: skip

    whole = torch.autograd.functional.jacobian(step, weights["weight_hh"]).reshape(8, 16)
    use = torch.linalg.matrix_norm(whole, 2).item()
    norms = {graph.nodes[b]["t"]: d["jacobian_norm"] for a, b, d in graph.edges(data=True)
             if graph.nodes[a]["kind"] == "parameter" and "jacobian_norm" in d}  # fmt: skip
    assert norms[5] == pytest.approx(use, rel=1e-9)


finite = st.floats(0, 1e300, allow_subnormal=True)


@settings(max_examples=150, deadline=None)
@given(groups=st.lists(st.lists(finite, min_size=1, max_size=4), min_size=1, max_size=8))
def test_any_factors_multiply_to_the_printed_product(groups):
    texts, product = multiplied(groups)
    assert all(re.fullmatch(NUMBER, text) for text in (*texts, product))
    assert rounded_as(multiply(map(read, texts)), product)
    exact = multiply(Decimal(v) for own in groups for v in own)
    assert rounded_as(exact, product)


def test_factors_that_are_no_numbers_are_words():
    assert multiplied([[math.inf], [2.0]]) == (["inf", "2"], "inf")
    assert multiplied([[math.nan], [0.0]])[1] == "NaN"
    assert multiplied([[0.0], [0.5]]) == (["0", "0.5"], "0")


def test_the_legend_says_what_the_signs_are():
    loss = network("lstm", 6)
    for which in ("all", "strongest"):
        scene = draw_bptt_path(loss, "L5", "h2", which=which).scene
        legend = [one.text for one in scene.legend]
        factor = rf"×{NUMBER} on a wire: ‖∂\S+/∂\S+‖, of one hop, all else held"
        assert any(re.fullmatch(factor, one) for one in legend)
        joint = [one for one in legend if one.startswith("joint")]
        assert ["‖∂(h3, c3)/∂h2‖" in one for one in joint] == [True] * (which == "all")
        assert any("norm of the total derivative" in one and "dL5/d" in one for one in legend)


def test_factors_of_two_digits_would_not_multiply():
    # The check of products can fail.
    diagram = draw_bptt_path(network("lstm", 6), "L5", "h2", which="strongest")
    factors, product = printed(diagram)
    plain = [Decimal(f"{one:.2g}") for one in factors]
    assert not rounded_as(multiply(plain), product)
