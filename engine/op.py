"""Describe an op as one record: name, forward rule, derivative rules, example inputs.

Plain data, below nodes; `registry.py` makes the records and the public functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Rule = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Draw:
    """Hold an example input: numbers of `shape`, uniform in [low, high); integers if `integer`."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """Hold inputs (draws, or plain Python numbers) and attributes that an op can be tried with."""

    inputs: tuple[Any, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


class Along(NamedTuple):
    """Hold a position on an axis of an input: ``step * position on `axis` of the result + offset``.

    Where `axis` is None it is `offset` everywhere.
    """

    axis: int | None
    step: int
    offset: int


class Move(NamedTuple):
    """Tell where one box of a result is from: entries `low` to `high` are numbers of input `slot`.

    `where` has a position for each axis of the input. Where `flat`, it has them for the first axes
    alone, which the result has too, and the axes after them hold the same numbers in the same
    order. Boxes may overlap, and then add up; where there is no box, the result is 0.
    """

    slot: int
    low: tuple[int, ...]
    high: tuple[int, ...]
    where: tuple[Along, ...]
    flat: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """Describe one operation.

    `forward(xp, *inputs, **attributes)` computes with arrays when `xp` is an array library and
    records when `xp` is the engine; so do the derivative rules. `vjp` has a rule per input,
    ``rule(xp, g, out, *inputs, **attributes)``, that pulls the gradient `g` of the output back
    to that input. An op with any number of inputs has a single rule of the same form that
    returns the gradients of all of them. None: not differentiable.
    `explain(shapes, attributes)` explains inputs that the forward rule refused.
    `shape(*shapes)` returns the result's shape, for an op that is costly to try; None where it
    does not know, ValueError where the shapes do not fit.

    What compilers read:
    `kind` is ``"elementwise"`` (number by number, inputs broadcast), ``"reduction"`` (over the
    attribute `axis`), ``"product"`` (of matrices), ``"layout"`` (numbers are moved, none is
    computed) or ``"other"``.
    `time_batch(attributes, shapes, shape, steps)` returns the attributes with which the op computes
    all steps at once, with a time axis of `steps` entries in front of its inputs and its result;
    the shapes are those at one step. Inputs in the slots `whole` keep their shape and must be the
    same at every step. None: the op is computed step by step. Element-wise ops need none: the
    caller aligns their ranks.
    A rule that cannot batch an op with these attributes and shapes raises ValueError.
    `moves(attributes, shapes, shape)` returns the `Move`s of an op of layout, None where these
    attributes have none.
    `degree` says how the result depends on the inputs: ``"sum"`` (linear in all inputs together),
    ``"product"`` (linear in each of the first two; a third is added to their product),
    ``"quotient"`` (linear in the first), ``"choice"`` (linear in all but the first), ``"maximum"``
    (linear where the larger of two numbers counts as their sum, and the sum as their product) or
    ``""`` (none of these). A claim is about floats: it holds where the result is floating, of the
    inputs that are, with all others (indices, conditions) held fixed.
    `c` is the expression of an element-wise op in C, with ``{0}``, ``{1}`` for its inputs, or a
    function of the attributes that returns it (empty where these attributes have none). A value is
    a `real` of the kernel, float or double, or, of booleans, an int that is 0 or 1; there are no
    other integers. An input stands for a name or a literal, so it may be there twice. Functions
    are in `scan/kernels/functions.h`.
    Of a reduction `c` combines the total ``{0}`` with a further number ``{1}``, beginning at
    `start`.
    `sign` is the operator that it is in Python, as ``"+"``; empty where it is none.
    `role` says what graphs and pictures read it as: ``"arithmetic"`` (a step of a formula, as all
    with a sign; other element-wise ops are functions with a name), ``"slice"`` (entries at a key),
    ``"join"`` (side by side along an axis), ``"stack"`` (along a new axis), ``"cast"`` (the same
    numbers in another floating dtype), ``"distribution"`` (numbers that add up to 1 along an axis),
    ``"random"`` (drawn from a key), ``"recurrence"`` (all steps at once), ``"part"`` (one of
    several results) or ``""``. Readers outside of `ops/` ask for these and never for a name.
    `inputs` is the number of its tensors, None for any number; the last `optional` of them may be
    left out, or be None.
    `public` says that a function of this name is there for users, in `engine` or `engine.linalg`.

    >>> engine.REGISTRY["tanh"].kind
    'elementwise'
    >>> engine.REGISTRY["sigmoid"].c
    'logistic({0})'
    """

    name: str
    forward: Rule
    vjp: tuple[Rule | None, ...] | Rule | None
    examples: tuple[Example, ...] = ()
    explain: Callable[..., str] | None = None
    shape: Rule | None = None
    kind: str = "other"
    time_batch: Rule | None = None
    whole: tuple[int, ...] = ()
    moves: Rule | None = None
    degree: str = ""
    c: str | Rule = ""
    start: str = ""
    sign: str = ""
    role: str = ""
    attributes: tuple[str, ...] = ()
    inputs: int | None = None
    optional: int = 0
    doc: str = ""
    public: bool = True

    @property
    def lift(self) -> Rule | None:
        """Return `time_batch`, by its earlier name."""
        return self.time_batch

    def expression(self, attrs: Mapping[str, Any]) -> str:
        """Return the expression in C for these attributes; empty where there is none."""
        return self.c if isinstance(self.c, str) else self.c(**attrs)


def _no_rule(xp: Any) -> Any:
    raise TypeError("a leaf is not computed")


# What a tensor is that no op made: a parameter, an input, a constant.
LEAF = Op("leaf", _no_rule, None)
