"""Write the equations of the cells of matrix memories, continuous time, spikes and reservoirs in
NumPy, as their papers have them: one row and one head at a time, matrices on vectors that are
columns.

Below the tests; nothing of `rnn` is used but the classes themselves.
"""

import math
from itertools import product
from typing import Any

import numpy as np

import engine
import rnn

I, H = 3, 4
K, V = 2, 3


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def soft(x: Any) -> Any:
    return np.log1p(np.exp(x))


def silu(x: Any) -> Any:
    return x * sigma(x)


def of_head(p: Any, name: str, n: int, width: int) -> Any:
    """Return the rows of a weight that belong to head n."""
    return p[name][n * width : (n + 1) * width]


def by_heads(one: Any, heads: int, sizes: Any) -> Any:
    """Return a step of all rows and heads, given that of one: ``one(p, n, x, *states)``.

    Matrices of states are transposed: here they are (V, K), as in the papers.
    """

    def step(p: Any, x: Any, *states: Any) -> Any:
        B = len(x)
        given = [s.reshape(B, heads, *size) for s, size in zip(states, sizes, strict=True)]
        ys = np.zeros((B, heads, V))
        new = [np.zeros_like(s) for s in given]
        for b, n in product(range(B), range(heads)):
            y, *found = one(p, n, x[b], *(s[b, n].T for s in given))
            ys[b, n] = y
            for s, own in zip(new, found, strict=True):
                s[b, n] = np.transpose(own)
        return ys.reshape(B, -1), tuple(
            s.reshape(t.shape) for s, t in zip(new, states, strict=True)
        )

    return step


def attention(decay: Any = None, *, heads: int = 1, phi: Any = None, normalise: bool = False,
              tied: bool = False, temperature: float = 16.0) -> Any:  # fmt: skip
    phi = phi or (lambda x: x)

    def one(p: Any, n: int, x: Any, S: Any, z: Any = 0.0) -> Any:
        q = phi(of_head(p, "weight_q", n, K) @ x)
        v = of_head(p, "weight_v", n, V) @ x
        a, k = 1.0, None
        if decay == "fixed":
            a = 1 - 2.0 ** -(5 + n)
        if decay == "scalar":
            dt = soft(p["weight_dt"][n] @ x + p["bias_dt"][n])
            a = math.exp(-dt * math.exp(p["A_log"][n]))
        if decay == "key":
            u = of_head(p, "weight_a", n, K) @ x + p["bias_a"][n * K : (n + 1) * K]
            a = sigma(u) ** (1 / temperature)
        k = 1 - a if tied else phi(of_head(p, "weight_k", n, K) @ x)
        if decay == "scalar":
            k = dt * k
        S = S @ np.diag(np.ones(K) * a) + np.outer(v, k)
        if not normalise:
            return S @ q / math.sqrt(K), S
        z = a * z + k
        return S @ q / (z @ q + 1e-6), S, z

    return by_heads(one, heads, [(K, V), (K,)] if normalise else [(K, V)])


def delta(*, heads: int = 1, gated: bool = False, reach: float = 1.0, phi: Any = silu) -> Any:
    def one(p: Any, n: int, x: Any, S: Any) -> Any:
        q, k = (phi(of_head(p, f"weight_{name}", n, K) @ x) for name in "qk")
        q, k = q / np.linalg.norm(q), k / np.linalg.norm(k)
        v = of_head(p, "weight_v", n, V) @ x
        b = reach * sigma(p["weight_b"][n] @ x)
        a = 1.0
        if gated:
            dt = soft(p["weight_a"][n] @ x + p["bias_a"][n])
            a = math.exp(-math.exp(p["A_log"][n]) * dt)
        S = S @ (a * (np.eye(K) - b * np.outer(k, k))) + b * np.outer(v, k)
        return S @ q, S

    return by_heads(one, heads, [(K, V)])


