"""Division of a recorded gradient by a tensor that it has as a factor. Above the registry.

The gradient of ``norm(x)**2`` by the norm is twice the norm, which is divided by the norm on its
way to x. At 0 the numbers say 0 / 0, the graph says 2: that is what gives the square a Hessian.
"""

from typing import Any

from engine.registry import RECORDING
from engine.tensor import Tensor

DEPTH = 8  # a few products deep: what is written as a power or as a product of a norm with itself


def multiple(xp: Any, g: Any, x: Any) -> Any:
    """Return c with ``g = c x`` where the graph shows that g is such a multiple, None elsewhere.

    Never found where a rule computes on arrays.
    """
    return _multiple(g, x, DEPTH) if xp is RECORDING else None


def _multiple(g: Any, x: Tensor, depth: int) -> Any:
    if g is x:
        return RECORDING.ones_like(x)
    if not depth or not isinstance(g, Tensor) or not g.node.operands:
        return None
    first, second, *_ = (*g.node.inputs, None)
    match g.node.op.name:
        case "add":
            left, right = _multiple(first, x, depth - 1), _multiple(second, x, depth - 1)
            return None if left is None or right is None else left + right
        case "negative":
            found = _multiple(first, x, depth - 1)
            return None if found is None else -found
        case "multiply":
            for part, other in ((first, second), (second, first)):
                if (found := _multiple(part, x, depth - 1)) is not None:
                    return found * other
        case "power":
            if isinstance(first, Tensor) and isinstance(second, int | float) and second >= 1:
                found = _multiple(first, x, depth - 1)
                return None if found is None else found * first ** (second - 1)
    return None
