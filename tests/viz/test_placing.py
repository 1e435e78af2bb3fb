"""Place the words and marks of wires: free places, stretches of their own, room made."""

import itertools
import math
import random
import re

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.viz.picture_cases import CASES
from tests.viz.picture_checks import faults
from tests.viz.pictures import network
from viz.labels import number, width
from viz.layout import wire_kinds
from viz.rendering.placing import DOWN, SIZE, UP, WireRoom, level_at, mark_at

U = ((10, 100), (10, 60), (90, 60), (90, 20))  # up, across, up again


def room(taken=(), **ends):
    return WireRoom(taken, **{"left": 4, "right": 200, "bottom": 200} | ends)


def area(at, text):
    half = width(text, SIZE) / 2
    return at[0] - half, at[1] - UP, at[0] + half, at[1] + DOWN


def meet(a, b):
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]


def test_words_stand_beside_the_longest_upright_stretch_and_over_level_ones():
    x, y = room().beside(((50, 150), (50, 50)), "h 0.5")
    assert x - width("h 0.5", SIZE) / 2 > 50
    assert 80 < y < 120
    x, y = room().beside(((20, 50), (180, 50)), "h 0.5")
    assert (x, y) == (100, 45)


def test_words_keep_off_everything_that_stands_there():
    rng = random.Random(5)
    for _ in range(200):
        corners = [(rng.uniform(0, 180), rng.uniform(0, 180)) for _ in range(12)]
        boxes = [(x, y, x + rng.uniform(5, 60), y + rng.uniform(5, 40)) for x, y in corners]
        sheet = room(boxes)
        placed = []
        for _ in range(6):
            a, b = ((rng.randrange(10, 190), rng.randrange(10, 190)) for _ in range(2))
            if a == b:
                continue
            at = sheet.beside((a, (a[0], b[1]), b), "∂h 0.12")
            if at:
                placed.append(area(at, "∂h 0.12"))
        for one, other in itertools.product(placed, boxes):
            assert not meet(one, other)
        for one, other in itertools.combinations(placed, 2):
            assert not meet(one, other)
        assert all(one[0] >= 4 and one[3] <= 200 for one in placed)
        assert all(one[2] <= sheet.right + 1 for one in placed)


def test_there_may_be_no_room():
    assert room([(-99, -99, 999, 999)]).beside(U, "h") is None
    assert room(bottom=10).beside(U, "h") is None


def test_words_keep_off_other_wires_where_they_can():
    sheet = room()
    wire = ((50, 150), (50, 50))
    x, _ = sheet.beside(wire, "h 0.5")
    crossed = room()
    crossed.cross([((x, 0), (x, 200))])
    other, _ = crossed.beside(wire, "h 0.5")
    assert other < 50
    crossed = room()
    crossed.cross([((k, 0), (k, 200)) for k in range(0, 200, 10)])
    assert crossed.beside(wire, "h 0.5")  # on a wire if need be


def test_the_sheet_grows_on_the_right_only():
    sheet = room([(0, 0, 45, 200)], right=60)
    x, _ = sheet.beside(((50, 150), (50, 50)), "a long label")
    assert sheet.right == pytest.approx(x + width("a long label", SIZE) / 2 + 1)
    assert sheet.right > 60


def test_taken_words_are_kept_off():
    sheet = room()
    first = sheet.beside(((50, 150), (50, 50)), "one")
    again = room()
    again.take_words(*first, "one")
    second = again.beside(((50, 150), (50, 50)), "two")
    assert not meet(area(first, "one"), area(second, "two"))


def test_marks_stand_on_the_stretch_that_is_the_edge_s_own():
    assert mark_at(U, wire_kinds.LOCAL) == (90, 34)  # near the port of the target
    assert mark_at(U, wire_kinds.GATHERED) == (90, 46)  # where it climbs out of its column
    assert mark_at(((10, 100), (10, 20)), wire_kinds.TO_BAR) == (10, 86)
    assert mark_at(((10, 100), (10, 20)), wire_kinds.FROM_BAR) == (10, 34)
    assert mark_at(((10, 50), (90, 50)), wire_kinds.NEXT) == (50, 50)
    assert mark_at(((0, 9), (5, 9), (5, 99), (9, 99)), wire_kinds.ASIDE) == (5, 54)
    short = ((0, 60), (0, 40), (30, 40), (30, 29))
    # Clear of the box, though the stretch is short.
    assert mark_at(short, wire_kinds.LOCAL) == (30, 36)


