"""Compare what each step adds to a gradient with probes and by hand; the bars sum to it."""

import math

import numpy as np
import pytest

import engine
import rnn
from tests.draws import leaf
from tests.viz.pictures import per_step, total
from viz.charts.contributions import SMALL, draw_contributions
from viz.model.sums import summands
from viz.scene import Line, Rect, Words


def setting(steps=6, batch=2, cell=rnn.LSTMCell):
    engine.seed(7)
    net = rnn.Recurrent(cell(3, 4, dtype="float64"))
    values = np.random.default_rng(1).normal(size=(steps, batch, 3))
    return net, engine.asarray(values, dtype="float64")


def losses_of(net, x):
    y, _ = net(x)
    return [engine.sum(y[t] ** 2) for t in range(x.shape[0])]


def edges(diagram):
    """Return the edges as (loss, k) -> data."""
    nodes = diagram.graph.nodes
    return {(a, nodes[b]["t"]): d for a, b, d in diagram.graph.edges(data=True)}


def read(text):
    """Format a number as pictures write it."""
    head, _, power = text.replace("−", "-").replace(",", "").partition("×10")
    digits = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(head) * 10.0 ** int(digits or 0)


def bars(diagram):
    return [s for s in diagram.scene.shapes if isinstance(s, Rect) and "projection" in s.title]


