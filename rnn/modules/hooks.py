"""Hook the calls of modules and the gradients that go through them, as in PyTorch.

Above `tree.py`, below `module.py`.
"""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any
from weakref import ref

from engine import Tensor
from engine.ops.elementwise import identity
from rnn.modules.tree import Held, Tree

Hook = Callable[..., Any]
Hooks = dict[str, dict[int, tuple[Hook, bool]]]  # by their kind and number; with keywords or not

_numbers = count()
BEFORE, AFTER, BACKWARD = "forward_pre", "forward", "full_backward"


class Handle:
    """Stand for one registered hook: `remove()` takes it off. Keeps no module alive."""

    __slots__ = ("_kind", "_module", "_number")

    def __init__(self, module: "Hooked[Any]", kind: str, number: int) -> None:
        self._module, self._kind, self._number = ref(module), kind, number

    def remove(self) -> None:
        """Take the hook off; nothing happens where it is off already or its module is gone."""
        if (module := self._module()) is None:
            return
        hooks: Hooks = vars(module).get("_hooks", {})
        kept = {kind: {number: one for number, one in own.items()
                       if (kind, number) != (self._kind, self._number)}
                for kind, own in hooks.items()}  # fmt: skip
        kept = {kind: own for kind, own in kept.items() if own}
        vars(module).update({"_hooks": kept})
        if not kept:
            del vars(module)["_hooks"]


