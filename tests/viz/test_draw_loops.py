"""Draw loops in rolled pictures: which are affine in their states, and how a picture says it."""

import pytest

import engine
import rnn
import viz
from tests.viz.picture_checks import faults
from viz.style import AFFINE

LEGEND = "forward in time, affine"


class Leaky(rnn.Cell):
    input_size, state_size = 3, {"h": 3}

    def step(self, x, h):
        return (h := 0.9 * h + x), h


class Memory(rnn.Cell):
    input_size, state_size = 3, {"S": (3, 3)}

    def step(self, x, S):
        S = 0.9 * S + x[:, :, None] * engine.tanh(x)[:, None, :]
        return engine.sum(S * x[:, :, None], axis=1), S


def drawn(layer):
    x = engine.asarray([[[0.1, 0.2, 0.3]]] * 5, requires_grad=True)
    return viz.draw_rolled(layer(x)[0]).svg()


@pytest.mark.parametrize(
    ("cell", "words"), [(Leaky, "h z⁻¹ diagonal"), (Memory, "S z⁻¹ outer product")]
)
def test_an_affine_loop_says_its_kind_and_has_its_colour(cell, words):
    svg = drawn(rnn.Recurrent(cell()))
    assert words in svg
    assert AFFINE in svg
    assert LEGEND in svg


@pytest.mark.parametrize(
    ("name", "words"),
    [("MLSTMCell", "m, C, n z⁻¹ C outer product, n diagonal"),
     ("RWKV4Cell", "m, a, b z⁻¹ a, b diagonal")],
)  # fmt: skip
def test_of_several_states_on_one_edge_the_affine_ones_are_named(name, words):
    # The others are a maximum of sums: the edge as a whole has not the colour.
    svg = drawn(rnn.Recurrent(getattr(rnn, name)(3, 4)))
    assert f">{words}<" in svg
    assert AFFINE not in svg
    assert LEGEND not in svg
    assert faults(svg) == []


class TwoMemories(rnn.Cell):
    """Keep affine states of two kinds that end in one box."""

    input_size, state_size = 3, {"S": (3, 3), "n": 3}

    def step(self, x, state):
        S, n = state
        S = S + x[:, :, None] * engine.tanh(x)[:, None, :]
        n = 0.9 * n + x
        return engine.sum(S * n[:, :, None], axis=1), (S, n)


def test_affine_states_of_two_kinds_are_named_and_have_the_colour():
    svg = drawn(rnn.Recurrent(TwoMemories()))
    assert ">S, n z⁻¹ S outer product, n diagonal<" in svg
    assert AFFINE in svg
    assert LEGEND in svg


def test_affine_states_of_one_kind_need_no_names():
    assert ">h_re, h_im z⁻¹ blocks<" in drawn(rnn.Recurrent(rnn.LRUCell(3, 4)))


@pytest.mark.parametrize("layer", [rnn.RNN, rnn.GRU])
def test_a_loop_that_is_not_affine_looks_as_before(layer):
    svg = drawn(layer(3, 3))
    assert "h z⁻¹" in svg
    assert AFFINE not in svg
    assert LEGEND not in svg


def test_layers_with_states_of_one_name_are_distinguished():
    class Both(rnn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = rnn.Recurrent(Leaky()), rnn.RNN(3, 3)

        def forward(self, x):
            return self.second(self.first(x)[0])

    svg = drawn(Both())
    assert svg.count("z⁻¹ diagonal") == 1
    assert svg.count("z⁻¹") == 2


def test_steps_that_were_called_one_by_one_make_no_claim():
    x = engine.asarray([[[0.1, 0.2, 0.3]]] * 5, requires_grad=True)
    with engine.explicit():
        svg = viz.draw_rolled(rnn.Recurrent(Leaky())(x)[0]).svg()
    assert AFFINE not in svg
