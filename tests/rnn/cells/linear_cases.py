"""List cells of linear recurrences, with the equations of their papers in NumPy with complex
numbers and without logarithms of scales. Above `rnn`; the tests hold one against the other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from tests.draws import ahead, normal

I, H = 3, 4


class Case(NamedTuple):
    """Hold a cell of a dtype, its step ``(p, x, *states) -> (y, states)``, and
    the states it means.
    """

    make: Callable[[str], rnn.Cell]
    step: Callable[..., Any]
    meant: Callable[..., tuple[Any, ...]] = lambda *states: states


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def affine(p: Any, x: Any, parts: int) -> Any:
    return np.split(x @ p["weight_ih"].T + p["bias"], parts, -1)


def above(a: Any) -> Any:
    return np.where(a >= 0, a + 0.5, sigma(a))


def min_gru(p: Any, x: Any, h: Any, g: Any = lambda a: a) -> Any:
    z, n = affine(p, x, 2)
    h = (1 - sigma(z)) * h + sigma(z) * g(n)
    return h, (h,)


def min_lstm(p: Any, x: Any, h: Any, g: Any = lambda a: a) -> Any:
    f, i, n = affine(p, x, 3)
    f, i = sigma(f), sigma(i)
    h = f / (f + i) * h + i / (f + i) * g(n)
    return h, (h,)


def sru(p: Any, x: Any, c: Any) -> Any:
    w, w_f, w_r = np.split(p["weight_ih"], 3)
    v_f, v_r = p.get("weight_c", np.zeros((2, 1)))
    f = sigma(x @ w_f.T + v_f * c + p["bias"][0])
    r = sigma(x @ w_r.T + v_r * c + p["bias"][1])
    c = f * c + (1 - f) * (x @ w.T)
    skipped = x @ p["weight_s"].T if "weight_s" in p else x * np.sqrt(1 + 2 * np.exp(-1.5))
    return r * c + (1 - r) * skipped, (c,)


def qrnn(p: Any, x: Any, c: Any, s: Any, pooling: str = "fo") -> Any:
    """Convolve in each gate a window of two inputs: the older one is s."""
    window = np.concatenate([s, x], -1) @ np.concatenate([p["weight_sh"], p["weight_ih"]], -1).T
    z, f, *more = np.split(window + p["bias"], len(pooling) + 1, -1)
    z, f = np.tanh(z), sigma(f)
    c = f * c + (sigma(more[1]) if pooling == "ifo" else 1 - f) * z
    return (c if pooling == "f" else sigma(more[0]) * c), (c, x)


def rg_lru(p: Any, x: Any, h: Any) -> Any:
    u = x @ p["weight_u"].T if "weight_u" in p else x
    r = sigma(u @ p["weight_a"].T + p["bias_a"])
    i = sigma(u @ p["weight_x"].T + p["bias_x"])
    a = sigma(p["Lambda"]) ** (8 * r)
    h = a * h + np.sqrt(1 - a**2) * (i * u)
    return h, (h,)


def lru(p: Any, x: Any, h: Any) -> Any:
    diagonal = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    h = diagonal * h + np.exp(p["gamma_log"]) * (x @ (p["B_re"] + 1j * p["B_im"]).T)
    return (h @ (p["C_re"] + 1j * p["C_im"]).T).real + p["D"] * x, (h,)


def s4d(p: Any, x: Any, h: Any) -> Any:
    """Take the matrix exponential of the held input, for each number of the diagonal by itself."""
    dt = np.exp(p["Delta_log"])
    pole = -np.exp(p["A_log"]) + 1j * p.get("A_im", 0.0)
    held = (dt * pole) ** -1 * (np.exp(dt * pole) - 1) * dt  # equation of ZOH, with B = 1
    h = np.exp(dt * pole) * h + held * x[..., None]
    read = (p["C_re"] + 1j * p.get("C_im", 0.0)) * h
    return (1 + ("A_im" in p)) * read.sum(-1).real + p["D"] * x, (h,)


def mamba(p: Any, x: Any, h: Any, *s: Any) -> Any:
    shifted = [x, *s]
    if s:
        u = sum(w * one for w, one in zip(p["weight_conv"], shifted, strict=True)) + p["bias_conv"]
        x = u * sigma(u)
    rank, order = p["weight_Delta"].shape[1], p["A_log"].shape[1]
    d, b, c = np.split(x @ p["weight_x"].T, [rank, rank + order], -1)
    dt = softplus(d @ p["weight_Delta"].T + p["bias_Delta"])
    decay = np.exp(np.einsum("bd,dn->bdn", dt, -np.exp(p["A_log"])))
    h = decay * h + np.einsum("bd,bn,bd->bdn", dt, b, x)
    return np.einsum("bdn,bn->bd", h, c) + p["D"] * x, (h, *shifted[:-1])


def rwkv4(p: Any, x: Any, a: Any, b: Any, s: Any) -> Any:
    """Compute sums of plain exponentials: a and b are those of the papers' equations."""
    r, k, v = ((x * p[f"mu_{n}"] + s * (1 - p[f"mu_{n}"])) @ p[f"weight_{n}"].T for n in "rkv")
    wkv = (a + np.exp(p["u"] + k) * v) / (b + np.exp(p["u"] + k))
    fade = np.exp(-np.exp(p["w_log"]))
    return (sigma(r) * wkv) @ p["weight_o"].T, (fade * a + np.exp(k) * v, fade * b + np.exp(k), x)


