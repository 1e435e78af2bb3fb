"""Pull gradients from outputs back to inputs, in one pass over the graph in reverse.

One walk serves both modes. With arrays it computes; with `create_graph` the same rules are called
with tensors and the engine as namespace, so that the pass is recorded, each of its nodes in the
scope of its forward node and with that node as `origin`. Above the ops.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.arguments import public
from engine.backends import NAMESPACES, on_device_of, placement
from engine.backends.half import half, widened
from engine.backends.numpy import quiet
from engine.collector import while_walking
from engine.derivatives.accumulation import Gradients, add_to_leaves, as_array, fitted, placed
from engine.derivatives.plain_walk import plain_walk
from engine.derivatives.reachability import Pairs, extend, leading_to, reachable, release, younger
from engine.derivatives.seeds import asarray_like, seeds
from engine.hooks import HOOKED
from engine.node import Node
from engine.ops.indexing import Piece
from engine.registry import RECORDING
from engine.state import current, using
from engine.suggestions import kind_of
from engine.tensor import Tensor

NO_KEYWORDS: dict[str, Any] = {}  # unpacks faster than an empty mapping proxy

Observer = Callable[[Tensor, int, Any], bool | None]
Finished = Callable[[Tensor, Any], None]
Pull = Callable[..., None]


class Expansion(NamedTuple):
    """Hold what the rule of an op returns where its node stands for a graph that is made only now.

    `record(inputs)` makes that graph from the inputs of the node and returns its outputs and an
    id that is lower than all of its nodes; `grads` has the gradient of each output or None.
    The pass goes through the graph as if it had always stood there.
    """

    record: Callable[[Sequence[Any]], tuple[list[Tensor], int]]
    grads: Sequence[Any]


@public
def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    grads: Any = None,
    create_graph: bool = False,
) -> list[Tensor | None]:
    """Return the gradient of `outputs`, weighted by `grads`, with respect to each of `inputs`.

    `inputs` may be leaves or anything in between, or one tensor; None stands where no path leads.
    `grads` defaults to 1 for one-element outputs. With `create_graph` the results can be
    differentiated. Raises ValueError for an output without a seed that is no single number.

    >>> x = engine.asarray(3.0, requires_grad=True)
    >>> engine.gradients(x * x, [x])[0].item()
    6.0
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if wrong := [x for x in inputs if not isinstance(x, Tensor)]:
        raise TypeError(
            f"gradients: inputs must be tensors, got {kind_of(wrong[0])}; of a dict give the "
            "values, of an array the tensor that was made of it"
        )
    pairs = backward_pass(outputs, seeds(outputs, grads), inputs, create_graph)
    found = {x.node.id: g for x, g in pairs}
    return [found.get(x.node.id) for x in inputs]


@public
def backward(
    tensor: Tensor, grad: Any = None, create_graph: bool = False, *, retain_graph: bool = True
) -> None:
    """Add the gradient of `tensor` to the `.grad` of every leaf that requires one.

    `grad` is the gradient of the tensor itself, 1 for a single number. A graph lives as long as
    its outputs, so a second call adds the gradient again; `retain_graph=False` releases the graph
    at once, and a pass that comes to it again raises RuntimeError. If a rule or a hook fails, no
    `.grad` is changed. Raises ValueError where the tensor depends on nothing that requires a
    gradient, or where it is no single number and `grad` is missing, TypeError for integers that
    were made to require one, and either for a `.grad` to which nothing can be added.
    """
    if not tensor.requires_grad:
        raise ValueError(
            "backward: nothing that this tensor was computed from requires a gradient, "
            "or it was computed under no_grad"
        )
    if create_graph and not retain_graph:
        raise ValueError("backward: create_graph needs the graph; leave out retain_graph=False")
    pairs = backward_pass([tensor], seeds([tensor], grad), None, create_graph)
    with on_device_of(tensor.data):
        add_to_leaves(pairs, create_graph=create_graph)
    if not retain_graph:
        release(tensor)


