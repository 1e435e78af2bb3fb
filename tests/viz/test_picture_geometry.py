"""Measure the geometry of pictures on the written SVG by rulers that `viz` does not have.

Of wires and long sequences, and of the rulers themselves, which are in `picture_checks.py`; every
kind of network is measured in `test_picture_networks.py`.
"""

import math

import pytest

import engine
import rnn
import viz
from tests.draws import covering, first
from tests.viz.picture_cases import CASES, data
from tests.viz.picture_checks import faults, read
from tests.viz.pictures import network
from tests.viz.test_picture_structure import ALL, drawings


def check(diagram):
    assert faults(diagram.svg()) == []


@pytest.mark.parametrize("level", ["op", "gate", "cell", "rolled"])
def test_edges_side_by_side_are_drawn_apart(level):
    # Two edges between the same boxes are two lines, forward and backward.
    for name in ("same input twice", "skips"):
        for diagram in drawings(CASES[name](), (level,)):
            seen: dict = {}
            for wire in read(diagram.svg()).wires:
                seen.setdefault((wire.source, wire.target, wire.points), []).append(wire.title)
            assert [titles for titles in seen.values() if len(titles) > 1] == []


@pytest.mark.parametrize(("name", "level"), covering(
    ["LSTMCell", "tied", "reverse", "attention", "called twice"], ["op", "gate", "cell"]
))  # fmt: skip
def test_a_gradient_runs_beside_its_forward_wire(name, level):
    picture = read(viz.draw_gradients(CASES[name](), level=level, max_steps=ALL).svg())
    forward: dict = {}
    for wire in picture.wires:
        if wire.kind != "backward":
            forward.setdefault((wire.target, wire.source), []).append(wire.points)
    reds = [wire for wire in picture.wires if wire.kind == "backward"]
    assert reds
    for red in reds:
        twins = forward[red.source, red.target]
        away = min(max(min(math.dist(p, q) for q in twin) for p in red.points) for twin in twins)
        assert 0 < away < 16, red


@pytest.mark.parametrize(("level", "steps"), first(1, [("cell", 120), ("gate", 40), ("op", 25)]))
def test_long_sequences_have_the_same_geometry(level, steps):
    engine.seed(0)
    y, _ = rnn.LSTM(2, 2)(data(steps, 1, 2))
    check(viz.draw_gradients(engine.sum(y), level=level, max_steps=steps))


def test_titles_of_any_length_stay_on_the_sheet():
    for title in ("t" * 500, "W" * 500, "中文" * 200, "<&>\"' \n \x00"):
        check(viz.draw_unrolled(network("elman", 2), title=title))


# The rulers themselves: every fault that is planted must be found.


@pytest.fixture(scope="module")
def sound():
    svg = viz.draw_gradients(network("elman", 2)).svg()
    assert faults(svg) == []
    return svg


def planted(svg, kind, more):
    """Return the kinds of faults after a shape was drawn over a sound picture."""
    found = faults(svg.replace("</svg>", f"{more}</svg>"))
    assert any(fault.startswith(kind) for fault in found), found


def wire(source, target, d, tip):
    """Return an edge of the picture as `viz` writes it."""
    return (
        f'<g class="edge forward" data-source="{source}" data-target="{target}"><title>a</title>'
        f'<path d="{d}" stroke-width="1"/><path d="M0 0m{tip[0]} {tip[1]}l1 1l1 1z"/></g>'
    )


def test_every_ruler_can_fail(sound):
    a, b, *_ = read(sound).boxes
    x, y = a.middle
    planted(sound, "wires_through_boxes", wire(a.key, b.key, f"M0 {y}l9 0", (900, y)))
    planted(sound, "loose_ends", wire(a.key, b.key, "M0 0l9 0", (30, 0)))
    box = (
        f'<g class="node op" data-id="99"><g transform="translate({a.x1 - 5} {y})">'
        '<rect width="9" height="9"/><text x="4" y="4" font-size="13" text-anchor="middle">'
        "too wide</text></g></g>"
    )
    planted(sound, "boxes_on_boxes", box)
    planted(sound, "words_outside", box)
    words = (
        f'<text class="{{}}" x="{x}" y="{{}}" font-size="11" text-anchor="middle">planted</text>'
    )
    planted(sound, "words_on_words", words.format("note", y))
    planted(sound, "words_on_boxes", words.format("wire-label", a.y1))
    planted(sound, "beyond_the_sheet", words.format("note", 9_999))
    heading = sound.replace("t = 0<", f"{'t = 0' * 90}<", 1)
    assert any(fault.startswith("words_outside: heading") for fault in faults(heading))


def test_a_wire_that_passes_at_an_angle_is_found_too(sound):
    box = read(sound).boxes[0]
    (x, y), far = box.middle, 500
    planted(
        sound, "wires_through_boxes", wire(0, 1, f"M{x - far} {y - far}l9 9", (x + far, y + far))
    )
