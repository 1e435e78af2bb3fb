"""Define cells of all kinds, for tests of their pictures. Above `rnn`."""

from copy import deepcopy
from functools import cache

import engine
import rnn
from docs.make_cells import public, small


class Leaky(rnn.Cell):
    """Step in one line, without weights."""

    input_size, state_size = 3, {"h": 3}

    def step(self, x, h):
        return (h := 0.9 * h + 0.1 * engine.tanh(x)), h


class TwoLevels(rnn.Cell):
    """Compute layers that read layers, and products of products."""

    input_size, state_size = 3, {"h": 4}

    def __init__(self):
        self.U, self.W, self.V = rnn.Linear(3, 4), rnn.Linear(4, 4), rnn.Linear(4, 4)

    def step(self, x, h):
        u = engine.tanh(self.U(x) + self.W(h))
        g = engine.sigmoid(self.V(u))
        h = g * h + (1 - g) * engine.tanh(self.V(g * u))
        return h, h


class Awkward(rnn.Cell):
    """Slice, select, carry three states of which one is read, and give an output of its own."""

    input_size, state_size = 6, {"m": 3, "s": 3, "n": 3}

    def __init__(self):
        self.W = rnn.parameter((3, 3))

    def step(self, x, state):
        m, s, n = state
        a, b = x[:, :3], x[:, 3:]
        p = engine.exp(a - n)
        m = engine.where(b > 0, m * p, s)
        s = engine.concat([m[:, :1], b[:, 1:]], axis=-1)
        y = engine.sum(m * s, axis=-1, keepdims=True) * (s @ self.W)
        return y, (m, s, n)


class Unused(rnn.Cell):
    """Carry a state that stays, one that starts over, and an input that nothing reads."""

    input_size, state_size = 3, {"h": 3, "k": 3}

    def step(self, x, state):
        h, _ = state
        return engine.tanh(h), (h, engine.zeros_like(h))


class Tokens(rnn.Cell):
    """Read an input of integers."""

    input_size, state_size = None, {"h": 4}

    def __init__(self):
        self.E, self.W = rnn.parameter((7, 4)), rnn.parameter((4, 4))

    def step(self, x, h):
        h = engine.tanh(engine.take(self.E, x, axis=0) + h @ self.W)
        return h, h


class FastWeights(rnn.Cell):
    """Take two inputs by name, a matrix as a state, and a state of one number a row."""

    input_size, state_size = {"k": 3, "v": 2}, {"S": (3, 2), "n": None}

    def step(self, x, state):
        S, n = state
        S = S + x["k"][:, :, None] * x["v"][:, None, :]
        n = n + engine.sum(x["k"], axis=-1)
        y = engine.squeeze(x["k"][:, None, :] @ S, axis=1) / engine.maximum(n, 1.0)[:, None]
        return y, (S, n)


BUILT_IN = ("LSTMCell", "GRUCell", "ElmanCell", "PeepholeLSTMCell", "LayerNormLSTMCell",
            "CoupledLSTMCell", "ResetBeforeGRUCell", "OneGateGRUCell", "MinimalGatedCell",
            "IndRNNCell", "CfCCell", "DeltaNetCell", "EchoStateCell", "LMUCell",
            "LinearAttentionCell", "MLSTMCell")  # fmt: skip
LINEAR = ("LRUCell", "MambaCell", "MinGRUCell", "MinLSTMCell", "QRNNCell", "RGLRUCell", "RWKV4Cell",
          "S4DCell", "SLSTMCell", "SRUCell")  # fmt: skip
OWN = (Leaky, TwoLevels, Awkward, Unused, Tokens, FastWeights)


@cache
def _cells():
    """Return every cell by name, with the same weights at each call."""
    engine.seed(0)
    found = {name: getattr(rnn, name)(3, 5) for name in BUILT_IN}
    found |= {name: getattr(rnn, name)(3, 5, 2)
              for name in ("JordanCell", "ElmanJordanCell", "TextbookCell")}  # fmt: skip
    found |= {kind.__name__: kind() for kind in OWN}
    found["ALIFCell"], found["LIFCell"] = rnn.ALIFCell(3, 5), rnn.LIFCell(3, 5)
    found["LTCCell"] = rnn.LTCCell(3, 5, unfolds=2)
    found["Zoneout"] = rnn.Zoneout(rnn.LSTMCell(3, 4), 0.2)
    found["Projected"] = rnn.LSTMCell(3, 5, proj_size=2)
    found |= {name: getattr(rnn, name)(3, 4) for name in LINEAR}
    return found | {kind.__name__: small(kind) for kind in public() if kind.__name__ not in found}


def names():
    """Return the names of all cells."""
    return list(_cells())


def cell_of(name):
    """Return a cell by name, new and with the same weights at each call."""
    return deepcopy(_cells()[name])
