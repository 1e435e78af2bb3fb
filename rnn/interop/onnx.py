"""Write and read ONNX models of recurrent layers. Above the other files of ONNX.

The package onnx is imported when one of the two functions is called, never before.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.checks import flag
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from rnn.interop.blocks import assign, batch_first, runs, xp
from rnn.interop.onnx_graph import Node, read_graph
from rnn.interop.onnx_models import whole_model
from rnn.interop.onnx_plumbing import package
from rnn.interop.onnx_weights import (
    IR,
    OPSET,
    Direction,
    attributes_of,
    inputs_of,
    read,
    together,
    written,
)
from rnn.layers.pytorch import GRU, LSTM, RNN
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.modules.module import Module

TURN = (1, 0, 2)  # (T, B, .) to (B, T, .) and back


def export_onnx(
    module: Module,
    path: str | Path | None = None,
    *,
    states: bool = False,
    lengths: bool = False,
    layout: int = 0,
    inputs: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
) -> Any:
    """Return the ONNX model of a recurrent module or cell, or of any model; write it to `path` too.

    Input X and output Y are shaped as the module's own, (T, B, I), or (B, T, I) with
    `batch_first`; outputs Y_h and, of an LSTM, Y_c are the final states
    (layers * directions, B, H), or Y_h_l0, Y_h_l1 and so on where the layers differ in H or kind.
    With `states` there are inputs initial_h and initial_c of the same shapes, with `lengths` an
    input sequence_lens (B,) of int32. Each layer is a node of that `layout`; under 1 the states are
    (B, layers * directions, H), and few runtimes run it. Dropout is left out, as in evaluation.
    onnxruntime ends a sequence of length 0 in zeros, where this module keeps the initial state.

    With `inputs` the whole of a model is written, as it computes in evaluation mode:
    ``{"x": "int64[T, B]", "state": "float32[B, 5]"}`` are arguments of its `forward`, in any
    nesting of lists, tuples and dicts, with a dtype and axes, which are numbers or names of axes
    of any length. The outputs are called `outputs`, by default y, or y.0, y.1 and so on.
    Recurrences of cells that ONNX has become its RNN, LSTM and GRU, those of other cells and of
    `engine.scan` a Scan with their step. The model is recorded on shapes without numbers, at
    several lengths of each named axis: what it does at other lengths alone, such as 1, is not seen.
    `lengths` and a `mask` may be inputs; whether the former fit is not checked there.
    Raises TypeError and ValueError that name what ONNX does not have, ImportError without onnx.

    >>> import rnn
    >>> net = rnn.Sequential(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Linear(5, 2))
    >>> rnn.interop.export_onnx(net, "net.onnx", inputs={"x": "int64[T, B]"})  # doctest: +SKIP
    """
    if inputs is not None or outputs is not None:
        if states or lengths or layout:
            raise ValueError("export_onnx: states, lengths and layout are of recurrent modules "
                             "alone, without inputs and outputs")  # fmt: skip
        model = whole_model(module, {} if inputs is None else inputs, outputs)
        if path is not None:
            package().save_model(model, str(path))
        return model
    if layout not in (0, 1):
        raise ValueError(f"export_onnx: layout must be 0 or 1, got {layout!r}")
    states = flag("export_onnx: states", states)
    lengths = flag("export_onnx: lengths", lengths)
    try:
        layers = runs(module)
    except TypeError as error:
        error.add_note("export_onnx: a whole model needs inputs, as {'x': 'int64[T, B]'}")
        raise
    parts = [[written(run.cell) for run in layer] for layer in layers]
    for number, own in enumerate(parts):
        together(own, f"export_onnx: layer {number}")
    backward = [layer[0].reverse for layer in layers]
    model = _Writer(parts, backward, layout, batch_first(module), states, lengths).model()
    if path is not None:
        package().save_model(model, str(path))
    return model


class _Writer:
    """Collect the nodes and constants of one model."""

    def __init__(
        self,
        parts: list[list[Direction]],
        backward: list[bool],
        layout: int,
        batch_first: bool,
        states: bool,
        lengths: bool,
    ) -> None:
        self.onnx = package()
        self.parts, self.backward, self.layout = parts, backward, layout
        self.batch_first, self.states, self.lengths = batch_first, states, lengths
        kinds = {(own[0].op, own[0].hidden_size) for own in parts}
        self.joint = len(kinds) == 1  # states of one shape are joined
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def model(self) -> Any:
        """Return the checked model of all layers."""
        helper = self.onnx.helper
        turned = self.batch_first != (self.layout == 1)
        if self.joint and self.states:
            for kind in self._kinds(0):
                names = [f"initial_{kind}_l{layer}" for layer in range(len(self.parts))]
                self._op("Split", [f"initial_{kind}"], names, axis=self.layout)
        x = self._op("Transpose", ["X"], ["X_turned"], perm=TURN) if turned else "X"
        for layer in range(len(self.parts)):
            x = self._layer(layer, x)
        if turned:
            self._op("Transpose", [x], ["Y"], perm=TURN)
        else:
            self._op("Identity", [x], ["Y"])
        if self.joint:
            for kind in self._kinds(0):
                names = [f"Y_{kind}_l{layer}" for layer in range(len(self.parts))]
                self._op("Concat", names, [f"Y_{kind}"], axis=self.layout)
        graph = helper.make_graph(
            self.nodes, "bptt", self._inputs(), self._outputs(), self.constants
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="bptt")
        model.ir_version = IR
        self.onnx.checker.check_model(model)
        return model

    def _layer(self, layer: int, x: str) -> str:
        """Return one node, and its Y made the input of the next one: the name of that."""
        parts, end = self.parts[layer], f"_l{layer}"
        starts = [f"initial_{kind}{end}" for kind in self._kinds(layer)] if self.states else []
        lengths = "sequence_lens" if self.lengths else ""
        inputs = inputs_of(parts, lambda name, value: self._constant(f"{name}{end}", value),
                           x, starts, lengths)  # fmt: skip
        outputs = [f"Y{end}", *(f"Y_{kind}{end}" for kind in self._kinds(layer))]
        self._op(parts[0].op, inputs, outputs, name=f"{parts[0].op}{end}",
                 **attributes_of(parts, self.backward[layer], self.layout))  # fmt: skip
        return self._joined(outputs[0], len(parts))

    def _joined(self, y: str, directions: int) -> str:
        """Return Y (T, D, B, H), or (B, T, D, H) in layout 1, with the directions side by side."""
        if directions == 1:
            axis = xp.asarray([1 if self.layout == 0 else 2], dtype="int64")
            return self._op("Squeeze", [y, self._constant(f"{y}_axis", axis)], [f"{y}_joined"])
        if self.layout == 0:
            y = self._op("Transpose", [y], [f"{y}_turned"], perm=(0, 2, 1, 3))
        shape = self._constant(f"{y}_shape", xp.asarray([0, 0, -1], dtype="int64"))
        return self._op("Reshape", [y, shape], [f"{y}_joined"])

    def _kinds(self, layer: int) -> tuple[str, ...]:
        """Return the states of a layer."""
        return ("h", "c") if self.parts[layer][0].op == "LSTM" else ("h",)

    def _op(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def _constant(self, name: str, value: Any) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def _value(self, name: str, sizes: list[Any], dtype: Any = None) -> Any:
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(dtype or self.parts[0][0].W.dtype)
        return helper.make_tensor_value_info(name, kind, sizes)

    def _sequence(self, name: str, size: int) -> Any:
        front = ["batch", "time"] if self.batch_first else ["time", "batch"]
        return self._value(name, [*front, size])

    def _states(self, front: str) -> list[Any]:
        """Return the states of all layers as inputs or outputs of the graph, joined if possible."""
        made = []
        for layer, own in enumerate([self.parts[0]] if self.joint else self.parts):
            count = sum(map(len, self.parts)) if self.joint else len(own)
            size: Any = own[0].hidden_size
            sizes = ["batch", count, size] if self.layout else [count, "batch", size]
            for kind in self._kinds(layer):
                name = f"{front}_{kind}" + ("" if self.joint else f"_l{layer}")
                made.append(self._value(name, sizes))
        return made

    def _inputs(self) -> list[Any]:
        made = [self._sequence("X", self.parts[0][0].input_size)]
        if self.lengths:
            made.append(self._value("sequence_lens", ["batch"], xp.dtype("int32")))
        return made + (self._states("initial") if self.states else [])

    def _outputs(self) -> list[Any]:
        last = self.parts[-1]
        y = self._sequence("Y", len(last) * last[0].hidden_size)
        return [y, *self._states("Y")]


def import_onnx(model: Any) -> Module:
    """Return the module that computes what an ONNX model of recurrent layers does.

    `model` is a ModelProto or the path of one. Nodes RNN, LSTM and GRU that follow one another, in
    either layout, become layers: `rnn.RNN`, `LSTM` or `GRU` where that says it all, else a
    `Recurrent` or `Bidirectional`, or a `Stacked` of several, of the cells that do. Outputs have
    its own shapes, `batch_first` is as in the graph's input. Initial states, in the order of the
    layers, and lengths are arguments of the call. `input_forget` means f = 1 - i, as in
    onnxruntime. Raises ValueError that names the op, attribute or input that cannot be expressed
    here, ImportError without onnx.

    >>> import rnn
    >>> net = rnn.interop.import_onnx("net.onnx")  # doctest: +SKIP
    """
    onnx = package()
    if isinstance(model, str | Path):
        model = onnx.load_model(str(model))
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(f"import_onnx: expected a ModelProto or a path, got {type(model).__name__}")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ValueError(f"import_onnx: no valid model: {error}") from error
    nodes, first = read_graph(model)
    try:
        cells = [[read(part) for part in node.parts] for node in nodes]
    except ValueError as error:
        raise ValueError(f"import_onnx: {error}") from error
    return _layer(nodes, cells, first) or _stacked(nodes, cells, first)


def _stacked(nodes: list[Node], cells: list[list[Cell]], first: bool) -> Module:
    """Return a module of any cells."""
    made: list[Module] = []
    for number, (node, own) in enumerate(zip(nodes, cells, strict=True)):
        if len(own) == 2:
            made.append(Bidirectional(own[0], own[1], batch_first=first, layer=number))
        else:
            reverse = node.direction == "reverse"
            made.append(Recurrent(own[0], batch_first=first, reverse=reverse, layer=number))
    return Stacked(made) if len(made) > 1 else made[0]


def _layer(nodes: list[Node], cells: list[list[Cell]], first: bool) -> Module | None:
    """Return an RNN, LSTM or GRU with these values, where the cells are those of one."""
    listed = [cell for own in cells for cell in own]
    cell = listed[0]
    alike = {(type(one), getattr(one, "nonlinearity", ""), len(one.parameters()),
              repr(one.state_size), node.direction)
             for node, own in zip(nodes, cells, strict=True) for one in own}  # fmt: skip
    if len(alike) > 1 or nodes[0].direction == "reverse":
        return None
    options = {
        "num_layers": len(nodes), "bias": len(cell.parameters()) > 2, "batch_first": first,
        "bidirectional": len(cells[0]) == 2, "dtype": cell.parameters()[0].dtype,
    }  # fmt: skip
    sizes = cell.input_size, nodes[0].parts[0].hidden_size
    made: RNN | LSTM | GRU
    if isinstance(cell, ElmanCell):
        made = RNN(*sizes, nonlinearity=str(cell.nonlinearity), **options)
    elif isinstance(cell, LSTMCell):
        made = LSTM(*sizes, **options)
    elif isinstance(cell, GRUCell):
        made = GRU(*sizes, **options)
    else:
        return None
    theirs = [x for layer in runs(made) for run in layer for x in run.cell.parameters()]
    ours = [x.numpy() for one in listed for x in one.parameters()]
    assign(list(zip(theirs, ours, strict=True)))
    return made
