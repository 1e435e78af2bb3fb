"""Read symbols by layers of any cell: the model of the tasks that compare cells, its training.

Each layer adds to its input what a cell makes of the symbol and of the one before it, which is the
short convolution of the published blocks, in its full form: x + cell(W [norm(x_t), norm(x_t-1)]).
The width is chosen so that the models of all cells are as near in size as whole units allow. Below
`selective_copying.py`, `recall.py` and `parity.py`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import engine
import rnn
from engine import Tensor
from examples.command import Parser
from examples.data import fresh
from examples.layers import LAYERS, NAMED, NAMES
from examples.task import Result, begin, fitted, outputs, result, validated
from rnn.data import Batch

TESTED = 1000  # sequences of a test
VALIDATED = 200  # of a validation
STEP = 8  # widths are multiples of it
Make = Callable[..., Batch]


class Reader(rnn.Module):
    """Map x (T, B) to logits (A, B, V) of the last A steps; all have answers of the V symbols."""

    def __init__(self, cell: str, symbols: int, answers: int, width: int, layers: int) -> None:
        self.embedding = rnn.Embedding(symbols, width)
        self.norms = [rnn.LayerNorm(width) for _ in range(layers + 1)]
        self.mixes = [rnn.Linear(2 * width, width) for _ in range(layers)]
        self.cells = [LAYERS[cell](width, width) for _ in range(layers)]
        self.head = rnn.Linear(width, answers)

    def forward(self, x: Any, last: int) -> Tensor:
        """Map x (T, B) to logits (last, B, V)."""
        y: Tensor = self.embedding(engine.asarray(x, device=self.head.weight.device))
        for norm, mix, cell in zip(self.norms, self.mixes, self.cells, strict=False):
            u = norm(y)
            before = engine.concat([engine.zeros_like(u[:1]), u[:-1]])
            y = y + cell(mix(engine.concat([u, before], axis=-1)))[0]
        logits: Tensor = self.head(self.norms[-1](y[-last:]))
        return logits


def parameters(model: rnn.Module) -> int:
    """Return the number of parameters."""
    return sum(one.size for one in model.parameters())


def sized(make: Callable[[int], Reader], wanted: int) -> Reader:
    """Return the model of the width that brings it closest to so many parameters.

    Raises ValueError where even the smallest has twice as many.
    """
    width, model = STEP, make(STEP)
    if parameters(model) > 2 * wanted:
        raise ValueError(f"the smallest model has {parameters(model):,} parameters; {wanted:,} are "
                         "too few")  # fmt: skip
    while parameters(wider := make(width + STEP)) - wanted < wanted - parameters(model):
        width, model = width + STEP, wider
    return model


def options_of(parser: Parser, *, size: int, steps: int, layers: int = 1, lr: float = 3e-3) -> None:
    """Give a task the options of the model and of its training."""
    add, number = parser.add_argument, parser.number
    add("--cell", default="gated_deltanet", **NAMED, help=f"of the layers: {NAMES}")
    number("--parameters", default=size, help="that the model has, nearly")
    number("--layers", default=layers, help="of cells")
    number("--batch", default=64, help="sequences of an update")
    number("--steps", default=steps, help="updates")
    number("--lr", default=lr, help="learning rate of Adam")


def cost(model: Reader, batch: Batch) -> Tensor:
    """Return the mean cross entropy of the answers, in nats."""
    logits = model(batch.x, len(batch.y))
    return engine.cross_entropy(logits, engine.asarray(batch.y, device=logits.device))


def right(model: Reader, batch: Batch) -> Any:
    """Return which answers (A, B) are right."""
    with engine.no_grad():
        logits = model(batch.x, len(batch.y))
    return engine.argmax(logits, axis=-1).numpy() == batch.y


def made(options: argparse.Namespace, symbols: int, answers: int) -> Reader:
    """Return the model of the options, its weights drawn from the seed that is set."""
    make = partial(_reader, options.cell, symbols, answers, options.layers)
    return sized(make, options.parameters).to(options.device)


def _reader(cell: str, symbols: int, answers: int, layers: int, width: int) -> Reader:
    return Reader(cell, symbols, answers, width, layers)


def learnt(
    name: str,
    options: argparse.Namespace,
    vocabulary: tuple[int, int],
    train: tuple[Make, tuple[Any, ...]],
    judged: Callable[[Reader], dict[str, float]],
) -> Result:
    """Train on fresh batches ``make(*given, "train", ...)`` and measure with `judged` at the end.

    `vocabulary` is the number of symbols that are read and of those that are answers. The curve is
    the accuracy on fresh sequences of the same kind.
    """
    began = begin(options)
    model = made(options, *vocabulary)
    make, given = train
    tests = iter(range(10**9))

    def tested(_: rnn.Module) -> dict[str, float]:
        batch = make(*given[:-1], VALIDATED, "test", next(tests))
        return {"accuracy": float(right(model, batch).mean())}

    history = fitted(
        name,
        model,
        fresh(make, *given, "train", steps=options.steps),
        cost,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        steps=options.steps,
        clip_norm=1.0,
        evaluate=tested,
        validate_every=max(1, options.steps // 10),
        **outputs(options),
    )
    own = {**judged(model), "parameters": float(parameters(model))}
    return result(name, options, began, own, history, validated(history, "accuracy"))


def told(options: argparse.Namespace, kept: Result) -> str:
    """Return what every task says first: the cell, its size, what it took."""
    own = kept["figures"]
    return (f"{options.cell}, {own['parameters']:,.0f} parameters, {kept['steps']:,} updates in "
            f"{kept['seconds']:.0f} s")  # fmt: skip
