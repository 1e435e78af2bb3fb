"""Build small networks of which the story is known, for the tests of `viz.draw_story`."""

import numpy as np

import engine
import rnn
from engine import Tensor

CELLS = {"elman": rnn.ElmanCell, "gru": rnn.GRUCell, "lstm": rnn.LSTMCell}


def inputs(steps: int, batch: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, batch, 4))


def cell(kind: str = "elman", hidden: int = 6) -> rnn.Cell:
    engine.seed(3)
    return CELLS[kind](4, hidden, dtype="float64")


def weighed(h: Tensor, seed: int = 1) -> Tensor:
    """Return a loss that takes all units of a state with different weights."""
    return engine.sum(h * engine.asarray(np.random.default_rng(seed).normal(size=h.shape)))


def last_loss(kind: str = "elman", steps: int = 8, batch: int = 1) -> Tensor:
    """Return a loss read off the last output of a fused layer."""
    y, _ = rnn.Recurrent(cell(kind))(engine.asarray(inputs(steps, batch)))
    return weighed(y[-1])


def every_loss(kind: str = "elman", steps: int = 8, batch: int = 1) -> Tensor:
    """Return the sum of a loss at every step."""
    y, _ = rnn.Recurrent(cell(kind))(engine.asarray(inputs(steps, batch)))
    return engine.sum(y**2)


def turning(radius: float, steps: int = 8, hidden: int = 6, *, dtype: str = "float64") -> Tensor:
    """Return a network that scales the gradient by `radius` a step, and a gradient of norm 1.

    Its inputs are next to zero, so that the slope of tanh is 1; its matrix turns and stretches.
    """
    net = rnn.ElmanCell(4, hidden, bias=False, dtype=dtype)
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(hidden, hidden)))[0]
    net.weight_hh.data = (radius * q).astype(dtype)
    y, _ = rnn.Recurrent(net)(engine.asarray((inputs(steps) * 1e-30).astype(dtype)))
    return y[-1][0, 0]


def stacked(layers: int = 2, *, bidirectional: bool = False, steps: int = 8) -> Tensor:
    engine.seed(5)
    net = rnn.LSTM(4, 6, layers, bidirectional=bidirectional, dtype="float64")
    y, _ = net(engine.asarray(inputs(steps)))
    return engine.sum(y**2) if bidirectional else weighed(y[-1])


def spelled(word: str, kind: str = "elman") -> Tensor:
    """Return the last loss of a model of the letters of a word, named as in the examples."""
    net = cell(kind)
    head = rnn.Linear(6, 2, dtype="float64")
    state = net.zero_state(1, like=head.weight)
    for t, letter in enumerate(word):
        with engine.scope(t=t):
            x = engine.asarray(inputs(1, 1, ord(letter))[0], name=f"x = {letter!r}")
            h, state = net(x, state)
            with engine.scope("loss"):
                loss = engine.cross_entropy(head(h), engine.asarray([t % 2], name=f"y = {t % 2}"))
    return loss


def dead(steps: int = 8, at: int = 3) -> Tensor:
    """Return a network of rectified units that are all off after one step: no gradient passes."""
    net = rnn.ElmanCell(4, 6, nonlinearity="relu", dtype="float64")
    net.weight_ih.data = np.abs(np.random.default_rng(0).normal(size=(6, 4)))
    x = np.abs(inputs(steps)) + 1.0
    x[at] = -100.0
    y, _ = rnn.Recurrent(net)(engine.asarray(x))
    return engine.sum(y[-1])


def broken(steps: int = 8, at: int = 3) -> Tensor:
    """Return a loss with a NaN in its gradient from a step on back: a root of zero, times zero."""
    net, x = cell(), inputs(steps)
    h = engine.zeros((1, 6), dtype="float64")
    for t in range(steps):
        with engine.scope(t=t):
            h, _ = net(engine.asarray(x[t]), h)
            if t == at:
                h = h + engine.sqrt(h * 0.0) * 0.0
    return engine.sum(h)


def padded() -> Tensor:
    """Return a row of five steps in a sequence of eight."""
    net = rnn.Recurrent(cell("gru"))
    return engine.sum(net(engine.asarray(inputs(8)), lengths=[5])[0] ** 2)


def translated() -> Tensor:
    """Return the loss of an encoder of five steps that hands its state to a decoder of four."""
    read, write, x = cell("lstm"), cell("lstm"), inputs(9)
    state = read.zero_state(1, like=read.weight_hh)
    for block, net, first, last in (("encoder", read, 0, 5), ("decoder", write, 5, 9)):
        with engine.scope(block, block=block):
            for t in range(first, last):
                with engine.scope(t=t - first):
                    h, state = net(engine.asarray(x[t]), state)
    return weighed(h)


PICTURES = {
    "elman": last_loss,
    "lstm": lambda: last_loss("lstm"),
    "all losses": every_loss,
    "batch": lambda: last_loss("gru", 6, 3),
    "letters": lambda: spelled("gradient"),
    "T = 1": lambda: last_loss(steps=1),
    "T = 2": lambda: last_loss(steps=2),
    "T = 16": lambda: last_loss("gru", 16),
    "T = 30": lambda: spelled("a gradient that travels back ", "lstm"),
    "T = 200": lambda: last_loss(steps=200),
    "all of 200": lambda: every_loss("gru", 200),
    "one unit": lambda: turning(0.01, 8, 1),
    "layers": stacked,
    "three layers": lambda: stacked(3),
    "directions": lambda: stacked(1, bidirectional=True),
    "layers and directions": lambda: stacked(2, bidirectional=True),
    "dead": dead,
    "broken": broken,
    "padded": padded,
    "encoder and decoder": translated,
    "weights": lambda: {f"weights × {r:g}": turning(r) for r in (0.3, 1, 3)},
    "two networks": lambda: {"Elman": last_loss(), "LSTM": last_loss("lstm")},
    "two long ones": lambda: {"a network of a long name": last_loss(steps=90),
                              "another": last_loss("lstm", 60)},
    "no gradient": lambda: last_loss() * 0.0,
}  # fmt: skip
