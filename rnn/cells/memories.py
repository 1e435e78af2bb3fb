"""Define matrix memories: cells with a matrix as state, which keys write to and queries read from.

They add outer products of keys and values, or correct what is stored by them; that of the xLSTM,
with exponential gates, is in `xlstm.py`.
"""

import math
from collections.abc import Callable
from typing import Any

import engine
from engine import Tensor, exp, linear, maximum, sigmoid, softplus, sqrt
from engine import sum as total
from engine.backends import HOST
from engine.checks import flag, is_real
from rnn.cells.base import Cell
from rnn.cells.elman import activation
from rnn.initializers import uniform
from rnn.modules.module import parameter, positive

Feature = str | Callable[[Tensor], Tensor] | None
DECAYS = (None, "fixed", "scalar", "key")


class MatrixMemory(Cell):
    """Hold N heads, each a memory S (K, V) that a key writes to: a base class of cells.

    One head has the states (B, K, V), several (B, N, K, V); the output y (B, N V) has the heads
    side by side. `weight_q`, `weight_k` (N K, I), `weight_v` (N V, I): uniform, +-1 / sqrt(I).
    """

    weight_k: Any  # None where keys come from elsewhere

    def __init__(
        self, input_size: int, key_size: int, value_size: int | None, heads: int, *, dtype: Any
    ) -> None:
        value_size = key_size if value_size is None else value_size
        positive(input_size=input_size, key_size=key_size, value_size=value_size, heads=heads)
        self.input_size, self.key_size, self.value_size = input_size, key_size, value_size
        self.heads, self.output_size = heads, heads * value_size
        self.weight_q = self.made(key_size, dtype)
        self.weight_k = self.made(key_size, dtype)
        self.weight_v = self.made(value_size, dtype)

    def made(self, width: int, dtype: Any) -> Tensor:
        """Draw a weight (N W, I)."""
        shape = (self.heads * width, self.input_size)
        return parameter(shape, self.input_size**-0.5, dtype=dtype)

    def by_heads(self, *widths: int) -> Any:
        """Return the size of a state: the widths, behind the heads where there are several."""
        size = widths if self.heads == 1 else (self.heads, *widths)
        return size[0] if len(size) == 1 else size

    def cut(self, x: Tensor, width: int) -> Tensor:
        """Return x (B, N W) as (B, N, W); of one head as it is, (B, W)."""
        return x if self.heads == 1 else engine.reshape(x, (-1, self.heads, width))

    def join(self, y: Tensor) -> Tensor:
        """Return y (B, N, V) as (B, N V)."""
        return y if self.heads == 1 else engine.reshape(y, (-1, self.output_size))


def time_steps(heads: int, dtype: Any) -> tuple[Tensor, Tensor]:
    """Draw A_log (N,) of Mamba-2, A in [1, 16), and its bias (N,), softplus in [0.001, 0.1)."""
    A, steps = (parameter((heads,), dtype=dtype) for _ in range(2))
    uniform(A, 1.0, 16.0)
    uniform(steps, math.log(0.001), math.log(0.1))
    xp = HOST.xp
    A_log = xp.log(A.numpy())
    bias = xp.log(xp.expm1(xp.exp(steps.numpy())))  # which softplus undoes
    for x, values in ((A, A_log), (steps, bias)):
        x.data = engine.asarray(values, dtype=x.dtype).data
    return A, steps


