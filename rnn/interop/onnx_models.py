"""Write whole networks as ONNX models: recorded on shapes, at several sizes, then op by op.

Recurrences of the cells that ONNX has become its RNN, LSTM and GRU, those of others a Scan with the
recorded step as its body. Above `onnx_scopes.py` and `onnx_weights.py`, below `onnx.py`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from engine import Tensor
from engine.backends.abstract import NotRecordableError
from engine.graph import Graph
from engine.pytree import flatten
from engine.registry import RECORDING
from engine.scan.body import leaf
from engine.scan.whole import Whole, record_model
from rnn.cells.declaration import Step as CellStep
from rnn.interop.onnx_operators import rule_of, write
from rnn.interop.onnx_scopes import Scope, Shared
from rnn.interop.onnx_steps import (
    NoEquivalentError,
    Size,
    Sizes,
    Spec,
    Step,
    UnknownSizeError,
    laid_over,
    spec,
)
from rnn.interop.onnx_weights import IR, OPSET, Direction, attributes_of, inputs_of, written
from rnn.modules.module import Module, evaluating


def whole_model(
    module: Module, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None
) -> Any:
    """Return ``module(**inputs)`` in evaluation mode as an ONNX model. See `export_onnx`."""
    if not isinstance(module, Module):
        raise TypeError(f"export_onnx: expected a Module with inputs, got {module!r}")
    where = f"export_onnx: {type(module).__name__}"
    names, specs = described(inputs)
    sizes = Sizes(list(specs.values()))
    paths = {x.node: path for path, x in reversed(module.named_tensors())}
    shared = Shared(sizes, specs, paths)
    try:
        records = [_recorded(module, inputs, names, specs, at) for at in sizes.tried]
        found = [flatten(result)[0] for _, result in records]
        if len({len(one) for one in found}) > 1 or not all(
            isinstance(x, Tensor) for one in found for x in one
        ):
            raise NoEquivalentError("the outputs are no tensors, or differ in number")
        top = Scope(shared)
        top.names.update({x.node: name for name, x in records[0][0].items()})
        results = list(zip(*found, strict=True))
        _write(top, sizes, results)
    except NotRecordableError as error:
        raise TypeError(f"{where} cannot be written: {_reason(error)}") from None
    except (NoEquivalentError, UnknownSizeError) as error:
        raise type(error)(f"{where}: ONNX has no equivalent here: {error}") from None
    return _finished(shared, top, results, _output_names(outputs, records[0][1], specs))


def _reason(error: NotRecordableError) -> str:
    """Return what a model asks for, in the words of the error of a step."""
    told = str(error).removeprefix("the step of a recurrence uses ").partition(", and a recorded")
    return f"forward uses {told[0]}; what is computed may depend on shapes, not on numbers"


def described(inputs: Mapping[str, Any]) -> tuple[Any, dict[str, Spec]]:
    """Return the names of the leaves of the inputs, nested as these, and the spec of each."""
    if not isinstance(inputs, Mapping) or not inputs:
        raise TypeError(
            "export_onnx: inputs must be a dict from arguments to what they are, such as "
            f"{{'x': 'int64[T, B]'}}, got {inputs!r}"
        )
    specs: dict[str, Spec] = {}

    def walk(name: str, pytree: Any) -> Any:
        if isinstance(pytree, tuple | list):
            return type(pytree)(walk(f"{name}.{n}", one) for n, one in enumerate(pytree))
        if isinstance(pytree, Mapping):
            return {key: walk(f"{name}.{key}", one) for key, one in pytree.items()}
        specs[name] = spec(name, pytree)
        return name

    return {name: walk(name, pytree) for name, pytree in inputs.items()}, specs


def _recorded(
    module: Module,
    inputs: Mapping[str, Any],
    names: Any,
    specs: Mapping[str, Spec],
    at: Mapping[str, int],
) -> tuple[dict[str, Tensor], Any]:
    """Return the inputs by name, and what the module returns for them, at one size of each axis."""
    given = {name: leaf(own.shape(at), own.dtype, "numpy", name) for name, own in specs.items()}
    leaves, rebuild = flatten(names)
    with evaluating(module):
        try:
            return given, record_model(lambda: module(**rebuild([given[name] for name in leaves])))
        except NotRecordableError:
            raise
        except Exception as error:
            told = ", ".join(f"{name} = {size}" for name, size in at.items())
            error.add_note(f"export_onnx records {type(module).__name__} with {told or 'these'}")
            raise


def _write(scope: Scope, sizes: Sizes, roots: Sequence[tuple[Tensor, ...]]) -> None:
    """Write all that leads to some values into a graph."""
    steps = laid_over(sizes, roots, lambda x: scope.find(x.node) is not None)
    if any(step.op.role == "random" for step in steps):
        raise NoEquivalentError("a draw at random; leave it out in evaluation mode")
    for step in steps:
        if step.op.role == "recurrence":
            _recurrence(scope, step)
        elif step.node.operands and step.op.role != "part" and rule_of(step.op.name) is None:
            _opened(scope, sizes, step)
        else:
            write(scope, step)


def _opened(scope: Scope, sizes: Sizes, step: Step) -> None:
    """Write an op that ONNX lacks as the ops that its rule is made of, as those of users are.
    Raises NoEquivalentError where the rule is made of itself, or records nothing.
    """
    op, results = step.op, []
    try:
        for own in step.tensors:
            given = [leaf(x.shape, x.dtype, "numpy") if isinstance(x, Tensor) else x
                     for x in own.node.inputs]  # fmt: skip
            rule = partial(op.forward, RECORDING, *given, **own.node.attrs)
            results.append(record_model(rule))
            if own is step.tensors[0]:
                scope.names.update({x.node: scope.name(outer) for x, outer in
                                    zip(given, step.inputs, strict=True)
                                    if isinstance(x, Tensor)})  # fmt: skip
        alike = all((x.shape, x.dtype) == (y.shape, y.dtype)
                    for x, y in zip(results, step.tensors, strict=True))  # fmt: skip
    except Exception:
        alike = False
    if not alike or op in {node.op for node in Graph.of(*results).nodes}:
        raise NoEquivalentError(op.name)
    _write(scope, sizes, [tuple(results)])
    scope.names[step.node] = scope.name(results[0])


# ---- recurrences


def _recurrence(scope: Scope, step: Step) -> None:
    """Write a recurrence, and note the names of its final states and outputs."""
    wholes: list[Whole] = [x.node.attrs["whole"] for x in step.tensors]
    direction = _direction(wholes[0])
    if direction is None:
        scope.shared.parts[step.node] = _scan(scope, step, wholes)
    else:
        scope.shared.parts[step.node] = _layer(scope, step, wholes[0], direction)


def _direction(whole: Whole) -> Direction | None:
    """Return a cell as one direction of ONNX's RNN, LSTM or GRU; None for a Scan."""
    call, own = whole.call, whole.call.step
    if not isinstance(own, CellStep) or own.resets or own.timed or whole.outside:
        return None
    if {"step", "_hooks"} & set(vars(own.cell)) or [x.ndim for x in call.xs] != [3]:
        return None
    try:
        found = written(own.cell)
    except (TypeError, ValueError, NotRecordableError):
        return None
    kinds = {x.dtype for x in (*call.init, *call.xs)} | {found.W.dtype}
    return found if len(kinds) == 1 else None


