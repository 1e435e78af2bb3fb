"""Set first values of whole modules: by patterns of names, and of forget gates. Above layers."""

import math
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from engine import Tensor, asarray
from engine.checks import is_real
from rnn.cells import CoupledLSTMCell, LayerNormLSTMCell, LSTMCell, PeepholeLSTMCell
from rnn.layers.pytorch import LSTM
from rnn.modules.module import Module

# Which of the stacked gates forgets, and how many there are.
FORGET_GATES: dict[type[Module], tuple[int, int]] = {
    LSTM: (1, 4),
    LSTMCell: (1, 4),
    PeepholeLSTMCell: (1, 4),
    CoupledLSTMCell: (0, 3),
    LayerNormLSTMCell: (1, 4),
}
BIAS = re.compile(r"bias(_ih|_hh)?(?:_l\d+(?:_reverse)?)?")


def initialize(module: Module, patterns: Mapping[str, Callable[[Tensor], Any]]) -> None:
    """Fill the parameters of a module by their names.

    Patterns are as of file names (``*``, ``?``) and meet the whole path of a parameter or its last
    part; of several that do the last one counts. Other parameters stay. Raises ValueError for a
    pattern that meets none; then, and after any other error, nothing has changed.

    >>> import rnn
    >>> from rnn.initializers import orthogonal_per_gate, zeros
    >>> net = rnn.LSTM(3, 5)
    >>> rnn.initialize(net, {"weight_hh*": orthogonal_per_gate(4), "bias*": zeros})
    """
    own = dict(module.named_parameters())
    chosen: dict[str, str] = {}
    for pattern, fill in patterns.items():
        if not callable(fill):
            raise TypeError(f"initialize: {pattern!r}: expected an initializer such as zeros or "
                            f"constant(1.0), got {fill!r}")  # fmt: skip
        met = [path for path in own if fnmatchcase(path, pattern)
               or fnmatchcase(path.rpartition(".")[2], pattern)]  # fmt: skip
        if not met:
            raise ValueError(f"initialize: {pattern!r} meets no parameter; there are {list(own)}")
        chosen |= dict.fromkeys(met, pattern)
    before = {path: x.data for path, x in own.items()}
    try:
        for path, x in own.items():
            if path in chosen:
                _fill(path, x, patterns[chosen[path]])
    except BaseException:
        for path, x in own.items():
            if x.data is not before[path]:
                x.data = before[path]
        raise


def _fill(path: str, x: Tensor, fill: Callable[[Tensor], Any]) -> None:
    """Run an initializer; its errors say which parameter they are about."""
    try:
        fill(x)
    except (TypeError, ValueError) as error:
        raise type(error)(f"initialize: {path}: {error}") from error


def forget_bias(module: Module, value: float) -> None:
    """Set the biases of all forget gates in a module, so that cells keep what they hold at first.

    For LSTM cells of all kinds and LSTM layers, wherever they are in the module: the part of
    `bias_ih`, or of the only bias, becomes `value`, that of `bias_hh` 0. Raises ValueError where
    there is none. Source: Jozefowicz, Zaremba and Sutskever, An empirical exploration of recurrent
    network architectures, 2015.

    >>> import rnn
    >>> net = rnn.LSTM(3, 2)
    >>> rnn.forget_bias(net, 1.0)
    >>> net.bias_ih_l0.numpy()[2:4].tolist()
    [1.0, 1.0]
    """
    if not is_real(value) or not math.isfinite(value):
        raise ValueError(f"forget_bias: value must be a finite number, got {value!r}")
    found = [
        (x, gate, gates, 0.0 if parsed[1] == "_hh" else value)
        for one in module.modules()
        for kind, (gate, gates) in FORGET_GATES.items()
        if isinstance(one, kind)
        for name, x in vars(one).items()
        if (parsed := BIAS.fullmatch(name)) and isinstance(x, Tensor)
    ]
    if not found:
        raise ValueError(
            f"forget_bias: {type(module).__name__} holds no LSTM cell or layer with biases"
        )
    for x, gate, gates, number in found:
        rows, data = x.size // gates, asarray(x.data, copy=True).data
        data[gate * rows : (gate + 1) * rows] = number
        x.data = data
