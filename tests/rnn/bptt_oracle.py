"""Propagate back through time by hand, in NumPy, from the textbook equations: the tests' oracle.

Each function takes x (T, B, I), the initial state (B, H) or a pair of them, the parameters in
PyTorch's names and layouts, and the loss's gradients by the outputs, dy (T, B, H), and by the final
state. It returns the outputs, the final state, and the gradients of everything it was given.
Nothing here knows the engine.
"""

from typing import Any

import numpy as np

Array = np.ndarray
Result = tuple[Array, Any, dict[str, Any]]


def logistic(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def elman(x: Array, h0: Array, p: dict[str, Array], dy: Array, dh: Array, g: str) -> Result:
    """Compute h_t = g(W x_t + b + U h_{t-1} + c). Source: Elman, 1990; Werbos, 1990, for BPTT."""
    W, U = p["weight_ih"], p["weight_hh"]
    bias = p.get("bias_ih", 0) + p.get("bias_hh", 0)
    h, hs, slopes = h0, [h0], []
    for x_t in x:
        a = x_t @ W.T + h @ U.T + bias
        h = np.tanh(a) if g == "tanh" else np.maximum(a, 0)
        slopes.append(1 - h * h if g == "tanh" else (a > 0) * 1.0)
        hs.append(h)
    grads, dx = zeros(p), np.zeros_like(x)
    for t in reversed(range(len(x))):
        da = (dh + dy[t]) * slopes[t]
        accumulate(grads, da, da, x[t], hs[t])
        dx[t], dh = da @ W, da @ U
    return np.array(hs[1:]), h, {**grads, "x": dx, "h": dh}


def lstm(
    x: Array,
    state: tuple[Array, Array],
    p: dict[str, Array],
    dy: Array,
    dfinal: tuple[Array, Array],
) -> Result:
    """Compute c_t = f c_{t-1} + i g, h_t = o tanh c_t. Source: Hochreiter and Schmidhuber, 1997;
    Graves, 2012, for the gradients."""
    W, U = p["weight_ih"], p["weight_hh"]
    bias = p.get("bias_ih", 0) + p.get("bias_hh", 0)
    (h, c), tape = state, []
    for x_t in x:
        a = np.split(x_t @ W.T + h @ U.T + bias, 4, axis=1)
        i, f, g, o = logistic(a[0]), logistic(a[1]), np.tanh(a[2]), logistic(a[3])
        before = h, c
        c = f * c + i * g
        h = o * np.tanh(c)
        tape.append((*before, i, f, g, o, c, h))
    grads, dx, (dh, dc) = zeros(p), np.zeros_like(x), dfinal
    for t in reversed(range(len(x))):
        h_old, c_old, i, f, g, o, c_t, _ = tape[t]
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - np.tanh(c_t) ** 2)
        d_i, d_f, d_g, d_o = dc * g, dc * c_old, dc * i, dh * np.tanh(c_t)
        da = np.concatenate(
            [d_i * i * (1 - i), d_f * f * (1 - f), d_g * (1 - g * g), d_o * o * (1 - o)], axis=1
        )
        accumulate(grads, da, da, x[t], h_old)
        dx[t], dh, dc = da @ W, da @ U, dc * f
    ys = np.array([step[-1] for step in tape])
    return ys, (h, c), {**grads, "x": dx, "h": dh, "c": dc}


def gru(x: Array, h0: Array, p: dict[str, Array], dy: Array, dh: Array) -> Result:
    """Compute h_t = (1 - z) n + z h_{t-1}, n = tanh(W x + b + r (U h + c)). Source: Cho et al.,
    2014, in the reset-after form of cuDNN."""
    W, U = p["weight_ih"], p["weight_hh"]
    b, c = p.get("bias_ih", 0), p.get("bias_hh", 0)
    h, tape = h0, []
    for x_t in x:
        u_r, u_z, u_n = np.split(x_t @ W.T + b, 3, axis=1)
        v_r, v_z, v_n = np.split(h @ U.T + c, 3, axis=1)
        r, z = logistic(u_r + v_r), logistic(u_z + v_z)
        n = np.tanh(u_n + r * v_n)
        tape.append((h, r, z, n, v_n))
        h = (1 - z) * n + z * h
    ys = np.array([*(step[0] for step in tape[1:]), h])
    grads, dx = zeros(p), np.zeros_like(x)
    for t in reversed(range(len(x))):
        h_old, r, z, n, v_n = tape[t]
        dh = dh + dy[t]
        d_n = dh * (1 - z) * (1 - n * n)
        d_z = dh * (h_old - n) * z * (1 - z)
        d_r = d_n * v_n * r * (1 - r)
        du = np.concatenate([d_r, d_z, d_n], axis=1)
        dv = np.concatenate([d_r, d_z, d_n * r], axis=1)
        accumulate(grads, du, dv, x[t], h_old)
        dx[t], dh = du @ W, dh * z + dv @ U
    return ys, h, {**grads, "x": dx, "h": dh}


def zeros(p: dict[str, Array]) -> dict[str, Array]:
    return {name: np.zeros_like(value) for name, value in p.items()}


def accumulate(grads: dict[str, Array], du: Array, dv: Array, x: Array, h: Array) -> None:
    """Add one step's share: dW = sum_t du_t^T x_t, dU = sum_t dv_t^T h_{t-1}, and the biases."""
    grads["weight_ih"] += du.T @ x
    grads["weight_hh"] += dv.T @ h
    if "bias_ih" in grads:
        grads["bias_ih"] += du.sum(0)
        grads["bias_hh"] += dv.sum(0)
