"""Size steps by all gradients so far, or by the last ones: Adagrad, Adadelta and RMSprop."""

from collections.abc import Iterable
from typing import Any

from engine.backends import Array
from engine.checks import probability
from rnn.optim.base import Group, Optimizer, Slots, at_least_0, settings_of, yes_or_no


class Adagrad(Optimizer):
    """Apply x -= r g / (sqrt(s) + eps), s the sum of all g^2 and r = lr / (1 + (t - 1) lr_decay).

    s starts at `initial_accumulator_value`. `weight_decay` adds its multiple of x to g; `maximize`
    goes uphill. Raises ValueError for settings out of range. Source: Duchi, Hazan and Singer,
    Adaptive subgradient methods for online learning and stochastic optimization, 2011; PyTorch,
    torch.optim.Adagrad.

    >>> import rnn
    >>> rnn.optim.Adagrad(rnn.Linear(3, 2).parameters()).lr
    0.01
    """

    names = ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings_of(locals()))

    def check(self, group: Group) -> None:
        names = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        at_least_0("Adagrad", group, *names)
        yes_or_no("Adagrad", group, "maximize")

    def slots(self, group: Group) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def rule(self, group: Group, xp: Any, x: Array, g: Array, state: Slots, steps: int) -> None:
        if group["weight_decay"]:
            g += group["weight_decay"] * x
        s = state["sum"]
        s += g * g
        size = xp.sqrt(s)
        size += group["eps"]
        g /= size
        g *= group["lr"] / (1 + (steps - 1) * group["lr_decay"])
        x -= g


class Adadelta(Optimizer):
    """Apply x -= lr d with d = g sqrt(u + eps) / sqrt(s + eps); s, u are running means of g^2, d^2.

    `weight_decay` adds its multiple of x to g; `maximize` goes uphill. Raises ValueError for
    settings out of range. Source: Zeiler, Adadelta: an adaptive learning rate method, 2012;
    PyTorch, torch.optim.Adadelta.

    >>> import rnn
    >>> rnn.optim.Adadelta(rnn.Linear(3, 2).parameters()).lr
    1.0
    """

    names = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings_of(locals()))

    def check(self, group: Group) -> None:
        at_least_0("Adadelta", group, "lr", "eps", "weight_decay")
        probability("Adadelta: rho", group["rho"])
        yes_or_no("Adadelta", group, "maximize")

    def slots(self, group: Group) -> dict[str, float]:
        return dict.fromkeys(self.names, 0.0)

    def rule(self, group: Group, xp: Any, x: Array, g: Array, state: Slots, steps: int) -> None:
        rho, eps = group["rho"], group["eps"]
        s, u = state["square_avg"], state["acc_delta"]
        if group["weight_decay"]:
            g += group["weight_decay"] * x
        s *= rho
        s += (1 - rho) * (g * g)
        g /= xp.sqrt(s + eps)
        g *= xp.sqrt(u + eps)
        u *= rho
        u += (1 - rho) * (g * g)
        g *= group["lr"]
        x -= g


class RMSprop(Optimizer):
    """Apply x -= lr g / (sqrt(s) + eps) with s = alpha s + (1 - alpha) g^2.

    `centered` takes the square of a running mean of g off s; with `momentum` x -= lr b where
    b = momentum b + g / (sqrt(s) + eps). `weight_decay` adds its multiple of x to g; `maximize`
    goes uphill. Raises ValueError for settings out of range. Source: Hinton, Neural networks for
    machine learning, lecture 6, 2012; Graves, Generating sequences with recurrent neural networks,
    2013; PyTorch, torch.optim.RMSprop.

    >>> import rnn
    >>> rnn.optim.RMSprop(rnn.Linear(3, 2).parameters(), centered=True).lr
    0.01
    """

    names = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, settings_of(locals()))

    def check(self, group: Group) -> None:
        at_least_0("RMSprop", group, "lr", "eps", "weight_decay", "momentum")
        probability("RMSprop: alpha", group["alpha"])
        yes_or_no("RMSprop", group, "centered", "maximize")

    def slots(self, group: Group) -> dict[str, float]:
        found = {"square_avg": 0.0}
        if group["centered"]:
            found["grad_avg"] = 0.0
        if group["momentum"]:
            found["momentum_buffer"] = 0.0
        return found

    def rule(self, group: Group, xp: Any, x: Array, g: Array, state: Slots, steps: int) -> None:
        alpha, s = group["alpha"], state["square_avg"]
        if group["weight_decay"]:
            g += group["weight_decay"] * x
        s *= alpha
        size = g * g
        size *= 1 - alpha
        s += size
        if group["centered"]:
            mean = state["grad_avg"]
            mean *= alpha
            mean += (1 - alpha) * g
            size = s - mean * mean
            xp.maximum(size, 0, out=size)  # a variance below 0 is rounding
            xp.sqrt(size, out=size)
        else:
            xp.sqrt(s, out=size)
        size += group["eps"]
        g /= size
        if group["momentum"]:
            b = state["momentum_buffer"]
            b *= group["momentum"]
            b += g
            g[...] = b
        g *= group["lr"]
        x -= g
