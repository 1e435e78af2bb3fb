"""Test groups of states that read each other, as data and in the explanation of a recurrence."""

import pytest

import engine
from engine.scan.affine.kinds import groups
from engine.scan.call import prepare
from engine.scan.recorded import program_of


def found(step, count):
    init = tuple(engine.zeros((2, 3)) for _ in range(count))
    program = program_of(prepare(step, init, engine.ones((4, 2, 3))))
    return [(group.states, group.loop) for group in groups(program)]


CASES = {
    "one loop": (lambda s, x: ((s[0] + x,), x), 1, [((0,), True)]),
    "a shift": (lambda s, x: ((x,), s[0]), 1, [((0,), False)]),
    "exchanged": (lambda s, x: ((s[1], s[0] + x), x), 2, [((0, 1), True)]),
    "one after another": (
        lambda s, x: ((s[0] + s[1], s[1] * x), x), 2, [((1,), True), ((0,), True)]),
    "a loop over a shift": (
        lambda s, x: ((s[0] + s[1], x), x), 2, [((1,), False), ((0,), True)]),
    "two shifts": (lambda s, x: ((x, s[0]), s[1]), 2, [((0,), False), ((1,), False)]),
    "a ring of three": (lambda s, x: ((s[1], s[2], s[0] + x), x), 3, [((0, 1, 2), True)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_groups_of_states(name):
    step, count, expected = CASES[name]
    assert found(step, count) == expected


def test_groups_are_in_the_explanation():
    def step(s, x):
        h, before = s
        h = engine.tanh(h + before)
        return (h, x), h

    init = (engine.zeros((2, 3)), engine.zeros((2, 3)))
    text = engine.explain_scan(step, init, engine.ones((4, 2, 3)))
    assert "group h: reads itself (non-linear: not affine); runs in" in text
    assert "group state 1: is a shift: no step feeds it back; runs in" in text
