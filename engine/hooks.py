"""Keep hooks on gradients: functions that see, and may replace, the whole gradient of a tensor.

A tensor holds its own hooks, so they go when it goes. The backward pass asks `HOOKED` alone, which
is empty where there are none. Below tensors.
"""

from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import WeakValueDictionary, ref

from engine.node import Value

Hook = Callable[[Any], Any]

number_of = count().__next__


class Hooks(dict[int, Hook]):
    """Hold the hooks of one tensor, in the order in which they were registered."""

    __slots__ = ("__weakref__",)


# By the id of the node that has the gradient.
HOOKED: "WeakValueDictionary[int, Hooks]" = WeakValueDictionary()


class Handle:
    """Remove one registered hook by `remove()`. Keeps neither the hook nor the tensor alive."""

    __slots__ = ("_hooks", "_node", "_number")

    def __init__(self, hooks: Hooks, node: int, number: int) -> None:
        self._hooks, self._node, self._number = ref(hooks), node, number

    def remove(self) -> None:
        """Take the hook off; nothing happens where it is off already or its tensor is gone."""
        hooks = self._hooks()
        if hooks is None:
            return
        hooks.pop(self._number, None)
        if not hooks:
            HOOKED.pop(self._node, None)


def add_hook(tensor: Value, hook: Hook) -> Handle:
    """Put a hook on the gradient of a tensor as it is now; see `Tensor.register_hook`."""
    if not callable(hook):
        raise TypeError(f"register_hook: expected a function of the gradient, got {hook!r}")
    if not tensor.requires_grad:
        raise ValueError(
            "register_hook: this tensor requires no gradient, so none will come; "
            "make it with requires_grad=True, or outside of no_grad()"
        )
    node = tensor.node.id
    own: dict[int, Hooks] | None = getattr(tensor, "_hooks", None)
    if own is None:
        own = tensor._hooks = {}
    hooks = own.setdefault(node, Hooks())
    HOOKED[node] = hooks
    number = number_of()
    hooks[number] = hook
    return Handle(hooks, node, number)
