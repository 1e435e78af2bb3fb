"""Compare `draw_story` with loops by hand, the oracle, finite differences and torch."""

import cProfile
import json
import math
import re
import time

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import covering, first, slow_beside
from tests.rnn import bptt_oracle as oracle
from tests.viz.story_cases import (
    PICTURES,
    broken,
    cell,
    dead,
    every_loss,
    inputs,
    last_loss,
    padded,
    spelled,
    stacked,
    translated,
    turning,
    weighed,
)
from viz.labels import number
from viz.story.measuring import Track
from viz.story.sentence import fate, size


def nodes(diagram, kind="state"):
    return {n: d for n, d in diagram.graph.nodes(data=True) if d["kind"] == kind}


def norms(diagram, state="h"):
    return [d["norm"] for d in sorted(nodes(diagram).values(), key=lambda d: d["t"])
            if d["state"] == state]  # fmt: skip


def adds(diagram):
    return {d["t"]: d["adds"] for d in nodes(diagram, "use").values()}


def by_hand(net, x, loss_of):
    """Return the states of an explicit loop, and the gradients by them of a loss of its outputs."""
    state, states, ys = net.zero_state(x.shape[1], like=net.weight_hh), [], []
    for x_t in x:
        y, state = net(engine.asarray(x_t), state)
        states.append(state if isinstance(state, tuple) else (state,))
        ys.append(y)
    loss = loss_of(ys)
    flat = [s for own in states for s in own]
    found = engine.gradients(loss, flat)
    sizes = [0.0 if g is None else np.linalg.norm(g.numpy()) for g in found]
    return np.array(sizes).reshape(len(x), -1)


LOSSES = {
    "last": (last_loss, lambda ys: weighed(ys[-1])),
    "every": (every_loss, lambda ys: engine.sum(engine.stack(ys) ** 2)),
}


@pytest.mark.parametrize(
    ("kind", "batch", "which"), covering(["elman", "gru", "lstm"], [1, 3], LOSSES)
)
def test_norms_are_those_of_a_loop_by_hand(kind, batch, which):
    drawn, loss_of = LOSSES[which]
    diagram = viz.draw_story(drawn(kind, 6, batch))
    expected = by_hand(cell(kind), inputs(6, batch), loss_of)
    for k, state in enumerate(["h", "c"][: expected.shape[1]]):
        assert norms(diagram, state) == pytest.approx(expected[:, k], rel=1e-12)


@pytest.mark.parametrize("which", LOSSES)
def test_norms_are_those_of_the_oracle(which):
    # dL/dh_t is what the textbook's BPTT gives for the initial state of the steps after t.
    net, x = cell(), inputs(6)
    p = {name: w.numpy() for name, w in net.named_parameters()}
    zero = np.zeros((1, 6))
    ys, *_ = oracle.elman(x, zero, p, np.zeros((6, 1, 6)), zero, "tanh")
    weights = np.random.default_rng(1).normal(size=(1, 6))
    last = np.where(np.arange(6)[:, None, None] == 5, weights, 0)
    dy = {"last": last, "every": 2 * ys}[which]
    found = norms(viz.draw_story(LOSSES[which][0]("elman", 6)))
    for t in range(6):
        later = oracle.elman(x[t + 1 :], ys[t], p, dy[t + 1 :], zero, "tanh")[2]["h"]
        assert found[t] == pytest.approx(np.linalg.norm(dy[t] + later), rel=1e-12)


def test_norms_are_those_of_finite_differences():
    # One unit, three steps: h' = tanh(w x + u h), L = h_2.
    w, u, x = 0.7, 1.3, [0.4, -0.2, 0.5]
    weight = engine.asarray([[u]], dtype="float64", requires_grad=True, name="u")
    h = engine.zeros((1, 1), dtype="float64")
    for t, x_t in enumerate(x):
        with engine.scope(t=t, state="h"):
            h = engine.tanh(engine.asarray([[w * x_t]], dtype="float64") + h @ weight)
    found = norms(viz.draw_story(engine.sum(h)))

    def loss(start, t):
        for x_t in x[t + 1 :]:
            start = math.tanh(w * x_t + u * start)
        return start

    own = 0.0
    for t, x_t in enumerate(x):
        own = math.tanh(w * x_t + u * own)
        slope = (loss(own + 1e-6, t) - loss(own - 1e-6, t)) / 2e-6
        assert found[t] == pytest.approx(abs(slope), rel=1e-8)


