"""Writes an ONNX graph of recurrent nodes. Above `onnx_weights.py`, below `onnx.py`."""

from typing import Any

from rnn.interop.blocks import xp
from rnn.interop.onnx_cells import DEFAULTS, to_attributes
from rnn.interop.onnx_plumbing import package
from rnn.interop.onnx_weights import Direction

OPSET, IR = 17, 8  # the operators are those of opset 14; both are old enough for every runtime
TURN = (1, 0, 2)  # (T, B, .) to (B, T, .) and back


class Writer:
    """Collects the nodes and constants of one model."""

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
        given = dict.fromkeys(("W", "R", "B", "P"), "")
        for name in given:
            if getattr(parts[0], name) is not None:
                stacked = xp.stack([getattr(part, name) for part in parts])
                given[name] = self._constant(f"{name}{end}", stacked)
        starts = ["", ""]
        for place, kind in enumerate(self._kinds(layer)):
            starts[place] = f"initial_{kind}{end}" if self.states else ""
        lengths = "sequence_lens" if self.lengths else ""
        inputs = [x, given["W"], given["R"], given["B"], lengths, *starts, given["P"]]
        while not inputs[-1]:
            inputs.pop()
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


def attributes_of(parts: list[Direction], backward: bool, layout: int) -> dict[str, Any]:
    """Return the attributes of the node of one layer."""
    first = parts[0]
    one_way = "reverse" if backward else "forward"
    told: dict[str, Any] = {
        "hidden_size": first.hidden_size,
        "direction": "bidirectional" if len(parts) == 2 else one_way,
    }
    if any(part.activations != DEFAULTS[part.op] for part in parts):
        told |= to_attributes([one for part in parts for one in part.activations])
    if first.clip is not None:
        told["clip"] = float(first.clip)
    flags = {"layout": layout, "input_forget": first.coupled,
             "linear_before_reset": first.reset_after}  # fmt: skip
    return told | {name: 1 for name, value in flags.items() if value}
