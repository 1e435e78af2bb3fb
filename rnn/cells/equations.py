"""The equations of a cell in LaTeX, read from its recorded step. Above the cells.

Every variable that the step assigns is a line; what it does not name is written out where it is
used. So a cell that a user writes prints like a built-in one.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import engine
from engine import Graph, Node, Tensor
from engine.scan import Body
from rnn.cells.base import Cell
from rnn.cells.sizes import examples, is_nest, names
from rnn.cells.terms import Term, composed, number


def latex(cell: Cell) -> str:
    """The equations of one step as an ``aligned`` block: inputs x, states with t - 1, outputs.

    >>> import rnn
    >>> print(rnn.latex(rnn.ElmanCell(3, 5, bias=False)))
    \\begin{aligned}
    a_t &= W_{ih} x_t + W_{hh} h_{t-1} \\\\
    h_t &= \\tanh\\left(a_t\\right)
    \\end{aligned}
    """

    def step(state: Any, inputs: Any) -> tuple[Any, Any]:
        y, new = cell.stepped(inputs[0], state, *inputs[1:])
        return new, y

    step.__wrapped__ = cell.step  # type: ignore[attr-defined]  # where the equations are
    step.state_names = tuple(cell.state_size)  # type: ignore[attr-defined]
    kind = next((x.dtype for x in cell.parameters()), engine.float32)
    states = tuple(examples(size, (1,), kind) for size in cell.state_size.values())
    time = (engine.arange(1),) if cell.takes_time else ()
    state = states[0] if len(states) == 1 else states
    body, sizes = _recorded(step, state, cell.input_size, kind, time)
    called = [*(_symbol(name, "t") for name in names(sizes)), *["t" for _ in time]]
    known = {x.node: name for x, name in zip(body.xs, called, strict=True)}
    for path, x in cell.named_parameters():
        known[x.node] = _symbol(x.node.name or path.rpartition(".")[2])
    for one, name in zip(body.states, cell.state_size, strict=True):
        known[one.node] = _symbol(name, "t-1")
    writer = _Writer(known, body.graph)
    for x, name in zip(body.new_states, cell.state_size, strict=True):
        writer.assign(name, x)
    if len(body.ys) == 1 and body.ys[0].node not in {x.node for x in body.new_states}:
        writer.assign_output(body.ys[0])
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(writer.lines), r"\end{aligned}"])


def _recorded(
    step: Any, state: Any, sizes: Any, kind: Any, time: tuple[Tensor, ...]
) -> tuple[Body, Any]:
    """One step on zeros, and the sizes of its inputs. A number a row may be an index, and widths
    may be those of several inputs: what the step takes is tried.
    """
    forms = [sizes]
    if isinstance(sizes, tuple) and not is_nest(sizes):
        forms.append([(one,) for one in sizes])
    attempts = [(form, rows) for form in forms for rows in (kind, engine.int64)]
    failed: Exception | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a step on zeros, whose numbers are not read
        for form, rows in attempts:
            try:
                xs = (examples(form, (1, 1), kind, rows), *time)
                return engine.scan_body(step, state, xs), form
            except (TypeError, ValueError, IndexError) as error:
                failed = failed or error
    assert failed is not None
    raise failed


def variable(node: Node) -> str:
    """The variable of the equations whose assignment made a node; empty for none."""
    labels = node.scope.labels
    return str(labels.get("state") or labels.get("gate") or "") if node.inputs else ""


def unfinished(nodes: Iterable[Node]) -> set[Node]:
    """The nodes that are not the last of their equation: they feed one of the same name."""
    feeding = ((x.node, node) for node in nodes for x in node.inputs if isinstance(x, Tensor))
    return {one for one, node in feeding if variable(node) and variable(one) == variable(node)}


def named_ends(nodes: Iterable[Node]) -> dict[Node, str]:
    """The variable of each node that ends the equation of one, in the order of the nodes.

    Of a variable that is assigned again the last has the name; where none of two follows from the
    other, as in a list of values, neither has it.
    """
    ordered = list(nodes)
    inside = unfinished(ordered)
    found: dict[str, list[Node]] = {}
    for node in ordered:
        if (name := variable(node)) and node not in inside and "," not in name:
            found.setdefault(name, []).append(node)
    known = set(ordered)
    ends = {own[-1]: name for name, own in found.items()
            if len(own) == 1 or _follows(own[-1], own[:-1], known)}  # fmt: skip
    return {node: ends[node] for node in ordered if node in ends}


def _follows(last: Node, others: list[Node], known: set[Node]) -> bool:
    """Whether a node was computed from all the others."""
    stack, seen = [last], {last}
    while stack:
        for x in stack.pop().inputs:
            if isinstance(x, Tensor) and x.node in known and x.node not in seen:
                seen.add(x.node)
                stack.append(x.node)
    return seen.issuperset(others)


class _Writer:
    """Writes nodes as terms, and a line for each that has a name of its own."""

    def __init__(self, known: dict[Node, str], graph: Graph) -> None:
        self.terms: dict[Node, Term] = {node: Term(text) for node, text in known.items()}
        self.lines: list[str] = []
        self.ends = named_ends(graph.nodes)
        self.pieces = _pieces(graph)
        for node in graph.nodes:
            if node not in self.terms:
                self.terms[node] = self._written(node)

    def assign(self, name: str, x: Tensor) -> None:
        """A line for a result that has another name, or none."""
        symbol = _symbol(name, "t")
        if not any(line.startswith(f"{symbol} &=") for line in self.lines):
            self.lines.append(f"{symbol} &= {self.terms[x.node].text}")

    def assign_output(self, y: Tensor) -> None:
        """A line for the output where it is an expression of its own."""
        if y.node not in self.ends and y.node.inputs:
            self.assign("y", y)

    def _written(self, node: Node) -> Term:
        """A node's own name where it ends an equation; its term where it does not."""
        if node in self.pieces:
            return self._piece(node, *self.pieces[node])
        if not node.inputs:
            return Term(_symbol(node.name or r"\cdot"))
        parts = [self.terms[x.node] if isinstance(x, Tensor) else number(x)  # type: ignore[arg-type]
                 for x in node.inputs]  # fmt: skip
        term = composed(node, parts)
        if node not in self.ends:
            return term
        symbol = _symbol(self.ends[node], "t")
        self.lines.append(f"{symbol} &= {term.text}")
        return Term(symbol)

    def _piece(self, node: Node, names: list[str], place: int) -> Term:
        """The name of one part of a value that was cut into parts with names."""
        source = node.inputs[0]
        assert isinstance(source, Tensor)
        line = f"{_list(names)} &= {self.terms[source.node].text}"
        if line not in self.lines:
            self.lines.append(line)
        return Term(_symbol(names[place], "t"))


