"""ONNX models of recurrent layers, written and read. Above the other files of ONNX.

The package onnx is imported when one of the two functions is called, never before.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.checks import flag
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from rnn.interop.blocks import assign, batch_first, runs
from rnn.interop.onnx_graph import Node, read_graph
from rnn.interop.onnx_models import whole_model
from rnn.interop.onnx_plumbing import package
from rnn.interop.onnx_weights import read, together, written
from rnn.interop.onnx_writing import Writer
from rnn.layers.pytorch import GRU, LSTM, RNN
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.modules.module import Module


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
    states, lengths = flag("states", states), flag("lengths", lengths)
    try:
        layers = runs(module)
    except TypeError as error:
        error.add_note("export_onnx: a whole model needs inputs, as {'x': 'int64[T, B]'}")
        raise
    parts = [[written(run.cell) for run in layer] for layer in layers]
    for number, own in enumerate(parts):
        together(own, f"export_onnx: layer {number}")
    backward = [layer[0].reverse for layer in layers]
    writer = Writer(parts, backward, layout, batch_first(module), states, lengths)
    model = writer.model()
    if path is not None:
        package().save_model(model, str(path))
    return model


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
