"""Write the cells of the benchmark as equations, once against a namespace of functions.

Ours, torch's and jax's versions are the same lines; `ops` brings the functions. Sizes: B batch,
I input, H hidden, and P the width to which the LSTM with projection brings its h.
"""

from typing import Any

import engine
import rnn

GATES = {"lstm": 4, "gru": 3, "rnn": 1, "projection": 4, "peephole": 4, "layernorm": 4,
         "invented": 2, "update_gate": 2, "reset_before": 3, "highway": 2}  # fmt: skip
# As results are summed up. Levels are products that wait for each other within one step.
GROUPS = {
    "built-in": ("lstm", "gru", "rnn"),
    "built-in, with projection": ("projection",),
    "user-written, one level": ("peephole", "layernorm", "invented", "update_gate"),
    "user-written, two levels": ("reset_before", "highway"),
}


def sizes(cell: str, I: int, H: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of a cell by name."""
    n = GATES[cell]
    found: dict[str, tuple[int, ...]] = {"W": (n * H, I), "U": (n * H, width(cell, H))}
    found |= {"b": (n * H,)}
    if cell in BUILT:
        found |= {"d": (n * H,)}
    if cell == "projection":
        found |= {"R": (width(cell, H), H)}
    elif cell == "peephole":
        found |= {"p": (3, H)}
    elif cell == "layernorm":
        found |= {"gain": (n * H,)}
    elif cell == "highway":
        found |= {"V": (n * H, H), "e": (n * H,)}
    return found


def width(cell: str, H: int) -> int:
    """Return the size of h, which is that of the output."""
    return max(1, H // 2) if cell == "projection" else H


def states(cell: str) -> tuple[str, ...]:
    """Return the names of the initial states: h0 (B, P or H), c0 (B, H)."""
    return ("h0", "c0") if GATES[cell] == 4 else ("h0",)


def lstm_like(o: Any, a: Any, c: Any) -> tuple[Any, tuple[Any, Any]]:
    a_i, a_f, a_g, a_o = o.split(a, 4)
    c = o.sigmoid(a_f) * c + o.sigmoid(a_i) * o.tanh(a_g)
    h = o.sigmoid(a_o) * o.tanh(c)
    return h, (h, c)


def lstm(o: Any, w: Any, u: Any, h: Any, c: Any) -> tuple[Any, tuple[Any, Any]]:
    return lstm_like(o, u + o.linear(h, w["U"], w["d"]), c)


def projection(o: Any, w: Any, u: Any, h: Any, c: Any) -> tuple[Any, tuple[Any, Any]]:
    h, (_, c) = lstm(o, w, u, h, c)
    h = o.linear(h, w["R"])
    return h, (h, c)


def gru(o: Any, w: Any, u: Any, h: Any) -> tuple[Any, tuple[Any]]:
    u_r, u_z, u_n = o.split(u, 3)
    v_r, v_z, v_n = o.split(o.linear(h, w["U"], w["d"]), 3)
    r, z = o.sigmoid(u_r + v_r), o.sigmoid(u_z + v_z)
    n = o.tanh(u_n + r * v_n)
    h = (1 - z) * n + z * h
    return h, (h,)


def elman(o: Any, w: Any, u: Any, h: Any) -> tuple[Any, tuple[Any]]:
    h = o.tanh(u + o.linear(h, w["U"], w["d"]))
    return h, (h,)


def peephole(o: Any, w: Any, u: Any, h: Any, c: Any) -> tuple[Any, tuple[Any, Any]]:
    a_i, a_f, a_g, a_o = o.split(u + o.linear(h, w["U"]), 4)
    i = o.sigmoid(a_i + w["p"][0] * c)
    f = o.sigmoid(a_f + w["p"][1] * c)
    c = f * c + i * o.tanh(a_g)
    h = o.sigmoid(a_o + w["p"][2] * c) * o.tanh(c)
    return h, (h, c)


def layernorm(o: Any, w: Any, u: Any, h: Any, c: Any) -> tuple[Any, tuple[Any, Any]]:
    a = u + o.linear(h, w["U"])
    d = a - o.row_mean(a)
    return lstm_like(o, w["gain"] * d / o.sqrt(o.row_mean(d * d) + 1e-5), c)


def reset_before(o: Any, w: Any, u: Any, h: Any) -> tuple[Any, tuple[Any]]:
    H = h.shape[-1]
    gates = o.linear(h, w["U"][: 2 * H])
    r, z = o.sigmoid(u[..., :H] + gates[..., :H]), o.sigmoid(u[..., H : 2 * H] + gates[..., H:])
    n = o.tanh(u[..., 2 * H :] + o.linear(r * h, w["U"][2 * H :]))
    h = (1 - z) * n + z * h
    return h, (h,)


def invented(o: Any, w: Any, u: Any, h: Any) -> tuple[Any, tuple[Any]]:
    """Take a step of a leaky unit with a multiplicative gate and a soft sign."""
    a_s, a_m = o.split(u + o.linear(h, w["U"]), 2)
    s = a_s / (1 + o.absolute(a_s))
    m = o.sigmoid(a_m * h)
    h = 0.9 * m * h + (1 - 0.9 * m) * s
    return h, (h,)


def update_gate(o: Any, w: Any, u: Any, h: Any) -> tuple[Any, tuple[Any]]:
    """Take a step of the update gate RNN (Collins et al., 2017)."""
    a_c, a_g = o.split(u + o.linear(h, w["U"]), 2)
    c, g = o.tanh(a_c), o.sigmoid(a_g)
    h = g * h + (1 - g) * c
    return h, (h,)


def highway(o: Any, w: Any, u: Any, h: Any) -> tuple[Any, tuple[Any]]:
    """Take a step of a recurrent highway network of depth two (Zilly et al., 2017)."""
    a_s, a_t = o.split(u + o.linear(h, w["U"]), 2)
    t = o.sigmoid(a_t)
    h = t * o.tanh(a_s) + (1 - t) * h
    a_s, a_t = o.split(o.linear(h, w["V"], w["e"]), 2)
    t = o.sigmoid(a_t)
    h = t * o.tanh(a_s) + (1 - t) * h
    return h, (h,)


BUILT = {"lstm": lstm, "gru": gru, "rnn": elman, "projection": projection}
WRITTEN = {
    "peephole": peephole, "layernorm": layernorm, "invented": invented,
    "update_gate": update_gate, "reset_before": reset_before, "highway": highway,
}  # fmt: skip
STEPS: dict[str, Any] = {**BUILT, **WRITTEN}


class Ours:
    """Offer the functions that the equations ask for, by our engine."""

    tanh, sigmoid, sqrt = engine.tanh, engine.sigmoid, engine.sqrt
    linear, absolute = engine.linear, engine.abs

    @staticmethod
    def split(a: Any, n: int) -> Any:
        return engine.split(a, n, axis=-1)

    @staticmethod
    def row_mean(a: Any) -> Any:
        return engine.mean(a, axis=-1, keepdims=True)


class Written(rnn.Cell):
    """Hold a cell of the equations above, as a user would write it."""

    pure = True

    def __init__(self, name: str, w: dict[str, Any]) -> None:
        self.name = name
        for weight in sizes(name, 1, 1):
            setattr(self, weight, w[weight])
        self.input_size = w["x"].shape[-1]
        self.state_size = {state[0]: w[state].shape[-1] for state in states(name)}

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        w = {weight: getattr(self, weight) for weight in sizes(self.name, 1, 1)}
        parts = state if isinstance(state, tuple) else (state,)
        y, new = STEPS[self.name](Ours, w, engine.linear(x, w["W"], w["b"]), *parts)
        return y, new if len(new) > 1 else new[0]


def build(name: str, w: dict[str, Any]) -> rnn.Cell:
    """Return our cell with these weights: a built-in one where there is one."""
    if name not in BUILT:
        return Written(name, w)
    I, P = w["x"].shape[-1], w["h0"].shape[-1]
    if name == "projection":
        cell: Any = rnn.LSTMCell(I, w["c0"].shape[-1], proj_size=P)
        cell.weight_hr = w["R"]
    else:
        cell = {"lstm": rnn.LSTMCell, "gru": rnn.GRUCell, "rnn": rnn.ElmanCell}[name](I, P)
    cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh = w["W"], w["U"], w["b"], w["d"]
    return cell  # type: ignore[no-any-return]