def test_the_level_stretch_at_a_place():
    assert level_at(U, 50) == 60
    assert level_at(U, 99) is None


def wires(diagram, kind="backward"):
    return [wire for wire in diagram.scene.wires if wire.kind == kind]


def dead_network():
    """Return a network in which half of the uses of each state are dead."""
    w = engine.asarray([[0.5, 0.2], [-0.3, 0.4]], dtype="float64", requires_grad=True, name="w")
    h, losses = engine.asarray([[1.0, -1.0]], dtype="float64"), []
    for t in range(4):
        with engine.scope("unit", t=t, cell="Unit"):
            n = engine.tanh(h @ w)
            h = n + engine.relu(-5.0 - n) * h
            losses.append(engine.sum(h * h) + engine.sum(engine.relu(h - 9.0)))
    return engine.sum(engine.stack(losses))


@pytest.mark.parametrize("level", ["op", "gate", "cell", "rolled"])
def test_marks_of_dead_edges_are_on_no_live_wire_s_stretch(level):
    diagram = viz.draw_gradients(dead_network(), level=level)
    marked = [wire for wire in wires(diagram) if wire.mark]
    if level == "op":
        assert len(marked) > 8
    assert len({wire.mark_at for wire in marked}) == len(marked)
    for wire in marked:
        on = [other for other in wires(diagram) if other is not wire and runs(other, wire.mark_at)]
        assert [other for other in on if not other.mark] == []
        assert runs(wire, wire.mark_at)


def runs(wire, place):
    """Return whether a wire goes through a place."""
    x, y = place
    return any(
        min(ax, bx) - 0.5 <= x <= max(ax, bx) + 0.5 and min(ay, by) - 0.5 <= y <= max(ay, by) + 0.5
        for (ax, ay), (bx, by) in itertools.pairwise(wire.points)
    )


def test_rolled_pictures_say_every_delay_and_norm_on_nothing():
    layer = rnn.GRU(3, 4, bidirectional=True)(engine.ones((4, 2, 3)))[0]
    for diagram in (viz.draw_unrolled(layer, level="rolled"), viz.draw_rolled(network("elman", 5)),
                    viz.draw_gradients(network("elman", 5), level="rolled")):  # fmt: skip
        assert faults(diagram.svg()) == []
    delays = {wire.label for wire in viz.draw_rolled(layer).scene.wires if wire.kind == "time"}
    assert {text.split()[-1] for text in delays} == {"z⁻¹", "z⁺¹"}
    rolled = viz.draw_gradients(network("elman", 5), level="rolled")
    inside = {line.split()[-1] for box in rolled.scene.boxes for line in box.lines}
    for wire in wires(rolled):  # and each number once
        norm = number(float(wire.title.split()[-1]))
        assert wire.label.split()[-1:] == [norm] or norm in inside


def test_rolled_words_keep_off_marks():
    w = engine.asarray([[0.5, 0.2], [-0.3, 0.4]], requires_grad=True, name="w")
    h = engine.ones((1, 2))
    for t in range(3):
        with engine.scope("unit", t=t, cell="Unit"):
            h = engine.relu(-5.0 - engine.abs(h @ w))
    diagram = viz.draw_gradients(engine.sum(h), level="rolled")
    assert [wire.mark for wire in wires(diagram)].count("×") > 1
    assert faults(diagram.svg()) == []


def test_words_without_room_are_counted_and_stand_in_titles(monkeypatch):
    monkeypatch.setattr(WireRoom, "beside", lambda *_: None)
    diagram = viz.draw_rolled(network("elman", 3))
    assert diagram.scene.notes == ("1 edge has no room for words: pointing at them shows these",)
    (loop,) = wires(diagram, "time")
    assert (loop.label, loop.label_at) == ("", None)
    assert loop.title == "ElmanCell → ElmanCell: h z⁻¹"
    notes = viz.draw_gradients(network("elman", 3), level="rolled").scene.notes
    assert re.fullmatch(r"\d+ edges have no room for words: .*", notes[-1])


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_states_are_named_on_their_way_to_the_next_step(level):
    # Also where they do not run straight: once for all edges that run together.
    diagram = viz.draw_unrolled(network("lstm", 3), level=level, max_steps=3)
    labels = [wire.label for wire in wires(diagram, "time") if wire.label]
    assert sorted(labels) == ["c", "c", "h", "h"]
    assert faults(diagram.svg()) == []


