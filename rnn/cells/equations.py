"""Write the equations of a cell in LaTeX, read from its recorded step. Above the cells.

Every variable that the step assigns is a line; what it does not name is written out where it is
used. So a cell that a user writes prints like a built-in one.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any, TypeVar

import engine
from engine import Graph, Node, Tensor
from engine.reading.composites import composites
from engine.scan import Body
from rnn.cells.declaration import BaseCell
from rnn.cells.sizes import examples, is_nest, names
from rnn.cells.terms import FACTOR, Term, composed, number, unmarked

Recorded = TypeVar("Recorded")
LONG = 100  # letters of a term that is used several times, from which on it is a line
# Variables that are written as one letter.
GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "lambda", "mu", "nu",
    "rho", "sigma", "tau", "phi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Sigma",
    "Phi", "Psi", "Omega",
})  # fmt: skip


def latex(cell: BaseCell) -> str:
    """Return the equations of one step as an ``aligned`` block: inputs x, states with t - 1,
    outputs. Numbers are exact: decimals of up to 6 digits, else fractions p/q with q up to 64
    that round to them, else all digits. Raises TypeError for what is no cell, such as a layer.

    >>> import rnn
    >>> print(rnn.latex(rnn.ElmanCell(3, 5, bias=False)))
    \\begin{aligned}
    a_t &= W_{ih} x_t + W_{hh} h_{t-1} \\\\
    h_t &= \\tanh\\left(a_t\\right)
    \\end{aligned}
    """
    if not isinstance(cell, BaseCell):
        got = f"the class {cell.__name__}" if isinstance(cell, type) else type(cell).__name__
        raise TypeError(f"latex: expected a cell, such as rnn.LSTMCell(3, 5), got {got}")

    def step(state: Any, inputs: Any) -> tuple[Any, Any]:
        y, new = cell.stepped(inputs[0], state, *inputs[1:])
        return new, y

    step.__wrapped__ = cell.step  # type: ignore[attr-defined]  # where the equations are
    step.state_names = tuple(cell.state_size)  # type: ignore[attr-defined]
    kind = next((x.dtype for x in cell.parameters()), engine.float32)
    states = tuple(examples(size, (1,), kind) for size in cell.state_size.values())
    time = (engine.arange(1),) if cell.takes_time else ()
    state = states[0] if len(states) == 1 else states

    def record(form: Any, rows: Any) -> tuple[Body, Any]:
        return engine.scan_body(step, state, (examples(form, (1, 1), kind, rows), *time)), form

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a step on zeros: its numbers are not read
        body, sizes = in_first_form(cell.input_size, kind, record)
    known = symbols(cell, dict(zip(called(sizes, body.xs), body.xs, strict=True)), body.states)
    new = dict(zip(cell.state_size, body.new_states, strict=True))
    return aligned(written(body.graph, known, new, body.ys))


def aligned(lines: Sequence[str]) -> str:
    """Set lines below each other, under their signs of equality."""
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def symbols(cell: BaseCell, xs: dict[str, Tensor], states: Sequence[Tensor]) -> dict[Node, str]:
    """Return the symbols of inputs, parameters and states before a step, by their nodes."""
    known = {x.node: name for name, x in xs.items()}
    for path, x in cell.named_parameters():
        known[x.node] = symbol(x.node.name or path.rpartition(".")[2])
    for one, name in zip(states, cell.state_size, strict=True):
        known[one.node] = symbol(name, "t-1")
    return known


def written(
    graph: Graph,
    known: dict[Node, str],
    states: dict[str, Tensor],
    ys: Sequence[Tensor],
    *,
    marked: bool = False,
) -> list[str]:
    """Write the equations of a recorded step, a line each: those of new `states` and outputs `ys`.

    `known` are the symbols of what the step does not compute. With `marked` every part stands
    between marks (see `terms.py`) that name its node, ``"7"``, or its use, ``"7.1"``: the number of
    the node in the graph, and the slot of the input.
    """
    writer = _Writer(known, graph, marked=marked)
    for name, x in states.items():
        writer.assign(name, x)
    if len(ys) == 1 and ys[0].node not in {x.node for x in states.values()}:
        writer.assign_output(ys[0])
    return writer.lines


def called(sizes: Any, xs: Sequence[Tensor]) -> list[str]:
    """Return the symbols of the inputs; one more than their sizes is the time."""
    own = [symbol(name, "t") for name in names(sizes)]
    return own + ["t"] * (len(xs) - len(own))


def in_first_form(sizes: Any, kind: Any, record: Callable[[Any, Any], Recorded]) -> Recorded:
    """Return ``record(form, dtype of a number a row)`` of the first form that the step takes.
    Widths may be those of several inputs, and a number a row may be an index.
    """
    found, failed = [sizes], None
    if isinstance(sizes, tuple) and not is_nest(sizes):
        found.append([(one,) for one in sizes])
    for form, rows in product(found, (kind, engine.int64)):
        try:
            return record(form, rows)
        except (TypeError, ValueError, IndexError) as error:
            failed = failed or error
    assert failed is not None
    raise failed


def variable(node: Node) -> str:
    """Return the variable of the equations that a node was assigned to; empty for none."""
    labels = node.scope.labels
    return str(labels.get("state") or labels.get("gate") or "") if node.inputs else ""


def unfinished(nodes: Iterable[Node]) -> set[Node]:
    """Return the nodes that are not the last of their equation: they feed one of the same name."""
    feeding = ((x.node, node) for node in nodes for x in node.inputs if isinstance(x, Tensor))
    return {one for one, node in feeding if variable(node) and variable(one) == variable(node)}


def named_ends(nodes: Iterable[Node]) -> dict[Node, str]:
    """Return the variable of each node that ends the equation of one, in the order of the nodes.

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
    """Return whether a node was computed from all the others."""
    stack, seen = [last], {last}
    while stack:
        for x in stack.pop().inputs:
            if isinstance(x, Tensor) and x.node in known and x.node not in seen:
                seen.add(x.node)
                stack.append(x.node)
    return seen.issuperset(others)