@pytest.mark.parametrize("kind", ["elman", "lstm"])
def test_norms_and_bars_are_those_of_torch(kind):
    torch = pytest.importorskip("torch")
    net, x = cell(kind), inputs(7, 2)
    make = {"elman": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell}[kind]
    other = make(4, 6, dtype=torch.float64)
    with torch.no_grad():
        for name, w in net.named_parameters():
            getattr(other, name).copy_(torch.tensor(w.numpy()))
    state, states, weights = None, [], []
    for x_t in torch.tensor(x):  # a weight of its own for each step, to tell their gradients apart
        used = {name: w.detach().clone().requires_grad_() for name, w in other.named_parameters()}
        state = torch.func.functional_call(other, used, (x_t, state))
        states.append(state if isinstance(state, tuple) else (state,))
        for one in states[-1]:
            one.retain_grad()
        weights.append(used["weight_hh"])
    seeds = torch.tensor(np.random.default_rng(1).normal(size=(2, 6)))
    (states[-1][0] * seeds).sum().backward()
    diagram = viz.draw_story(last_loss(kind, 7, 2))
    for k, name in enumerate(["h", "c"][: len(states[0])]):
        expected = [own[k].grad.norm().item() for own in states]
        assert norms(diagram, name) == pytest.approx(expected, rel=1e-10)
    whole = sum(w.grad for w in weights)
    for t, w in enumerate(weights):
        along = ((w.grad * whole).sum() / whole.norm()).item()
        assert adds(diagram)[t] == pytest.approx(along, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(
    "name", first(10, [n for n in reversed(PICTURES) if n not in ("broken", "T = 1")])
)
def test_bars_sum_to_the_norm_of_the_gradient(name):
    loss = PICTURES[name]()
    diagram = viz.draw_story(loss)
    losses = loss if isinstance(loss, dict) else {"": loss}
    for own in diagram.graph.graph["cells"]:
        total = math.fsum(
            d["adds"] for d in nodes(diagram, "use").values()
            if (d["network"], d["layer"], d["direction"], d["block"])
            == (own["network"], own["layer"], own["direction"], own["block"])
        )  # fmt: skip
        assert total + own["elsewhere"] == pytest.approx(own["weight_norm"], rel=1e-9, abs=1e-300)
        leaves = [x for x in leaves_of(losses[own["network"]]) if x.node.name == own["weight"]]
        sizes = [0.0 if g is None else np.linalg.norm(g.numpy())
                 for g in engine.gradients(losses[own["network"]], leaves)]  # fmt: skip
        assert any(size == pytest.approx(own["weight_norm"], rel=1e-9) for size in sizes)


def leaves_of(loss):
    graph = engine.Graph.of(loss)
    return [graph.tensor(node) for node in graph.nodes if not node.inputs]


@pytest.mark.parametrize("kind", ["elman", "gru", "lstm"])
def test_bars_are_the_contributions_of_a_probe(kind):
    net, x = cell(kind), engine.asarray(inputs(6, 2))
    probe = rnn.Probe(rnn.Recurrent(net), x)
    (parts,) = [v.numpy() for k, v in probe.contributions(lambda y: weighed(y[-1])).items()
                if k.endswith("weight_hh")]  # fmt: skip
    whole = parts.sum(axis=0)
    along = (parts * whole).sum(axis=(1, 2)) / np.linalg.norm(whole)
    found = adds(viz.draw_story(last_loss(kind, 6, 2)))
    assert [found[t] for t in range(6)] == pytest.approx(along, rel=1e-9, abs=1e-14)


def test_what_enters_is_the_direct_derivative_of_each_loss():
    # ∂L/∂h_t is that of the loss of step t alone, of a state that is held.
    diagram = viz.draw_story(every_loss("elman", 5))
    y, _ = rnn.Recurrent(cell())(engine.asarray(inputs(5)))
    for t, own in enumerate(y.numpy()):
        assert diagram.graph.nodes[f"h{t}"]["enters"] == pytest.approx(2 * np.linalg.norm(own))
    last = viz.draw_story(last_loss("elman", 5)).graph.nodes
    assert [last[f"h{t}"]["enters"] > 0 for t in range(5)] == [False] * 4 + [True]


def test_rows_that_are_over_have_no_gradient_and_are_those_of_the_rows_alone():
    net, x = rnn.Recurrent(cell("gru")), inputs(8, 2)

    def drawn(x, **options):
        return norms(viz.draw_story(engine.sum(net(engine.asarray(x), **options)[0] ** 2)))

    both = np.array(drawn(x, lengths=[7, 4]))
    long, short = drawn(x[:7, :1]), [*drawn(x[:4, 1:]), 0.0, 0.0, 0.0]
    assert both[:7] == pytest.approx(np.hypot(long, short), rel=1e-12)
    assert both[7:].tolist() == [0.0] * (len(both) - 7)


def test_a_kept_state_hands_the_gradient_of_the_final_state_on_unchanged():
    net, x = rnn.Recurrent(cell("gru")), inputs(6)
    found = norms(viz.draw_story(engine.sum(net(engine.asarray(x), lengths=[4])[1])))
    alone = norms(viz.draw_story(engine.sum(net(engine.asarray(x[:4]))[1])))
    assert found == pytest.approx([*alone, alone[-1], alone[-1]], rel=1e-12)


def test_layers_and_directions_have_the_gradients_of_loops_by_hand():
    # Two layers of two directions, each step by step: four chains.
    engine.seed(5)
    net = rnn.LSTM(4, 6, 2, bidirectional=True, dtype="float64")
    weights = dict(net.named_parameters())
    below, states = [engine.asarray(x) for x in inputs(5)], {}
    for layer in range(2):
        ways = {}
        for back in (False, True):
            suffix = f"l{layer}{'_reverse' * back}"
            own = rnn.LSTMCell(below[0].shape[-1], 6, dtype="float64")
            for name, w in own.named_parameters():
                w.data = weights[f"{name}_{suffix}"].numpy()
            state, outs = own.zero_state(1, like=own.weight_hh), {}
            for t in reversed(range(5)) if back else range(5):
                outs[t], state = own(below[t], state)
                for name, one in zip("hc", state, strict=True):
                    states[f"{name}{t}_{suffix}"] = one
            ways[back] = outs
        below = [engine.concat([ways[False][t], ways[True][t]], axis=-1) for t in range(5)]
    loss = engine.sum(engine.stack(below) ** 2)
    expected = dict(zip(states, engine.gradients(loss, list(states.values())), strict=True))
    y, _ = net(engine.asarray(inputs(5)))
    drawn = viz.draw_story(engine.sum(y**2)).graph.nodes
    assert len([n for n in drawn if drawn[n]["kind"] == "state"]) == len(expected) == 40
    for name, g in expected.items():
        assert drawn[name]["norm"] == pytest.approx(np.linalg.norm(g.numpy()), rel=1e-11), name


def test_fused_and_explicit_networks_tell_one_story():
    fused = viz.draw_story(last_loss("lstm"))
    with engine.explicit():
        explicit = viz.draw_story(last_loss("lstm"))
    assert fused.svg() == explicit.svg()


TITLES = {
    "vanishes": (0.3, "1/4,572 of the last loss’s gradient reaches the first state: ×0.3 a step"),
    "fades": (0.8, "21 % of the last loss’s gradient reaches the first state: ×0.8 a step"),
    "holds": (1.0, "holds: 100 % reaches the first state, ×1 a step"),
    "grows": (1.3, "grows, ×1.3 a step: 6.3 times as large at the first state"),
    "explodes": (3.0, "explodes, ×3 a step: 2,187 times as large at the first state"),
}


@pytest.mark.parametrize("verb", TITLES)
def test_the_title_says_what_becomes_of_a_gradient_with_its_own_numbers(verb):
    radius, end = TITLES[verb]
    diagram = viz.draw_story(turning(radius))
    own = diagram.graph.graph["cells"][0]
    assert own["verb"] == verb
    assert own["factor"] == pytest.approx(radius, rel=1e-9)
    assert own["ratio"] == pytest.approx(radius**7, rel=1e-9)
    assert f"×{radius:g} a step" in diagram.scene.title
    assert diagram.scene.title.endswith(end)


@pytest.mark.parametrize("name", ["elman", "lstm", "batch", "letters", "T = 16", "one unit"])
def test_the_numbers_of_the_title_are_those_of_the_graph(name):
    diagram = viz.draw_story(PICTURES[name]())
    title = diagram.scene.title
    by = re.search(r"by (\w+)", title)
    own = norms(diagram, by[1] if by else "h")
    ratio, factor = own[0] / own[-1], (own[0] / own[-1]) ** (1 / (len(own) - 1))
    said = title.split(" of ")[0]
    expected = {f"1/{round(1 / ratio):,}", f"{100 * ratio:.0f} %", number(ratio)}
    assert said in expected
    assert float(re.search(r"×([\d.]+) a step", title)[1]) == pytest.approx(factor, rel=0.06)
    others = [norms(diagram, s)[0] for s in "hc" if norms(diagram, s)]
    assert own[0] == max(others)  # it speaks of the state that brings most to the first step


def test_the_title_of_gradients_that_die_or_break():
    diagram = viz.draw_story(dead(at=3))
    alive = [norm > 0 for norm in norms(diagram)]
    died = max(t for t in range(8) if not alive[t])
    assert alive == [t > died for t in range(8)]
    assert diagram.scene.title == (
        f"The last loss’s gradient dies at t = {died}: 0 in float64 from there back"
    )
    diagram = viz.draw_story(broken(at=3))
    assert [math.isnan(norm) for norm in norms(diagram)] == [True] * 4 + [False] * 4
    assert diagram.scene.title == (
        "The gradient is not finite: NaN at t = 3, and at every state before it"
    )
    assert viz.draw_story(last_loss() * 0.0).scene.title == (
        "No gradient reaches any state: all are 0 in float64"
    )


def test_a_zero_that_may_be_too_small_for_its_dtype_is_not_called_exact():
    # Radius 10⁻³ over 18 steps: 10⁻⁵¹ at the first state, which float32 cannot hold.
    small, large = (viz.draw_story(turning(1e-3, 18, dtype=d)) for d in ("float32", "float64"))
    assert norms(small)[0] == 0
    assert norms(large)[0] == pytest.approx(1e-51, rel=1e-6)
    died = max(t for t, norm in enumerate(norms(small)) if norm == 0)
    assert small.scene.title == (
        f"The last loss’s gradient dies at t = {died}: 0 in float32 from there back"
    )
    said = words(small)
    assert "×: 0 in float32: zero, or too small for it." in said
    two = viz.draw_story([turning(1e-3, 18, dtype="float32") for _ in range(2)])
    assert "exactly zero" not in said + words(two)


def test_a_zero_that_no_path_leads_to_is_exact():
    track = Track("h", (0.0, 0.0, 1.0), (0.0, 0.0, 1.0), "float32", (False, True, True))
    assert track.zero(range(1)) == "exactly zero, as no path leads there"
    assert track.zero(range(2)) == track.zero(range(1, 2)) == "0 in float32"


def test_infinite_and_nan_gradients_are_distinguished():
    # The root of a zero state: its slope is infinite, and NaN before it.
    u = leaf("U", 4, 4)
    h = engine.ones((1, 4))
    for t in range(6):
        with engine.scope(t=t, state="h"):
            h = engine.tanh((engine.sqrt(h) if t == 4 else h) @ u) * (0.0 if t == 3 else 1.0)
    diagram = viz.draw_story(engine.sum(h * engine.asarray(np.arange(1.0, 5.0, dtype="f"))))
    own = norms(diagram)
    assert math.isinf(own[3])
    assert all(map(math.isnan, own[:3]))
    assert diagram.scene.title == (
        "The gradient is not finite: infinite at t = 3, NaN at every state before it"
    )
    one = fate(Track("h", (math.nan, 1.0), (0.0, 1.0)))
    assert (one.verb, one.at) == ("is not finite", 0)


def test_losses_at_several_steps_have_a_sentence_of_their_own():
    diagram = viz.draw_story(every_loss())
    own = norms(diagram)
    assert diagram.scene.title == (
        f"The loss feeds in at every step: ‖dL/dh₀‖ is {number(own[0] / own[-1])} times ‖dL/dh₇‖"
    )
    y, _ = rnn.Recurrent(cell())(engine.asarray(inputs(8)))
    two = viz.draw_story(weighed(y[3]) + weighed(y[7]))
    own = norms(two)
    assert two.scene.title == (
        f"The loss feeds in at 2 of 8 steps: ‖dL/dh₀‖ is 1/{round(own[7] / own[0])} of ‖dL/dh₇‖"
    )
    short = viz.draw_story(padded())
    own = norms(short)
    assert short.scene.title == (
        f"The loss feeds in at 5 of 8 steps: ‖dL/dh₀‖ is {number(own[0] / own[4])} times ‖dL/dh₄‖"
    )


def test_a_ratio_that_no_float_holds_is_said_all_the_same():
    track = Track("h", (1e-200, 1.0, 1e150), (0.0, 0.0, 1.0))
    assert size(fate(track)) == "1.0×10⁻³⁵⁰"
    assert fate(track).factor == pytest.approx(1e-175)


def test_the_title_of_one_step_and_of_a_loss_before_the_end():
    assert "does not travel" in viz.draw_story(last_loss(steps=1)).scene.title
    y, _ = rnn.Recurrent(cell())(engine.asarray(inputs(8)))
    diagram = viz.draw_story(weighed((y * 1.0)[4]))
    assert [norm > 0 for norm in norms(diagram)] == [True] * 5 + [False] * 3
    assert " of the loss’s gradient reaches the first state" in diagram.scene.title


def test_the_title_of_several_cells_names_their_factors():
    diagram = viz.draw_story(PICTURES["weights"]())
    assert diagram.scene.title.endswith(
        "×0.3 in weights × 0.3, ×1 in weights × 1, ×3 in weights × 3"
    )
    layers = viz.draw_story(stacked())
    assert re.fullmatch(
        r"A step back in time: ×[\d.]+ in layer 1, ×[\d.]+ in layer 0", layers.scene.title
    )


def hand(weight, x=None, *, joint=False):
    """Return the sum of the last state of a loop with the given weight; the states have a name."""
    x = inputs(5, 2) if x is None else x
    h = engine.zeros((2, 4), dtype="float64")
    for t, x_t in enumerate(x):
        with engine.scope(t=t):
            given = engine.asarray(x_t)
            with engine.scope(state="h"):
                a = engine.concat([given, h], axis=1) @ weight if joint else given + h @ weight
                h = engine.tanh(a)
    return engine.sum(h)


def leaf(name, *shape, grad=True):
    values = np.random.default_rng(2).normal(size=shape) * 0.5
    return engine.asarray(values, requires_grad=grad, name=name)


def words(diagram):
    return " ".join(s.text for s in diagram.scene.shapes if hasattr(s, "text"))


def weight_of(diagram):
    return diagram.graph.graph["cells"][0]["weight"]


RECURRENT = {
    "ElmanCell": "weight_hh", "LSTMCell": "weight_hh", "GRUCell": "weight_hh",
    "IndRNNCell": "weight_hh", "PeepholeLSTMCell": "weight_hh", "TextbookCell": "W_aa",
    "ResetBeforeGRUCell": "weight_hh", "LayerNormLSTMCell": "weight_hh",
}  # fmt: skip


@pytest.mark.parametrize("name", RECURRENT)
def test_the_recurrent_weight_is_the_one_that_multiplies_the_state(name):
    kind = getattr(rnn, name)
    try:
        net = kind(4, 6, dtype="float64")
    except TypeError:
        net = kind(4, 6, 3, dtype="float64")
    y, _ = rnn.Recurrent(net)(engine.asarray(inputs(4)))
    assert weight_of(viz.draw_story(weighed(y[-1]))) == RECURRENT[name]


def test_a_frozen_recurrent_weight_is_not_replaced_by_a_peephole():
    net = rnn.PeepholeLSTMCell(4, 6, dtype="float64")
    net.weight_hh.requires_grad = False
    y, _ = rnn.Recurrent(net)(engine.asarray(inputs(4)))
    diagram = viz.draw_story(weighed(y[-1]))
    assert "No bars: weight_hh, which multiplies the state, requires no gradient" in words(diagram)


def test_weights_that_are_joint_shared_frozen_selected_or_made_before_time():
    joint = viz.draw_story(hand(leaf("W", 8, 4), joint=True))
    assert "W multiplies the state and the input together" in words(joint)
    u = leaf("U", 4, 4)
    tied = viz.draw_story(hand(u) + 0.1 * engine.sum(u * u))
    rest = tied.graph.graph["cells"][0]["elsewhere"]
    assert f"bars and {number(rest)} from elsewhere sum to its norm" in words(tied)
    assert "sum to its norm" in words(viz.draw_story(hand(u)))
    made = viz.draw_story(hand(u / engine.sqrt(engine.sum(u * u))))
    assert weight_of(made) == "U"
    assert made.graph.graph["cells"][0]["elsewhere"] == 0
    v = leaf("v", 2, 4)
    x = [v * k for k in range(1, 6)]
    frozen = viz.draw_story(hand(leaf("U", 4, 4, grad=False), x))
    assert "No bars: U, which multiplies the state, requires no gradient" in words(frozen)
    assert not nodes(frozen, "use")
    chosen = viz.draw_story(hand(u, x), weight=v)
    assert weight_of(chosen) == "v"
    with pytest.raises(ValueError, match="does not depend on other"):
        viz.draw_story(hand(u), weight=leaf("other", 2))


def test_tokens_are_given_or_read_from_the_names_of_inputs():
    def shown(diagram):
        return [s.text for s in diagram.scene.shapes if hasattr(s, "text") and s.bold]

    assert [t for t in shown(viz.draw_story(spelled("a\nb c"))) if len(t) == 1] == [*"a↵b␣c"]
    given = viz.draw_story(last_loss(steps=3), tokens=["the", "first", "step"])
    assert shown(given)[-3:] == ["the", "first", "step"]
    with pytest.raises(ValueError, match="a token for each of 3 steps, got 2"):
        viz.draw_story(last_loss(steps=3), tokens="ab")


def test_blocks_follow_each_other_on_the_axis():
    graph = viz.draw_story(translated()).graph
    assert graph.nodes["encoder.h4"]["enters"] > 0  # where the decoder begins
    assert graph.nodes["encoder.h3"]["enters"] == 0
    assert {d["block"] for _, d in graph.nodes(data=True)} == {"encoder", "decoder"}


def test_a_state_that_only_the_loss_reads_is_there():
    # Of the last step the loss reads c and not h: h has no gradient, c has that of the loss.
    _, (_, c) = rnn.LSTM(4, 6, dtype="float64")(engine.asarray(inputs(4)))
    diagram = viz.draw_story(engine.sum(c))
    assert norms(diagram, "c")[-1] == pytest.approx(math.sqrt(6))
    assert norms(diagram)[-1] == 0
    assert diagram.graph.graph["cells"][0]["elsewhere"] == 0


def test_windows_of_truncation_are_chains_of_their_own():
    net, x = cell(), inputs(6)
    h, total = engine.zeros((1, 6), dtype="float64"), 0.0
    for t in range(6):
        with engine.scope(t=t):
            h, _ = net(engine.asarray(x[t]), h.detach() if t == 3 else h)
            total = total + engine.sum(h**2)
    graph = viz.draw_story(total).graph
    assert not graph.has_edge("h3", "h2")
    assert graph.has_edge("h2", "h1")
    alone = [engine.sum(own**2) for own in rnn.Recurrent(net)(engine.asarray(x[:3]))[0]]
    expected = viz.draw_story(alone[0] + alone[1] + alone[2]).graph.nodes["h0"]["norm"]
    assert graph.nodes["h0"]["norm"] == pytest.approx(expected, rel=1e-12)


def test_the_graph_answers_questions_and_is_written(tmp_path):
    diagram = viz.draw_story({"a": last_loss(), "b": last_loss("lstm")})
    graph = diagram.graph
    assert graph.graph["finding"] == diagram.scene.title
    factor = graph.edges["a.h7", "a.h6", 0]["factor"]
    assert factor == graph.nodes["a.h6"]["norm"] / graph.nodes["a.h7"]["norm"]
    assert graph.nodes["b.weight_hh@3"]["adds"] != 0
    held = json.loads(diagram.render(tmp_path / "story.json").read_text())
    assert {n["id"] for n in held["nodes"]} == set(graph)
    for suffix in ("svg", "html", "graphml", "png", "pdf", "dot"):
        assert diagram.render(tmp_path / f"story.{suffix}").stat().st_size > 100


def test_a_network_that_is_called_twice_has_a_node_for_each_state():
    engine.seed(4)
    net = rnn.RNN(4, 6, dtype="float64")
    a, b = (net(engine.asarray(inputs(3, seed=seed)))[0][-1] for seed in (0, 2))
    diagram = viz.draw_story(engine.sum((a - b) ** 2))
    assert len(nodes(diagram)) == 6
    (cells,) = {own["weight_norm"] for own in diagram.graph.graph["cells"]}
    uses = [d["adds"] for d in nodes(diagram, "use").values()]
    assert len(uses) == 6
    assert math.fsum(uses) == pytest.approx(cells, rel=1e-12)
    assert diagram.graph.has_edge("l0, part 2.h2", "l0, part 2.h1")
    loss = engine.sum((a - b) ** 2)
    g = engine.gradients(loss, [net.weight_hh_l0])[0].numpy()
    assert cells == pytest.approx(np.linalg.norm(g), rel=1e-12)


def test_what_enters_on_the_way_is_not_called_growth():
    # The lower layer of a stack takes in what the upper one sends down at every step.
    diagram = viz.draw_story(stacked(2))
    beside = words(diagram)
    first, last = (diagram.graph.nodes[f"c{t}_l0"]["norm"] for t in (0, 7))
    assert any(verb in beside for verb in ("vanishes to", "fades to"))  # of the upper one
    lower = beside.partition("layer 0")[2].replace("\u00a0", " ")
    assert f"c: {size(fate(Track('c', (first, last), (0.0, 0.0))))} at t = 0, with what" in lower
    assert "grows" not in lower
    assert "with what enters between" in beside


WRONG = {
    "title": (TypeError, {"title": 3}, "expected a title as text, got 3"),
    "weight": (TypeError, {"weight": "W"}, "expected weight as a tensor, got 'W'"),
    "tokens": (TypeError, {"tokens": 3}, "expected tokens as a sequence of texts, got 3"),
    "few tokens": (ValueError, {"tokens": ["a"]}, "a token for each of 8 steps, got 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_are_errors(name):
    error, given, told = WRONG[name]
    with pytest.raises(error, match=f"draw_story: .*{told}"):
        viz.draw_story(last_loss(), **given)


def test_errors_name_what_is_missing():
    u = leaf("U", 4, 4)
    with pytest.raises(ValueError, match="computed from no state over time"):
        viz.draw_story(engine.sum(u * u))

    class Outer(rnn.Cell):
        def __init__(self):
            self.input_size, self.state_size, self.inner = 3, {"h": 4}, rnn.GRUCell(3, 4)

        def step(self, x, h):
            y, h = self.inner.step(x, h)
            return y, h

    with pytest.raises(ValueError, match=r"is called, as self\.inner\(x, h\)"):
        viz.draw_story(engine.sum(rnn.Recurrent(Outer())(engine.ones((3, 1, 3)))[0]))
    with pytest.raises(ValueError, match="depends on nothing that requires a gradient"):
        viz.draw_story(hand(leaf("U", 4, 4, grad=False)))
    with pytest.raises(ValueError, match=r"the loss of b has shape \(3,\), expected one number"):
        viz.draw_story({"a": last_loss(), "b": engine.ones(3)})
    with pytest.raises(TypeError, match=r"expected the loss as a tensor, got 1\.0"):
        viz.draw_story(1.0)
    with pytest.raises(ValueError, match="no loss was given"):
        viz.draw_story([])


def test_one_network_has_one_picture():
    assert viz.draw_story(stacked()).svg() == viz.draw_story(stacked()).svg()
    assert viz.draw_story([last_loss()]).svg() == viz.draw_story(last_loss()).svg()
    titled = viz.draw_story(last_loss(), title="My own").scene
    assert titled.title == "My own"
    assert any("reaches the first state" in getattr(s, "text", "") for s in titled.shapes)


def calls(steps):
    """Count the Python calls that a picture takes, a measure that is the same on any machine."""
    loss = last_loss("lstm", steps)
    profile = cProfile.Profile()
    profile.runcall(lambda: viz.draw_story(loss).svg())
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize("most", first(1, [200, 400]))
def test_time_grows_with_the_steps_and_no_faster(most):
    short, long = calls(most // 4), calls(most)
    assert 2 < long / short < 4.4


@slow_beside("test_time_grows_with_the_steps_and_no_faster")
def test_two_thousand_steps_take_seconds():
    loss = last_loss("lstm", 2000)
    began = time.process_time()
    svg = viz.draw_story(loss).svg()
    assert time.process_time() - began < 10  # between one and two on an idle machine
    assert len(svg) < 400_000
