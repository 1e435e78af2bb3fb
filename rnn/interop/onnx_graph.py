"""Read an ONNX graph: its recurrent nodes in order, and that nothing else in it computes.

Above `onnx_weights.py` and `onnx_plumbing.py`, below `onnx.py`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.backends import Array
from rnn.interop.onnx_cells import DEFAULTS, Activation, chosen, from_attributes
from rnn.interop.onnx_plumbing import (
    FILLING,
    INPUT,
    MOVING,
    Plumbing,
    Value,
    attributes,
    constant,
    named,
    package,
    refuse,
)
from rnn.interop.onnx_weights import BLOCKS, Direction

SHARED = {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size",
          "layout"}  # fmt: skip
OWN: dict[str, set[str]] = {
    "RNN": set(), "LSTM": {"input_forget"}, "GRU": {"linear_before_reset"},
}  # fmt: skip
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
CALL = "give it when the module is called"


class Node(NamedTuple):
    """Hold one recurrent node."""

    parts: list[Direction]
    direction: str


def read_graph(model: Any) -> tuple[list[Node], bool]:
    """Return the recurrent nodes of a model, and whether its input has the batch first. Raises
    ValueError that names the first thing here that a stack of layers is not.
    """
    _refuse_other_ops(model.graph)
    reader = _Reader(model.graph)
    for node in model.graph.node:
        if node.op_type in BLOCKS:
            reader.layer(node)
        else:
            reader.plumbing.follow(node)
    if len(set(reader.lengths)) > 1:
        refuse(f"the layers have unlike sequence_lens, {reader.lengths}")
    reader.check_outputs()
    return reader.nodes, reader.batch_first


def _refuse_other_ops(graph: Any) -> None:
    known = MOVING | FILLING | set(BLOCKS)
    others = [
        named(node)
        for node in graph.node
        if node.op_type not in known or node.domain not in ("", "ai.onnx")
    ]
    if others:
        refuse(f"the graph has {', '.join(others)}", "cut out the recurrent part")
    if not any(node.op_type in BLOCKS for node in graph.node):
        refuse("the graph has no RNN, LSTM or GRU")


class _Reader:
    """Walk the nodes once, which ONNX keeps in an order of computing."""

    def __init__(self, graph: Any) -> None:
        array = package().numpy_helper.to_array
        self.graph = graph
        self.constants: dict[str, Array] = {one.name: array(one) for one in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.inputs = [one.name for one in graph.input if one.name not in self.constants]
        self.plumbing = Plumbing(self.constants)
        for name in self.inputs:  # their axes are known by their numbers
            self.plumbing.values[name] = Value(INPUT, ("0", "1", "2"))
        self.nodes: list[Node] = []
        self.lengths: list[str] = []
        self.batch_first = False

    def layer(self, node: Any) -> None:
        """Take in a recurrent node."""
        told, where = attributes(node), named(node)
        others = sorted(set(told) - SHARED - OWN[node.op_type])
        if others:
            refuse(f"{where} has {', '.join(others)}")
        layout = told.get("layout", 0)
        names = dict(
            zip(INPUTS if node.op_type == "LSTM" else INPUTS[:6], node.input, strict=False)
        )
        self._check_input(names["X"], layout, where)
        self.lengths.append(self._lengths(names.get("sequence_lens", ""), where))
        for state in ("initial_h", "initial_c"):
            self._check_start(names.get(state, ""), f"{state} of {where}")
        made = _node(node.op_type, told, self._weights(node.op_type, names, where), where)
        self.plumbing.layer(node.output[0], layout, len(made.parts), made.parts[0].hidden_size)
        self.nodes.append(made)

    def check_outputs(self) -> None:
        """Raise ValueError for outputs of inner layers, and for pieces and other orders of Y."""
        last = len(self.nodes) - 1
        for output in self.graph.output:
            value = self.plumbing.values.get(output.name)
            if value is None:
                continue  # a state: the module gives all of them
            if value.maker != last:
                refuse(f"output {output.name!r} does not come from the last layer")
            if value.axes is None or (
                len(value.axes) == 3
                and self.plumbing.sequence(value) != ("BT" if self.batch_first else "TB")
            ):
                order = "" if value.axes is None else f" {value.axes}"
                refuse(f"output {output.name!r} is a piece or another order of Y{order}")

    def _check_input(self, name: str, layout: int, where: str) -> None:
        """Check that X is the graph's input, or all of the layer before, in order."""
        value = self.plumbing.values.get(name)
        if value is None or value.maker != len(self.nodes) - 1:
            refuse(f"X of {where} is not the output of the layer before it")
        if value.maker == INPUT:
            if value.axes not in (("0", "1", "2"), ("1", "0", "2")):
                refuse(f"X of {where} is a piece or another order of the graph's input")
            self.batch_first = (value.axes == ("0", "1", "2")) == (layout == 1)
        elif self.plumbing.sequence(value) != ("BT" if layout else "TB"):
            refuse(f"X of {where} is a piece or another order of the Y before it")

    def _lengths(self, name: str, where: str) -> str:
        """Return the graph input that gives a node its lengths, nothing where it has none."""
        while name in self.makers and self.makers[name].op_type in ("Identity", "Cast"):
            name = self.makers[name].input[0]
        if name and name not in self.inputs:
            refuse(f"sequence_lens of {where} is no input of the graph", CALL)
        return name

    def _check_start(self, name: str, what: str) -> None:
        """Raise ValueError for an initial state that is neither zeros nor an input of the graph."""
        waiting = [name]
        while waiting:
            one = waiting.pop()
            if one in self.constants:
                if self.constants[one].any():
                    refuse(f"{what} is a constant that is not zero", CALL)
            elif one and one not in self.inputs:
                waiting += self._before(self.makers[one], what)

    def _before(self, node: Any, what: str) -> list[str]:
        """Return the inputs that an op of the plumbing puts into its result."""
        if node.op_type in BLOCKS or node.op_type == "Shape":
            refuse(f"{what} is computed by {named(node)}")
        if node.op_type in ("Constant", "ConstantOfShape"):
            if node.attribute and constant(node).any():
                refuse(f"{what} is a constant that is not zero", CALL)
            return []
        return list(node.input) if node.op_type == "Concat" else [node.input[0]]

    def _weights(self, op: str, names: Mapping[str, str], where: str) -> dict[str, Array]:
        """Return W, R and, where they are given, B and P, all with their directions first."""
        found: dict[str, Array] = {}
        for name in ("W", "R", "B", "P"):
            given = names.get(name, "")
            if given and given not in self.constants:
                refuse(f"{name} of {where} is not a constant")
            if given:
                found[name] = self.constants[given]
                if found[name].dtype.name not in ("float32", "float64"):
                    refuse(f"{name} of {where} is {found[name].dtype}", "use float32 or float64")
        count, blocks, H = found["W"].shape[0], BLOCKS[op], found["R"].shape[-1]
        width = found["W"].shape[-1]
        if self.nodes:
            width = self.plumbing.sizes[-1]["D"] * self.plumbing.sizes[-1]["H"]
        expected = {
            "W": (count, blocks * H, width), "R": (count, blocks * H, H),
            "B": (count, 2 * blocks * H), "P": (count, 3 * H),
        }  # fmt: skip
        for name, x in found.items():
            if x.shape != expected[name]:
                raise ValueError(
                    f"import_onnx: {name} of {where}: shape {x.shape}, expected {expected[name]}"
                )
        return found