def mlstm(*, heads: int = 1, forget: str = "sigmoid") -> Any:
    """Compute Eq. 19 to 27 without a stabiliser, of C e^m and n e^m."""

    def one(p: Any, n: int, x: Any, C: Any, N: Any, m: Any) -> Any:
        q = of_head(p, "weight_q", n, K) @ x + p["bias_q"][n * K : (n + 1) * K]
        k = (of_head(p, "weight_k", n, K) @ x + p["bias_k"][n * K : (n + 1) * K]) / math.sqrt(K)
        v = of_head(p, "weight_v", n, V) @ x + p["bias_v"][n * V : (n + 1) * V]
        o = sigma(of_head(p, "weight_o", n, V) @ x + p["bias_o"][n * V : (n + 1) * V])
        i = math.exp(p["weight_i"][n] @ x + p["bias_i"][n])
        u = p["weight_f"][n] @ x + p["bias_f"][n]
        f = sigma(u) if forget == "sigmoid" else math.exp(u)
        scale = np.exp(m)
        C, N = f * (C * scale) + i * np.outer(v, k), f * (N * scale) + i * k
        y = o * (C @ q) / max(abs(N @ q), 1.0)
        m = np.maximum(math.log(f) + m, math.log(i))
        return y, C / np.exp(m), N / np.exp(m), m

    return by_heads(one, heads, [(K, V), (K,), (1,)])


def liquid(unfolds: int, dt: float = 1.0) -> Any:
    def step(p: Any, x: Any, h: Any) -> Any:
        for _ in range(unfolds):
            f = sigma(x @ p["weight_ih"].T + p["bias"] + h @ p["weight_hh"].T)
            rate = 1 / np.exp(p["log_tau"]) + f
            h = (h + dt / unfolds * f * p["A"]) / (1 + dt / unfolds * rate)
        return h, (h,)

    return step


def closed_form(p: Any, x: Any, h: Any) -> Any:
    both = np.concatenate([p["weight_ih"], p["weight_hh"]], axis=1)
    z = 1.7159 * np.tanh(2 / 3 * (np.concatenate([x, h], axis=1) @ both.T + p["bias"]))
    f, g, k = (z @ p[f"weight_{name}"].T + p[f"bias_{name}"] for name in "fgk")
    h = sigma(-f * 0.5) * np.tanh(g) + (1 - sigma(-f * 0.5)) * np.tanh(k)
    return h, (h,)


def exponential(A: Any) -> Any:
    """Compute e^A by its series, of a small A."""
    total, term = np.eye(len(A)), np.eye(len(A))
    for n in range(1, 80):
        term = term @ A / n
        total = total + term
    return total


def legendre(order: int, theta: float) -> Any:
    """Compute Eq. 2 and 3, and the zero-order hold with the inverse of A."""
    A, b = np.zeros((order, order)), np.zeros(order)
    for i, j in product(range(order), repeat=2):
        A[i, j] = (2 * i + 1) / theta * (-1 if i < j else (-1) ** (i - j + 1))
    for i in range(order):
        b[i] = (2 * i + 1) / theta * (-1) ** i
    held = exponential(A)
    into = np.linalg.inv(A) @ (held - np.eye(order)) @ b

    def step(p: Any, x: Any, h: Any, m: Any) -> Any:
        u = x @ p["e_x"][0] + h @ p["e_h"][0] + m @ p["e_m"][0]
        m = m @ held.T + np.outer(u, into)
        h = np.tanh(x @ p["W_x"].T + h @ p["W_h"].T + m @ p["W_m"].T)
        return h, (h, m)

    return step


def fires(*, tau: float = 20.0, threshold: float = 1.0, reset: str = "subtract",
          adapts: bool = False) -> Any:  # fmt: skip
    alpha, rho, beta = math.exp(-1 / tau), math.exp(-1 / 200), 0.2

    def step(p: Any, x: Any, v: Any, z: Any, b: Any = None) -> Any:
        v = alpha * (v * (1 - z) if reset == "zero" else v) + x @ p["weight_ih"].T
        v = v + (z @ p["weight_hh"].T if "weight_hh" in p else 0)
        v = v - threshold * z if reset == "subtract" else v
        b = rho * b + z if adapts else None
        z = (v >= threshold + (beta * b if adapts else 0)).astype(float)
        return z, (v, z, b) if adapts else (v, z)

    return step


