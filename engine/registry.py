"""Register ops: `@op(...)` turns a forward rule into an op and its public function, in one place.

Above `apply`; the files in `ops/` fill it. Tests, tables and code generators read `REGISTRY`. The
functions of ops of one and of two tensors have the common case written out: arrays of the host and
nothing that looks on. All else goes to `apply`, which says what it means.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

from engine.apply import apply, recorded
from engine.arguments import Rule as Arguments
from engine.arguments import public
from engine.backends import HOST, NAMESPACES, Namespace
from engine.backends.half import half
from engine.errors import explain_broadcast
from engine.node import NO_ATTRS
from engine.op import Op
from engine.state import threads
from engine.tensor import Tensor

P = ParamSpec("P")

REGISTRY: dict[str, Op] = {}
METHODS: dict[str, Callable[..., Any]] = {}  # of tensors: the functions of the same name
F = TypeVar("F", bound=Callable[..., Any])


# The engine as a namespace: rules that get this one as `xp` are recorded instead of computed.
RECORDING = Namespace(
    "engine", inf=math.inf, nan=math.nan, pi=math.pi, cross_entropy_kernel=None, affine=None
)


def op(
    *, kind: str = "", **fields: Any
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Tensor]]:
    """Register a forward rule as an op, and return the public function to put in its place.

    The rule's positional-only parameters are the op's tensors, the others its attributes. The
    keywords are fields of the record, of which `vjp` is always there; an op with C is element-wise
    where no `kind` is given. An op that is `public` is in ``__all__`` of its file, under its name
    or that of a composition that records it.
    """
    kind = kind or ("elementwise" if fields.get("c") else "other")

    def register(forward: Callable[Concatenate[Any, P], Any]) -> Callable[P, Tensor]:
        signature = inspect.signature(forward)
        parameters = list(signature.parameters.values())[1:]
        tensors = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if kind == "elementwise" and len(tensors) > 1:
            fields.setdefault("explain", explain_broadcast)
        record = Op(
            name=forward.__name__.rstrip("_"),
            forward=forward,
            kind=kind,
            attributes=tuple(
                p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            ),
            inputs=None if several else len(tensors),
            optional=sum(p.default is not p.empty for p in tensors),
            doc=inspect.getdoc(forward) or "",
            **fields,
        )
        if record.name in REGISTRY:
            raise ValueError(f"op {record.name!r} is registered twice")
        REGISTRY[record.name] = record
        function = _function(record, parameters)
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        if record.public and record.inputs == 1 and kind in ("elementwise", "reduction"):
            method(function)
        return recordable(function)

    return register


def method(function: F) -> F:
    """Make a function a method of tensors too, of the same name.

    Element-wise ops and reductions of one tensor are methods anyway. No method is a function that
    NumPy or PyTorch have as a method with another meaning, such as `split`, `repeat` or `sort`.
    """
    METHODS[function.__name__.rstrip("_")] = function
    return function


def composition(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make a function public, and let rules find it when they are recorded."""
    return recordable(public(function))


def recordable(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let rules find a function, by its name, when they are recorded."""
    setattr(RECORDING, function.__name__.rstrip("_"), function)
    return function


def _function(record: Op, parameters: Iterable[inspect.Parameter]) -> Callable[..., Tensor]:
    """Return the function that users call: `apply`, with attributes sorted out."""
    rule = Arguments(record.name, parameters, limit=record.inputs, behind=record.attributes)
    limit, plain = rule.limit, rule.plain

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if len(inputs) > limit or (
            attrs and not attrs.keys() <= plain and not rule.is_ready(attrs)
        ):
            inputs, attrs = rule.sorted_out(inputs, attrs)
        return apply(record, inputs, attrs or NO_ATTRS)

    if not record.attributes and not record.optional and record.inputs == 1:
        call = of_one(record, call)
    elif not record.attributes and not record.optional and record.inputs == 2:
        call = of_two(record, call)
    call.__name__ = call.__qualname__ = record.name
    call.__module__ = record.forward.__module__
    call.__doc__ = record.doc
    call.op = record  # type: ignore[attr-defined]
    return call


Function = Callable[..., Tensor]

array_type, as_array, xp = HOST.array_type, HOST.asarray, HOST.xp


def of_one(op: Op, general: Function) -> Function:
    """Return the function of an op of one tensor; `general` sorts out other arguments."""
    forward, differentiable = op.forward, op.vjp is not None

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if attrs or len(inputs) != 1:
            return general(*inputs, **attrs)
        (x,) = inputs
        if type(x) is Tensor and type(a := x._data) is array_type and not half.any:
            state = threads.state
            if state.interpreter is None:
                try:
                    out = forward(xp, a)
                except Exception:
                    pass  # it fails again below, where the error is explained
                else:
                    if type(out) is not array_type and type(out) not in NAMESPACES:
                        out = as_array(out, None, None)
                    requires_grad = differentiable and state.recording and x.requires_grad
                    if requires_grad or state.tracing:
                        return recorded(op, inputs, NO_ATTRS, out, requires_grad, state)
                    return Tensor(out)
        return apply(op, inputs, NO_ATTRS)

    return call


def of_two(op: Op, general: Function) -> Function:
    """Return the function of an op of two tensors; `general` sorts out other arguments."""
    forward, differentiable = op.forward, op.vjp is not None

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if attrs or len(inputs) != 2:
            return general(*inputs, **attrs)
        x, y = inputs
        if type(x) is Tensor and type(y) is Tensor and not half.any:
            a, b, state = x._data, y._data, threads.state
            if type(a) is array_type and type(b) is array_type and state.interpreter is None:
                try:
                    out = forward(xp, a, b)
                except Exception:
                    pass  # it fails again below, where the error is explained
                else:
                    if type(out) is not array_type and type(out) not in NAMESPACES:
                        out = as_array(out, None, None)
                    requires_grad = (
                        differentiable and state.recording and (x.requires_grad or y.requires_grad)
                    )
                    if requires_grad or state.tracing:
                        return recorded(op, inputs, NO_ATTRS, out, requires_grad, state)
                    return Tensor(out)
        return apply(op, inputs, NO_ATTRS)

    return call