class LinearAttentionCell(MatrixMemory):
    """Compute S' = a S + k v^T, y = S'^T q: attention without softmax, in constant memory.

    q = phi(W_q x) / sqrt(K), k = phi(W_k x), v = W_v x; `feature` is phi: None, ``"elu+1"``, a name
    of an activation or a function. `decay` is a: None for 1; ``"fixed"`` for 1 - 2^(-5 - n) in head
    n; ``"scalar"`` for exp(-dt e^A) with dt = softplus(w x + b), one number a head, where dt scales
    k too; ``"key"`` for sigmoid(W_a x + b_a)^(1 / `temperature`), one number a key. `tied` makes
    k = 1 - a. `normalise` divides y by q^T z + 1e-6, z being the decayed sum of the keys, and
    leaves out the division by sqrt(K). States S (B, K, V) and z (B, K), with `heads` N > 1 S
    (B, N, K, V) and z (B, N, K); y (B, N V). What surrounds the recurrence in a published block (a
    short convolution, rotation, a norm and a gate on y) stays outside. Raises ValueError for
    settings that are none.

    Sources, by the settings that give them: `feature` "elu+1" with `normalise`, Katharopoulos et
    al., Transformers are RNNs, 2020, eq. 18 to 20; `decay` "fixed", Sun et al., Retentive network,
    2023, eq. 6; "scalar", Dao and Gu, Transformers are SSMs, 2024 (Mamba-2, with its first values
    of A and b); "key", Yang et al., Gated linear attention transformers, 2023, eq. 3 (W_a here of
    full rank); "key" with `tied` and `temperature` 1, Qin et al., HGRN2: Gated linear RNNs with
    state expansion, 2024 (without a lower bound of a).

    >>> import engine, rnn
    >>> y, S = rnn.LinearAttentionCell(3, 4, 5, decay="key")(engine.ones((2, 3)))
    >>> y.shape, S.shape
    ((2, 5), (2, 4, 5))
    """

    def __init__(
        self,
        input_size: int,
        key_size: int,
        value_size: int | None = None,
        *,
        heads: int = 1,
        decay: str | None = None,
        feature: Feature = None,
        normalise: bool = False,
        tied: bool = False,
        temperature: float = 16.0,
        dtype: Any = None,
    ) -> None:
        if decay not in DECAYS:
            raise ValueError(
                f"LinearAttentionCell: decay {decay!r}: expected one of {list(DECAYS)}"
            )
        if flag("tied", tied) and decay != "key":
            raise ValueError(f"tied: keys are 1 - a where decay is 'key', got decay {decay!r}")
        if not is_real(temperature) or not 0 < temperature < float("inf"):
            raise ValueError(f"LinearAttentionCell: temperature: expected a number above 0, got "
                             f"{temperature!r}")  # fmt: skip
        super().__init__(input_size, key_size, value_size, heads, dtype=dtype)
        _phi(feature)  # refused here if it is none
        self.feature, self.decay = feature, decay
        self.tied, self.normalise = tied, flag("normalise", normalise)
        self.temperature = float(temperature)
        if tied:
            self.weight_k = None
        self._make_decay(dtype)
        self.state_size = {"S": self.by_heads(key_size, self.value_size)}
        if normalise:
            self.state_size["z"] = self.by_heads(key_size)

    def _make_decay(self, dtype: Any) -> None:
        N, kind = self.heads, self.weight_v.dtype
        if self.decay == "fixed":
            rates = 1 - 2.0 ** (-5 - HOST.xp.arange(N))
            rates = rates if N == 1 else rates[:, None]
            self.register_buffer("gamma", engine.asarray(rates, dtype=kind))
        elif self.decay == "scalar":
            self.weight_dt = self.made(1, dtype)
            self.A_log, self.bias_dt = time_steps(N, dtype)
        elif self.decay == "key":
            self.weight_a = self.made(self.key_size, dtype)
            self.bias_a = engine.zeros(N * self.key_size, dtype=kind, requires_grad=True)

    gamma: Tensor

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map x (B, I), S (B, [N,] K, V) -> y (B, N V), S' or (S', z')."""
        S, z = state if self.normalise else (state, None)
        phi, K = _phi(self.feature), self.key_size
        q = phi(self.cut(linear(x, self.weight_q), K))
        q = q if self.normalise else q * K**-0.5
        v = self.cut(linear(x, self.weight_v), self.value_size)
        if self.weight_k is not None:
            k = phi(self.cut(linear(x, self.weight_k), K))
        if self.decay == "fixed":
            a = self.gamma
        elif self.decay == "scalar":
            dt = softplus(linear(x, self.weight_dt, self.bias_dt))
            a = self.cut(exp(-dt * exp(self.A_log)), 1)
            k = self.cut(dt, 1) * k
        elif self.decay == "key":
            u = linear(x, self.weight_a, self.bias_a)
            a = sigmoid(u) if self.temperature == 1 else exp(-softplus(-u) / self.temperature)
            a = self.cut(a, K)
            k = 1 - a if self.tied else k
        S = (S if self.decay is None else a[..., None] * S) + k[..., None] * v[..., None, :]
        y = total(S * q[..., None], axis=-2)
        if self.normalise:
            z = (z if self.decay is None else a * z) + k
            y = y / (total(z * q, axis=-1, keepdims=True) + 1e-6)
        y = self.join(y)
        return y, (S, z) if self.normalise else S


