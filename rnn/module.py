"""Modules: things with parameters, nested by attribute. Above the engine, below all of `rnn`.

A module's name is the attribute that its parent holds it by; calling it opens a scope of that
name, which is how every node knows the module that made it.
"""

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any, Self

import engine
from engine import Tensor


class Module:
    """Base class. Write `forward`; assign parameters and modules to public attributes.

    Attributes with a leading underscore are private: what they hold is not listed. A tensor that
    requires a gradient makes its attribute a parameter, which it stays: to freeze it, set its
    `requires_grad` to False, or assign a tensor of your own such as pretrained vectors. What is
    frozen is saved, loaded and moved like the others, and has no gradient.
    """

    _name = ""
    training = True

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            if isinstance(value, Module):
                value._name = name
            elif isinstance(value, Tensor):
                engine.name_leaf(value, name)
                if value.requires_grad:
                    declared = vars(self).get("_parameters", {})
                    vars(self)["_parameters"] = {**declared, name: None}  # copies share the old one
            elif isinstance(value, list | tuple):
                for position, part in enumerate(value):
                    if isinstance(part, Module):
                        part._name = f"{name}.{position}"
        object.__setattr__(self, name, value)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """`forward`, in the scope of this module."""
        with engine.scope(self._name):
            return self.forward(*inputs, **options)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); write one")

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules held by this one, by name, in the order of assignment."""
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple):
                for position, part in enumerate(value):
                    if isinstance(part, Module):
                        yield f"{name}.{position}", part

    def modules(self) -> Iterator[tuple[str, "Module"]]:
        """This module and all below it, by path, parents first."""
        yield "", self
        for name, child in self.children():
            for path, module in child.modules():
                yield f"{name}.{path}" if path else name, module

    def named_parameters(self) -> dict[str, Tensor]:
        """Every parameter, frozen ones too, by its path, in the order of assignment."""
        found = {}
        for path, module in self.modules():
            declared = vars(module).get("_parameters", {})
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and (name in declared or _is_own(name, value)):
                    found[f"{path}.{name}" if path else name] = value
        return found

    def parameters(self) -> list[Tensor]:
        """Every parameter, frozen ones too, each once."""
        return list({id(x): x for x in self.named_parameters().values()}.values())

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """A copy of every parameter as a NumPy array, by path."""
        return {name: x.numpy().copy() for name, x in self.named_parameters().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the values of all parameters.

        A backward pass through what was computed before uses the values of that time. Raises
        ValueError that lists every missing, unknown and misshapen name; then nothing has changed.
        """
        own = self.named_parameters()
        arrays = {name: engine.asarray(value).numpy() for name, value in state.items()}
        faults = [f"missing: {name}" for name in own if name not in arrays]
        faults += [f"unknown: {name}" for name in arrays if name not in own]
        faults += [
            f"{name}: shape {arrays[name].shape}, expected {x.shape}"
            for name, x in own.items()
            if name in arrays and arrays[name].shape != x.shape
        ]
        if faults:
            raise ValueError(f"load_state_dict: {'; '.join(faults)}")
        for name, x in own.items():
            x.data = engine.asarray(arrays[name].copy(), dtype=x.dtype, device=x.device).data

    def train(self, mode: bool = True) -> Self:
        """Switch to training, for this module and all below it."""
        for _, module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation."""
        return self.train(False)

    def to(self, device: Any = None, *, dtype: Any = None) -> Self:
        """Move every parameter to a device, to a dtype, or both, in place.

        ``to("cupy")``, ``to(engine.float64)`` or ``to("cupy", dtype=engine.float32)``. A backward
        pass through what parameters were before they were moved raises RuntimeError. Raises
        TypeError for a dtype that is not floating; then nothing has changed.
        """
        if dtype is None and not isinstance(device, str):
            device, dtype = None, device
        if dtype is not None and not _is_floating(dtype):
            raise TypeError(f"Module.to: expected a device or a floating dtype, got {dtype!r}")
        with engine.no_grad():
            for x in self.parameters():
                moved = x if device is None else engine.to(x, device)
                x.data = (moved if dtype is None else engine.astype(moved, dtype)).data
                x.grad = None
        return self


def _is_own(name: str, value: Tensor) -> bool:
    """Whether an attribute is a parameter now, though it was none when it was assigned."""
    return value.requires_grad and not name.startswith("_")


def _is_floating(dtype: Any) -> bool:
    try:
        return engine.isdtype(dtype, "real floating")
    except TypeError:  # no dtype at all
        return False


def parameter(
    shape: tuple[int, ...],
    bound: float = 1.0,
    *,
    dtype: Any = None,
    normal: bool = False,
    centre: float = 0.0,
) -> Tensor:
    """A trainable tensor, uniform in [-bound, bound), or normal with that standard deviation,
    around `centre`.

    Drawn by the seed and the number of parameters made before it. Assigned to an attribute of a
    module it takes that name.

    >>> import rnn
    >>> rnn.parameter((2, 3), 0.1).requires_grad
    True
    """
    if dtype is not None and not engine.isdtype(dtype, "real floating"):
        raise TypeError(f"parameter: expected a floating dtype, got {dtype}")
    key = ("parameter", engine.random.birth())
    if normal:
        values = engine.random.normal(shape, bound, *key, dtype=dtype)
    else:
        values = engine.random.uniform(shape, -bound, bound, *key, dtype=dtype)
    return Tensor(values.data + centre if centre else values.data, None, requires_grad=True)


def positive(**sizes: Any) -> None:
    """Raise ValueError, naming all of them, for sizes that are no positive integers."""
    wrong = [
        f"{name}={value!r}"
        for name, value in sizes.items()
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1
    ]
    if wrong:
        raise ValueError(f"expected positive integers, got {', '.join(wrong)}")
