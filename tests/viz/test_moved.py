"""Move copies of lines of one form: they read and are written as the same points do."""

import gc
import re
import weakref
from dataclasses import replace

import pytest

from benchmarks.pictures import lstm
from viz.gc_pause import gc_paused
from viz.moved import Moved, form_of, moved
from viz.rendering.drawing import Drawing
from viz.writers import svg

POINTS = ((0, 0), (40, 0), (40, 9), (60, 9))


def test_a_moved_line_reads_as_its_points():
    line = Moved(form_of(POINTS), 100, start=-30, end=5)
    points = ((70, 0), (140, 0), (140, 9), (165, 9))
    assert tuple(line) == points
    assert line == points == tuple(line)
    assert hash(line) == hash(points)
    assert (line[0], line[-1], line[1:], len(line)) == ((70, 0), (165, 9), points[1:], 4)
    assert line.reversed() == points[::-1]
    assert line != Moved(line.form, 101, line.start, line.end)
    assert line == moved(points)


def test_lines_of_the_same_points_have_one_form():
    assert form_of(POINTS) is form_of((*POINTS[:2], *POINTS[2:]))
    assert form_of(POINTS) is not form_of(POINTS[::-1])


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_moved_wires_are_written_as_their_points_are(level):
    drawing = Drawing(lstm(9), level, max_steps=9)
    drawing.measure()
    scene = drawing.diagram("moved").scene
    assert {bool(wire.points.start or wire.points.end) for wire in scene.wires} == {True, False}
    plain = tuple(wire._replace(points=tuple(wire.points)) for wire in scene.wires)
    assert svg.write(replace(scene, wires=plain)) == svg.write(scene)


@pytest.mark.parametrize(("level", "own"), [("op", 1), ("cell", 0)])  # what is gathered is alone
def test_columns_share_the_forms_of_their_wires(level, own):
    def forms(steps):
        wires = Drawing(lstm(steps), level, max_steps=steps).diagram("forms").scene.wires
        return len({wire.points.form for wire in wires}), len(wires)

    (few, drawn), (more, many) = forms(40), forms(80)
    assert many > 1.9 * drawn
    assert more - few == own * 40


def test_the_end_of_a_pause_leaves_nothing_to_be_looked_at():
    gc.collect()
    with gc_paused():
        made = [[] for _ in range(5_000)]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert sum(any(one is made[0] for one in gc.get_objects(generation=g)) for g in (0, 1)) == 0
    assert any(one is made[0] for one in gc.get_objects(generation=2))


def test_a_pause_keeps_what_the_caller_has_frozen():
    own = []  # one object, as other threads free some of all that are frozen
    gc.freeze()
    try:
        with gc_paused():
            pass
        assert not any(one is own for one in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(one is own for one in gc.get_objects())


def test_cycles_made_in_a_pause_are_still_collected():
    class Knot:
        pass

    with gc_paused():
        knot = Knot()
        knot.self = knot
        seen = weakref.ref(knot)
        del knot
    gc.collect()
    assert seen() is None


def test_wires_from_the_rail_keep_their_corners():
    diagram = Drawing(lstm(30), "cell", max_steps=30).diagram("rail")
    lengths = [float(found) for found in re.findall(r'd="M[^"l]*l(-?[\d.]+) 0q', diagram.svg())]
    assert len(set(lengths)) > 25  # each reaches its own column
    assert min(map(abs, lengths)) > 0