def _layer(scope: Scope, step: Step, whole: Whole, direction: Direction) -> list[str]:
    """Write one node of ONNX's RNN, LSTM or GRU."""
    states = len(whole.call.init)
    front = scope.integers([0])
    starts = [scope.op("Unsqueeze", scope.name(x), front) for x in step.inputs[:states]]
    inputs = inputs_of([direction], lambda name, value: scope.shared.constant(value),
                       scope.name(step.inputs[states]), starts)  # fmt: skip
    names = [scope.shared.new(direction.op) for _ in range(1 + states)]
    told = attributes_of([direction], whole.call.reverse, 0)
    scope.nodes.append(scope.shared.onnx.helper.make_node(direction.op, inputs, names, **told))
    finals = [scope.op("Squeeze", name, front) for name in names[1:]]
    return [*finals, scope.op("Squeeze", names[0], scope.integers([1]))]


def _scan(scope: Scope, step: Step, wholes: Sequence[Whole]) -> list[str]:
    """Write a Scan with the recorded step as its body, which may read what is around it."""
    shared, body, call = scope.shared, wholes[0].body, wholes[0].call
    helper = shared.onnx.helper
    inner = Scope(shared, scope)
    given = step.inputs[: len(body.states) + len(body.xs)]
    infos = []
    for x in (*body.states, *body.xs):
        inner.names[x.node] = shared.new("step")
        infos.append(helper.make_tensor_value_info(inner.names[x.node], scope.kind(x.dtype), None))
    sources = [scope.name(x) for x in given]
    if not body.xs:  # a Scan needs something to go over
        length = scope.scalar(shared.sizes.number([one.call.length for one in wholes]))
        sources.append(scope.op("Range", scope.scalar(0), length, scope.scalar(1)))
        info = helper.make_tensor_value_info(shared.new("step"), scope.kind("int64"), None)
        infos.append(info)
    roots = list(zip(*((*one.body.new_states, *one.body.ys) for one in wholes), strict=True))
    _write(inner, shared.sizes, roots)
    results = [inner.op("Identity", inner.name(column[0])) for column in roots]
    graph = helper.make_graph(inner.nodes, shared.new("body"), infos, [
        helper.make_tensor_value_info(name, scope.kind(column[0].dtype), None)
        for name, column in zip(results, roots, strict=True)
    ])  # fmt: skip
    names = [shared.new("Scan") for _ in roots]
    count, backward = max(1, len(body.xs)), int(call.reverse)
    told: dict[str, Any] = {"body": graph, "num_scan_inputs": count,
                            "scan_input_directions": [backward] * count}  # fmt: skip
    if body.ys:
        told["scan_output_directions"] = [backward] * len(body.ys)
    scope.nodes.append(helper.make_node("Scan", sources, names, **told))
    return names


