"""Define layers without a recurrence: Linear, Embedding, Dropout and LayerNorm."""

from typing import Any

import engine
from engine import Tensor
from engine.checks import flag
from rnn.modules.module import Module, parameter, positive, probability
from rnn.modules.values import check_vocabulary


class Linear(Module):
    """Compute x W^T + b: (..., in) -> (..., out). `weight` (out, in), `bias` (out,), as in PyTorch.

    Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> rnn.Linear(3, 2)(engine.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, dtype: Any = None
    ) -> None:
        positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        k = in_features**-0.5
        self.weight = parameter((out_features, in_features), k, dtype=dtype)
        self.bias = parameter((out_features,), k, dtype=dtype) if flag("bias", bias) else None

    def forward(self, x: Any) -> Tensor:
        return engine.linear(x, self.weight, self.bias)


class Embedding(Module):
    """Return a row of `weight` (V, I) for each integer: (...) -> (..., I).

    The row `padding_idx` begins as zeros and gets no gradient, as in PyTorch. Raises ValueError for
    one that is not in [-V, V), IndexError for an integer that is not in [0, V): on a device when
    values are next read. Raises TypeError for what are no integers.

    >>> import rnn
    >>> rnn.Embedding(10, 4)([[1, 2, 3]]).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_idx: int | None = None,
        dtype: Any = None,
    ) -> None:
        positive(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.weight = parameter((num_embeddings, embedding_dim), dtype=dtype, normal=True)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self([0])  # raises where it is no row
            with engine.no_grad():
                self.weight[padding_idx] = 0.0

    def forward(self, ids: Any) -> Tensor:
        ids = ids if isinstance(ids, Tensor) else engine.asarray(ids)
        name = self._name or "Embedding"
        if ids.dtype.kind not in "iu":
            raise TypeError(
                f"{name}: expected integers, got {ids.dtype}; write ids.astype(engine.int64)"
            )
        check_vocabulary(name, ids, self.num_embeddings)
        return engine.embedding(self.weight, ids, padding_idx=self.padding_idx)


class Dropout(Module):
    """Zero elements with probability `p` while it trains, see `engine.dropout`; else return x.

    Raises ValueError for p outside of [0, 1].

    >>> import engine, rnn
    >>> rnn.Dropout(0.5).eval()(engine.ones(3))
    tensor([1., 1., 1.], dtype=float32)
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("Dropout: p", p)

    def forward(self, x: Tensor) -> Tensor:
        return engine.dropout(x, self.p) if self.training else x


class LayerNorm(Module):
    """Apply `engine.layer_norm` over the last axis: `weight` and `bias` (size,), 1 and 0 at first.

    Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> rnn.LayerNorm(2, eps=0.0)(engine.asarray([[1.0, 3.0]]))
    tensor([[-1.,  1.]], dtype=float32, requires_grad=True)
    """

    def __init__(
        self, size: int, *, eps: float = 1e-5, bias: bool = True, dtype: Any = None
    ) -> None:
        positive(size=size)
        self.size, self.eps = size, float(eps)
        kind = engine.float32 if dtype is None else dtype
        self.weight = engine.ones(size, dtype=kind, requires_grad=True)
        own = flag("bias", bias)
        self.bias = engine.zeros(size, dtype=kind, requires_grad=True) if own else None

    def forward(self, x: Any) -> Tensor:
        return engine.layer_norm(x, self.weight, self.bias, eps=self.eps)