def slstm(p: Any, x: Any, h: Any, c: Any, n: Any, forget: Any = sigma) -> Any:
    gates = np.split(x @ p["weight_ih"].T + p["bias"], 4, -1)
    heads = np.split(h, len(p["weight_hh"]), -1)
    own = [np.split(one @ w.T, 4, -1) for one, w in zip(heads, p["weight_hh"], strict=True)]
    i, f, z, o = (u + np.concatenate([v[k] for v in own], -1) for k, u in enumerate(gates))
    c = forget(f) * c + np.exp(i) * np.tanh(z)
    n = forget(f) * n + np.exp(i)
    return sigma(o) * c / n, (sigma(o) * c / n, c, n)


def whole(re: Any, im: Any) -> tuple[Any, ...]:
    return (re + 1j * im,)


def with_scale(a: Any, b: Any, m: Any, s: Any) -> tuple[Any, ...]:
    return a * np.exp(m), b * np.exp(m), s


def with_scale_behind(h: Any, c: Any, n: Any, m: Any) -> tuple[Any, ...]:
    return h, c * np.exp(m), n * np.exp(m)


CASES: dict[str, Case] = {
    "minGRU": Case(lambda d: rnn.MinGRUCell(I, H, dtype=d), min_gru),
    "minGRU above zero": Case(lambda d: rnn.MinGRUCell(I, H, above_zero=True, dtype=d),
                              lambda p, x, h: min_gru(p, x, h, above)),
    "minLSTM": Case(lambda d: rnn.MinLSTMCell(I, H, dtype=d), min_lstm),
    "minLSTM above zero": Case(lambda d: rnn.MinLSTMCell(I, H, above_zero=True, dtype=d),
                               lambda p, x, h: min_lstm(p, x, h, above)),
    "SRU": Case(lambda d: rnn.SRUCell(I, H, dtype=d), sru),
    "SRU of one width": Case(lambda d: rnn.SRUCell(I, I, highway_bias=-1.5, dtype=d), sru),
    "SRU of 2017": Case(lambda d: rnn.SRUCell(I, H, peephole=False, dtype=d), sru),
    "QRNN": Case(lambda d: rnn.QRNNCell(I, H, dtype=d), qrnn),
    "QRNN f": Case(lambda d: rnn.QRNNCell(I, H, pooling="f", dtype=d),
                   lambda p, x, c, s: qrnn(p, x, c, s, "f")),
    "QRNN ifo": Case(lambda d: rnn.QRNNCell(I, H, pooling="ifo", dtype=d),
                     lambda p, x, c, s: qrnn(p, x, c, s, "ifo")),
    "RG-LRU": Case(lambda d: rnn.RGLRUCell(I, dtype=d), rg_lru),
    "RG-LRU of another width": Case(lambda d: rnn.RGLRUCell(I, H, dtype=d), rg_lru),
    "LRU": Case(lambda d: rnn.LRUCell(I, H, dtype=d), lru, whole),
    "S4D": Case(lambda d: rnn.S4DCell(I, H, dtype=d), s4d, whole),
    "S4D inv": Case(lambda d: rnn.S4DCell(I, H, initial="inv", dtype=d), s4d, whole),
    "S4D real": Case(lambda d: rnn.S4DCell(I, H, initial="real", dtype=d), s4d),
    "Mamba": Case(lambda d: rnn.MambaCell(I, H, dtype=d), mamba),
    "Mamba with a window": Case(lambda d: rnn.MambaCell(I, 2, rank=2, window=3, dtype=d), mamba),
    "RWKV-4": Case(lambda d: rnn.RWKV4Cell(I, H, dtype=d), rwkv4, with_scale),
    "sLSTM": Case(lambda d: rnn.SLSTMCell(I, H, dtype=d), slstm, with_scale_behind),
    "sLSTM exp, heads": Case(lambda d: rnn.SLSTMCell(I, H, heads=2, forget="exp", dtype=d),
                             lambda *given: slstm(*given, forget=np.exp), with_scale_behind),
}  # fmt: skip

# One of each class.
KINDS = ["minGRU", "minLSTM", "SRU", "QRNN ifo", "RG-LRU", "LRU", "S4D", "Mamba with a window",
         "RWKV-4", "sLSTM exp, heads"]  # fmt: skip
KINDS_FIRST = ahead(KINDS, CASES)


def made(name: str, dtype: str = "float64") -> rnn.Cell:
    """Return a cell with all parameters moved off their first values, zeros too."""
    engine.seed(7)
    cell = CASES[name].make(dtype)
    for number, x in enumerate(cell.parameters()):
        x.data = x.data + (0.3 * normal(*x.shape, salt=number)).astype(dtype)
    return cell


def initial(cell: rnn.Cell, batch: int) -> Any:
    """Return random states of a cell; where two are a numerator and its denominator, that is 1 and
    more.
    """
    sizes = {name: (size,) if isinstance(size, int) else size
             for name, size in cell.state_size.items()}  # fmt: skip
    found = [normal(batch, *size, salt=5 + i) for i, size in enumerate(sizes.values())]
    for i, name in enumerate(sizes):
        if name == ("n" if "h" in sizes else "b"):
            found[i] = 1 + abs(found[i])
    return found


def given(states: list[Any]) -> Any:
    """Return states as a cell takes them."""
    own = [engine.asarray(one) for one in states]
    return own[0] if len(own) == 1 else tuple(own)


def listed(final: Any) -> list[Any]:
    """Return the states that a cell gives as a list."""
    return list(final) if isinstance(final, tuple) else [final]