# ---- the model


def _output_names(
    given: Sequence[str] | None, pytree: Any, inputs: Mapping[str, Spec]
) -> list[str]:
    """Return the names of the outputs: those given, or y with the place in what comes back."""
    found: list[str] = []

    def walk(name: str, part: Any) -> None:
        if isinstance(part, tuple | list):
            for number, one in enumerate(part):
                walk(f"{name}.{number}", one)
        elif isinstance(part, Mapping):
            for key in sorted(part):
                walk(f"{name}.{key}", part[key])
        elif part is not None:
            found.append(name)

    walk("y", pytree)
    if given is not None and len(given) != len(found):
        raise ValueError(
            f"export_onnx: {len(given)} names for {len(found)} outputs ({', '.join(found)})"
        )
    names = found if given is None else list(given)
    if twice := [name for place, name in enumerate(names) if name in (*inputs, *names[:place])]:
        raise ValueError(
            f"export_onnx: the output {twice[0]!r} has the name of another value; give the "
            f"outputs names of their own: outputs=[...], {len(found)} of them"
        )
    return names


def _finished(shared: Shared, top: Scope, results: Any, names: Sequence[str]) -> Any:
    """Return the checked model."""
    helper = shared.onnx.helper
    for name, column in zip(names, results, strict=True):
        top.nodes.append(helper.make_node("Identity", [top.name(column[0])], [name]))

    def info(name: str, dtype: Any, axes: Sequence[Any]) -> Any:
        told = [str(one) if isinstance(one, Size) else one for one in axes]
        return helper.make_tensor_value_info(name, top.kind(dtype), told)

    outputs = [
        info(name, column[0].dtype, [_length(shared, sizes) for sizes in
                                     zip(*(x.shape for x in column), strict=True)])
        for name, column in zip(names, results, strict=True)
    ]  # fmt: skip
    graph = helper.make_graph(
        [*shared.front, *top.nodes], "bptt",
        [info(name, own.dtype, own.axes) for name, own in shared.inputs.items()],
        outputs, list(shared.constants.values()),
    )  # fmt: skip
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], producer_name="bptt")
    model.ir_version = IR
    shared.onnx.checker.check_model(model, full_check=True)
    return model


def _length(shared: Shared, sizes: Sequence[int]) -> Any:
    """Return the length of an axis of an output, None where it is not known how it follows."""
    try:
        return shared.sizes.number(sizes)
    except UnknownSizeError:
        return None
