"""The shapes of matrix memories: keys, values and gates by heads. Below the cells of this room."""

import math
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from rnn.cells.base import Cell
from rnn.initializers import uniform
from rnn.modules.module import parameter, positive


class MatrixMemory(Cell):
    """Base class of cells with N heads, each a memory S (K, V) that a key writes to.

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