def _phi(feature: Feature) -> Callable[[Tensor], Tensor]:
    """Return the feature map of that name. Raises ValueError for other names."""
    if feature is None:
        return engine.positive
    return _raised if feature == "elu+1" else activation(feature)


def _raised(x: Tensor) -> Tensor:
    return engine.elu(x) + 1.0


TINY = 1e-12  # below which the square of the length of a key is not divided by


class DeltaNetCell(MatrixMemory):
    """Compute S' = a S + k (b (v - a S^T k))^T, y = S'^T q: S learns to return v for the key k.

    q and k = phi(W x) of length 1, v = W_v x, b = sigmoid(w_b x), one a head; phi is silu, None or
    another name in `feature`. a is 1, or with `gated` exp(-e^A softplus(w_a x + b_a)). `negative`
    makes b = 2 sigmoid(w_b x), which allows eigenvalues -1 of I - b k k^T. States S (B, K, V), or
    (B, N, K, V) with `heads` N > 1; y (B, N V). Short convolutions and the norm of y stay outside.

    Sources: Schlag, Irie and Schmidhuber, Linear transformers are secretly fast weight programmers,
    2021; Yang et al., Parallelizing linear transformers with the delta rule, 2024 (silu and keys of
    length 1); gated: Yang, Kautz and Hatamizadeh, Gated delta networks, 2024, eq. 10; negative:
    Grazzi et al., Unlocking state-tracking in linear RNNs through negative eigenvalues, 2024.
    Raises TypeError for flags that are no booleans.

    >>> import engine, rnn
    >>> y, S = rnn.DeltaNetCell(3, 4, 5, gated=True)(engine.ones((2, 3)))
    >>> y.shape, S.shape
    ((2, 5), (2, 4, 5))
    """

    def __init__(
        self,
        input_size: int,
        key_size: int,
        value_size: int | None = None,
        *,
        heads: int = 1,
        gated: bool = False,
        negative: bool = False,
        feature: Any = "silu",
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, key_size, value_size, heads, dtype=dtype)
        activation(feature or "identity")  # refused here if it is none
        self.feature, self.gated = feature, flag("gated", gated)
        self.negative = flag("negative", negative)
        self.weight_b = self.made(1, dtype)
        if gated:
            self.weight_a = self.made(1, dtype)
            self.A_log, self.bias_a = time_steps(heads, dtype)
        self.state_size = {"S": self.by_heads(key_size, self.value_size)}

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), S (B, [N,] K, V) -> y (B, N V), S'."""
        q = self._direction(linear(x, self.weight_q))
        k = self._direction(linear(x, self.weight_k))
        v = self.cut(linear(x, self.weight_v), self.value_size)
        b = self.cut(sigmoid(linear(x, self.weight_b)), 1)
        b = 2 * b if self.negative else b
        r = total(S * k[..., None], axis=-2)
        if self.gated:
            dt = softplus(linear(x, self.weight_a, self.bias_a))
            a = self.cut(exp(-dt * exp(self.A_log)), 1)
            S = a[..., None] * S + k[..., None] * (b * (v - a * r))[..., None, :]
        else:
            S = S + k[..., None] * (b * (v - r))[..., None, :]
        y = self.join(total(S * q[..., None], axis=-2))
        return y, S

    def _direction(self, u: Tensor) -> Tensor:
        """Return phi(u) by heads (B, [N,] K), divided by its length."""
        u = self.cut(u if self.feature is None else activation(self.feature)(u), self.key_size)
        return u / sqrt(maximum(total(u * u, axis=-1, keepdims=True), TINY))
