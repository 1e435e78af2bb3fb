"""Step by stochastic gradient descent."""

from collections.abc import Iterable
from typing import Any

from engine.backends import Array
from rnn.optim.base import Group, Optimizer, Slots, at_least_0, settings_of, yes_or_no


class SGD(Optimizer):
    """Apply x -= lr v with v = momentum v + (1 - dampening) g; at the first step v = g.

    With `nesterov` x -= lr (g + momentum v). `weight_decay` adds its multiple of x to g. `maximize`
    goes uphill. Raises ValueError for settings out of range. Source: PyTorch, torch.optim.SGD;
    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.

    >>> import rnn
    >>> rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.1, momentum=0.9).lr
    0.1
    """

    names = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings_of(locals()))

    def check(self, group: Group) -> None:
        at_least_0("SGD", group, "lr", "momentum", "dampening", "weight_decay")
        yes_or_no("SGD", group, "nesterov", "maximize")
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("SGD: nesterov needs a momentum above 0 and a dampening of 0")

    def slots(self, group: Group) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def rule(self, group: Group, xp: Any, x: Array, g: Array, state: Slots, steps: int) -> None:
        momentum = group["momentum"]
        if group["weight_decay"]:
            g += group["weight_decay"] * x
        if momentum:
            v = state["momentum_buffer"]
            if steps == 1:
                v[...] = g
            else:
                v *= momentum
                v += (1 - group["dampening"]) * g if group["dampening"] else g
            if group["nesterov"]:
                g += momentum * v
            else:
                g[...] = v
        g *= group["lr"]
        x -= g