def backward_pass(
    outputs: Sequence[Tensor], seeds: Sequence[Tensor], inputs: Sequence[Tensor] | None,
    create_graph: bool = False, observe: Observer | None = None, finished: Finished | None = None,
    *, hooks: bool = True,
) -> list[tuple[Tensor, Tensor]]:  # fmt: skip
    """Yield pairs of a tensor and its gradient: for `inputs`, or for all leaves where that is None.

    `observe(tensor, slot, contribution)` sees every edge: a contribution is what the use of
    input `slot` by that tensor's node adds to the gradient of the input; one for which it returns
    False is not added. `finished(tensor, g)` sees every whole gradient. With either of them the
    pass goes everywhere. Without `hooks` those of tensors are not in force.
    """
    if placement.several and len(devices := {out.device: None for out in outputs}) > 1:
        return [  # no graph leads from one device to another
            pair
            for device in devices
            for pair in backward_pass(
                [out for out in outputs if out.device == device],
                [seed for out, seed in zip(outputs, seeds, strict=True) if out.device == device],
                inputs, create_graph, observe, finished, hooks=hooks,
            )
        ]  # fmt: skip
    wanted = None if inputs is None else {x.node.id for x in inputs}
    watched = observe is not None or finished is not None
    plain = not (watched or create_graph or half.any or current().interpreter or (hooks and HOOKED))
    pairs = [] if plain and wanted is None else reachable(outputs)
    needed = None if wanted is None or watched else leading_to(wanted, pairs)
    # A recorded pass records everything, parts that depend on no leaf with a gradient too.
    settings = using(recording=create_graph, tracing=create_graph, equations=None)
    with quiet(), settings, on_device_of(*(out.data for out in outputs[:1])):
        if plain and (found := plain_walk(outputs, seeds, wanted, needed, _pull)) is not None:
            return found
        pairs = pairs or reachable(outputs)
        collected = Gradients(needed, recorded=create_graph)
        for out, seed in zip(outputs, seeds, strict=True):
            collected.add(out.node.id, seed if create_graph else seed.data)
        with while_walking(len(pairs)):
            return _walk(pairs, collected, wanted, observe, finished, hooks=hooks)


def _walk(
    pairs: Pairs, collected: Gradients, wanted: set[int] | None, observe: Observer | None,
    finished: Finished | None, *, hooks: bool = True,
) -> list[tuple[Tensor, Tensor]]:  # fmt: skip
    """Pull through tensors, youngest first; the gradients of the wanted ones, or of all leaves."""
    recorded = collected.recorded
    pull: Pull = _pull_recorded if recorded else _pull
    if (interpreter := current().interpreter) is not None:
        collected, pull = interpreter.watched(collected, pull)
    look = _look(finished, recorded=recorded) if hooks else None
    found = []
    for tensor, node in pairs:
        g = collected.take(tensor, node)
        if g is None:
            continue
        if look is not None:
            g = look(tensor, node, g)
        if (node.id in wanted) if wanted is not None else not node.operands:
            found.append((tensor, g if recorded else Tensor(as_array(g))))
        if node.operands:
            pull(tensor, node, g, collected, observe)
    return found


def _look(finished: Finished | None, *, recorded: bool) -> Callable[..., Any] | None:
    """Return what sees every whole gradient, and may replace it; None where nothing does."""
    if finished is None and not HOOKED:
        return None
    outer = current().origin  # in a pass inside of a rule: what is older has its whole gradient
    lowest_id = -1 if outer is None else outer.id  # only when the outer pass comes to it

    def look(tensor: Tensor, node: Node, g: Any) -> Any:
        if node.id in HOOKED and node.id > lowest_id:
            with using(scope=node.scope, origin=node) if recorded else using():
                g = _hooked(tensor, node, g, recorded=recorded)
        if finished is not None:
            finished(tensor, g)
        return g

    return look


