"""An op is one record: name, forward rule, derivative rules, example inputs.

All else derives from it. Plain data, below nodes; `registry.py` makes the records and the
public functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Rule = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Draw:
    """An example input: numbers of `shape`, uniform in [low, high); integers if `integer`."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    integer: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs (draws, or Python numbers as they are) and attributes that an op can be tried with."""

    inputs: tuple[Any, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation.

    `forward(xp, *inputs, **attributes)` computes with arrays when `xp` is an array library and
    records when `xp` is the engine; so do the derivative rules. `vjp` has a rule per input,
    ``rule(xp, g, out, *inputs, **attributes)``, that pulls the gradient `g` of the output back
    to that input. An op with any number of inputs has a single rule of the same form that
    returns the gradients of all of them. None: not differentiable.
    `mistake(shapes, attributes)` explains inputs that the forward rule refused.

    What compilers read:
    `kind` is ``"elementwise"`` (number by number, inputs broadcast), ``"reduction"`` (over the
    attribute `axis`), ``"product"`` (of matrices), ``"layout"`` (numbers are moved, none is
    computed) or ``"other"``.
    `lift(attributes, shapes, shape, steps)` returns the attributes with which the op computes all
    steps at once when a time axis of `steps` entries is put in front of its inputs, whose shapes
    and result's shape at one step are given; the result has the time axis in front too. Inputs in
    the slots `whole` keep their shape and must be the same at every step. None: the op is computed
    step by step. Element-wise ops need none: the caller aligns their ranks.
    A rule that cannot lift an op with these attributes and shapes raises ValueError.
    `degree` says how the result depends on the inputs: ``"sum"`` (linear in all inputs together),
    ``"product"`` (linear in each of the first two; a third is added to their product),
    ``"quotient"`` (linear in the first), ``"choice"`` (linear in all but the first) or ``""`` (none
    of these). A claim is about floats: it holds where the result is floating, of the inputs that
    are, with all others (indices, conditions) held fixed.
    `c` is the expression of an element-wise op in C, with ``{0}``, ``{1}`` for its inputs, or a
    function of the attributes that returns it (empty where these attributes have none). A value is
    a `real` of the kernel, float or double, or, of booleans, an int that is 0 or 1; there are no
    other integers. An input stands for a name or a literal, so it may be there twice. Functions
    are in `scan/c/runtime.h`.
    Of a reduction `c` combines the total ``{0}`` with a further number ``{1}``, beginning at
    `start`.
    `public` says that a function of this name is there for users, in `engine` or `engine.linalg`.
    """

    name: str
    forward: Rule
    vjp: tuple[Rule | None, ...] | Rule | None
    examples: tuple[Example, ...] = ()
    mistake: Callable[..., str] | None = None
    kind: str = "other"
    lift: Rule | None = None
    whole: tuple[int, ...] = ()
    degree: str = ""
    c: str | Rule = ""
    start: str = ""
    attributes: tuple[str, ...] = ()
    inputs: int | None = None
    doc: str = ""
    public: bool = True

    def expression(self, attrs: Mapping[str, Any]) -> str:
        """Return the expression in C for these attributes; empty where there is none."""
        return self.c if isinstance(self.c, str) else self.c(**attrs)


def _no_rule(xp: Any) -> Any:
    raise TypeError("a leaf is not computed")


# What a tensor is that no op made: a parameter, an input, a constant.
LEAF = Op("leaf", _no_rule, None)
