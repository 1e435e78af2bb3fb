"""Define ops of users: `custom_op` by rules for arrays, `custom_vjp` by functions of tensors.

Every gradient that such a rule returns is checked: no test has seen it. Above the registry.
"""

import inspect
from collections.abc import Callable, Iterable
from itertools import chain, count
from typing import Any

from engine.apply import apply
from engine.arguments import public
from engine.backends import HOST, NAMESPACES, backend_of, on_device_of
from engine.backends.abstract import AbstractArray
from engine.backends.half import FLOATING
from engine.interpreter import stand_in
from engine.op import Example, Op, Rule
from engine.registry import RECORDING, REGISTRY, recordable
from engine.state import using
from engine.tensor import Tensor

KINDS = ("", "elementwise", "other")
taken = {"leaf", "scan", "output", "checkpoint", "released"}  # names of ops besides the registry's


@public
def custom_op(
    name: str, forward: Rule, vjp: Rule | tuple[Rule | None, ...] | None, *, register: bool = False,
    examples: Iterable[Example] = (), kind: str = "", c: str | Rule = "",
) -> Callable[..., Tensor]:  # fmt: skip
    """Return a function on tensors that computes ``forward(xp, *arrays, **attributes)``, one array.

    `vjp` is one rule, ``vjp(xp, g, out, *inputs, **attributes)``, that returns the gradient of
    each input (None: none), or a tuple of rules, one for each input; None: not differentiable.
    Written with `xp` and operators it can be recorded, and the op differentiated any number of
    times; a rule for arrays only can be differentiated once. Tensors are given by position,
    attributes by name. `register` enters the op in `engine.REGISTRY` and lets rules find it under
    its name. A name that is given again, as in a notebook, gets a number: fusing goes by names.
    `kind` ``"elementwise"`` says that the op goes number by number and broadcasts its inputs, so
    that a recurrence may compute it for all steps at once; `c` is its expression in C, with
    ``{0}``, ``{1}`` for the inputs, so that it is part of compiled kernels (see `engine.Op`).

    Raises ValueError for a name that is taken by an op of the engine and a kind that is none; a
    call raises, naming op and input, ValueError for gradients of the wrong number or shape,
    TypeError for wrong dtypes.

    >>> square = engine.custom_op(
    ...     "square_", lambda xp, x: x * x, lambda xp, g, out, x: 2.0 * g * x)
    >>> engine.grad(engine.grad(square))(3.0).item()
    2.0
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"custom_op: expected a name such as 'soft_clip', got {name!r}")
    if name in REGISTRY:
        raise ValueError(f"custom_op: {name!r} is an op of the engine; choose another name")
    if kind not in KINDS or (c and kind == "other"):
        raise ValueError(f"custom_op: kind must be 'elementwise' or 'other', got {kind!r}; "
                         "an op with C is element-wise")  # fmt: skip
    unique = _unique(name)
    rule = None if vjp is None else _Derivative(unique, vjp)
    record = Op(
        name=unique, forward=_checked(forward, smooth=vjp is not None), vjp=rule,
        examples=tuple(examples), kind=kind or ("elementwise" if c else "other"), c=c,
        optional=_optional(forward), doc=inspect.getdoc(forward) or "", public=False,
    )  # fmt: skip
    call = _function(record)
    if register:
        REGISTRY[unique] = record
        recordable(call)
    return call


def custom_vjp(f: Callable[..., Tensor], vjp: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return ``f(*tensors, **attributes)`` with a derivative of its own.

    `f` is composed of functions of the engine and returns one tensor of floats. ``vjp(g, out,
    *tensors, **attributes)`` returns the gradient of each tensor (None: none) for the gradient `g`
    of the output; of functions of the engine too, it can be differentiated again, numbers that it
    reads off a tensor being constants. A call is one node, named after `f`.

    What `f` depends on must be among its arguments: other tensors would have no gradient. A call
    raises TypeError where `f` returns something else, ValueError where it depends on another tensor
    that requires a gradient, and for gradients what `custom_op` raises.

    >>> def backward_sign(g, out, x):  # a straight-through estimator
    ...     return g
    >>> sign = engine.custom_vjp(lambda x: engine.sign(x), backward_sign)
    >>> engine.value_and_grad(lambda x: 3.0 * sign(x))(-2.0)[1].item()
    3.0
    """
    given = getattr(f, "__name__", "")
    unique = _unique(given if given.isidentifier() else "custom_vjp")

    def forward(xp: Any, *inputs: Any, **attributes: Any) -> Any:
        if xp is RECORDING:
            return f(*inputs, **attributes)
        return _array(_on_arrays(f, inputs, attributes), unique)

    def rule(xp: Any, g: Any, out: Any, *inputs: Any, **attributes: Any) -> Any:
        if xp is RECORDING:
            return vjp(g, out, *inputs, **attributes)
        return _on_arrays(vjp, (g, out, *inputs), attributes)

    forward = _checked(forward, smooth=True)
    return _function(Op(unique, forward, _Derivative(unique, rule), optional=_optional(f),
                        doc=inspect.getdoc(f) or "", public=False))  # fmt: skip