class _Writer:
    """Write nodes as terms, and a line for each that has a name of its own."""

    def __init__(self, known: dict[Node, str], graph: Graph, *, marked: bool) -> None:
        self.terms: dict[Node, Term] = {node: Term(text) for node, text in known.items()}
        self.lines: list[str] = []
        self.number = graph.number if marked else {}
        self.ends = named_ends(graph.nodes)
        self.calls = {node: one for node, one in composites(graph).items()
                      if not one.inner & self.ends.keys()}  # fmt: skip
        inner = {node for one in self.calls.values() for node in one.inner}
        self.pieces = _pieces(graph)
        self.uses = Counter(x.node for node in graph.nodes for x in node.inputs
                            if isinstance(x, Tensor))  # fmt: skip
        self.earlier: Counter[str] = Counter()
        for node in graph.nodes:
            if node not in self.terms:
                self.terms[node] = Term("") if node in inner else self._written(node)

    def assign(self, name: str, x: Tensor) -> None:
        """Write a line for a result that has another name, or none."""
        own = symbol(name, "t")
        if not any(unmarked(line).startswith(f"{own} &=") for line in self.lines):
            self.lines.append(f"{own} &= {self.terms[x.node].text}")

    def assign_output(self, y: Tensor) -> None:
        """Write a line for the output where it is an expression of its own."""
        if y.node not in self.ends and y.node.inputs:
            self.assign("y", y)

    def _written(self, node: Node) -> Term:
        """Return a node's own name where it ends an equation; its term where it does not."""
        if node in self.pieces:
            return self._piece(node, *self.pieces[node])
        if not node.inputs:
            return Term(symbol(node.name or r"\cdot"))
        term = self._composed(node).marked(self._name(node))
        own = Term(symbol(self.ends[node], "t")) if node in self.ends else self._earlier(node, term)
        if own is None:
            return term
        self.lines.append(f"{own.marked(self._name(node)).text} &= {term.text}")
        return own

    def _earlier(self, node: Node, term: Term) -> Term | None:
        """Return a symbol for a value that its variable lost again, where its term is long and
        used several times: to write that out would double the text at each turn of a loop.
        """
        name = variable(node)
        if self.uses[node] < 2 or len(unmarked(term.text)) < LONG or not name or "," in name:
            return None
        self.earlier[name] += 1
        return Term(f"{symbol(name, 't')}^{{({self.earlier[name]})}}", FACTOR)

    def _composed(self, node: Node) -> Term:
        """Return the term of an op, or of the call of a function that it ends."""
        if node in self.calls:
            call = self.calls[node]
            part = self.terms[call.source].marked(self._name(node, 0))
            return Term(rf"\mathrm{{{call.name}}}\left({part.text}\right)", FACTOR)
        parts = [self.terms[x.node].marked(self._name(node, slot)) if isinstance(x, Tensor)
                 else number(x) for slot, x in enumerate(node.inputs)]  # type: ignore[arg-type]  # fmt: skip
        return composed(node, parts)

    def _name(self, node: Node, slot: int | None = None) -> str:
        """Return the name of a node in marks, or of a use by it; empty where there are no marks."""
        if not self.number:
            return ""
        return f"{self.number[node]}" if slot is None else f"{self.number[node]}.{slot}"

    def _piece(self, node: Node, names: list[str], place: int) -> Term:
        """Return the name of one part of a value that was cut into parts with names."""
        source = node.inputs[0]
        assert isinstance(source, Tensor)
        line = f"{_list(names)} &= {self.terms[source.node].text}"
        if line not in self.lines:
            self.lines.append(line)
        return Term(symbol(names[place], "t"))


def _pieces(graph: Graph) -> dict[Node, tuple[list[str], int]]:
    """Return the parts of values that were cut up in the order of their names, and their places."""
    inside = unfinished(graph.nodes)
    groups: dict[tuple[Any, str], list[Node]] = {}
    for node in graph.nodes:
        name = variable(node)
        if "," in name and not name.startswith("(") and node not in inside:
            source = node.inputs[0].node if isinstance(node.inputs[0], Tensor) else None
            cut = node.op.role == "slice" and node.origin is None
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
    """Return the places of parts of which some are not used, where all are equally wide."""
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
    return rf"\left[{', '.join(symbol(name, 't') for name in names)}\right]"


def symbol(name: str, time: str = "") -> str:
    """Return a variable as a symbol: ``weight_ih`` is W_{ih}, ``a_f`` at t is a_{f,t}."""
    letters = {"weight": "W", "bias": "b", "gain": "g"} | {one: rf"\{one}" for one in GREEK}
    head, _, tail = name.partition("_")
    head, tail = letters.get(head, head), rf"\{tail}" if tail in GREEK else tail
    below = ",".join(part for part in (tail, time) if part)
    if not below:
        return head
    return f"{head}_{below}" if len(below) == 1 else f"{head}_{{{below}}}"
