"""Optimisers with PyTorch's update rules. They change the arrays of parameters in place."""

from collections.abc import Iterable
from typing import Any

import engine
from engine import Tensor


class Optimizer:
    """Base class: holds parameters and, for each, the arrays that its rule remembers."""

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: no parameters to optimise")
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__}: learning rate {lr!r} is not at least 0")
        self.lr = lr
        self.memory: list[dict[str, Any]] = [
            {"steps": 0, **{slot: engine.zeros_like(x).data for slot in self.slots}}
            for x in self.parameters
        ]

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for x, memory in zip(self.parameters, self.memory, strict=True):
            if x.grad is not None:
                memory["steps"] += 1
                self.update(x.data, x.grad.data, memory)

    def update(self, x: Any, g: Any, memory: dict[str, Any]) -> None:
        """The rule, on one parameter's arrays, in place."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for x in self.parameters:
            x.grad = None


class SGD(Optimizer):
    """x -= lr v with v = momentum v + g. Source: PyTorch, torch.optim.SGD.

    >>> import rnn
    >>> rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.1, momentum=0.9).lr
    0.1
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float = 1e-3, *, momentum: float = 0.0
    ) -> None:
        self.momentum = momentum
        self.slots = ("velocity",) if momentum else ()
        super().__init__(parameters, lr)

    def update(self, x: Any, g: Any, memory: dict[str, Any]) -> None:
        if self.momentum:
            v = memory["velocity"]
            v *= self.momentum
            v += g
            g = v
        x -= self.lr * g


class Adam(Optimizer):
    """Adam. Source: Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.

    >>> import rnn
    >>> rnn.optim.Adam(rnn.Linear(3, 2).parameters()).lr
    0.001
    """

    slots = ("m", "v")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam: betas {betas} must lie in [0, 1)")
        self.betas, self.eps = betas, eps
        super().__init__(parameters, lr)

    def update(self, x: Any, g: Any, memory: dict[str, Any]) -> None:
        b1, b2 = self.betas
        m, v = memory["m"], memory["v"]
        m *= b1
        m += (1 - b1) * g
        v *= b2
        v += (1 - b2) * g * g
        size = (v / (1 - b2 ** memory["steps"])) ** 0.5
        size += self.eps
        x -= self.lr / (1 - b1 ** memory["steps"]) * m / size