def _pieces(graph: Graph) -> dict[Node, tuple[list[str], int]]:
    """The parts of values that were cut up in the order of their names, and their places."""
    inside = unfinished(graph.nodes)
    groups: dict[tuple[Any, str], list[Node]] = {}
    for node in graph.nodes:
        name = variable(node)
        if "," in name and not name.startswith("(") and node not in inside:
            source = node.inputs[0].node if isinstance(node.inputs[0], Tensor) else None
            cut = node.op.name == "getitem" and node.origin is None
            groups.setdefault((source if cut else None, name), []).append(node)
    found = {}
    for (source, name), nodes in groups.items():
        names = [part.strip() for part in name.split(",")]
        if source is not None and len(nodes) == len(names):
            found.update({node: (names, place) for place, node in enumerate(nodes)})
        elif source is not None:
            found.update(_of_equal_width(source, nodes, names))
    return found


def _of_equal_width(
    source: Node, nodes: list[Node], names: list[str]
) -> dict[Node, tuple[list[str], int]]:
    """The places of parts of which some are not used, where all are equally wide."""
    found: dict[Node, tuple[list[str], int]] = {}
    for node in nodes:
        part = node.attrs["key"][-1]
        size = source.shape[len(node.attrs["key"]) - 1]
        width, rest = divmod(size, len(names))
        if not isinstance(part, slice) or rest or (part.start or 0) % width:
            return {}
        if (part.stop or size) - (part.start or 0) != width:
            return {}
        found[node] = names, (part.start or 0) // width
    return found


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
