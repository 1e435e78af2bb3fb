"""Use the packages as a user does; `test_types.py` has mypy and pyright check it.

Each `assert_type` is a promise to editors; each ignored error is a mistake that must be reported.
"""

from typing import assert_type

import engine
import rnn
from engine import Tensor

State = tuple[Tensor, Tensor]


class Leaky(rnn.Cell):
    """Step one state, under a name of the user's."""

    def __init__(self, I: int, H: int) -> None:
        self.input_size, self.state_size = I, {"h": H}
        self.W, self.U = rnn.parameter((H, I), 0.5), rnn.parameter((H, H), 0.5)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) to h', h'."""
        h = 0.9 * h + 0.1 * engine.tanh(engine.linear(x, self.W) + engine.linear(h, self.U))
        return h, h


class Timed(rnn.Cell):
    """Step two states by the time."""

    input_size, state_size = 3, {"a": 3, "b": 3}

    def step(self, x: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        """Map x (B, 3), a and b (B, 3) to a', (a', b')."""
        a, b = state
        return a + x, (a + x, b + engine.astype(t, b.dtype))


class Net(rnn.Module):
    """Chain a layer and a head."""

    def __init__(self, I: int, H: int) -> None:
        self.layer, self.head = rnn.LSTM(I, H, num_layers=2), rnn.Linear(H, 1)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map x (T, B, I) to y (T, B, 1), (h, c)."""
        y, state = self.layer(x, state)
        assert_type(y, Tensor)
        return self.head(y), state


x = engine.ones((7, 2, 3))
assert_type(x, Tensor)
assert_type(engine.tanh(x), Tensor)
assert_type(engine.sum(x, axis=0), Tensor)
assert_type(x.mean() + 1.0, Tensor)
assert_type(engine.linalg.matrix_norm(x), Tensor)
assert_type(rnn.RNN(3, 5)(x), tuple[Tensor, Tensor])
assert_type(rnn.GRU(3, 5, bidirectional=True)(x), tuple[Tensor, Tensor])
assert_type(rnn.LSTM(3, 5)(x), tuple[Tensor, State])
assert_type(rnn.LSTMCell(3, 5)(x[0]), tuple[Tensor, State])
assert_type(rnn.Recurrent(rnn.LSTMCell(3, 5))(x), tuple[Tensor, State])
assert_type(rnn.Recurrent(rnn.GRUCell(3, 5))(x)[1], Tensor)
assert_type(rnn.Recurrent(Leaky(3, 5))(x), tuple[Tensor, Tensor])
assert_type(rnn.Recurrent(Timed())(x), tuple[Tensor, State])
assert_type(Leaky(3, 5)(x[0]), tuple[Tensor, Tensor])
assert_type(rnn.Embedding(9, 3)([[1, 2]]), Tensor)

net = Net(3, 5)
y, (h, c) = net(x)
assert_type(c, Tensor)
loss = engine.mse_loss(y, engine.zeros_like(y))
loss.backward()
for p in net.parameters():
    assert_type(p, Tensor)

mistakes = (
    lambda: engine.tahn(x),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    lambda: rnn.LSTMM(3, 5),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    lambda: x.tahn(),  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    lambda: net(x, stat=None),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    lambda: rnn.LSTM(3, 5, layers=2),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
)
