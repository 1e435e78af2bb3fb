"""The backward pass: pulls gradients from outputs back to inputs, once over the graph in reverse.

One walk serves both modes. With arrays it computes; with `create_graph` the same rules are called
with tensors and the engine as namespace, so that the pass is recorded, each of its nodes in the
scope of its forward node and with that node as `origin`. Above the ops.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.apply import asarray
from engine.backends import HOST, NAMESPACES
from engine.backends.numpy import quiet
from engine.bundle import Bundle
from engine.node import Node
from engine.ops.indexing import Piece, place
from engine.registry import RECORDING, REGISTRY
from engine.state import using
from engine.tensor import Tensor

PLACE = REGISTRY["place"]
NO_KEYWORDS: dict[str, Any] = {}  # unpacks faster than an empty mapping proxy

Observer = Callable[[Tensor, int, Any], None]
Finished = Callable[[Tensor, Any], None]


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    grads: Any = None,
    create_graph: bool = False,
) -> list[Tensor | None]:
    """The gradient of `outputs`, weighted by `grads`, with respect to each of `inputs`.

    `inputs` may be leaves or anything in between; None stands where no path leads. `grads`
    defaults to 1 for one-element outputs. With `create_graph` the results can be differentiated.
    Raises ValueError for an output without a seed that is no single number.

    >>> import engine
    >>> x = engine.asarray(3.0, requires_grad=True)
    >>> engine.gradients(x * x, [x])[0].item()
    6.0
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    pairs = backward_pass(outputs, seeds(outputs, grads), list(inputs), create_graph)
    found = {x.node: g for x, g in pairs}
    return [found.get(x.node) for x in inputs]


def backward(tensor: Tensor, grad: Any = None, create_graph: bool = False) -> None:
    """Add the gradient of `tensor` to the `.grad` of every leaf that requires one.

    `grad` is the gradient of the tensor itself, 1 for a single number. If a rule fails, no
    `.grad` is changed. Raises ValueError where the tensor depends on nothing that requires a
    gradient, or where it is no single number and `grad` is missing.
    """
    if not tensor.requires_grad:
        raise ValueError("backward: nothing that this tensor was computed from requires a gradient")
    for leaf, g in backward_pass([tensor], seeds([tensor], grad), None, create_graph):
        if leaf.grad is not None:
            leaf.grad = leaf.grad + g if create_graph else Tensor(_array(leaf.grad.data + g.data))
        else:  # a copy: rules may return one array for two inputs
            leaf.grad = Tensor(g.data.copy(), g._node, g.requires_grad)


def seeds(outputs: list[Tensor], grads: Any) -> list[Tensor]:
    """The gradients to start from, checked against the outputs."""
    if grads is None:
        grads = [None] * len(outputs)
    elif len(outputs) == 1 and not isinstance(grads, list | tuple):
        grads = [grads]
    if len(grads) != len(outputs):
        raise ValueError(f"gradients: {len(grads)} grads for {len(outputs)} outputs")
    started = []
    for out, g in zip(outputs, grads, strict=True):
        if g is None and out.size != 1:
            raise ValueError(
                f"gradients: an output of shape {out.shape} is no single number; "
                "sum it, or give its gradient in grads"
            )
        seed = Tensor(RECORDING.ones_like(out).data) if g is None else asarray_like(g, out)
        if seed.shape != out.shape:
            raise ValueError(f"gradients: a grad of shape {seed.shape} for an output {out.shape}")
        started.append(seed)
    return started


def asarray_like(g: Any, out: Tensor) -> Tensor:
    """`g` as a tensor of the dtype and on the device of `out`, itself where it is one already."""
    if isinstance(g, Tensor) and g.dtype == out.dtype:
        return g
    return asarray(g, dtype=out.dtype, device=out.device)


def reachable(outputs: Iterable[Tensor]) -> list[tuple[Tensor, Node]]:
    """All tensors that the outputs depend on and that require a gradient, youngest first."""
    seen: dict[int, tuple[Tensor, Node]] = {}
    stack = [x for x in outputs if x.requires_grad]
    while stack:
        tensor = stack.pop()
        node = tensor.node
        if node.id in seen:
            continue
        seen[node.id] = (tensor, node)
        for x in node.inputs:
            if type(x) is Tensor and x.requires_grad:
                stack.append(x)
    return [seen[number] for number in sorted(seen, reverse=True)]


