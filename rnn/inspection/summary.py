"""Tabulate a model: its modules, what each returns, how many numbers it trains. Above models."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.checks import is_whole
from engine.random import random_state, set_random_state
from engine.suggestions import kind_of
from rnn.modules.module import Module, evaluating
from rnn.modules.printing import sizes

HEADS = ("path", "class", "output", "parameters")


class Row(NamedTuple):
    """Describe one module: path, class, the shapes that its first call returned, "-" for no call,
    and how many numbers its own parameters hold that no row before has counted.
    """

    path: str
    kind: str
    output: str
    parameters: int


@dataclass(frozen=True)
class Summary:
    """Hold the rows of a model and their sum; as text it is a table.

    >>> import engine, rnn
    >>> found = rnn.summary(rnn.Linear(3, 2), engine.ones((4, 3)))
    >>> found.total, found.trainable
    (8, 8)
    """

    rows: tuple[Row, ...]
    total: int
    trainable: int

    def __str__(self) -> str:
        cells = [HEADS, *((one.path or "(model)", *one[1:3], f"{one.parameters:,}")
                          for one in self.rows)]  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(text.rjust(width) if text is row[3] else text.ljust(width)
                           for text, width in zip(row, widths, strict=True))
                 for row in cells]  # fmt: skip
        rule = "-" * len(lines[0])
        frozen = "" if self.trainable == self.total else f", {self.trainable:,} of them trainable"
        return "\n".join([lines[0], rule, *lines[1:], rule, f"{self.total:,} parameters{frozen}"])

    __repr__ = __str__


def summary(model: Module, *inputs: Any, **options: Any) -> Summary:
    """Run ``model(*inputs, **options)`` once and tell what each module in it returned.

    It runs in evaluation mode without gradients; modes, randomness and hooks are as before
    afterwards, also after an error. A cell in a recurrence shows the shapes of one step. Raises
    TypeError without inputs.

    >>> import engine, rnn
    >>> net = rnn.Sequential(rnn.GRU(3, 5), rnn.Linear(5, 2))
    >>> print(str(rnn.summary(net, engine.ones((7, 4, 3)))).splitlines()[3])
    steps.0  GRU         [(7, 4, 5), (1, 4, 5)]         150
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a Module, got {kind_of(model)}")
    sizes_alone = [x for x in inputs if isinstance(x, tuple) and x and all(map(is_whole, x))]
    if sizes_alone or not (inputs or options):
        given = f"{sizes_alone[0]}, a shape" if sizes_alone else "none"
        raise TypeError(f"summary: expected the inputs of a call, got {given}; write "
                        "rnn.summary(model, engine.ones(shape))")  # fmt: skip
    found: dict[int, str] = {}

    def note(module: Module, _: Any, output: Any) -> None:
        found.setdefault(id(module), sizes(output))

    before = random_state()
    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with evaluating(model):
            model(*inputs, **options)
    finally:
        set_random_state(before)
        for handle in handles:
            handle.remove()
    return _table(model, found)


def _table(model: Module, found: dict[int, str]) -> Summary:
    counted: set[int] = set()
    rows = []
    for path, module in model.named_modules():
        own = {id(x): x.size for x in module.parameters(recurse=False) if id(x) not in counted}
        counted |= own.keys()
        output = found.get(id(module), "-")
        rows.append(Row(path, type(module).__name__, output, sum(own.values())))
    every = model.parameters()
    return Summary(tuple(rows), sum(x.size for x in every),
                   sum(x.size for x in every if x.requires_grad))  # fmt: skip
