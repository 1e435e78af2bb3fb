"""The equations of a cell in LaTeX, read from its recorded step. Above the cells.

Every variable that the step assigns is a line; what it does not name is written out where it is
used. So a cell that a user writes prints like a built-in one.
"""

from collections.abc import Iterable
from typing import Any

import engine
from engine import Graph, Node, Op, Tensor
from rnn.cells.base import Cell

SYMBOLS = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": r"{0} \odot {1}",
           "divide": r"\frac{{{0}}}{{{1}}}", "negative": "-{0}", "matmul": "{0} {1}",
           "power": "{0}^{{{1}}}", "square": "{0}^2", "reciprocal": r"\frac{{1}}{{{0}}}",
           "sqrt": r"\sqrt{{{0}}}", "abs": r"\left|{0}\right|"}  # fmt: skip
FUNCTIONS = {"sigmoid": r"\sigma", "tanh": r"\tanh", "exp": r"\exp", "log": r"\log",
             "sin": r"\sin", "cos": r"\cos"}  # fmt: skip
SUMS = frozenset({"add", "subtract", "negative"})
PRODUCTS = frozenset({"multiply", "matmul"})
OPEN = frozenset({"add", "divide", "reciprocal", "sqrt", "abs"})  # need no brackets inside
Term = tuple[str, int]  # and what it is as an operand:
ATOM, PRODUCT, SUM = range(3)


def latex(cell: Cell) -> str:
    """The equations of one step as an ``aligned`` block: inputs x, states with t - 1, outputs.

    >>> import rnn
    >>> print(rnn.latex(rnn.ElmanCell(3, 5, bias=False)))
    \\begin{aligned}
    a_t &= W_{ih} x_t + W_{hh} h_{t-1} \\\\
    h_t &= \\tanh\\left(a_t\\right)
    \\end{aligned}
    """

    def step(state: Any, x: Tensor) -> tuple[Any, Tensor]:
        y, new = cell.step(x, state)
        return new, y

    step.__wrapped__ = cell.step  # type: ignore[attr-defined]  # where the equations are
    step.state_names = tuple(cell.state_size)  # type: ignore[attr-defined]
    kind = next((x.dtype for x in cell.parameters()), engine.float32)
    states = tuple(engine.zeros((1, size), dtype=kind) for size in cell.state_size.values())
    xs = engine.zeros((1, 1, cell.input_size), dtype=kind)
    body = engine.scan_body(step, states[0] if len(states) == 1 else states, xs)
    known = {body.xs[0].node: "x_t"}
    for one, name in zip(body.states, cell.state_size, strict=True):
        known[one.node] = _symbol(name, "t-1")
    writer = _Writer(known, body.graph)
    for node in body.graph.nodes:
        writer.write(node)
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(writer.lines), r"\end{aligned}"])


def variable(node: Node) -> str:
    """The variable of the equations whose assignment made a node; empty for none."""
    labels = node.scope.labels
    return str(labels.get("state") or labels.get("gate") or "") if node.inputs else ""


def unfinished(nodes: Iterable[Node]) -> set[Node]:
    """The nodes that are not the last of their equation: they feed one of the same name."""
    feeding = ((x.node, node) for node in nodes for x in node.inputs if isinstance(x, Tensor))
    return {one for one, node in feeding if variable(node) and variable(one) == variable(node)}


class _Writer:
    """Writes nodes as terms, and a line for each that has a name of its own."""

    def __init__(self, known: dict[Node, str], graph: Graph) -> None:
        self.terms: dict[Node, Term] = {n: (term, ATOM) for n, term in known.items()}
        self.lines: list[str] = []
        self.inside = unfinished(graph.nodes)

    def write(self, node: Node) -> None:
        """Have the term of a node; its inputs have theirs."""
        if node not in self.terms:
            parts = [part.strip() for part in variable(node).split(",")]
            if len(parts) > 1 and node.op.name == "getitem" and node not in self.inside:
                self.terms[node] = self._piece(node, parts), ATOM
            else:
                self.terms[node] = self._named(node, *self._term(node))

    def _piece(self, node: Node, names: list[str]) -> str:
        """The name of one part of a value that was cut into parts with names."""
        (source, *_), part = node.inputs, node.attrs["key"][-1]
        assert isinstance(source, Tensor)
        line = f"{_list(names)} &= {self.terms[source.node][0]}"
        if line not in self.lines:
            self.lines.append(line)
        width = source.shape[-1] // len(names)
        return _symbol(names[(part.start or 0) // width], "t")

    def _named(self, node: Node, term: str, kind: int) -> Term:
        """A node's own name where it ends an equation; the term itself where it does not."""
        if not variable(node) or node in self.inside:
            return term, kind
        symbol = _symbol(variable(node), "t")
        self.lines.append(f"{symbol} &= {term}")
        return symbol, ATOM

    def _term(self, node: Node) -> Term:
        """The term of a node, and whether it needs brackets as a factor."""
        op = node.op.name
        if not node.inputs:
            return _symbol(node.name or r"\cdot"), ATOM
        parts = [self.terms[x.node] if isinstance(x, Tensor) else (f"{x:g}", ATOM)
                 for x in node.inputs]  # fmt: skip
        if _same_numbers(node.op):
            return parts[0]
        if op == "linear":
            product = f"{parts[1][0]} {_bracketed(parts[0], PRODUCT)}"
            return (f"{product} + {parts[2][0]}", SUM) if len(parts) > 2 else (product, PRODUCT)
        if op in SYMBOLS:
            inner = [one[0] if op in OPEN else _bracketed(one) for one in parts]
            kind = SUM if op in SUMS else PRODUCT if op in PRODUCTS else ATOM
            return SYMBOLS[op].format(*inner), kind
        if op in ("getitem", "split"):
            return f"{{{_bracketed(parts[0])}}}_{{{_columns(node)}}}", ATOM
        given = ", ".join(one[0] for one in parts)
        return rf"{FUNCTIONS.get(op, _upright(op))}\left({given}\right)", ATOM


def _same_numbers(op: Op) -> bool:
    """Whether an op changes no more than dtype or shape, which equations do not show."""
    if op.kind == "layout":
        return op.attributes == ("shape",)
    return (op.kind, op.degree, op.inputs) == ("elementwise", "sum", 1) and op.name not in SYMBOLS


def _columns(node: Node) -> str:
    """The columns that a slice takes."""
    part = node.attrs["key"][-1]
    return f"{part.start or 0}:{part.stop if part.stop is not None else ''}" if isinstance(
        part, slice) else str(part)  # fmt: skip


def _bracketed(term: Term, least: int = SUM) -> str:
    return rf"\left({term[0]}\right)" if term[1] >= least else term[0]


def _upright(name: str) -> str:
    return rf"\mathrm{{{name.replace('_', ' ')}}}"


def _list(names: list[str]) -> str:
    return rf"\left[{', '.join(_symbol(name, 't') for name in names)}\right]"


def _symbol(name: str, time: str = "") -> str:
    """A variable or parameter as a symbol: ``weight_ih`` is W_{ih}, ``a_f`` at t is a_{f,t}."""
    letters = {"weight": "W", "bias": "b", "gain": "g"}
    head, _, tail = name.partition("_")
    head, below = letters.get(head, head), ",".join(part for part in (tail, time) if part)
    if not below:
        return head
    return f"{head}_{below}" if len(below) == 1 else f"{head}_{{{below}}}"