def _node(op: str, told: Mapping[str, Any], weights: Mapping[str, Array], where: str) -> Node:
    """Return a node from its attributes and weights."""
    direction = _text(told.get("direction", "forward")).lower()
    counts = {"forward": 1, "reverse": 1, "bidirectional": 2}
    count = weights["W"].shape[0]
    if counts.get(direction) != count:
        raise ValueError(f"import_onnx: {where}: {direction!r} with weights for {count} directions")
    try:
        own = _activations(op, told, count)
    except ValueError as error:
        raise ValueError(f"import_onnx: {where}: {error}") from error
    parts = [
        Direction(
            op,
            weights["W"][number],
            weights["R"][number],
            weights["B"][number] if "B" in weights else None,
            weights["P"][number] if "P" in weights else None,
            own[number],
            told.get("clip"),
            bool(told.get("input_forget", 0)),
            bool(told.get("linear_before_reset", 0)),
        )
        for number in range(count)
    ]
    return Node(parts, direction)


def _activations(op: str, told: Mapping[str, Any], count: int) -> list[tuple[Activation, ...]]:
    """Return those of every direction, ONNX's defaults where a node names none."""
    made = from_attributes(
        [_text(name) for name in told.get("activations", ())],
        told.get("activation_alpha", ()),
        told.get("activation_beta", ()),
    )
    made = made or [*DEFAULTS[op]] * count
    each = len(DEFAULTS[op])
    if len(made) != count * each:
        raise ValueError(f"expected {count * each} activations, got {len(made)}")
    return [chosen(op, made[k * each : (k + 1) * each]) for k in range(count)]


def _text(x: bytes | str) -> str:
    return x.decode() if isinstance(x, bytes) else x
