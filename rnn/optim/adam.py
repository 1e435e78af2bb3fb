"""Step by Adam, and by AdamW, which decays weights apart from the gradient."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

from engine.backends import Array
from rnn.optim.base import Group, Optimizer, Slots, at_least_0, settings_of, yes_or_no


class Adam(Optimizer):
    """Apply x -= lr m / (sqrt(v) + eps) with means of g and g^2, m and v, freed of their bias to 0.

    `amsgrad` takes the largest v so far; `weight_decay` adds its multiple of x to g; `maximize`
    goes uphill. Raises ValueError for settings out of range. Source: Kingma and Ba, Adam: a method
    for stochastic optimization, 2015, algorithm 1; Reddi et al., On the convergence of Adam and
    beyond, 2018; PyTorch, torch.optim.Adam.

    >>> import rnn
    >>> rnn.optim.Adam(rnn.Linear(3, 2).parameters()).lr
    0.001
    """

    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    decoupled = False  # whether weights decay by themselves and not through the gradient

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings_of(locals()))

    def check(self, group: Group) -> None:
        kind, betas = type(self).__name__, group["betas"]
        at_least_0(kind, group, "lr", "eps", "weight_decay")
        yes_or_no(kind, group, "amsgrad", "maximize")
        numbers = isinstance(betas, tuple | list) and all(isinstance(b, Real) for b in betas)
        if not numbers or len(betas) != 2:
            raise ValueError(f"{kind}: betas must be two numbers in [0, 1), got {betas!r}")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{kind}: betas {betas} must lie in [0, 1)")

    def slots(self, group: Group) -> dict[str, float]:
        return dict.fromkeys(self.names if group["amsgrad"] else self.names[:2], 0.0)

    def rule(self, group: Group, xp: Any, x: Array, g: Array, state: Slots, steps: int) -> None:
        b1, b2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        if group["weight_decay"]:
            if self.decoupled:
                x *= 1 - group["lr"] * group["weight_decay"]
            else:
                g += group["weight_decay"] * x
        m *= b1
        m += (1 - b1) * g
        v *= b2
        g *= g
        g *= 1 - b2
        v += g
        if group["amsgrad"]:
            top = state["max_exp_avg_sq"]
            v = xp.maximum(top, v, out=top)
        # m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), with both fractions taken out.
        unbias = math.sqrt(1 - b2**steps)
        size = xp.sqrt(v)
        size += group["eps"] * unbias
        xp.divide(m, size, out=size)
        size *= group["lr"] * unbias / (1 - b1**steps)
        x -= size


class AdamW(Adam):
    """Run Adam with weights that decay by themselves: x *= 1 - lr weight_decay before each step.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019; PyTorch,
    torch.optim.AdamW.

    >>> import rnn
    >>> rnn.optim.AdamW(rnn.Linear(3, 2).parameters()).param_groups[0]["weight_decay"]
    0.01
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay,
                         amsgrad=amsgrad, maximize=maximize)  # fmt: skip
