"""Echo state networks: a reservoir that is not trained, and a read-out that is, in closed form."""

from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from engine.checks import is_whole
from engine.scan.padding import read_lengths
from rnn.cells import EchoStateCell
from rnn.layers.recurrent import Recurrent
from rnn.models.ridge import ridge
from rnn.modules.feedforward import Linear
from rnn.modules.module import Module


class EchoStateNetwork(Module):
    """A reservoir of H units and a linear read-out, ``(x, state=None, lengths=None)``.

    x (T, B, I) to y (T, B, O) and the state (B, H). `fit_ridge` finds the weights of the read-out;
    they are the only ones that training by gradients changes too. Further options are
    those of `EchoStateCell`.

    >>> import engine, rnn
    >>> x = engine.sin(0.3 * engine.arange(200.0))[:, None, None]
    >>> net = rnn.EchoStateNetwork(1, 50, 1)
    >>> net.fit_ridge(x[:-1], x[1:], washout=20) < 1e-6  # what comes next
    True
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, *, dtype: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        cell = EchoStateCell(input_size, hidden_size, dtype=dtype, **options)
        self.reservoir = Recurrent(cell)
        self.head = Linear(hidden_size, output_size, dtype=dtype)

    def forward(
        self, x: Any, state: Any = None, lengths: Any = None, *, mask: Any = None
    ) -> tuple[Tensor, Any]:
        h, state = self.reservoir(x, state, lengths, mask=mask)
        return self.head(h), state

    def fit_ridge(
        self, x: Any, y: Any, *, lengths: Any = None, penalty: float = 1e-6, washout: int = 0
    ) -> float:
        """Set the read-out to that with the least squared error; return its mean over x and y.

        x (T, B, I) and y (T, B, O); the first `washout` steps of each row and those beyond its
        `lengths` (B,) do not count. See `rnn.ridge` for the penalty. Raises ValueError for a
        washout that leaves no step, and other shapes.
        """
        if not is_whole(washout, 0):
            raise ValueError(
                f"fit_ridge: washout must be an integer of at least 0, got {washout!r}"
            )
        with engine.no_grad():
            h = self.reservoir(x, None, lengths)[0].numpy()
        y, xp = engine.asarray(y).numpy(), HOST.xp
        outputs = self.head.weight.shape[0]
        if y.shape != (*h.shape[:2], outputs):
            raise ValueError(
                f"fit_ridge: expected y (T, B, O) {(*h.shape[:2], outputs)}, got {y.shape}"
            )
        ends = xp.full(h.shape[1], len(h))
        if lengths is not None:
            ends = read_lengths("fit_ridge", lengths, *h.shape[:2])
        steps = xp.arange(len(h))[:, None]
        counts = (steps >= washout) & (steps < ends[None, :])
        if not counts.any():
            raise ValueError(f"fit_ridge: a washout of {washout} leaves no step of {len(h)}")
        weight, bias = ridge(h[counts], y[counts], penalty)
        for own, values in ((self.head.weight, weight), (self.head.bias, bias)):
            assert own is not None
            own.data = engine.asarray(values, dtype=own.dtype, device=own.device).data
        error = h[counts] @ weight.T + bias - y[counts]
        return float(xp.mean(error * error))
