"""Train the networks of docs/reference/modern.md: four cells that recall a marked number.

Below `make_modern.py`. All in float64, trained for a moment on data that is made here.
"""

import engine
import rnn
from docs.gallery_networks import marked, trained
from engine import Tensor

STEPS, UPDATES, H = 12, 300, 8
CELLS = {
    "LSTM": lambda: rnn.LSTMCell(2, H, forget_bias=1.0, dtype="float64"),
    "minGRU": lambda: rnn.MinGRUCell(2, H, dtype="float64"),
    "DeltaNet": lambda: rnn.DeltaNetCell(2, H, dtype="float64"),
    "LIF": lambda: rnn.LIFCell(2, H, dtype="float64"),
}
STATES = {"LSTM": "c", "minGRU": "h", "DeltaNet": "S", "LIF": "v"}


class Recalling(rnn.Module):
    """Read numbers, of which one is marked, and say at the end which number that was."""

    def __init__(self, cell: rnn.Cell) -> None:
        self.recurrent = rnn.Recurrent(cell)
        self.head = rnn.Linear(H, 1, dtype="float64")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map numbers and marks x (T, B, 2), marked numbers y (B, 1) to the mean square error."""
        ys, _ = self.recurrent(x)
        answer = self.head(ys[-1])
        with engine.scope("loss"):
            return engine.mean((answer - y) ** 2)


def networks() -> dict[str, Recalling]:
    """Return the four networks, each trained with the same sequences."""
    found = {}
    for name, make in CELLS.items():
        engine.seed(0)
        net = Recalling(make())
        trained(net, lambda i, net=net: net(*marked(STEPS, 32, i)), UPDATES)
        found[name] = net
    return found


def error(net: Recalling) -> float:
    """Return the mean square error on 1,000 sequences that were not trained on."""
    with engine.no_grad():
        return net(*marked(STEPS, 1000, UPDATES + 1)).item()