def echo(p: Any, x: Any, h: Any) -> Any:
    n = np.tanh(x @ p["weight_ih"].T + p["bias"] + h @ p["weight_hh"].T)
    h = 0.7 * h + 0.3 * n
    return h, (h,)


def elu_plus(x: Any) -> Any:
    return np.where(x > 0, x + 1, np.exp(x))


D: dict[str, Any] = {"dtype": "float64"}


def cell(name: str, *sizes: int, **options: Any) -> Any:
    """Return a function that makes a cell of the standard sizes."""
    return lambda: getattr(rnn, f"{name}Cell")(I, *(sizes or (H,)), **options, **D)


LINEAR = "LinearAttention"
CELLS: dict[str, Any] = {
    "attention": (cell(LINEAR, K, V), attention()),
    "linear transformer": (
        cell(LINEAR, K, V, feature="elu+1", normalise=True, heads=2),
        attention(heads=2, phi=elu_plus, normalise=True),
    ),
    "retention": (cell(LINEAR, K, V, decay="fixed", heads=2), attention("fixed", heads=2)),
    "one retention": (cell(LINEAR, K, V, decay="fixed"), attention("fixed")),
    "mamba 2": (cell(LINEAR, K, V, decay="scalar", heads=2), attention("scalar", heads=2)),
    "gated attention": (cell(LINEAR, K, V, decay="key", heads=2), attention("key", heads=2)),
    "hgrn 2": (
        cell(LINEAR, K, V, decay="key", tied=True, temperature=1.0),
        attention("key", tied=True, temperature=1.0),
    ),
    "decayed transformer": (
        cell(LINEAR, K, V, decay="key", feature="elu+1", normalise=True),
        attention("key", phi=elu_plus, normalise=True),
    ),
    "delta": (cell("DeltaNet", K, V), delta()),
    "delta of heads": (cell("DeltaNet", K, V, heads=2, negative=True), delta(heads=2, reach=2.0)),
    "gated delta": (cell("DeltaNet", K, V, gated=True, heads=2), delta(gated=True, heads=2)),
    "plain gated delta": (
        cell("DeltaNet", K, V, gated=True, feature=None),
        delta(gated=True, phi=lambda x: x),
    ),
    "mlstm": (cell("MLSTM", K, V), mlstm()),
    "mlstm of heads": (cell("MLSTM", K, V, heads=2, forget="exp"), mlstm(heads=2, forget="exp")),
    "liquid": (cell("LTC", unfolds=3), liquid(3)),
    "slow liquid": (cell("LTC", unfolds=1, dt=2.5), liquid(1, 2.5)),
    "closed form": (cell("CfC", backbone_size=5, dt=0.5), closed_form),
    "legendre": (cell("LMU", order=5, theta=6.0), legendre(5, 6.0)),
    "echo": (cell("EchoState", leak=0.3, bias_scale=0.2), echo),
}
SPIKING: dict[str, Any] = {
    "fires": (cell("LIF", tau=5.0, threshold=0.5), fires(tau=5.0, threshold=0.5)),
    "starts over": (
        cell("LIF", reset="zero", recurrent=False, surrogate="arctan"),
        fires(reset="zero"),
    ),
    "adapts": (cell("ALIF", threshold=0.3), fires(threshold=0.3, adapts=True)),
}

# One of each kind: a memory, with a rule, with a scale beside it, time, a window, neurons, a fixed
# layer.
KINDS = ["attention", "gated delta", "mlstm", "liquid", "closed form", "legendre", "adapts",
         "fires", "echo"]  # fmt: skip


def made(name: str) -> Any:
    """Return the cell of that name with the same weights at each call."""
    engine.seed(7)
    return (CELLS | SPIKING)[name][0]()
