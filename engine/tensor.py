"""Hold an array and the node that made it: the tensor. Operators live in `operators.py`.

Above nodes; what computes with tensors is above this.
"""

import re
from collections.abc import Callable
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from engine.backends import HOST, Array, DType, backend_of, by_device, on_device_of
from engine.backends.abstract import AbstractArray
from engine.backends.half import FLOATING, half, is_half
from engine.checks import flag
from engine.hooks import Handle, Hooks, add_hook
from engine.instead import Size
from engine.methods import missing
from engine.node import NO_ATTRS, Node, Shape, changes, new_id
from engine.op import LEAF
from engine.state import current
from engine.versions import copied, set_data, version_at

UNREAD = (HOST.array_type, AbstractArray)  # on the host already, or without numbers

if TYPE_CHECKING:
    from engine.methods import Methods
else:
    Methods = object


@final
class Tensor(Methods):
    """Hold an n-dimensional array that remembers how it was computed.

    `data` is the array (NumPy or CuPy), `grad` the gradient that `backward()` accumulated,
    `node` its place in the graph. Make one with `engine.asarray`.

    A leaf may be given another array, ``w.data = w.data - 0.1 * g``: what was computed before
    keeps the values that it was computed from. Values that are changed inside of the array are
    lost: after ``w.data -= g`` a backward pass through an earlier use of w raises RuntimeError,
    while ``w.data[...] -= g`` is not seen and makes its gradients wrong.

    >>> w = engine.asarray([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    tensor([2., 4.], dtype=float32)
    """

    __slots__ = (
        "__weakref__", "_current", "_data", "_epoch", "_hooks", "_node", "_row_axis", "_used",
        "_versions", "grad", "requires_grad",
    )  # fmt: skip

    # Set only where there are any, as every tensor would pay for them.
    _hooks: dict[int, Hooks]  # by node
    _epoch: Any  # of one on the graph: holds the versions that its node may have read
    _versions: list[tuple[int, Any]]  # until when it was what: references to earlier versions
    _current: Any  # in an earlier version: a weak reference to the tensor that has changed
    _used: bool  # whether a node on the graph reads it as it is now
    _row_axis: int  # of a state that a layer returns: the axis of the batch

    # Assignments are noticed. The getter is a C function, and `_data` is faster still.
    if TYPE_CHECKING:
        data: Array
    else:
        data = property(attrgetter("_data"), set_data, doc="The array; see the class.")

    def __init__(self, data: Array, node: Node | None = None, requires_grad: bool = False) -> None:
        self._data = data
        self._node = node
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        if node is not None and type(data) is not AbstractArray:  # which has read no numbers
            self._epoch = epoch = changes.epoch
            epoch.used = True

    @property
    def node(self) -> Node:
        """Return the node that made this tensor; a leaf gets its node when first asked."""
        if self._node is None:
            self._node = leaf_node(self._data, {})
        return self._node

    @property
    def shape(self) -> Shape:
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> DType:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return Size(self._data.size)

    @property
    def device(self) -> str:
        """Return where the array lives: ``"numpy"`` or ``"cupy:0"``."""
        backend = backend_of(self._data)
        assert backend is not None, "no array; tensors are made by engine.asarray(x)"
        return backend.device_of(self._data)

    def numpy(self) -> Array:
        """Return the values as a NumPy array on the host, the same memory if it is there."""
        backend = backend_of(self._data)
        assert backend is not None, "no array; tensors are made by engine.asarray(x)"
        return backend.to_numpy(self.data)

    def _read(self) -> Array:
        """Return the array, on the host where it has numbers: one of CuPy is no index of Python."""
        return self._data if type(self._data) in UNREAD else self.numpy()

    def item(self) -> Any:
        """Return the value of a one-element tensor as a Python number."""
        value = self._read().item()
        return float(value) if self.dtype.kind == "V" else value

    def requires_grad_(self, requires_grad: bool = True) -> "Tensor":
        """Ask for a gradient of a leaf, or for none, and return the leaf.

        Raises TypeError for integers and booleans, ValueError for what was computed from others.

        >>> engine.ones(2).requires_grad_().requires_grad
        True
        """
        if self.node.operands:
            raise ValueError(
                "requires_grad_: this tensor was computed from others; detach() it first"
            )
        if flag("requires_grad_", requires_grad) and self.dtype.kind not in FLOATING:
            raise TypeError(
                f"requires_grad_: a {self.dtype} tensor has no gradient; give it a float dtype"
            )
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: "Callable[[Tensor], Any]") -> Handle:
        """Call ``hook(g)`` with the whole gradient of this tensor in every backward pass.

        What the hook returns takes the place of the gradient from there on; None leaves it. With
        `create_graph` g is recorded and so is what the hook does. It must not change g in place,
        and is not called by a pass that does not lead through this tensor. Several hooks are
        called in turn. The returned handle's `remove()` ends it. A hook lives with its tensor.
        Raises ValueError for a tensor that requires no gradient.

        >>> x = engine.asarray(3.0, requires_grad=True)
        >>> handle = x.register_hook(lambda g: g * 10)
        >>> engine.gradients(x * x, [x])[0].item()
        60.0
        """
        return add_hook(self, hook)

    def _version_at(self, moment: int) -> "Tensor":
        """Return this tensor as a node made at `moment` saw it, before later changes."""
        return version_at(self, moment) if hasattr(self, "_versions") else self

    def _version_made_by(self, node: Node) -> "Tensor":
        """Return this tensor, or the earlier version of it that the node made."""
        if self._node is not node:
            for _, version in getattr(self, "_versions", ()):
                if (earlier := version()) is not None and earlier._node is node:
                    return earlier  # type: ignore[no-any-return]
        return self

    def _current_version(self) -> "Tensor":
        """Return the tensor of which this is an earlier version; itself if it is none."""
        now = getattr(self, "_current", None)
        found = None if now is None else now()
        return self if found is None else found

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers; one number without axes."""
        return (self.numpy().astype("float32") if is_half(self._data) else self.numpy()).tolist()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name[:1] == "_":  # a slot that is not set, asked for at every node
                raise AttributeError("'Tensor' object has no attribute " + repr(name))
            raise missing(name)

    def __copy__(self) -> "Tensor":
        """Return the same array at the same place on the graph."""
        version = copied(self, self._data)
        version.grad = self.grad
        return version

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        """Return a leaf of its own with a copy of the values. Raises TypeError off a leaf."""
        self._refuse_history("deep-copied")
        own = Tensor(_copy(self._data), None, self.requires_grad)
        own._node = leaf_node(own._data, dict(self.node.attrs))
        own.grad = None if self.grad is None else Tensor(_copy(self.grad.data))
        return own

    def __reduce__(self) -> tuple[Any, ...]:
        """Return a leaf for pickle: values, device, name, requires_grad; no `.grad` and no hooks.

        Raises TypeError off a leaf.
        """
        self._refuse_history("pickled")
        return _restored, (self.numpy(), self.device, self.requires_grad, self.node.name)

    def _refuse_history(self, what: str) -> None:
        if self.node.operands:
            raise TypeError(
                f"only leaves can be {what}: the graph is not; detach() the tensor first"
            )

    def __format__(self, form: str) -> str:
        return format(self.item(), form) if form else repr(self)

    def __array__(self, dtype: DType | None = None, copy: bool | None = None) -> Array:
        state = current()
        if state.sealed:
            raise TypeError("a tensor was read as an array, which leaves nothing to differentiate")
        if self.requires_grad and state.recording:
            raise TypeError(
                "this tensor requires a gradient, which NumPy loses: use numpy() or detach()"
            )
        return self.numpy().__array__(dtype, copy=copy)

    def __dlpack__(
        self, *, stream: Any = None, max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None, copy: bool | None = None,
    ) -> Any:  # fmt: skip
        if self.requires_grad:
            raise TypeError("this tensor requires a gradient, which DLPack loses: detach() it")
        asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        # What is not asked for is left out: older array libraries know fewer of these.
        return self._data.__dlpack__(**{k: one for k, one in asked.items() if one is not None})

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __len__(self) -> int:
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __float__(self) -> float:
        return float(self._read())

    def __index__(self) -> int:
        return self._read().__index__()  # type: ignore[no-any-return]

    # Comparison is element-wise, so a tensor is hashed as the object that it is.
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Write the values as NumPy does, then what they do not show.

        The shape stands there where values are left out or there are none, the device where it is
        not the host.
        """
        values = repr(self.numpy()).removeprefix("array(").removesuffix(")")
        values = re.split(r",\s+(?:shape|dtype)=", values)[0].replace("\n      ", "\n       ")
        notes = [f"shape={self.shape}"] if "..." in values or 0 in self.shape != (0,) else []
        notes.append(f"dtype={self.dtype}")
        if self.device != HOST.name:
            notes.append(f"device={self.device!r}")
        if self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([values, *notes])})"


def leaf_node(data: Array, attrs: dict[str, Any]) -> Node:
    """Return the node of a tensor that no op made, in the scope in force."""
    own = MappingProxyType(attrs) if attrs else NO_ATTRS
    return Node(LEAF, (), own, data.shape, data.dtype, current().scope, new_id(), None)


def _copy(array: Array) -> Array:
    """Return a copy on the device of the array, where CuPy would take the current one."""
    with on_device_of(array):
        return array.copy()


def _restored(array: Array, device: str, requires_grad: bool, name: str) -> Tensor:
    """Return the leaf that was pickled. Raises RuntimeError where its device is missing."""
    data = by_device(device).asarray(array, None, device)
    half.any = half.any or is_half(data)
    leaf = Tensor(data, None, requires_grad)
    leaf._node = leaf_node(data, {"name": name} if name else {})
    return leaf
