"""Hold what is written of ONNX graphs: that of the model, and those of recurrences inside of it.

Above `onnx_steps.py`, below `onnx_operators.py`, which writes steps into them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.backends.abstract import AbstractArray
from engine.node import Node
from rnn.interop.onnx_plumbing import package
from rnn.interop.onnx_steps import Inverse, Literal, NoEquivalentError, Size, Sizes, Spec, Step

xp: Any = HOST.xp


class Shared:
    """Hold what all graphs of one model share: constants, and sizes read from the inputs."""

    def __init__(self, sizes: Sizes, inputs: Mapping[str, Spec], paths: Mapping[Node, str]) -> None:
        self.onnx, self.sizes, self.inputs = package(), sizes, inputs
        self.paths = {node: path for node, path in paths.items() if path not in inputs}
        self.parts: dict[Node, list[str]] = {}  # of recurrences: their final states and outputs
        self.constants: dict[str, Any] = {}
        self.front: list[Any] = []  # nodes that read sizes: before all others
        self.sized: dict[Any, str] = {}
        self.count = 0

    def new(self, stem: str) -> str:
        """Return a name that there is not yet."""
        self.count += 1
        return f"{stem}.{self.count}"

    def constant(self, value: Any, name: str = "") -> str:
        """Return the name of a constant, one for the same numbers without a name of their own."""
        array = xp.ascontiguousarray(value) if getattr(value, "ndim", 0) else xp.asarray(value)
        key = name or f"constant {array.dtype} {array.shape} {array.tobytes()!r}"
        if key not in self.constants:
            told = name or self.new("constant")
            self.constants[key] = self.onnx.numpy_helper.from_array(array, told)
        return str(self.constants[key].name)

    def size(self, size: Size | int) -> str:
        """Return the name of a size as a vector of one integer."""
        if not isinstance(size, Size):
            return self.constant(xp.asarray([size], dtype="int64"))
        if size not in self.sized:
            found = ""
            for axis in size.axes:
                one = self._axis(axis)
                found = one if not found else self._node("Mul", found, one)
            if size.scale != 1:
                found = self._node("Mul", found, self.size(size.scale))
            self.sized[size] = found if not size.offset else self._node(
                "Add", found, self.size(size.offset))  # fmt: skip
        return self.sized[size]

    def _axis(self, axis: str) -> str:
        if axis not in self.sized:
            name, place = next(
                (name, own.axes.index(axis)) for name, own in self.inputs.items()
                if axis in own.axes
            )  # fmt: skip
            self.sized[axis] = self._node("Shape", name, start=place, end=place + 1)
        return self.sized[axis]

    def _node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = self.new(op)
        self.front.append(self.onnx.helper.make_node(op, inputs, [name], **attributes))
        return name


class Scope:
    """Collect the nodes of one graph and the names of its values; rules of ops are handed it."""

    def __init__(self, shared: Shared, outer: "Scope | None" = None) -> None:
        self.shared, self.outer = shared, outer
        self.names: dict[Node, str] = {}
        self.nodes: list[Any] = []

    # ---- values

    def find(self, node: Node) -> str | None:
        """Return the name of a value here or in a graph around, None where there is none."""
        if node in self.names:
            return self.names[node]
        return None if self.outer is None else self.outer.find(node)

    def name(self, x: Any, dtype: Any = None) -> str:
        """Return the name of an input of a step; a literal becomes a constant of a dtype."""
        if isinstance(x, Literal):
            return self.number(x.value, engine.float32 if dtype is None else dtype)
        found = self.find(x.node)
        if found is None:
            raise NoEquivalentError(f"{x.node.op.name} is read before it is written")
        return found

    def given(self, step: Step) -> list[str]:
        """Return the names of the inputs of a step as they are."""
        return [self.name(x, step.dtype) for x in step.inputs]

    def as_dtype(self, x: Any, dtype: Any) -> str:
        """Return the name of an input of a step in a dtype."""
        name = self.name(x, dtype)
        return name if isinstance(x, Literal) or x.dtype == dtype else self.cast(name, dtype)

    def cast_all(self, step: Step, dtype: Any) -> list[str]:
        """Return the names of the inputs of a step in a dtype."""
        return [self.as_dtype(x, dtype) for x in step.inputs]

    def common(self, step: Step) -> Any:
        """Return the dtype in which the inputs of a comparison are compared."""
        kinds = [x.dtype for x in step.inputs if isinstance(x, Tensor)]
        found = xp.result_type(*kinds)
        numbers = [x.value for x in step.inputs if isinstance(x, Literal)]
        if any(isinstance(one, float | Inverse) for one in numbers) and found.kind != "f":
            return engine.float64
        return engine.int32 if found.kind == "b" else found

    # ---- writing

    def op(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Write an operator with one result and return its name."""
        name = self.shared.new(op)
        made = self.shared.onnx.helper.make_node(op, inputs, [name], **attributes)
        self.nodes.append(made)
        return name

    def cast(self, name: str, dtype: Any) -> str:
        """Write a value in another dtype."""
        return self.op("Cast", name, to=self.kind(dtype))

    def kind(self, dtype: Any) -> Any:
        """Return ONNX's number of a dtype."""
        return self.shared.onnx.helper.np_dtype_to_tensor_dtype(xp.dtype(dtype))

    def number(self, value: Any, dtype: Any) -> str:
        """Write a number, or a size, as a value without axes."""
        if isinstance(value, Inverse):
            return self.op("Reciprocal", self.number(value.size, dtype))
        if isinstance(value, Size):
            return self.cast(self.scalar(value), dtype)
        return self.shared.constant(xp.asarray(value, dtype=dtype))

    def scalar(self, value: Any) -> str:
        """Write an integer, or a size, as int64 without axes."""
        if isinstance(value, Size):
            return self.op("Squeeze", self.shared.size(value), self.integers([0]))
        return self.shared.constant(xp.asarray(value, dtype="int64"))

    def integers(self, values: Sequence[Any]) -> str:
        """Write integers and sizes as a vector of int64."""
        if not any(isinstance(one, Size) for one in values):
            return self.shared.constant(xp.asarray(values, dtype="int64").reshape(-1))
        if len(values) == 1:
            return self.shared.size(values[0])
        return self.op("Concat", *map(self.shared.size, values), axis=0)

    def constant(self, step: Step) -> str:
        """Return a leaf: the same at all sizes, or one number everywhere, or a range."""
        if any(type(x.data) is AbstractArray for x in step.tensors):
            raise NoEquivalentError("a value of another recorded step")
        arrays: list[Array] = [x.numpy() for x in step.tensors]
        first = arrays[0]
        if first.dtype.kind not in "fiub" or first.dtype.itemsize == 2:
            named = self.shared.paths.get(step.node) or step.node.name or "a constant"
            raise NoEquivalentError(f"{named} of {first.dtype}; convert it to float32")
        if all(one is first or _same(one, first) for one in arrays):
            return self.shared.constant(first, self.shared.paths.get(step.node, ""))
        filled = [one.reshape(-1)[:1] for one in arrays if one.size]
        if all(_same(one, filled[0]) for one in filled) and all(
            (one == filled[0]).all() for one in arrays
        ):
            value = self.shared.constant(filled[0].reshape(()))
            return self.op("Expand", value, self.integers(step.shape))
        starts = [xp.arange(one.size, dtype=one.dtype) for one in arrays]
        if first.ndim == 1 and first.dtype.kind == "i" and all(map(_same, arrays, starts)):
            whole = [self.number(one, first.dtype) for one in (0, step.shape[0], 1)]
            return self.op("Range", *whole)
        raise NoEquivalentError(
            f"a constant of shape {first.shape} with numbers that depend on the sizes of the inputs"
        )


def _same(a: Array, b: Array) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())
