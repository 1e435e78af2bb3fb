"""Draw the matrix of attention: weights against the softmax itself, and the picture."""

import numpy as np
import pytest

import engine
import rnn
import viz
from engine import Graph
from tests.draws import normal
from tests.viz.picture_cases import attention
from viz.charts.attention_matrix import ABSENT, NUMBER, small_matrix, under
from viz.charts.parts import GREY
from viz.model.attention import add_attention, attentions
from viz.model.levels import build, recorded
from viz.scene import Columns, Line, Rect, Words
from viz.style import ATTENTION, BROKEN


def looking(source=6, target=4, batch=3, heads=0, sharp=1.0):
    """Return a program with attention and its weights (target, batch, source)."""
    states, losses, weights = [], [], []
    for t in range(source):
        with engine.scope(block="encoder", t=t):
            x = engine.asarray(normal(batch, 4, salt=t), requires_grad=True)
            states.append(engine.tanh(x))
    for t in range(target):
        with engine.scope(block="decoder", t=t):
            keys = engine.stack(states, axis=1)
            query = engine.asarray(normal(batch, 1, 4, salt=50 + t) * sharp)
            scores = engine.sum(keys * query, axis=-1)
            if heads:
                scores = engine.expand_dims(scores, axis=1) * engine.asarray(
                    np.arange(1.0, heads + 1)[None, :, None])  # fmt: skip
            found = engine.softmax(scores, axis=-1)
            weights.append(found.numpy())
            losses.append(engine.sum(found**2))
    return engine.sum(engine.stack(losses)), np.array(weights)


def only(loss, **options):
    (found,) = attentions(recorded(loss, "cell"), **options)
    return found


def numbers(diagram):
    """Return the numbers in fields: those at the axes are grey."""
    return [w.text for w in diagram.scene.shapes if isinstance(w, Words) and not w.bold
            and w.size == NUMBER and w.color != GREY]  # fmt: skip


def fields(shapes):
    return [s for s in shapes if isinstance(s, Rect) and " at " in s.title]


@pytest.mark.parametrize("row", [None, 0, 2])
def test_weights_are_those_of_the_softmax(row):
    loss, weights = looking()
    found = only(loss, row=row)
    expected = weights.mean(axis=1) if row is None else weights[:, row]
    np.testing.assert_allclose(found.weights, expected, rtol=1e-12)
    assert (found.targets, found.sources) == (tuple(range(4)), tuple(range(6)))
    assert (found.target, found.source, found.rows) == ("decoder", "encoder", 3)
    assert np.sum(found.weights, axis=1) == pytest.approx(np.ones(4))