def backward_pass(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    inputs: Sequence[Tensor] | None,
    create_graph: bool = False,
    observe: Observer | None = None,
    finished: Finished | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """Pairs of a tensor and its gradient: for `inputs`, or for all leaves where that is None.

    `observe(tensor, slot, contribution)` sees every edge: a contribution is what the use of
    input `slot` by that tensor's node adds to the gradient of the input. `finished(tensor, g)`
    sees every whole gradient. With either of them the pass goes everywhere, whatever is wanted.
    """
    pairs = reachable(outputs)
    wanted = None if inputs is None else {x.node.id for x in inputs}
    everywhere = wanted is None or observe is not None or finished is not None
    needed = None if everywhere else _leading_to(wanted or set(), pairs)
    collected = _Gradients(needed, recorded=create_graph)
    for out, seed in zip(outputs, seeds, strict=True):
        collected.add(out.node.id, seed if create_graph else seed.data)
    pull = _pull_recorded if create_graph else _pull
    found = []
    # A recorded pass records everything, parts that depend on no leaf with a gradient too.
    with quiet(), using(recording=create_graph, tracing=create_graph, equations=None):
        for tensor, node in pairs:
            g = collected.take(tensor, node)
            if g is None:
                continue
            if finished is not None:
                finished(tensor, g)
            if (node.id in wanted) if wanted is not None else not node.inputs:
                found.append((tensor, g if create_graph else Tensor(_array(g))))
            if node.inputs:
                pull(tensor, node, g, collected, observe)
    return found


def _array(g: Any) -> Any:
    """A gradient as an array: NumPy turns sums of 0-d arrays into scalars."""
    return g if type(g) in NAMESPACES else HOST.asarray(g, None, None)


def _leading_to(wanted: set[int], pairs: list[tuple[Tensor, Node]]) -> set[int]:
    """The ids of the nodes from which a wanted one is reached."""
    needed = set()
    for _, node in reversed(pairs):
        if node.id in wanted:
            needed.add(node.id)
            continue
        for x in node.inputs:
            if type(x) is Tensor and x.requires_grad and x.node.id in needed:
                needed.add(node.id)
                break
    return needed


def _pull_recorded(
    tensor: Tensor, node: Node, g: Tensor, collected: "_Gradients", observe: Observer | None
) -> None:
    """`_pull` as nodes of the graph, in the scope of the forward node and with it as origin."""
    with using(scope=node.scope, origin=node):
        _pull(tensor, node, g, collected, observe)


def _pull(
    tensor: Tensor, node: Node, g: Any, collected: "_Gradients", observe: Observer | None
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
        out = tensor.data
        xp = NAMESPACES[type(out)]
        values = [x.data if type(x) is Tensor else x for x in inputs]
    needed = collected.needed
    parts = None if type(vjp) is tuple else vjp(xp, g, out, *values, **attrs)
    for slot, x in enumerate(inputs):
        if type(x) is not Tensor or not x.requires_grad:
            continue
        number = x._node.id  # type: ignore[union-attr]  # reachable() has asked for it
        if needed is not None and number not in needed:
            continue
        part = parts[slot] if parts is not None else vjp[slot](xp, g, out, *values, **attrs)
        if part is None:  # this rule leads nowhere from here
            continue
        data = x.data
        if type(part) is not Piece and (part.shape != data.shape or part.dtype is not data.dtype):
            part = fitted(xp, part, data)
        collected.add(number, part)
        if observe is not None:
            observe(tensor, slot, placed(xp, [part], data))


def fitted(xp: Any, g: Any, like: Any) -> Any:
    """`g` in the shape and dtype of `like`: summed over the axes that were broadcast."""
    extra = len(g.shape) - len(like.shape)
    if extra > 0:
        g = xp.sum(g, axis=tuple(range(extra)))
    axes = tuple(i for i, size in enumerate(like.shape) if size == 1 and g.shape[i] != 1)
    if axes:
        g = xp.sum(g, axis=axes, keepdims=True)
    if g.shape != like.shape:  # the rule worked with fewer axes than the input has
        g = xp.broadcast_to(g, like.shape)
    return g if g.dtype == like.dtype else xp.astype(g, like.dtype)


def placed(xp: Any, parts: list[Any], like: Any) -> Any:
    """The sum of pieces of one tensor, or the one part that is dense already."""
    if type(parts[0]) is not Piece:
        return parts[0]
    if type(like) is Bundle:
        return like.gathered(parts)
    operands = [value for part in parts for value in (part.g, *part.arrays)]
    keys = tuple(part.key for part in parts)
    if xp is RECORDING:
        return place(*operands, keys=keys, shape=like.shape)
    return PLACE.forward(xp, *operands, keys=keys, shape=like.shape)


class _Gradients:
    """The gradients under way, by node id: dense sums, and pieces that wait to be placed."""

    __slots__ = ("_dense", "_own", "_pieces", "needed", "recorded")

    def __init__(self, needed: set[int] | None, *, recorded: bool) -> None:
        self.needed = needed  # ids of nodes that lead to a wanted one; None: all do
        self.recorded = recorded
        self._dense: dict[int, Any] = {}
        self._pieces: dict[int, list[Piece]] = {}
        self._own: set[int] = set()  # sums that were allocated here and may be added to in place

    def add(self, number: int, part: Any) -> None:
        """Add one contribution to the gradient of node `number`."""
        if type(part) is Piece:
            self._pieces.setdefault(number, []).append(part)
        elif number not in self._dense:
            self._dense[number] = part
        elif number in self._own:
            self._dense[number] += part
        else:
            self._dense[number] = self._dense[number] + part
            if not self.recorded:
                self._own.add(number)

    def take(self, tensor: Tensor, node: Node) -> Any:
        """The whole gradient of a tensor, which is complete once its turn has come."""
        dense = self._dense.pop(node.id, None)
        if not self._pieces or node.id not in self._pieces:
            return dense
        xp = RECORDING if self.recorded else NAMESPACES[type(tensor.data)]
        with using(scope=node.scope, origin=node):
            sparse = placed(xp, list(self._pieces.pop(node.id)), tensor.data)
            return sparse if dense is None else dense + sparse