def test_what_runs_together_has_a_name_and_no_norm():
    diagram = viz.draw_gradients(network("gru", 3), level="gate")
    loss = engine.sum(CASES["skips"]())
    for drawn in (diagram, viz.draw_gradients(loss, level="op"), viz.draw_gradients(loss)):
        assert faults(drawn.svg()) == []
        for wire in wires(drawn):
            if wire.label and re.search(r"\d", wire.label):
                norm = float(wire.title.split()[-1])
                assert wire.label.split()[-1] == number(norm)


def test_long_names_of_states_are_cut_on_wires_and_in_boxes():
    diagram = viz.draw_gradients(CASES["long names"]())
    assert faults(diagram.svg()) == []
    assert max(len(wire.label) for wire in diagram.scene.wires) <= 26
    lines = [line for box in diagram.scene.boxes for line in box.lines if line.startswith("d")]
    assert max(map(len, lines)) < 40


def test_boxes_of_parameters_keep_their_names_beside_their_gradient():
    diagram = viz.draw_gradients(network("gru", 3), level="gate")
    words = [box.lines for box in diagram.scene.boxes if box.kind == "parameter"]
    assert len(set(words)) == len(words)
    assert ("θ cell", "weight_ih, bias_ih") in {lines[:2] for lines in words}
    assert all(lines[-1].startswith("dθ ") for lines in words)


def test_norms_at_scissors_are_red():
    diagram = viz.draw_truncation(network("lstm", 6), 3)
    cut = [wire for wire in diagram.scene.wires if wire.mark == "✂"]
    assert len(cut) == 2
    for wire in cut:
        assert f'fill="#8e1212" text-anchor="middle" stroke="#ffffff" stroke-width="3" ' \
               f'paint-order="stroke">{wire.label}<' in diagram.svg()  # fmt: skip
        assert math.dist(wire.mark_at, wire.label_at) < 60


def test_edges_into_steps_left_out_are_on_the_scale_and_weights_are_not():
    diagram = viz.draw_gradients(network("gru", 20) * 8.0, max_steps=4)
    gaps = {n for n, d in diagram.graph.nodes(data=True) if d["kind"] == "gap"}
    norms = {True: [], False: []}
    for a, b, d in diagram.graph.edges(data=True):
        if d.get("grad_norm") is not None and d["kind"] != "parameter":
            norms[a in gaps or b in gaps].append(d["grad_norm"])
    assert max(norms[True]) > 10 > max(norms[False])
    (scale,) = [swatch.text for swatch in diagram.scene.legend if swatch.wedge]
    top = number(10.0 ** math.ceil(math.log10(max(norms[True]))))
    assert scale.startswith(f"gradient, norm {top} … ")


def test_the_legend_has_what_there_is():
    def texts(diagram):
        return {swatch.text for swatch in diagram.scene.legend}

    assert not texts(viz.draw_gradients(network("lstm", 4))) & {"zero (dead)", "inf or NaN"}
    assert "zero (dead)" in texts(viz.draw_gradients(dead_network(), level="op"))
    w = engine.asarray([1.0, 2.0], dtype="float64", requires_grad=True, name="w")
    dead = viz.draw_gradients(engine.sum(engine.relu(-w)), level="op")
    with np.errstate(all="ignore"):
        broken = viz.draw_gradients(engine.sum(engine.sqrt(w * 0.0)), level="op")
    assert "inf or NaN" in texts(broken)
    assert "inf or NaN" not in texts(dead)
    path = texts(viz.draw_bptt_path(network("lstm", 4), "L3", "h1"))
    assert not path & {"parameter", "input", "forward", "forward in time"}
    assert {"cell", "module", "pale: on no path shown"} <= path


def test_numbers_of_a_path_lie_on_nothing():
    for kind, target in (("gru", "cell.weight_hh"), ("lstm", "h1"), ("elman", "h0")):
        diagram = viz.draw_bptt_path(network(kind, 4), "L3", target)
        assert faults(diagram.svg()) == []
