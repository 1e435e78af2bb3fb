"""Test that a printed equation, read as a reader would, gives the numbers of the step."""

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
import rnn
import viz
from engine.random import random_state
from rnn.cells.equations import aligned
from rnn.cells.terms import BEGIN, END, unmarked
from tests.draws import first

TOKEN = re.compile(
    r"\\left\||\\right\||\\left|\\right|\\mathrm\{[^}]*\}|\\[a-z]+|[a-z]_t\^\{\(\d+\)\}|[A-Za-z]_\{[^}]*\}|[A-Za-z]_[a-z]"
    r"|\d+\.?\d*|\S"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    r"\sigma": lambda x: 1 / (1 + np.exp(-x)), r"\tanh": np.tanh, r"\exp": np.exp,
    r"\sin": np.sin, r"\mathrm{where}": np.where, r"\mathrm{maximum}": np.maximum,
    r"\mathrm{LN}": lambda x: normed(x),
}  # fmt: skip


def normed(x: Any) -> Any:
    """Return a layer norm without gain and bias."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


class Reader:
    """Read LaTeX by the rules of a textbook and compute it; refuse what can be read twice."""

    def __init__(self, text: str, values: dict[str, Any]) -> None:
        self.tokens = TOKEN.findall(text)
        self.values = values

    def read(self) -> Any:
        value = self.comparison()
        assert not self.tokens, f"left over: {self.tokens}"
        return value

    @property
    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *expected: str) -> str:
        token = self.tokens.pop(0)
        assert not expected or token in expected, f"{token} before {self.tokens}"
        return token

    def comparison(self) -> Any:
        value = self.sum()
        if self.next in ("<", ">"):
            value = (np.less if self.take() == "<" else np.greater)(value, self.sum())
            assert self.next not in ("<", ">"), "a chain of comparisons"
        return value

    def sum(self) -> Any:
        value = -self.product() if self.next == "-" and self.take() else self.product()
        while self.next in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self) -> Any:
        value = self.matrices()
        while self.next == r"\odot":
            self.take()
            value = value * self.matrices()
        return value

    def matrices(self) -> Any:
        value = self.power()
        while self.next and not re.match(r"[-+<>,})|&]|\\odot|\\right", self.next):
            value = value @ self.power()
        return value

    def power(self) -> Any:
        value, symbol = self.atom()
        while self.next == "^":
            assert symbol, "a power of what is no symbol and not in brackets"
            self.take()
            value, symbol = self.raised(value), False
        return value

    def raised(self, value: Any) -> Any:
        if self.next != "{":
            return value ** float(self.take())
        self.take("{")
        if self.next == r"\top":
            self.take(r"\top"), self.take("}")
            return np.swapaxes(value, -1, -2)
        exponent = self.comparison()
        self.take("}")
        return value**exponent

    def group(self) -> Any:
        self.take("{")
        value = self.comparison()
        self.take("}")
        return value

    def atom(self) -> tuple[Any, bool]:
        token = self.take()
        if token == r"\left":
            self.take("(")
            value = self.comparison()
            self.take(r"\right"), self.take(")")
            return value, True
        if token == r"\left|":
            value = self.comparison()
            self.take(r"\right|")
            return np.abs(value), True
        if token == r"\frac":
            return self.group() / self.group(), False
        if token == r"\sqrt":
            return np.sqrt(self.group()), True
        if token in FUNCTIONS:
            self.take(r"\left"), self.take("(")
            given = [self.comparison()]
            while self.next == ",":
                self.take()
                given.append(self.comparison())
            self.take(r"\right"), self.take(")")
            return FUNCTIONS[token](*given), False
        return (self.values[token] if token in self.values else float(token)), True


SIZE = 4
W = np.linspace(-0.4, 0.6, SIZE * SIZE).reshape(SIZE, SIZE)


def _expression(rng: random.Random, depth: int, x: Any, h: Any) -> Any:
    """Return a random expression of x, h and numbers; it stays finite."""
    if depth == 0:
        return rng.choice([x, h, x, h, 0.5, 2.0, -1.5])
    made = [_expression(rng, depth - 1, x, h) for _ in range(3)]
    a, b, c = (one if isinstance(one, engine.Tensor) else x * one for one in made)
    return rng.choice([
        lambda: a + made[1], lambda: made[0] - b, lambda: a * made[1], lambda: made[0] * b,
        lambda: a / (engine.abs(b) + 1), lambda: -a, lambda: a**2, lambda: engine.square(a),
        lambda: (engine.abs(a) + 0.1) ** engine.tanh(b), lambda: engine.tanh(a),
        lambda: engine.sigmoid(a), lambda: engine.sqrt(engine.abs(a)), lambda: engine.sin(a),
        lambda: engine.where(a < b, c, a), lambda: engine.maximum(a, b), lambda: a - (b - c),
        lambda: a + (-b), lambda: a - (-b), lambda: (-a) * (-b), lambda: 1 / (engine.exp(-a) + 1),
    ])()  # fmt: skip


@pytest.mark.parametrize("seed", first(50, range(150)))
def test_random_expressions_print_what_they_compute(seed):
    class Random(rnn.Cell):
        input_size, state_size = SIZE, {"h": SIZE}

        def step(self, x, h):
            h = engine.tanh(_expression(random.Random(seed), 4, x, h) * 1.0)
            return h, h

    xs, hs = np.random.default_rng(seed).normal(size=(2, 3, SIZE))
    with np.errstate(all="ignore"):
        want = Random()(engine.asarray(xs), engine.asarray(hs))[0].numpy()
        values = {"x_t": xs, "h_{t-1}": hs}
        for one in rnn.latex(Random()).replace(r" \\", "").splitlines()[1:-1]:
            name, _, text = one.partition(" &= ")
            values[name] = Reader(text, values).read()
    np.testing.assert_allclose(values["h_t"], want, rtol=1e-5, atol=1e-6)


def line(step: Callable[..., Any]) -> str:
    """Return the right side of the equation that a step is."""

    class Own(rnn.Cell):
        input_size, state_size = SIZE, {"h": SIZE}

        def __init__(self) -> None:
            self.W = engine.asarray(W, requires_grad=True)
            self.V = engine.asarray(W, requires_grad=True)

        def step(self, x, h):
            h = step(self, x, h)
            return h, h

    return rnn.latex(Own()).splitlines()[-2].partition("&= ")[2]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (lambda c, x, h: (h * x) ** 2, r"\left(h_{t-1} \odot x_t\right)^{2}"),
        (lambda c, x, h: h**2, r"h_{t-1}^{2}"),
        (lambda c, x, h: (h**2) ** x, r"\left(h_{t-1}^{2}\right)^{x_t}"),
        (lambda c, x, h: h ** (x + 1), r"h_{t-1}^{x_t + 1}"),
        (lambda c, x, h: engine.tanh(h) ** 2, r"\left(\tanh\left(h_{t-1}\right)\right)^{2}"),
        (lambda c, x, h: (h / x) ** 2, r"\left(\frac{h_{t-1}}{x_t}\right)^{2}"),
        (lambda c, x, h: -(h + x), r"-\left(h_{t-1} + x_t\right)"),
        (lambda c, x, h: x - (h - x), r"x_t - \left(h_{t-1} - x_t\right)"),
        (lambda c, x, h: x + -h, r"x_t + \left(-h_{t-1}\right)"),
        (lambda c, x, h: x * -h, r"x_t \odot \left(-h_{t-1}\right)"),
        (lambda c, x, h: h * (x + h), r"h_{t-1} \odot \left(x_t + h_{t-1}\right)"),
        (lambda c, x, h: engine.linear(x * h, c.W), r"W \left(x_t \odot h_{t-1}\right)"),
        (lambda c, x, h: engine.linear(x, c.W) * h, r"W x_t \odot h_{t-1}"),
        (lambda c, x, h: engine.linear(x, c.W * c.V), r"\left(W \odot V\right) x_t"),
        (lambda c, x, h: engine.linear(x, c.W + c.V), r"\left(W + V\right) x_t"),
        (lambda c, x, h: engine.linear(engine.linear(x, c.W), c.V), r"V W x_t"),
        (lambda c, x, h: engine.linear(x @ c.W, c.V), r"V \left(x_t W\right)"),
        (lambda c, x, h: x @ c.W.mT, r"x_t W^{\top}"),
        (lambda c, x, h: x @ (c.W + c.V).mT, r"x_t \left(W + V\right)^{\top}"),
        (lambda c, x, h: engine.where(x < h, x, h),
         r"\mathrm{where}\left(x_t < h_{t-1}, x_t, h_{t-1}\right)"),
        (lambda c, x, h: x * 0.12345678, r"x_t \odot 0.12345678"),
        (lambda c, x, h: x * 1e-7, r"x_t \odot 1 \cdot 10^{-7}"),
        (lambda c, x, h: x * -2.0, r"x_t \odot \left(-2\right)"),
        (lambda c, x, h: x - engine.sum(h, axis=0, keepdims=True),
         r"x_t - \mathrm{sum}_{\mathrm{axis}=0}\left(h_{t-1}\right)"),
    ],
)  # fmt: skip
def test_brackets(step, text):
    assert line(step) == text


def cell(step: Callable[..., Any], states: tuple[str, ...] = ("h",)) -> str:
    """Return the lines of a cell without parameters."""

    class Own(rnn.Cell):
        input_size, state_size = SIZE, dict.fromkeys(states, SIZE)

    own = Own()
    own.step = step  # type: ignore[method-assign]
    return rnn.latex(own).replace(" \\\\", "").splitlines()[1:-1]


def test_each_side_of_a_tuple_assignment_is_a_line():
    def step(x, h):
        u, dt = engine.tanh(x), engine.exp(h)
        h_new = u * dt
        return h_new, h_new

    assert cell(step) == [
        r"u_t &= \tanh\left(x_t\right)", r"dt_t &= \exp\left(h_{t-1}\right)",
        r"h_t &= u_t \odot dt_t",
    ]  # fmt: skip


def test_a_variable_that_is_used_and_assigned_again_has_the_name_once():
    def step(x, h):
        u = x * 2
        v = engine.tanh(u)
        u = v + h
        return u, u * v

    assert cell(step) == [
        r"v_t &= \tanh\left(x_t \odot 2\right)", r"u_t &= v_t + h_{t-1}", r"h_t &= u_t \odot v_t",
    ]  # fmt: skip


def test_a_loop_inside_of_a_step_is_a_line_a_turn():
    lines = rnn.latex(rnn.LTCCell(3, 4, unfolds=2)).splitlines()
    assert [one.partition(" &=")[0] for one in lines[1:-1]] == [
        "a_t", "w_t", "h_t^{(1)}", "f_t", "h_t",
    ]  # fmt: skip
    assert r"\frac{h_t^{(1)} + 0.5 \odot f_t \odot A}" in lines[-2]
    sizes = [len(rnn.latex(rnn.LTCCell(3, 4, unfolds=n))) for n in (8, 16)]
    assert sizes[1] < 2.2 * sizes[0]


def test_outputs_and_states_without_a_variable_have_a_line():
    def step(x, state):
        h, c = state
        h = engine.tanh(x + h)
        return h * 2, (h, c)

    assert cell(step, ("h", "c")) == [
        r"h_t &= \tanh\left(x_t + h_{t-1}\right)", r"c_t &= c_{t-1}", r"y_t &= h_t \odot 2",
    ]  # fmt: skip


def test_parts_of_other_widths_and_in_another_order():
    def unequal(x, h):
        a, b = engine.split(x, [1], axis=-1)
        h = a * h + engine.sum(b, axis=-1, keepdims=True)
        return h, h

    def turned(x, h):
        a, b = reversed(engine.split(x, 2, axis=-1))
        h = engine.concat([a, b], axis=-1) + h
        return h, h

    assert cell(unequal) == [
        r"\left[a_t, b_t\right] &= x_t",
        r"h_t &= a_t \odot h_{t-1} + \mathrm{sum}\left(b_t\right)",
    ]
    assert cell(turned) == [
        r"h_t &= \mathrm{concat}\left({x_t}_{2:4}, {x_t}_{0:2}\right) + h_{t-1}"
    ]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (lambda c, x, h: engine.layer_norm(x * h), r"\mathrm{LN}\left(x_t \odot h_{t-1}\right)"),
        (lambda c, x, h: engine.layer_norm(x, c.W[0], c.V[0], eps=1e-3),
         r"\mathrm{LN}\left(x_t\right) \odot {W}_{0} + {V}_{0}"),
        (lambda c, x, h: engine.gelu(x) + h, r"\mathrm{GELU}\left(x_t\right) + h_{t-1}"),
        (lambda c, x, h: engine.silu(x - h), r"\mathrm{SiLU}\left(x_t - h_{t-1}\right)"),
        (lambda c, x, h: engine.elu(x), r"\mathrm{ELU}\left(x_t\right)"),
        (lambda c, x, h: engine.leaky_relu(x), r"\mathrm{LeakyReLU}\left(x_t\right)"),
    ],
)  # fmt: skip
def test_functions_of_several_ops_are_calls(step, text):
    assert line(step) == text


def test_a_norm_that_a_step_writes_out_keeps_its_lines():
    def step(x, h):
        d = x - engine.mean(x, axis=-1, keepdims=True)
        h = d / engine.sqrt(engine.mean(d * d, axis=-1, keepdims=True) + 1e-5)
        return h, h

    lines = cell(step)
    assert [one.partition(" &=")[0] for one in lines] == ["d_t", "h_t"]
    assert not any("LN" in one for one in lines)


def test_a_printed_layer_norm_computes_what_the_step_does():
    class Own(rnn.Cell):
        input_size, state_size = SIZE, {"h": SIZE}

        def step(self, x, h):
            h = engine.tanh(engine.layer_norm(x + h) * x)
            return h, h

    xs, hs = np.random.default_rng(0).normal(size=(2, 3, SIZE))
    text = rnn.latex(Own()).splitlines()[1].partition("&= ")[2]
    got = Reader(text, {"x_t": xs, "h_{t-1}": hs}).read()
    want = Own()(engine.asarray(xs), engine.asarray(hs))[0].numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


KINDS = ("ElmanCell", "LSTMCell", "GRUCell", "PeepholeLSTMCell", "LayerNormLSTMCell",
         "MinimalGatedCell", "IndRNNCell", "ALIFCell", "CfCCell", "DeltaNetCell", "EchoStateCell",
         "LIFCell", "LMUCell", "LTCCell", "LinearAttentionCell", "MLSTMCell")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_recorded_with_numbers_has_the_same_equations(kind):
    own = getattr(rnn, kind)(3, 4)
    lines = own.recorded_step().equations
    assert aligned([unmarked(one) for one in lines]) == rnn.latex(own)
    assert all(one.count(BEGIN) == one.count(END) > 0 for one in lines if "left[" not in one)


def test_a_recorded_step_leaves_the_randomness_as_it_was():
    own = rnn.RecurrentDropout(rnn.GRUCell(3, 4), 0.5).train()
    before = random_state()
    first, second = own.recorded_step(), own.recorded_step()
    assert random_state() == before
    for one, other in zip(first.results.values(), second.results.values(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    x = first.inputs["x_t"].numpy()
    assert 0 < abs(x).max() < 3
    engine.seed(5)
    np.testing.assert_array_equal(own.recorded_step().inputs["x_t"].numpy(), x)


@pytest.mark.parametrize(
    ("wrong", "got"), [(rnn.LSTM(2, 3), "LSTM"), (rnn.GRUCell, "the class GRUCell")]
)
def test_what_is_no_cell_is_refused_by_name(wrong, got):
    with pytest.raises(TypeError, match=rf"latex: expected a cell, such as .*, got {got}$"):
        rnn.latex(wrong)


@pytest.mark.parametrize(
    ("x", "equation", "sign"),
    [
        (0.9, "0.9", "×0.9"), (1.7159, "1.7159", "×≈1.7"), (2 / 3, r"\frac{2}{3}", "×2/3"),
        (-1 / 3, r"\left(-\frac{1}{3}\right)", "×−1/3"),
        (1 / 3 + 1e-15, "0.3333333333333343", "×≈0.33"),
        (12345678.0, "12345678", "×≈1.2×10⁷"), (1 / 65, "0.015384615384615385", "×≈0.015"),
    ],
)  # fmt: skip
def test_a_number_is_exact_or_says_that_it_is_not(x, equation, sign):
    class Scaled(rnn.Cell):
        def __init__(self):
            super().__init__()
            self.input_size, self.state_size = 3, {"h": 3}

        def step(self, x_t, h):
            h = h * x + x_t
            return h, h

    assert rf"h_{{t-1}} \odot {equation} + x_t" in rnn.latex(Scaled())
    drawn = viz.draw_cell(Scaled())
    assert any(box.lines[0] == sign for box in drawn.scene.boxes)
