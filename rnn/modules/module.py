"""Define modules: owners of parameters, nested by attribute. Above the engine, below all of `rnn`.

A module's name is the attribute that its parent holds it by; calling it opens a scope of that
name, which is how every node knows the module that made it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self

import engine
from engine.checks import flag
from engine.suggestions import Advised
from rnn.keywords import MODULES
from rnn.modules.hooks import Handle, Hooked, called
from rnn.modules.printing import text
from rnn.modules.states import IncompatibleKeys, load
from rnn.modules.tree import name_children
from rnn.modules.values import parameter, positive, probability

__all__ = ["Handle", "Module", "called", "parameter", "positive", "probability"]

# What a call returns, for type checkers alone. A TypeVar has a default from Python 3.13 on; they
# know that of `typing_extensions`, also where it is not installed.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Found = TypeVar("Found", default=tuple[Any, Any])
else:
    from typing import TypeVar

    Found = TypeVar("Found")

Given = ParamSpec("Given")
Out = TypeVar("Out", covariant=True)
Back = TypeVar("Back")  # what a call returns


class HasForward(Protocol[Given, Out]):
    """Describe a module by its `forward`: a call takes the same arguments and returns the same."""

    def forward(self, *inputs: Given.args, **options: Given.kwargs) -> Out:
        """Return what a call returns."""
        ...


class HasStep(Protocol[Out]):
    """Describe a cell by its `step`: a call of it, or of a `Recurrent` of it, returns the same."""

    def step(self, x: Any, /, *states: Any, **more: Any) -> Out:
        """Return the output and the state after one step."""
        ...


_caller: ContextVar["Module | None"] = ContextVar("caller", default=None)


class Module(Hooked["Module"], Advised):
    """Serve as base class: write `forward`; assign parameters and modules to public attributes.

    They may lie in lists, tuples and dicts, nested to any depth: ``self.layers[0]`` is called
    ``layers.0``, also where it was appended later. A module that is held twice is listed once, by
    its first name. Attributes with a leading underscore are private: what they hold is not listed.

    A leaf tensor that requires a gradient makes its attribute a parameter, which it stays: to
    freeze it, set its `requires_grad` to False, or assign a tensor of your own such as pretrained
    vectors. What is frozen is saved, loaded and moved like the others, and has no gradient. None in
    its place, or ``del``, takes it off. Any other tensor is not saved, loaded or moved, as a state
    that a module has seen is not: what should be is registered by `register_buffer`.

    Raises TypeError where something else, such as a NumPy array, is assigned in the place of a
    parameter, and for modules and parameters in sets and other containers without names; ValueError
    where a module would come to hold itself.

    >>> import engine, rnn
    >>> class Net(rnn.Module):
    ...     def __init__(self): self.scale = engine.ones(2, requires_grad=True)
    ...     def forward(self, x): return self.scale * x
    >>> net = Net()
    >>> [name for name, _ in net.named_parameters()], net([3.0, 4.0]).tolist()
    (['scale'], [3.0, 4.0])
    """

    training = True
    _advice = MODULES

    def register_buffer(self, name: str, value: Any) -> None:
        """Assign a tensor that is saved, loaded and moved with the module, and not trained.

        An array becomes a tensor; None keeps the name for one. Raises ValueError for a tensor that
        requires a gradient, and for the name of a parameter.
        """
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"register_buffer: expected the name of an attribute, got {name!r}")
        if name not in vars(self) and hasattr(type(self), name):
            raise ValueError(f"register_buffer: {type(self).__name__} has a {name} already")
        x = value if value is None else engine.asarray(value)
        if name in vars(self).get("_parameters", {}) or (x is not None and x.requires_grad):
            raise ValueError(
                f"register_buffer: {name} is a parameter, which is trained; detach() it, or take "
                "another name"
            )
        vars(self)["_buffers"] = {**vars(self).get("_buffers", {}), name: None}
        setattr(self, name, x)

    if TYPE_CHECKING:

        def __call__(
            self: HasForward[Given, Back], *inputs: Given.args, **options: Given.kwargs
        ) -> Back: ...

    else:

        def __call__(self, *inputs: Any, **options: Any) -> Any:
            """Compute `forward` in the scope of this module, and call its hooks."""
            if not self._name and (caller := _caller.get()) is not None:
                name_children(caller)  # this one may have been appended to a list of it
            token = _caller.set(self)
            try:
                with engine.scope(self._name):
                    return called(self, self.forward, inputs, options)
            finally:
                _caller.reset(token)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return what the module computes."""
        hint = "rename call" if hasattr(type(self), "call") else "write one"
        raise NotImplementedError(f"{type(self).__name__} has no forward(); {hint}")

    def __repr__(self) -> str:
        return text(self)

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call a function on every module below this one, in their order, and last on itself.

        >>> import rnn
        >>> net = rnn.Sequential(rnn.Linear(3, 2))
        >>> net = net.apply(lambda module: print(type(module).__name__))
        Linear
        Sequential
        """
        for module in list(self.modules())[1:]:
            function(module)
        function(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters with False, train them again with True."""
        for x in self.parameters():
            x.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for x in self.parameters():
            x.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of every parameter and buffer as a NumPy array, by path."""
        return {name: x.numpy().copy() for name, x in self.named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Take over the values of all parameters and buffers; with ``strict=False`` those that are
        there. Return the names that were missing and those that were left out, as in PyTorch.

        Of tied weights, which have several names, one is enough. A backward pass through what was
        computed before uses the values of that time. Raises ValueError that lists every missing,
        unknown and misshapen name, arrays of another kind, as of integers for weights, and tied
        weights that differ; then nothing has changed. It does so without `strict` too where a shape
        is another or no name is known.
        """
        return load(dict(self.named_tensors()), state, flag("load_state_dict: strict", strict))

    def train(self, mode: bool = True) -> Self:
        """Switch to training, for this module and all below it."""
        mode = flag("mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation."""
        return self.train(False)

    def to(self, device: Any = None, *, dtype: Any = None) -> Self:
        """Move every parameter and buffer to a device, to a dtype, or both, in place.

        ``to("cupy")``, ``to(engine.float64)`` or ``to("cupy", dtype=engine.float32)``; buffers of
        integers and booleans keep their dtype. A backward pass through what parameters were before
        they were moved raises RuntimeError. Raises TypeError for other dtypes.
        """
        if dtype is None and (not isinstance(device, str) or _is_floating(device)):
            device, dtype = None, device
        if dtype is not None and not _is_floating(dtype):
            raise TypeError(
                f"Module.to: expected a device or a floating dtype, got {dtype!r}; devices are "
                "text, such as 'numpy', 'cupy' and 'cupy:1', dtypes as engine.float64"
            )
        with engine.no_grad():
            for x in (*self.parameters(), *self.buffers()):
                moved = x if device is None else engine.to(x, device)
                turned = dtype is not None and _is_floating(x.dtype)
                x.data = (engine.astype(moved, dtype) if turned else moved).data
                x.grad = None
        return self


def _is_floating(dtype: Any) -> bool:
    try:
        return engine.isdtype(dtype, "real floating")
    except TypeError:  # no dtype at all
        return False


@contextmanager
def kept_modes(module: Module) -> Iterator[None]:
    """Leave every module in the mode that it had before, also after an error inside."""
    modes = [(one, one.training) for one in module.modules()]
    try:
        yield
    finally:
        for one, mode in modes:
            one.training = mode


@contextmanager
def evaluating(module: Module) -> Iterator[None]:
    """Evaluate a module inside: in evaluation mode, with nothing recorded for gradients."""
    with kept_modes(module), engine.no_grad():
        module.eval()
        yield


def wake(model: Module) -> None:
    """Switch a model that is in evaluation mode to training, but for its frozen parts. A model that
    trains already is left as it is: parts in evaluation mode were meant to be.
    """
    if not model.training:
        _wake(model)


def _wake(module: Module) -> None:
    parameters = module.parameters()
    if parameters and not any(x.requires_grad for x in parameters):
        return
    module.training = True
    for child in module.children():
        _wake(child)
