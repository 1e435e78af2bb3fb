"""Keep an exponential moving average of weights. Below the loop, which updates it after every step.

Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import engine
from engine import Tensor
from engine.backends import Array, on_device_of
from engine.checks import is_real
from engine.suggestions import kind_of
from rnn.modules.module import Module
from rnn.optim.flat import wide


class EMA:
    """Average each parameter x of a model: s += (1 - decay) (x - s) after every step, from s = x.

    Give it to `fit` as `ema`: validations measure the averages, and the best weights are averages.
    Averages of float16 and bfloat16 are float32. ``model.load_state_dict(ema.state_dict())`` puts
    them into a model for good. Raises ValueError for a decay outside of [0, 1).

    >>> import rnn
    >>> net = rnn.Linear(2, 1)
    >>> ema = rnn.training.EMA(net, decay=0.9)
    >>> with ema.swapped(): y = net([[1.0, 2.0]])  # of the averages
    """

    def __init__(self, model: Module, decay: float = 0.999) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"EMA: expected a Module, got {kind_of(model)}")
        good = is_real(decay)
        if not good or not 0 <= float(decay) < 1:
            raise ValueError(f"EMA: decay must lie in [0, 1), got {decay!r}")
        self.model, self.decay = model, float(decay)
        self._averages = {name: _wide(x) for name, x in self._parameters()}

    def update(self) -> None:
        """Take the weights of now in. Raises ValueError where parameters are others than before."""
        own = dict(self._parameters())
        if list(own) != list(self._averages):
            raise ValueError("EMA: the model has other parameters than before; make a new one")
        for name, x in own.items():
            average = self._averages[name]
            with on_device_of(average):
                average += (1 - self.decay) * (_wide(x) - average)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Give the parameters of the model their averages inside."""
        kept = [(x, x.data) for _, x in self._parameters()]
        try:
            for name, x in self._parameters():
                with on_device_of(x.data):
                    x.data = self._averages[name].astype(x.data.dtype)
            yield
        finally:
            for x, data in kept:
                x.data = data

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of every average as a NumPy array, by the path of its parameter.

        Buffers are there as they are, so that it is a state of the model.
        """
        paths = {id(x): name for name, x in self._parameters()}
        averages = {
            name: Tensor(self._averages[paths[id(x)]]).numpy().copy()
            for name, x in self.model.named_parameters()
        }
        return self.model.state_dict() | averages

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take averages over, not of buffers. Raises ValueError for others, unchanged."""
        own = dict(self.model.named_parameters())
        buffers = {name for name, _ in self.model.named_buffers()}
        if set(state) - buffers != set(own):
            raise ValueError(f"EMA: expected averages of {list(own)}, got {list(state)}")
        for name, x in own.items():
            if tuple(state[name].shape) != x.shape:
                raise ValueError(f"EMA: {name} has shape {state[name].shape}, expected {x.shape}")
        self._averages = {
            name: engine.asarray(state[name], dtype=wide(x.dtype), device=x.device, copy=True).data
            for name, x in self._parameters()
        }

    def _parameters(self) -> list[tuple[str, Tensor]]:
        """Return every parameter once, shared ones under their first path."""
        found: dict[int, tuple[str, Tensor]] = {}
        for name, x in dict(self.model.named_parameters()).items():
            found.setdefault(id(x), (name, x))
        return list(found.values())


def _wide(x: Tensor) -> Array:
    """Return a copy of the values, of half precision as float32."""
    with on_device_of(x.data):
        return x.data.astype(wide(x.dtype))
