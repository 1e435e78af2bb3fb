"""Follow numbers through an ONNX graph that only moves them: axis by axis, by letters.

Below `onnx_graph.py`. A value is known as the layer that made it and its axes: a layer's Y has
("T", "D", "B", "H"), and once its directions are joined ("T", "B", "DH").
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from engine.backends import HOST, Array

# Ops that only move numbers about. Those of the second row build the zeros of initial states.
MOVING = {"Transpose", "Squeeze", "Reshape", "Identity", "Split", "Concat", "Unsqueeze", "Slice"}
FILLING = {"Constant", "ConstantOfShape", "Shape", "Gather", "Expand", "Cast"}
INPUT = -1  # the maker of a graph input; layers are known by their number


class Value(NamedTuple):
    """Say which node makes a value, and what its axes are; None for unknown."""

    maker: int
    axes: tuple[str, ...] | None


def package() -> Any:
    """Return the package onnx. Raises ImportError that says how to get it."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "ONNX models need the package onnx: pip install '.[onnx]' in the clone"
        ) from error
    return onnx


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {one.name: package().helper.get_attribute_value(one) for one in node.attribute}


def named(node: Any) -> str:
    """Return a node as errors call it."""
    return f"{node.op_type} {node.name!r}" if node.name else str(node.op_type)


def refuse(what: str, fix: str = "") -> NoReturn:
    """Raise the ValueError for what is in a model and not here."""
    raise ValueError(f"import_onnx: {what}; rnn cannot express that{f', {fix}' if fix else ''}")


def constant(node: Any) -> Array:
    """Return the value of a Constant node."""
    value = next(iter(attributes(node).values()))
    if isinstance(value, package().TensorProto):
        value = package().numpy_helper.to_array(value)
    return HOST.asarray(value, None, None)


@dataclass
class Plumbing:
    """Hold the known values of a graph, by name."""

    constants: dict[str, Array]
    values: dict[str, Value] = field(default_factory=dict)
    sizes: list[dict[str, int]] = field(default_factory=list)  # of every layer's D and H

    def layer(self, output: str, layout: int, directions: int, hidden_size: int) -> None:
        """Take in the output Y of the next layer."""
        axes = ("B", "T", "D", "H") if layout else ("T", "D", "B", "H")
        self.values[output] = Value(len(self.sizes), axes)
        self.sizes.append({"D": directions, "H": hidden_size})

    def follow(self, node: Any) -> None:
        """Take in a node that moves numbers."""
        if node.op_type == "Constant":
            self.constants[node.output[0]] = constant(node)
            return
        sources = [self.values[name] for name in node.input if name in self.values]
        if not sources or node.op_type == "Shape":
            return
        for name in node.output:
            self.values[name] = Value(sources[0].maker, self._moved(node, sources[0]))

    def sequence(self, value: Value) -> str:
        """Return ``"TB"`` or ``"BT"`` for all outputs of a layer, features last, or nothing."""
        both = self.sizes[value.maker]["D"] == 2
        if value.axes is None or value.axes[2:] not in ((("DH",),) if both else (("H",), ("DH",))):
            return ""
        return "".join(value.axes[:2])

    def _moved(self, node: Any, value: Value) -> tuple[str, ...] | None:
        """Return the axes of what a node makes of a value."""
        axes, told = value.axes, attributes(node)
        if axes is None:
            return None
        if node.op_type == "Identity":
            return axes
        if node.op_type == "Transpose":
            order = told.get("perm", range(len(axes))[::-1])
            return tuple(axes[place] for place in order) if len(order) == len(axes) else None
        if value.maker == INPUT:
            return None
        if node.op_type == "Squeeze":
            return self._squeezed(axes, value.maker, self._integers(node, told.get("axes")))
        if node.op_type == "Reshape":
            return self._reshaped(axes, value.maker, self._integers(node, told.get("shape")))
        return None

    def _integers(self, node: Any, attribute: Any) -> list[int]:
        """Return integers: an attribute in old models, a constant input in newer ones."""
        if attribute is not None:
            return list(attribute)
        name = node.input[1] if len(node.input) > 1 else ""
        return self.constants[name].reshape(-1).tolist() if name in self.constants else []

    def _squeezed(
        self, axes: tuple[str, ...], maker: int, gone: list[int]
    ) -> tuple[str, ...] | None:
        """Return the axes without that of the directions, where there is only one of these."""
        if self.sizes[maker]["D"] != 1 or [axes[place] for place in gone] != ["D"]:
            return None
        return tuple(axis for axis in axes if axis != "D")

    def _reshaped(
        self, axes: tuple[str, ...], maker: int, shape: list[int]
    ) -> tuple[str, ...] | None:
        """Return the axes where leading ones are kept (0) and all others joined."""
        if not shape or len(shape) > len(axes) or any(shape[:-1]):
            return None
        joined = "".join(axes[len(shape) - 1 :])
        width = 1
        for letter in joined:
            width *= self.sizes[maker].get(letter, 0)
        return (*axes[: len(shape) - 1], joined) if shape[-1] in (-1, width) else None
