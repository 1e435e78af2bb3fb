"""Write docs/reference/cells.md: the cells with their equations, as their recorded steps have them.

Run ``python docs/make_cells.py``; the tests compare the page with what this would write.
"""

import inspect
from pathlib import Path

import engine
import rnn
import viz
from viz import Diagram

PAGE = Path(__file__).parent / "reference" / "cells.md"
PICTURE = Path(__file__).parent / "pictures" / "leaky.svg"
HEAD = """# Cells

Every cell is its one-step equations, written once in Python. The formulas here are not typed: they
are read from the recorded step by `rnn.latex(cell)`, which does the same for a cell of your own.
Products with a weight are matrix products, the ring is element-wise, σ is the sigmoid, and brackets
around several names are the parts of one vector. x is the input of step t, and what has the index
t - 1 a state. Arguments and shapes are in the docstrings, such as that of `rnn.LSTMCell`.
`python docs/make_cells.py` writes this page.
"""
LEAKY = """class Leaky(rnn.Cell):
    def __init__(self, I, H):
        self.input_size, self.state_size = I, {"h": H}
        self.W, self.U = rnn.parameter((H, I), 0.5), rnn.parameter((H, H), 0.5)

    def step(self, x, h):  # x (B, I), h (B, H)
        n = engine.tanh(engine.linear(x, self.W) + engine.linear(h, self.U))
        h = 0.9 * h + 0.1 * n
        return h, h"""
OWN = f"""
## Your own

```python
{LEAKY}
```

![The cell as boxes, with the factor that a wire multiplies a gradient by](../pictures/leaky.svg)

`viz.draw_cell(Leaky(3, 5))` drew it; `rnn.Recurrent(Leaky(3, 5))` runs it, compiled where there is
a C compiler; `rnn.Bidirectional` and `rnn.Stacked` put it together with others; pictures and
`rnn.observe` show its variables by name.
"""


SIZES = {"input_size": 3, "hidden_size": 4, "key_size": 4, "order": 4, "output_size": 2}


def small(kind: type[rnn.Cell]) -> rnn.Cell:
    """Return a cell of small sizes, as its class has them when nothing else is given."""
    return kind(**{x: SIZES[x] for x in inspect.signature(kind).parameters if x in SIZES})


def public() -> list[type[rnn.Cell]]:
    """Return the class of every public cell, by name."""
    found = [getattr(rnn, name) for name in rnn.cells.__all__]
    return [x for x in found if inspect.isclass(x) and x is not rnn.Cell]


def cells() -> list[rnn.Cell]:
    """Return one of each, with small sizes: in the order of the page, and those not named last."""
    I, H = 3, 4
    kinds = [
        rnn.ElmanCell, rnn.TextbookCell, rnn.JordanCell, rnn.ElmanJordanCell, rnn.IndRNNCell,
        rnn.LSTMCell, rnn.PeepholeLSTMCell, rnn.CoupledLSTMCell, rnn.GRUCell,
        rnn.ResetBeforeGRUCell, rnn.OneGateGRUCell, rnn.MinimalGatedCell, rnn.LinearAttentionCell,
        rnn.DeltaNetCell, rnn.MLSTMCell, rnn.LTCCell, rnn.CfCCell, rnn.LMUCell, rnn.LIFCell,
        rnn.ALIFCell, rnn.EchoStateCell, rnn.MinGRUCell, rnn.MinLSTMCell, rnn.SRUCell,
        rnn.QRNNCell, rnn.RGLRUCell, rnn.LRUCell, rnn.S4DCell, rnn.MambaCell, rnn.RWKV4Cell,
        rnn.SLSTMCell,
    ]  # fmt: skip
    special = {
        rnn.LinearAttentionCell: rnn.LinearAttentionCell(I, H, decay="key"),
        rnn.DeltaNetCell: rnn.DeltaNetCell(I, H, gated=True),
        rnn.LTCCell: rnn.LTCCell(I, H, unfolds=2),
        rnn.EchoStateCell: rnn.EchoStateCell(I, H, leak=0.3),
    }
    kinds += [kind for kind in public() if kind not in kinds]
    return [special.get(kind) or small(kind) for kind in kinds]


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for cell in cells():
        told = (type(cell).__doc__ or "").partition(">>>")[0].split("\n\n")
        _, source, rest = " ".join(" ".join(told).split()).partition("Source")
        parts.append(f"\n## rnn.{type(cell).__name__}\n")
        if source:
            parts.append(f"\n{source}{rest.partition(' Raises ')[0]}\n")
        parts.append(f"\n```math\n{rnn.latex(cell)}\n```\n")
    return "".join([*parts, OWN])


def leaky() -> Diagram:
    """Return the picture of the cell that the page defines."""
    names = {"engine": engine, "rnn": rnn}
    engine.seed(0)
    exec(LEAKY, names)
    return viz.draw_cell(names["Leaky"](3, 5))


if __name__ == "__main__":
    engine.seed(0)
    PICTURE.write_text(leaky().svg(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")