def _hooked(tensor: Tensor, node: Node, g: Any, *, recorded: bool) -> Any:
    """Return the gradient that the hooks of a tensor make of `g`."""
    for hook in list(HOOKED.get(node.id, {}).values()):
        new = hook(g if recorded else Tensor(as_array(g)))
        if new is None:
            continue
        if isinstance(new, Tensor) and new.dtype != tensor.dtype:
            raise TypeError(
                f"a hook on {node} returned {new.dtype}, expected {tensor.dtype}; use astype"
            )
        new = asarray_like(new, tensor)
        if new.shape != tensor.shape:
            raise ValueError(
                f"a hook on {node} returned a gradient of shape {new.shape}, "
                f"expected {tensor.shape}; return None to leave it as it is"
            )
        g = new if recorded else new.data
    return g


def _pull_recorded(
    tensor: Tensor, node: Node, g: Tensor, collected: Gradients, observe: Observer | None
) -> None:
    """Record `_pull` as nodes of the graph, in the scope of the forward node, their origin."""
    with using(scope=node.scope, origin=node):
        _pull(tensor, node, g, collected, observe)


def _pull(
    tensor: Tensor, node: Node, g: Any, collected: Gradients, observe: Observer | None
) -> None:
    """Pull the gradient of one tensor back to the inputs of its node."""
    inputs: Any = node.inputs
    vjp: Any = node.op.vjp
    attrs = dict(node.attrs) if node.attrs else NO_KEYWORDS
    if collected.recorded:
        xp: Any = RECORDING
        out: Any = tensor
        values: Any = inputs
    else:
        out = tensor._data
        xp = NAMESPACES[type(out)]
        values = [x._data if type(x) is Tensor else x for x in inputs]
        if half.any:
            (g, out, *values), _ = widened([g, out, *values])
    needed = collected.needed
    parts = None if type(vjp) is tuple else vjp(xp, g, out, *values, **attrs)
    if type(parts) is Expansion:
        _pull_through(tensor, inputs, parts, collected, observe)
        return
    for slot, x in enumerate(inputs):
        if type(x) is not Tensor or not x.requires_grad:
            continue
        number = x._node.id  # type: ignore[union-attr]  # reachable() has asked for it
        if needed is not None and number not in needed:
            continue
        part = parts[slot] if parts is not None else vjp[slot](xp, g, out, *values, **attrs)
        if part is None:  # this rule leads nowhere from here
            continue
        data = x._data
        if type(part) is not Piece and (part.shape != data.shape or part.dtype is not data.dtype):
            part = fitted(xp, part, data)
        if observe is None or observe(tensor, slot, placed(xp, [part], data)) is not False:
            collected.add(number, part)


def _pull_through(
    tensor: Tensor, inputs: tuple[Any, ...], expansion: Expansion, collected: Gradients,
    observe: Observer | None,
) -> None:  # fmt: skip
    """Pull through the graph that a node stands for, straight into the gradients of its inputs.

    Each use adds its part in the order in which it would without the detour, so the sums agree to
    the last bit. Who observes is shown the node and not what it stands for.
    """
    outputs, lowest_id = expansion.record(inputs)
    pairs = younger(outputs, lowest_id, {x.node.id for x in inputs if type(x) is Tensor})
    recorded = collected.recorded
    inside = collected if observe is None else Gradients(None, recorded=recorded)
    if inside.needed is not None:
        extend(inside.needed, pairs)
    for out, g in zip(outputs, expansion.grads, strict=True):
        if g is not None:
            inside.add(out.node.id, g)
    _walk(pairs, inside, set(), None, None)
    if observe is None:
        return
    for slot, x in enumerate(inputs):
        if type(x) is not Tensor or (part := inside.take(x, x.node)) is None:
            continue
        if observe(tensor, slot, part) is not False:
            collected.add(x.node.id, part)