def _optional(f: Callable[..., Any]) -> int:
    """Return how many inputs have a default, and may be None in a call."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # a function in C may have none
        return 0
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in places and p.default is not p.empty for p in parameters)


def _on_arrays(f: Callable[..., Any], values: Iterable[Any], attributes: Any) -> Any:
    """Return what a function of tensors gives for arrays; nothing of it is on the graph."""
    tensors = [Tensor(x) if hasattr(x, "dtype") else x for x in values]
    with using(tracing=False, interpreter=None):
        return f(*tensors, **attributes)


def _array(out: Any, name: str) -> Any:
    """Return the array of a tensor. Raises ValueError where it depends on more than arguments."""
    if not isinstance(out, Tensor):
        raise TypeError(f"f returned {type(out).__name__}, expected a tensor")
    if out.requires_grad:
        raise ValueError(
            f"{name} depends on a tensor that is not among its arguments and requires a gradient; "
            "give it as an argument, or detach it"
        )
    return out.data


def _unique(name: str) -> str:
    """Return the name, or the name with a number where it is taken."""
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    unique = next(one for one in names if one not in taken and one not in REGISTRY)
    taken.add(unique)
    return unique


def _function(record: Op) -> Callable[..., Tensor]:
    """Return the function that applies a record."""

    def call(*inputs: Any, **attributes: Any) -> Tensor:
        return apply(record, inputs, attributes)

    call.__name__ = call.__qualname__ = record.name
    call.__doc__ = record.doc
    call.op = record  # type: ignore[attr-defined]
    return call


def _checked(forward: Rule, *, smooth: bool) -> Rule:
    """Return the forward rule; it returns an array, of floats where there is a derivative.

    Called with the engine as `xp` it records, and returns a tensor.
    """

    def rule(xp: Any, *inputs: Any, **attributes: Any) -> Any:
        out = forward(xp, *inputs, **attributes)
        recorded = xp is RECORDING
        if isinstance(out, Tensor) is not recorded or not hasattr(out, "dtype"):
            expected = "a tensor" if recorded else "an array from xp"
            raise TypeError(f"forward returned {type(out).__name__}, expected {expected}")
        if smooth and out.dtype.kind not in FLOATING:
            raise TypeError(f"forward returned {out.dtype}; an op with a derivative gives floats")
        return out

    return rule


class _Derivative:
    """Call the derivative rule of a custom op, and check its gradients."""

    def __init__(self, name: str, vjp: Rule | tuple[Rule | None, ...]) -> None:
        self.name, self.vjp = name, vjp

    def __call__(self, xp: Any, g: Any, out: Any, *inputs: Any, **attributes: Any) -> list[Any]:
        if xp is not RECORDING:
            return self._gradients(xp, g, out, *inputs, **attributes)
        try:
            with using(sealed=True):
                return self._gradients(xp, g, out, *inputs, **attributes)
        except Exception as reason:  # of any kind: the rule for arrays shows what it is worth
            return self._once(str(reason), g, out, inputs, attributes)

    def _gradients(self, xp: Any, g: Any, out: Any, *inputs: Any, **attributes: Any) -> list[Any]:
        """Return the gradient of every input, None where it has none."""
        if isinstance(self.vjp, tuple):
            self._count(len(self.vjp), len(inputs), "rules")
            found = [rule and rule(xp, g, out, *inputs, **attributes) for rule in self.vjp]
        else:
            result = self.vjp(xp, g, out, *inputs, **attributes)
            found = list(result) if isinstance(result, tuple | list) else [result]
            self._count(len(found), len(inputs), "gradients")
        return [self._fitting(i, g, x) for i, (g, x) in enumerate(zip(found, inputs, strict=True))]

    def _count(self, given: int, expected: int, what: str) -> None:
        if given != expected:
            raise ValueError(
                f"{self.name}: vjp has {given} {what} for {expected} inputs; "
                "return one for each input, None where there is no gradient"
            )

    def _fitting(self, number: int, g: Any, x: Any) -> Any:
        """Return the gradient of one input, checked to be like it."""
        if g is None or not hasattr(x, "dtype") or x.dtype.kind != "f":
            return None
        where = f"{self.name}: the gradient of input {number}"
        if not isinstance(g, Tensor) and not hasattr(g, "dtype"):
            raise TypeError(f"{where} is {type(g).__name__}, expected an array {x.shape}")
        if g.shape != x.shape:
            raise ValueError(f"{where} has shape {g.shape}, expected {x.shape}")
        if g.dtype != x.dtype:
            raise TypeError(f"{where} has dtype {g.dtype}, expected {x.dtype}")
        if isinstance(x, Tensor):
            if not isinstance(g, Tensor):
                raise TypeError(f"{where} is an array, not recorded")
            return g
        g = g.data if isinstance(g, Tensor) else g
        g = g if type(g) in NAMESPACES else HOST.asarray(g, None, None)  # a NumPy scalar
        if _device(g) != _device(x):
            raise TypeError(f"{where} is on {_device(g)}, expected {_device(x)}")
        return g

    def _once(
        self, reason: str, g: Tensor, out: Tensor, inputs: tuple[Any, ...], attributes: Any
    ) -> list[Any]:
        """Return the gradients by the rule for arrays, each a node without a derivative."""
        # While a step is recorded there are no numbers: some of the same shapes show what it gives.
        raw = [x.data if isinstance(x, Tensor) else x for x in (g, out, *inputs)]
        raw = [stand_in(x) if type(x) is AbstractArray else x for x in raw]
        with on_device_of(raw[1]):
            found = self._gradients(NAMESPACES[type(raw[1])], *raw, **attributes)
        return [
            None if part is None else apply(self._part(i, reason), (g, out, *inputs), attributes)
            for i, part in enumerate(found)
        ]

    def _part(self, number: int, reason: str) -> Op:
        """Return the gradient of one input as an op."""

        def part(xp: Any, g: Any, out: Any, *inputs: Any, **attributes: Any) -> Any:
            return self._gradients(xp, g, out, *inputs, **attributes)[number]

        def refuse(xp: Any, *values: Any, **attributes: Any) -> Any:
            raise TypeError(
                f"{self.name}: its vjp works on arrays only ({reason}), so it cannot be "
                "differentiated twice; write it with xp, which also stands for the engine"
            )

        return Op(f"{self.name}_vjp{number}", part, refuse)


def _device(array: Any) -> str:
    backend = backend_of(array)
    return "no device" if backend is None else backend.device_of(array)
