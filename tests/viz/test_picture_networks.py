"""Draw every kind of network and random graphs at every level, each once for all checks of it.

The checks are those of `test_picture_structure.py`, for what is drawn, and the rulers of
`picture_checks.py`, for where it lies: no wire runs through a box, no box and no words lie on
others, words stay in their boxes and everything on the sheet.
"""

from functools import lru_cache

import pytest

import viz
from tests.draws import crossed, first
from tests.viz.picture_cases import CASES, ORDER
from tests.viz.picture_checks import faults, read
from tests.viz.picture_random import random_graph
from tests.viz.test_picture_structure import (
    ALL,
    LEVELS,
    RANDOM,
    check_drawn,
    check_op_level,
    drawings,
)

# Networks with steps that no slice names: these have no numbers, or others than 0, 1, 2, ...
NO_SLICE = ("named times", "fractions of time", "steps apart")


DRAWN = crossed(ORDER, LEVELS)


@lru_cache(maxsize=1)  # tests of one drawing run one after another
def drawn(name, level):
    """Return the drawings of a network at a level, with what is read of each."""
    made = drawings(CASES[name](), (level,))
    return [(diagram, read(diagram.svg())) for diagram in made]


@pytest.mark.parametrize("name", first(37, ORDER))
def test_the_op_level_is_the_recorded_graph(name):
    check_op_level(CASES[name]())


@pytest.mark.parametrize(("name", "level"), first(18, DRAWN), scope="module")
def test_every_box_and_edge_is_drawn_and_every_gradient_has_its_forward_twin(name, level):
    check_drawn(*drawn(name, level)[-1])  # with gradients where there are any


@pytest.mark.parametrize(("name", "level"), first(18, DRAWN), scope="module")
def test_nothing_lies_on_anything(name, level):
    for _, picture in drawn(name, level):
        assert faults(picture) == []


@pytest.mark.parametrize(("name", "level"), first(18, DRAWN), scope="module")
def test_time_runs_to_the_right_and_reversed_time_to_the_left(name, level):
    diagram, picture = drawn(name, level)[0]
    if level == "rolled":
        return
    for a, b, d in diagram.graph.edges(data=True):
        one, other = diagram.graph.nodes[a], diagram.graph.nodes[b]
        if d["kind"] != "time" or one["block"] != other["block"]:
            continue
        assert d["dt"]
        assert (d["dt"] > 0) == (picture.box[b].middle[0] > picture.box[a].middle[0]), (one, other)
        if isinstance(one["t"], int | float) and isinstance(other["t"], int | float):
            assert d["dt"] == other["t"] - one["t"]
        if one["direction"] == other["direction"] == "reverse" and one["layer"] == other["layer"]:
            assert d["dt"] == -1


@pytest.mark.parametrize(("name", "level"), first(12, crossed(ORDER, ["op", "gate", "cell"])))
def test_nothing_lies_on_anything_in_a_window(name, level):
    x = CASES[name]()
    whole = read(viz.draw_unrolled(x, level="cell", max_steps=ALL).svg())
    steps = sum(word.kind == "heading" for word in whole.words)
    for most in dict.fromkeys((2, steps - 1)) if steps > 2 else ():
        assert faults(viz.draw_unrolled(x, level=level, max_steps=most).svg()) == []
    if steps >= 4 and name not in NO_SLICE:
        assert faults(viz.draw_unrolled(x, level=level, steps=range(1, 2)).svg()) == []


@pytest.mark.parametrize("start", first(1, range(0, RANDOM, 20)))
def test_random_graphs_are_drawn_whole_and_nothing_lies_on_anything(start):
    found = {}
    for seed in range(start, start + 20):
        x, level = random_graph(seed), LEVELS[seed % 4]
        window = viz.draw_unrolled(x, level=level, max_steps=2).svg()
        wrong = faults(window)
        for diagram in drawings(x, (level,)):
            picture = read(diagram.svg())
            check_drawn(diagram, picture)
            wrong += faults(picture)
        if wrong:
            found[seed] = wrong
    assert found == {}