class Hooked(Tree[Held]):
    """Hold hooks; the base of `Module` alone."""

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, inputs)`` before every call; `inputs` is a tuple.

        What the hook returns takes the place of the inputs, a tuple or the only one; None leaves
        them. With `with_kwargs` it is ``hook(module, inputs, options)``, and returns both. It is
        called before other hooks with `prepend`. The returned handle's `remove()` ends it. Raises
        TypeError for what is no function.

        >>> import engine, rnn
        >>> net = rnn.Linear(3, 2)
        >>> handle = net.register_forward_pre_hook(lambda module, inputs: inputs[0] * 0)
        >>> bool((net(engine.ones((4, 3))) == net.bias).all())
        True
        """
        return _registered(self, BEFORE, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call ``hook(module, inputs, output)`` after every call; `inputs` is a tuple.

        What the hook returns takes the place of the output; None leaves it. Several are called in
        turn, one with `prepend` before the others; one `with_kwargs` is called as ``hook(module,
        inputs, options, output)``. The returned handle's `remove()` ends it. The hook of a cell in
        a recurrence is called for its step, once a call where the steps are compiled: then its
        tensors have shapes and no numbers, see `observe`. Raises TypeError for what is no function.

        >>> import engine, rnn
        >>> net = rnn.Linear(3, 2)
        >>> handle = net.register_forward_hook(lambda module, inputs, y: print(y.shape))
        >>> y = net(engine.ones((4, 3)))
        (4, 2)
        """
        return _registered(self, AFTER, hook, prepend, with_kwargs)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` when gradients of all inputs are known.

        Both are tuples: of the positional inputs, and of the output or the parts of a tuple; None
        where there is no tensor or no gradient, as of tensors in further pytrees. What the hook
        returns takes the place of `grad_input`, None leaves it. Where no input requires a gradient
        it is called when those of the output are known, with None for each input. It is not called
        by a pass that goes through the module to its parameters alone.

        A recurrence over a cell with such a hook runs step by step, and the hook is called for
        each step. Raises TypeError for what cannot be called, ValueError for another length.

        >>> import engine, rnn
        >>> net = rnn.Linear(3, 2)
        >>> handle = net.register_full_backward_hook(lambda module, gx, gy: print(gx[0].shape))
        >>> net(engine.ones((4, 3), requires_grad=True)).sum().backward()
        (4, 3)
        """
        return _registered(self, BACKWARD, hook, prepend, False)


def _registered(module: Hooked[Any], kind: str, hook: Any, prepend: bool, keywords: bool) -> Handle:
    """Note a hook, in a new dict: a copy of the module keeps those that it has."""
    if not callable(hook):
        raise TypeError(
            f"register_{kind}_hook: expected a function {_FORMS[kind]}, got {type(hook).__name__}"
        )
    number = next(_numbers)
    hooks: Hooks = vars(module).get("_hooks", {})
    own, new = hooks.get(kind, {}), {number: (hook, keywords)}
    vars(module)["_hooks"] = {**hooks, kind: {**new, **own} if prepend else {**own, **new}}
    return Handle(module, kind, number)


_FORMS = {BEFORE: "of (module, inputs)", AFTER: "of (module, inputs, output)",
          BACKWARD: "of (module, grad_input, grad_output)"}  # fmt: skip


def called(
    module: Hooked[Any],
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """Return what a function of a module gives, with the hooks of the module around it."""
    hooks: Hooks | None = vars(module).get("_hooks")
    if hooks is None:
        return function(*inputs, **options)
    for hook, keywords in hooks.get(BEFORE, {}).values():
        inputs, options = _before(module, hook, inputs, options, keywords=keywords)
    backward = [hook for hook, _ in hooks.get(BACKWARD, {}).values()]
    watch = _Watch(module, backward, len(inputs)) if backward else None
    if watch is not None:
        inputs = watch.entered(inputs)
    output = function(*inputs, **options)
    for hook, keywords in hooks.get(AFTER, {}).values():
        found = hook(module, inputs, *((options,) if keywords else ()), output)
        output = output if found is None else found
    return output if watch is None else watch.left(output)


def _before(
    module: Hooked[Any], hook: Hook, inputs: Any, options: Any, *, keywords: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments as one hook leaves them."""
    if not keywords:
        found = hook(module, inputs)
        if found is None:
            return inputs, options
        return (found if isinstance(found, tuple) else (found,)), options
    both = hook(module, inputs, options)
    if both is None:
        return inputs, options
    if not (isinstance(both, tuple) and len(both) == 2 and isinstance(both[0], tuple)):
        raise TypeError(
            f"a hook of {type(module).__name__} with_kwargs must return None or (inputs, options), "
            f"a tuple and a dict; got {type(both).__name__}"
        )
    return both


class _Watch:
    """Collect the gradients of one call: of its outputs, and then of its inputs.

    Each tensor goes through two copies. A pass comes to all younger ones first, which note their
    gradients, and then to the older ones, when all are known. It holds no tensor of the call, so
    nothing of the graph is held in a circle.
    """

    def __init__(self, module: Hooked[Any], hooks: list[Hook], count: int) -> None:
        self.module, self.hooks, self.count = module, hooks, count
        self.inputs: dict[int, Tensor] = {}  # the gradients in this pass
        self.outputs: dict[int, Tensor] = {}
        self.coming: tuple[Tensor | None, ...] = ()
        self.replaced: dict[int, Tensor | None] = {}
        self.watched: frozenset[int] = frozenset()  # inputs that require a gradient
        self.parts = 0

    def entered(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs of the call, watched."""
        found = _twice(inputs, self.inputs, self._at_inputs)
        self.watched = frozenset(i for i, x in enumerate(inputs) if found[i] is not x)
        return found

    def left(self, output: Any) -> Any:
        """Return the output of the call, watched."""
        parts = output if isinstance(output, tuple) else (output,)
        self.parts = len(parts)
        found = _twice(parts, self.outputs, self._at_outputs)
        if not isinstance(output, tuple):
            return found[0]
        return type(output)(*found) if hasattr(output, "_fields") else found

    def _at_outputs(self, number: int, g: Tensor) -> None:
        if not self.outputs:  # another part of the output has been here
            return
        self.coming = tuple(self.outputs.get(i) for i in range(self.parts))
        self.outputs.clear()
        if not self.watched:
            self._told((None,) * self.count)

    def _at_inputs(self, number: int, g: Tensor) -> Tensor | None:
        if self.inputs:
            known = dict(self.inputs)
            self.inputs.clear()
            found = self._told(tuple(known.get(i) for i in range(self.count)))
            self.replaced = {i: found[i] for i in known}
        return self.replaced.pop(number)

    def _told(self, given: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs as the hooks leave them."""
        coming, self.coming = self.coming, ()
        for hook in self.hooks:
            found = hook(self.module, given, coming)
            if found is None:
                continue
            found = found if isinstance(found, tuple) else (found,)
            where = f"a backward hook of {type(self.module).__name__}"
            if not self.watched:
                raise ValueError(f"{where} must return None, as no input requires a gradient")
            if len(found) != self.count:
                raise ValueError(f"{where} returned {len(found)} gradients for {self.count} inputs")
            given = found
        return given


def _twice(
    xs: tuple[Any, ...], notes: dict[int, Tensor], act: Callable[[int, Tensor], Any]
) -> tuple[Any, ...]:
    """Return tensors through two copies: the gradient of the last is noted, then `act` is asked."""
    wanted = [i for i, x in enumerate(xs) if isinstance(x, Tensor) and x.requires_grad]
    older = {i: identity(xs[i]) for i in wanted}
    older = {i: x for i, x in older.items() if x.requires_grad}  # which no_grad() gives none
    younger = {i: identity(x) for i, x in older.items()}
    for i, x in older.items():
        x.register_hook(partial(act, i))
        younger[i].register_hook(partial(_noted, notes, i))
    return tuple(younger.get(i, x) for i, x in enumerate(xs))


def _noted(notes: dict[int, Tensor], number: int, g: Tensor) -> None:
    notes[number] = g
