"""The registry: `@op(...)` turns a forward rule into an op and its public function, in one place.

Above `apply`; the files in `ops/` fill it. Tests, tables and code generators read `REGISTRY`.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

from engine.apply import apply
from engine.arguments import Rule as Arguments
from engine.arguments import public
from engine.backends import Namespace
from engine.direct import of_one, of_two
from engine.node import NO_ATTRS
from engine.op import Example, Op, Rule
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
    *, vjp: tuple[Rule | None, ...] | Rule | None, examples: Iterable[Example] = (),
    explain: Callable[..., str] | None = None, shape: Rule | None = None, kind: str = "",
    time_batch: Rule | None = None, whole: tuple[int, ...] = (), moves: Rule | None = None,
    degree: str = "", c: str | Rule = "", start: str = "", public: bool = True,
) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Tensor]]:  # fmt: skip
    """Register a forward rule as an op, and return the public function to put in its place.

    The rule's positional-only parameters are the op's tensors, the others its attributes. The
    keywords are fields of the record; an op that is `public` is in ``__all__`` of its file, under
    its name or that of a composition that records it.
    """

    def register(forward: Callable[Concatenate[Any, P], Any]) -> Callable[P, Tensor]:
        signature = inspect.signature(forward)
        parameters = list(signature.parameters.values())[1:]
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            limit = None
        else:
            limit = sum(p.kind is p.POSITIONAL_ONLY for p in parameters)
        record = Op(
            name=forward.__name__.rstrip("_"),
            forward=forward,
            vjp=vjp,
            examples=tuple(examples),
            explain=explain,
            shape=shape,
            kind=kind or ("elementwise" if c else "other"),
            time_batch=time_batch,
            whole=whole,
            moves=moves,
            degree=degree,
            c=c,
            start=start,
            attributes=tuple(
                p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            ),
            inputs=limit,
            optional=sum(
                p.kind is p.POSITIONAL_ONLY and p.default is not p.empty for p in parameters
            ),
            doc=inspect.getdoc(forward) or "",
            public=public,
        )
        if record.name in REGISTRY:
            raise ValueError(f"op {record.name!r} is registered twice")
        REGISTRY[record.name] = record
        function = _function(record, parameters)
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        if public and limit == 1 and record.kind in ("elementwise", "reduction"):
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