def test_heads_of_one_softmax_are_averaged_and_others_stand_apart():
    loss, weights = looking(heads=2)
    assert weights.shape == (4, 3, 2, 6)
    np.testing.assert_allclose(only(loss).weights, weights.mean(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_allclose(only(loss, row=1).weights, weights[:, 1].mean(axis=1), rtol=1e-12)
    states = []
    for t in range(3):
        with engine.scope(block="a", t=t):
            states.append(engine.exp(engine.asarray(normal(1, 2, salt=t), requires_grad=True)))
    with engine.scope(block="b", t=0):
        scores = engine.sum(engine.stack(states, axis=1), axis=-1)
        both = engine.softmax(scores, axis=-1), engine.softmax(scores * 2.0, axis=-1)
    one, two = attentions(Graph.of(both[0] + both[1]))
    np.testing.assert_allclose([one.weights[0], two.weights[0]], [x.numpy()[0] for x in both])
    diagram = viz.draw_attention(both[0] + both[1])
    assert len(fields(diagram.scene.shapes)) == 6
    assert diagram.graph.number_of_edges() == 6


def test_the_softmax_may_have_its_weights_on_any_axis():
    states = []
    for t in range(3):
        with engine.scope(block="a", t=t):
            states.append(engine.exp(engine.asarray(normal(2, 4, salt=t), requires_grad=True)))
    with engine.scope(block="b", t=0):
        found = engine.softmax(engine.sum(engine.stack(states, axis=0), axis=-1), axis=0)
    for row in (0, 1):
        np.testing.assert_allclose(only(found, row=row).weights[0], found.numpy()[:, row])


def test_fields_have_their_weights_and_the_shade_of_them():
    loss, weights = looking()
    diagram = viz.draw_attention(loss)
    mean = weights.mean(axis=1)
    own = fields(diagram.scene.shapes)
    assert len(own) == 24
    left, top = min(f.x for f in own), min(f.y for f in own)
    shade = {}
    for field in own:
        i, j = round((field.y - top) / field.h), round((field.x - left) / field.w)
        assert float(field.title.rpartition(" ")[2]) == pytest.approx(mean[i, j], rel=1e-5)
        inside = [w.text for w in diagram.scene.shapes if isinstance(w, Words) and not w.angle
                  and 0 < w.x - field.x < field.w and 0 < w.y - field.y < field.h]  # fmt: skip
        assert inside == [f"{mean[i, j]:.2f}"]
        shade[mean[i, j]] = sum(int(field.fill[k : k + 2], 16) for k in (1, 3, 5))
    ordered = [shade[w] for w in sorted(shade)]
    assert ordered == sorted(ordered, reverse=True)
    i, j = np.unravel_index(mean.argmax(), mean.shape)
    head = f"of decoder t = {i} at encoder t = {j}"
    assert any(isinstance(w, Words) and w.text.endswith(head) for w in diagram.scene.shapes)
    assert "weights are the mean over 3 rows of the batch; row= chooses one" in diagram.scene.notes
    for t in range(4):
        for s in range(6):
            edge = diagram.graph.edges[f"target {t}", f"source {s}", 0]
            assert edge["weight"] == pytest.approx(mean[t, s])


def test_many_columns_are_sums_and_many_rows_a_choice():
    loss, weights = looking(source=25, target=13, batch=1)
    diagram = viz.draw_attention(loss, max_steps=10)
    own = fields(diagram.scene.shapes)
    assert len(own) == 10 * 9
    by_place = {f.title.rpartition(":")[0]: float(f.title.rpartition(" ")[2].replace("×10⁻", "e-"))
                for f in own if "⁻" not in f.title}  # fmt: skip
    for place, value in by_place.items():
        t, _, tile = place.removeprefix("t = ").partition(" at ")
        first, _, last = tile.partition("–")
        expected = weights[int(t), 0, int(first) : int(last or first) + 1].sum()
        assert value == pytest.approx(expected, rel=1e-5)
    assert {place.partition(" at")[0] for place in by_place} >= {"t = 0", "t = 12"}
    notes = " ".join(diagram.scene.notes)
    assert "25 steps of encoder: a column is the sum of up to 3 of them" in notes
    assert "10 of 13 steps of decoder are shown" in notes


def test_weights_that_are_almost_nothing_have_no_number_and_a_note_says_so():
    loss, weights = looking(sharp=20.0, batch=1)
    assert (weights < 0.005).any()
    diagram = viz.draw_attention(loss)
    assert "no number: less than 0.005" in diagram.scene.notes
    assert len(numbers(diagram)) == (weights >= 0.005).sum()
    even, _ = looking(sharp=0.0, batch=1, source=12)
    assert set(numbers(viz.draw_attention(even))) == {"0.083"}  # all small: a third decimal


def test_steps_may_have_names():
    loss, _ = looking()
    names = [f"source{i}word" for i in range(6)]
    diagram = viz.draw_attention(loss, sources=names, targets=["a", "b", "c", "d"])
    words = {w.text: w for w in diagram.scene.shapes if isinstance(w, Words)}
    assert {*names, "a", "b", "c", "d"} <= words.keys()
    assert words[names[0]].angle == -90  # too long to lie side by side
    with pytest.raises(ValueError, match="expected a name for each of 6 sources, got 2"):
        viz.draw_attention(loss, sources=["x", "y"])


def test_steps_that_were_not_there_and_broken_weights_are_distinguished():
    states, looks = [], []
    for t in range(4):
        with engine.scope(block="a", t=t):
            states.append(engine.exp(engine.asarray(normal(1, 2, salt=t), requires_grad=True)))
        with engine.scope(block="b", t=t):
            scores = engine.sum(engine.stack(states, axis=1), axis=-1)
            looks.append(engine.sum(engine.softmax(scores * (np.nan if t == 3 else 1.0), axis=-1)))
    diagram = viz.draw_attention(engine.sum(engine.stack(looks)))
    own = fields(diagram.scene.shapes)
    assert sum(f.fill == ABSENT for f in own) == 6
    assert sum(f.fill == BROKEN for f in own) == 4
    assert [s.text for s in diagram.scene.legend] == ["not there to be looked at",
                                                      "NaN or infinite"]  # fmt: skip
    assert diagram.graph.number_of_edges() == 10


def test_the_small_matrix_keeps_to_its_room_and_frames_the_selected_row():
    loss, _ = looking()
    found = only(loss)
    for room in (300.0, 700.0):
        shapes, height = small_matrix(found, left=30.0, top=100.0, room=room, chosen=3)
        own = fields(shapes)
        assert len(own) == 24
        assert all(f.x >= 30 and f.x + f.w <= 30 + room for f in own)
        assert all(100 <= s.y <= 100 + height for s in shapes if isinstance(s, Words))
        (frame,) = [s for s in shapes if isinstance(s, Line) and s.color == ATTENTION]
        assert frame.points[0][1] == pytest.approx(max(f.y for f in own))
    plain, _ = small_matrix(found, left=0.0, top=0.0, room=500.0)
    assert not [s for s in plain if isinstance(s, Line) and s.color == ATTENTION]
    long, _ = looking(source=300, target=90, batch=1)
    shapes, height = small_matrix(only(long), left=0.0, top=0.0, room=740.0)
    assert len(fields(shapes)) == 38 * 40
    assert height < 320


def test_matrices_stand_under_the_columns_of_a_picture():
    loss, _ = looking()
    found = only(loss)
    columns = Columns((0, 1), ((40.0, 90.0), (90.0, 140.0)), 40.0, 600.0, 200.0)
    shapes, height = under([found, only(loss, row=1)], 2)(columns)
    own = fields(shapes)
    assert len(own) == 48
    assert all(s.y > 200 and s.y + s.h < 200 + height for s in own)
    heads = [s for s in shapes if isinstance(s, Words) and s.bold and s.anchor == "start"]
    assert [s.text for s in heads] == [
        "weights of attention, mean of 3 rows: decoder looks at encoder",
        "weights of attention, row 1 of 3: decoder looks at encoder",
    ]
    assert heads[1].y > max(f.y + f.h for f in own[:24])
    assert under([])(columns) == ([], 0.0)


@pytest.mark.parametrize(("step", "steps"), [("all", {0, 1, 2}), ("last", {2}), (1, {1})])
def test_edges_are_of_the_selected_step(step, steps):
    graph = recorded(attention(4, 3), "cell")
    model = build(graph, "cell")
    add_attention(model, graph, step=step)
    looks = [link for link in model.links if link.kind == "attention"]
    assert {model.items[link.target].t for link in looks} == steps
    assert len(looks) == 4 * len(steps)
    with pytest.raises(ValueError, match="no step 9 looks at others here; there are 0, 1, 2"):
        add_attention(build(graph, "cell"), graph, step=9)


@pytest.mark.parametrize("given", [rnn.LSTM(3, 4), None, [1.0], []])
def test_what_was_not_computed_is_refused(given):
    with pytest.raises(TypeError, match="draw_attention: expected a tensor that a network"):
        viz.draw_attention(given)


def test_mistakes():
    loss, _ = looking()
    with pytest.raises(IndexError, match="row 3 of a batch of 3; give one from 0 to 2"):
        viz.draw_attention(loss, row=3)
    with pytest.raises(ValueError, match="no attention is recorded here: no softmax in a step"):
        viz.draw_attention(engine.softmax(engine.ones(3, requires_grad=True)))
    with pytest.raises(ValueError, match="draw_attention: nothing is recorded here, for nothing"):
        viz.draw_attention(engine.softmax(engine.ones(3)))
    with pytest.raises(ValueError, match="expected a width in pixels, 480 or more, got 100"):
        viz.draw_attention(loss, width=100)
    assert viz.draw_attention(loss).svg() == viz.draw_attention(loss).svg()
