"""Write docs/reference/cells.md: the cells with their equations, as their recorded steps have them.

Run ``python docs/make_cells.py``; the tests compare the page with what this would write.
"""

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
Products with a weight are matrix products, the ring is element-wise, and brackets around several
names are the parts of one vector. `python docs/make_cells.py` writes this page.
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


def cells() -> list[rnn.Cell]:
    """One of each, with small sizes."""
    I, H, O = 3, 4, 2
    return [
        rnn.ElmanCell(I, H), rnn.TextbookCell(I, H, O), rnn.JordanCell(I, H, O),
        rnn.ElmanJordanCell(I, H, O), rnn.IndRNNCell(I, H), rnn.LSTMCell(I, H),
        rnn.PeepholeLSTMCell(I, H), rnn.CoupledLSTMCell(I, H), rnn.GRUCell(I, H),
        rnn.ResetBeforeGRUCell(I, H), rnn.OneGateGRUCell(I, H), rnn.MinimalGatedCell(I, H),
        rnn.LinearAttentionCell(I, H, decay="key"), rnn.DeltaNetCell(I, H, gated=True),
        rnn.MLSTMCell(I, H), rnn.LTCCell(I, H, unfolds=2), rnn.CfCCell(I, H), rnn.LMUCell(I, H),
        rnn.LIFCell(I, H), rnn.ALIFCell(I, H), rnn.EchoStateCell(I, H, leak=0.3),
        rnn.MinGRUCell(I, H), rnn.MinLSTMCell(I, H), rnn.SRUCell(I, H), rnn.QRNNCell(I, H),
        rnn.RGLRUCell(I, H), rnn.LRUCell(I, H), rnn.S4DCell(I, H), rnn.MambaCell(I, H),
        rnn.RWKV4Cell(I, H), rnn.SLSTMCell(I, H),
    ]  # fmt: skip


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for cell in cells():
        told = (type(cell).__doc__ or "").partition(">>>")[0].split("\n\n")
        source = " ".join(" ".join(told).split())
        at = source.find("Source")
        parts.append(f"\n## rnn.{type(cell).__name__}\n")
        if at >= 0:
            parts.append(f"\n{source[at:]}\n")
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