@pytest.mark.parametrize("cell", [rnn.ElmanCell, rnn.LSTMCell, rnn.GRUCell])
@pytest.mark.parametrize("name", ["weight_hh", "weight_ih", "bias_ih"])
def test_contributions_are_those_of_a_probe(cell, name):
    net, x = setting(cell=cell)
    parameter = dict(net.cell.named_parameters())[name]
    diagram = draw_contributions(losses_of(net, x), parameter)
    found = edges(diagram)
    whole = engine.gradients(engine.sum(net(x)[0] ** 2), [parameter])[0].numpy()
    probe = rnn.Probe(net, x)
    for i in range(6):
        (parts,) = [v.numpy() for k, v in probe.contributions(
            lambda y, i=i: engine.sum(y[i] ** 2)).items() if k.endswith(name)]  # fmt: skip
        for t, part in enumerate(parts):
            expected = float(np.linalg.norm(part)), float((part * whole).sum())
            data = found.get((i, t), {"norm": 0.0, "projection": 0.0})
            assert data["norm"] == pytest.approx(expected[0], rel=1e-9, abs=1e-14)
            along = data["projection"] * np.linalg.norm(whole)
            assert along == pytest.approx(expected[1], rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("options", [{}, {"max_steps": 3}, {"max_losses": 2}])
def test_projections_sum_to_the_norm_of_the_gradient(options):
    net, x = setting()
    weight = net.cell.weight_hh
    diagram = draw_contributions(losses_of(net, x), weight, **options)
    whole = np.linalg.norm(engine.gradients(engine.sum(net(x)[0] ** 2), [weight])[0].numpy())
    assert math.fsum(d["projection"] for d in edges(diagram).values()) == pytest.approx(whole)
    assert diagram.graph.graph["norm"] == pytest.approx(whole)
    for kind in ("loss", "step"):
        own = [d["value"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == kind]
        assert math.fsum(own) == pytest.approx(whole)
    head = next(s.text for s in diagram.scene.shapes if isinstance(s, Words) and "‖dL" in s.text)
    assert ", which is the sum of all bars" in head
    assert read(head.partition("= ")[2].partition(", which")[0]) == pytest.approx(whole, rel=5e-3)


def test_joined_steps_and_losses_are_added_as_vectors():
    net, x = setting()
    weight = net.cell.weight_hh
    losses = losses_of(net, x)
    found = edges(draw_contributions(losses, weight, max_steps=3, max_losses=2))
    assert sorted(found) == [(i, k) for i in range(2) for k in (0, 2, 4)]
    parts = rnn.Probe(net, x).contributions(lambda y: engine.sum(y[3:] ** 2))
    (own,) = [v.numpy() for k, v in parts.items() if k.endswith("weight_hh")]
    assert found[0, 4]["norm"] == 0  # a loss does not depend on later steps
    for k in (0, 2, 4):
        assert found[1, k]["norm"] == pytest.approx(np.linalg.norm(own[k] + own[k + 1]))
    diagram = draw_contributions(losses, weight, max_steps=3, max_losses=2)
    assert [s.text for s in diagram.scene.legend][:2] == ["loss 1 to 3", "loss 4 to 6"]
    assert "what up to 2 steps add together" in " ".join(diagram.scene.notes)
    assert "losses are joined, up to 3 to one" in " ".join(diagram.scene.notes)


def test_heights_are_the_numbers_and_stacks_the_sums():
    engine.seed(3)
    cell = rnn.GRUCell(3, 4)
    diagram = draw_contributions(total(per_step(cell, 6)), cell.weight_hh)
    own = bars(diagram)
    figures = [read(s.title.partition("projection ")[2].partition(", norm")[0]) for s in own]
    largest = max(range(len(own)), key=lambda i: abs(figures[i]))
    scale = own[largest].h / abs(figures[largest])
    for bar, figure in zip(own, figures, strict=True):
        assert bar.h == pytest.approx(max(abs(figure) * scale, 0.3), rel=1e-4, abs=0.05)
    zero = next(s.points[0][1] for s in diagram.scene.shapes
                if isinstance(s, Line) and s.color == "#5f6368")  # fmt: skip
    for bar, figure in zip(own, figures, strict=True):
        assert (bar.y + bar.h <= zero + 0.4) if figure > 0 else (bar.y >= zero - 0.4)
    steps = {d["t"]: d["value"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "step"}
    sums = [s for s in diagram.scene.shapes if isinstance(s, Line) and s.title == "sum of the bar"]
    assert sums
    for line in sums:
        x = (line.points[0][0] + line.points[1][0]) / 2
        (k,) = {s.title.partition("k = ")[2].partition(":")[0] for s in own
                if s.x < x < s.x + s.w}  # fmt: skip
        assert (zero - line.points[0][1]) / scale == pytest.approx(steps[int(k)], abs=1e-4)
    assert "sum where parts go both ways" in [s.text for s in diagram.scene.legend]


def test_norms_are_shown_on_demand_and_said_not_to_add_up():
    net, x = setting()
    diagram = draw_contributions(losses_of(net, x), net.cell.weight_hh, measure="norm")
    own = bars(diagram)
    figures = [read(s.title.partition("norm ")[2]) for s in own]
    assert own[0].h / figures[0] == pytest.approx(own[-1].h / figures[-1], rel=0.01)
    notes = " ".join(diagram.scene.notes)
    assert "parts that point different ways cancel in the sum" in notes
    head = next(s.text for s in diagram.scene.shapes if isinstance(s, Words) and "‖dL" in s.text)
    written = read(head.partition("sum to ")[2].partition(", for")[0])
    expected = sum(d["norm"] for d in edges(diagram).values())
    assert written == pytest.approx(expected, rel=5e-3)


def test_a_total_is_taken_apart_into_its_summands():
    engine.seed(3)
    cell = rnn.GRUCell(3, 4)
    losses = per_step(cell, 5)
    given = edges(draw_contributions(losses, cell.weight_hh))
    forms = [total(losses), sum(losses), engine.mean(engine.stack(losses)) * 5,
             -(-losses[0] - losses[1]) + (losses[2] + losses[3] + losses[4] + 1.0),
             engine.sum(engine.concat([engine.reshape(one, (1,)) for one in losses]))]  # fmt: skip
    for form in forms:
        diagram = draw_contributions(form, cell.weight_hh)
        found = edges(diagram)
        assert found.keys() == given.keys()
        for place, data in found.items():
            assert data["projection"] == pytest.approx(given[place]["projection"], rel=1e-5)
        assert diagram.graph.nodes[2]["name"] == "loss at t = 2"


def test_losses_may_be_a_vector_or_have_names():
    net, x = setting()
    y, _ = net(x)
    vector = engine.sum(y**2, axis=(1, 2))
    weight = net.cell.weight_hh
    given = edges(draw_contributions(losses_of(net, x), weight))
    found = edges(draw_contributions(vector, weight))
    for place, data in given.items():
        other = found.get(place, {"norm": 0.0})
        assert other["norm"] == pytest.approx(data["norm"], rel=1e-9, abs=1e-15)
    named = draw_contributions({"first": engine.sum(y[0]), "last": engine.sum(y[5])}, weight)
    assert [d["name"] for _, d in named.graph.nodes(data=True) if d["kind"] == "loss"] == [
        "first", "last"]  # fmt: skip


def test_summands_keep_their_weights():
    x = engine.asarray(3.0, requires_grad=True)
    a, b = x * x, engine.exp(x)
    cases = {"a - b": (a - b, [1, -1]), "halves": ((a + b) / 2, [0.5, 0.5]),
             "literals": (2 - a, [-1]), "one": (a, [1]), "twice": (a + a, [1, 1]),
             "no sum": (2 / a, [1]), "product": (a * b, [1])}  # fmt: skip
    for name, (whole, weights) in cases.items():
        found = summands(whole)
        assert [weight for _, weight in found] == weights, name
    assert [part.node.op.name for part, _ in summands(a - b)] == ["multiply", "exp"]
    deep = a
    for _ in range(3000):
        deep = deep + 1
    assert summands(deep)[0][0].node is a.node


def test_what_is_made_of_a_weight_before_time_is_charged_to_the_steps():
    engine.seed(1)
    W = engine.asarray(np.eye(3) * 0.5, requires_grad=True, name="W")

    def states(matrix):
        h, found = engine.ones((1, 3), dtype="float64"), []
        for t in range(4):
            with engine.scope(t=t):
                h = engine.tanh(h @ matrix)
                found.append(h)
        return found

    loss = engine.sum(states(W / engine.norm(W))[-1])
    found = edges(draw_contributions(loss, W))
    assert [t for _, t in found] == [0, 1, 2, 3]
    (g,) = engine.gradients(loss, [W])
    total_norm = np.linalg.norm(g.numpy())
    assert math.fsum(d["projection"] for d in found.values()) == pytest.approx(total_norm)
    # by hand: the matrix is used once a step, so differentiate at a copy for that step alone
    for k in range(4):
        own = engine.asarray(W.numpy().copy(), requires_grad=True)
        h = engine.ones((1, 3), dtype="float64")
        for t in range(4):
            used = own if t == k else W.detach()
            h = engine.tanh(h @ (used / engine.norm(used)))
        part = engine.gradients(engine.sum(h), [own])[0].numpy()
        assert found[0, k]["norm"] == pytest.approx(np.linalg.norm(part), abs=1e-15)


def test_uses_outside_of_time_have_a_bar_of_their_own():
    net, x = setting()
    weight = net.cell.weight_hh
    loss = losses_of(net, x)[-1]
    diagram = draw_contributions([loss, engine.sum(weight * weight)], weight)
    found = edges(diagram)
    expected = 2 * np.linalg.norm(weight.numpy())
    assert found[1, None]["norm"] == pytest.approx(expected)
    whole = engine.gradients(loss + engine.sum(weight * weight), [weight])[0].numpy()
    assert math.fsum(d["projection"] for d in found.values()) == pytest.approx(
        np.linalg.norm(whole))  # fmt: skip
    assert "outside" in [s.text for s in diagram.scene.shapes if isinstance(s, Words)]
    assert "outside: uses that belong to no time step" in diagram.scene.notes
    assert "outside of time" in bars(diagram)[-1].title
    joint = edges(draw_contributions({"L": loss + engine.sum(weight * weight) * 1.0}, weight))
    assert joint[0, None]["norm"] == pytest.approx(expected)


def test_gradients_that_are_zero_or_broken_are_said_to_be():
    net, x = setting()
    zero = draw_contributions([loss * 0 for loss in losses_of(net, x)], net.cell.weight_hh)
    assert "the whole gradient is zero" in " ".join(zero.scene.notes)
    assert not bars(zero)
    x.data[3] = np.nan
    diagram = draw_contributions(losses_of(net, x)[:5], net.cell.weight_hh)
    assert "no projection on a gradient that is not finite" in " ".join(diagram.scene.notes)
    assert "!" in [s.text for s in diagram.scene.shapes if isinstance(s, Words)]
    assert "NaN" in [s.text for s in diagram.scene.legend]


def headline(diagram):
    """Return all words of a picture, as its first line may go on in a second."""
    return " ".join(s.text for s in diagram.scene.shapes if isinstance(s, Words))


def test_what_is_said_of_zero_and_of_nan_is_true():
    net, x = setting()
    weight = net.cell.weight_hh
    losses = losses_of(net, x)
    zero = draw_contributions([loss * 0 for loss in losses], weight, measure="norm")
    assert "the whole gradient is zero, and so is each part" in " ".join(zero.scene.notes)
    assert "different ways" not in headline(zero)
    one, x1 = setting(steps=1)
    (loss,) = losses_of(one, x1)
    both = draw_contributions([loss, -loss], one.cell.weight_ih, measure="norm")
    assert both.graph.graph["norm"] == 0
    assert "the whole gradient is zero, for its parts cancel" in " ".join(both.scene.notes)
    assert "for they point different ways" in headline(both)
    along = draw_contributions([loss, loss], one.cell.weight_ih, measure="norm")
    assert "different ways" not in headline(along)
    x.data[3] = np.nan
    diagram = draw_contributions(losses_of(net, x)[:5], weight)
    bad = sum(not np.isfinite(d["norm"]) for d in edges(diagram).values())
    assert f"= NaN: {bad} of {len(edges(diagram))} parts are not finite" in headline(diagram)
    assert "sum to" not in headline(diagram)


def test_a_parameter_without_a_gradient_is_named():
    net, x = setting()
    net.cell.weight_hh.requires_grad = False
    with pytest.raises(ValueError, match="draw_contributions: weight_hh requires no gradient"):
        draw_contributions(losses_of(net, x), net.cell.weight_hh)


WRONG = {
    "parameter": ((None, "weight_hh"), "expected parameter as a tensor, got 'weight_hh'"),
    "losses": (("L", None), "expected losses as tensors, got 'L'"),
    "a loss": (([1.0], None), "expected each loss as a tensor, got 1.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_are_errors(name):
    net, x = setting()
    (losses, parameter), told = WRONG[name]
    losses, parameter = losses or losses_of(net, x), parameter or net.cell.weight_hh
    with pytest.raises(TypeError, match=f"draw_contributions: {told}"):
        draw_contributions(losses, parameter)


def test_the_graph_and_the_picture_are_the_same_every_time():
    net, x = setting()
    one, two = (draw_contributions(losses_of(net, x), net.cell.weight_hh) for _ in range(2))
    assert one.svg() == two.svg()
    assert list(one.graph.edges(data=True)) == list(two.graph.edges(data=True))
    assert one.scene.title == "What each step adds to dL/d weight_hh"


def test_bad_input_is_refused():
    net, x = setting()
    losses = losses_of(net, x)
    weight = net.cell.weight_hh
    with pytest.raises(ValueError, match="no loss depends on other; give a leaf of the graph"):
        draw_contributions(losses, engine.ones(3, requires_grad=True, name="other"))
    with pytest.raises(ValueError, match="no loss depends on weight_hh"):
        draw_contributions([], weight)
    with pytest.raises(ValueError, match=r"loss 1 has shape \(6, 2, 4\), expected one number"):
        draw_contributions([losses[0], net(x)[0]], weight)
    with pytest.raises(
        ValueError, match=r"a loss of one number, or losses \(T,\), got \(6, 2, 4\)"
    ):
        draw_contributions(net(x)[0], weight)
    with pytest.raises(ValueError, match="unknown measure='size'; expected one of 'proj"):
        draw_contributions(losses, weight, measure="size")
    with pytest.raises(ValueError, match="max_losses must be at least 2, got 1"):
        draw_contributions(losses, weight, max_losses=1)


def test_what_is_too_small_to_be_seen_is_noted():
    W = engine.asarray([1.0, 0.0], dtype="float64", requires_grad=True, name="W")
    losses = []
    for t, weights in enumerate(([1.0, 0.0], [-0.001, 0.0])):
        with engine.scope(t=t):
            losses.append(engine.sum(W * engine.asarray(weights, dtype="float64")))
    diagram = draw_contributions(losses, W)
    small = "what goes the other way by less than a hundredth is too small to be seen here"
    assert small in diagram.scene.notes
    assert edges(diagram)[1, 1]["projection"] == pytest.approx(-0.001)
    assert small not in draw_contributions(losses[:1], W).scene.notes


def test_pieces_under_a_pixel_are_joined_and_say_so():
    x = engine.asarray(2.0, requires_grad=True, name="x", dtype="float64")
    with engine.scope("unit", t=0):
        parts = [x * weight for weight in (100.0, 0.1, 0.2, 50.0, 0.05, -30.0, -0.1, -0.2)]
    diagram = draw_contributions(parts, x)
    (up, down) = (bar for bar in bars(diagram) if bar.fill == SMALL)
    assert up.title == "2 losses, each under a pixel, k = 0: projection 0.3"
    assert down.title == "2 losses, each under a pixel, k = 0: projection −0.3"
    assert len(bars(diagram)) == 6  # 100, 0.1 + 0.2, 50, 0.05, -30, -0.1 - 0.2
    assert "several that are each under a pixel" in [s.text for s in diagram.scene.legend]
    whole = sum(bar.h for bar in bars(diagram) if bar.fill != SMALL)
    scale = whole / 180.05
    assert up.h == pytest.approx(0.3 * scale, abs=0.01)
    lengths = draw_contributions(parts, x, measure="norm")
    titles = [s.title for s in lengths.scene.shapes if isinstance(s, Rect) and s.fill == SMALL]
    assert titles[0] == "2 losses, each under a pixel, k = 0: sum of norms 0.3"
    edges = [d["projection"] for *_, d in diagram.graph.edges(data=True)]
    assert len(edges) == len(parts)  # the graph has every one


def test_a_picture_of_few_steps_is_no_wider_than_its_bars():
    for steps in (1, 2, 5, 9):
        engine.seed(3)
        cell = rnn.GRUCell(3, 4)
        diagram = draw_contributions(total(per_step(cell, steps)), cell.weight_hh)
        ends = [s.points[1][0] for s in diagram.scene.shapes if isinstance(s, Line)]
        assert diagram.scene.width - max(ends) <= 30 or steps == 1


def test_summands_look_through_ops_that_are_linear_in_numbers():
    x = leaf(3.0)
    squares = [x * k * x for k in (1.0, 2.0, 3.0)]
    a, b, c = squares
    whole = engine.squeeze(engine.flip(engine.reshape(a, (1, 1))), axis=(0, 1)) - 2 * b
    whole = engine.sum(engine.stack([whole, engine.sum(-c)])) / 4
    assert [(part.item(), weight) for part, weight in summands(whole)] == [
        (9.0, 0.25), (18.0, -0.5), (27.0, -0.25),
    ]  # fmt: skip
    twice = engine.sum(engine.concat([engine.broadcast_to(a, (2,)), a.reshape((1,))]))
    assert len(summands(twice)) == 1  # a tensor of two numbers is no number
    assert [weight for _, weight in summands(engine.max(a) + engine.exp(b))] == [1.0, 1.0]


# --- the logarithmic axis ---


def fading(steps=30, last=True):
    """Return losses of a network that forgets, and its recurrent weight."""
    engine.seed(3)
    cell = rnn.ElmanCell(3, 8)
    cell.weight_hh.data[...] *= 0.6
    losses = per_step(cell, steps)
    return (losses[-1:] if last else losses), cell.weight_hh


def columns_of(diagram):
    """Return the bars of a logarithmic picture: k -> (signed height, the number in its title)."""
    zero = next(s.points[0][1] for s in diagram.scene.shapes
                if isinstance(s, Line) and s.color == "#5f6368")  # fmt: skip
    found = {}
    for s in diagram.scene.shapes:
        if isinstance(s, Rect) and s.title.startswith("k = "):
            k, _, value = s.title.removeprefix("k = ").partition(": projection ")
            found[int(k)] = (zero - s.y if s.y < zero - 0.01 else zero - s.y - s.h, read(value))
    return found


def test_where_most_bars_vanish_the_axis_is_logarithmic():
    losses, weight = fading()
    diagram = draw_contributions(losses, weight)
    values = {d["t"]: d["value"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "step"}
    found = columns_of(diagram)
    assert found.keys() == {k for k, v in values.items() if v}
    largest = max(values.values(), key=abs)
    seen = {k: own for k, own in found.items() if abs(values[k]) > 1e-11 * abs(largest)}
    assert len(seen) > 10
    assert {v > 0 for v in values.values() if v} == {True, False}
    (_, (h0, v0)), (k1, (h1, v1)) = sorted(
        ((k, own) for k, own in seen.items() if own[1] > 0), key=lambda own: own[1][1])[::len(
            [v for v in seen.values() if v[1] > 0]) - 1]  # fmt: skip
    decade = (h1 - h0) / math.log10(v1 / v0)
    assert k1 == 29
    assert decade > 10
    for k, (height, value) in seen.items():
        assert value == pytest.approx(values[k], rel=1e-5)
        assert (height > 0) == (value > 0)
        expected = h1 - decade * math.log10(v1 / abs(value))
        assert abs(height) == pytest.approx(expected, abs=0.05)
    texts = [s.text for s in diagram.scene.shapes if isinstance(s, Words)]
    assert "projection, log scale (down: negative)" in texts
    legend = [s.text for s in diagram.scene.legend]
    assert legend == ["along the gradient", "against it", "zero"]
    assert any("the heights do not" in note for note in diagram.scene.notes)


def test_what_is_seen_on_a_linear_axis_stays_there():
    losses, weight = fading()
    linear = draw_contributions(losses, weight, log=False)
    assert len([bar for bar in bars(linear) if bar.h >= 2]) == 3  # of 29: the fading is not seen
    texts = [s.text for s in linear.scene.shapes if isinstance(s, Words)]
    assert "projection on the gradient" in texts
    net, x = setting()
    usual = draw_contributions(losses_of(net, x), net.cell.weight_hh)
    assert not any("log" in note for note in usual.scene.notes)
    asked = draw_contributions(losses_of(net, x), net.cell.weight_hh, log=True)
    assert any("log" in note for note in asked.scene.notes)


@pytest.mark.parametrize("measure", ["projection", "norm"])
def test_each_of_several_losses_has_a_dot_on_the_logarithmic_axis(measure):
    losses, weight = fading(6, last=False)
    diagram = draw_contributions(losses, weight, log=True, measure=measure)
    found = edges(diagram)
    dots = {}
    for s in diagram.scene.shapes:
        if isinstance(s, Rect) and s.title.startswith("loss at"):
            name, _, rest = s.title.partition(", k = ")
            figure = read(rest.partition(f"{measure} ")[2].partition(", norm")[0])
            dots[int(name.split()[-1]), int(rest.partition(":")[0])] = (s.y + s.h / 2, figure)
    assert dots.keys() == {place for place, d in found.items() if d[measure]}
    for place, (_, figure) in dots.items():
        assert figure == pytest.approx(found[place][measure], rel=1e-5)
    up = sorted((figure, y) for y, figure in dots.values() if figure > 0)
    (low, y0), (high, y1) = up[0], up[-1]
    for figure, y in up:
        share = math.log(figure / low) / math.log(high / low)
        assert y == pytest.approx(y0 + share * (y1 - y0), abs=0.05)
    sums = columns_of(diagram)
    assert bool(sums) == (measure == "projection")  # norms of several do not sum
    for k, (_, value) in sums.items():
        own = math.fsum(d["projection"] for (_, t), d in found.items() if t == k)
        assert value == pytest.approx(own, rel=1e-5)


def test_a_logarithmic_picture_of_nothing_but_zeros_marks_them():
    net, x = setting()
    zero = draw_contributions(
        [loss * 0 for loss in losses_of(net, x)], net.cell.weight_hh, log=True
    )
    texts = [s.text for s in zero.scene.shapes if isinstance(s, Words)]
    assert texts.count("×") == 6
    assert "the whole gradient is zero" in " ".join(zero.scene.notes)
    x.data[3] = np.nan
    broken = draw_contributions(losses_of(net, x)[:5], net.cell.weight_hh, log=True)
    assert "NaN" in [s.text for s in broken.scene.legend]
