"""Build modules from layers of Keras. Above `keras_files.py`, below `keras.py`.

A setting that is not known here is refused by name, unless it is off. Initialisers, regularisers
and constraints act in training alone, and are left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.backends import Array
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell, ResetBeforeGRUCell
from rnn.interop.keras_files import Layer, layer
from rnn.interop.keras_layers import MERGES, KerasEmbedding, KerasMasking, KerasRecurrent
from rnn.interop.keras_parts import ACTIVATIONS, NONLINEARITIES, Part
from rnn.modules.feedforward import Dropout, Embedding, LayerNorm, Linear
from rnn.wrappers.regularizers import VariationalDropout

POLICIES = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
# Without a part in what the layer computes.
IGNORED = {"name", "trainable", "dtype", "seed", "unroll", "unit_forget_bias", "input_length",
           "batch_input_shape"}  # fmt: skip
ENDINGS = ("_initializer", "_regularizer", "_constraint")
# Where states go instead.
HINTS = {
    "stateful": "; write the layer with stateful=False: no state is kept between calls, it is "
    "handed to a layer and comes back, (y, state) = layer(x, state)",
    "return_state": "; leave it out: layers that are written here return (y, state), and "
    "rnn.interop.from_keras moves the weights",
}
RECURRENT = ("LSTM", "GRU", "SimpleRNN")
Arrays = Mapping[str, Array]


class Built:
    """Hold what a layer has become: modules and functions to run, and the part with its arrays."""

    def __init__(self, part: Part, *steps: Any) -> None:
        self.part, self.steps = part, steps


def built(given: Layer, arrays: Arrays, *, dropout: bool, number: int = 0) -> Built:
    """Return the modules of a layer, their weights still to be filled in.

    `arrays` are those of the whole file; `number` is the layer's, which pictures show. Raises
    ValueError for a layer and for settings that are not known here.
    """
    _check_dtype(given)
    if given.kind in RECURRENT:
        made = cell(given, arrays, f"layers/{given.key}/cell", dropout)
        options = {name: bool(given.config.get(name)) for name in (
            "return_sequences", "go_backwards", "zero_output_for_mask")}  # fmt: skip
        run = KerasRecurrent(made, layer=number, **options)  # type: ignore[arg-type]
        return Built(Part(given.kind, {}, {"cell": made}), run)
    if given.kind == "Bidirectional":
        return _bidirectional(given, arrays, dropout, number)
    makers: dict[str, Callable[[Layer, Arrays], Built]] = {
        "Dense": _dense, "Embedding": _embedding, "LayerNormalization": _layer_norm,
        "TimeDistributed": _time_distributed,
    }  # fmt: skip
    if given.kind in makers:
        return makers[given.kind](given, arrays)
    if given.kind == "Dropout":
        _check(given, "rate")
        steps = [Dropout(given.config["rate"])] if dropout else []
        return Built(Part(given.kind, {}, {}), *steps)
    if given.kind == "Masking":
        _check(given, "mask_value")
        return Built(Part(given.kind, {}, {}), KerasMasking(given.config["mask_value"]))
    if given.kind == "Activation":
        _check(given, "activation")
        return Built(Part(given.kind, {}, {}), *_activation(given))
    more = ("Activation", "Bidirectional", "Dropout", "Masking")
    known = ", ".join(sorted([*makers, *RECURRENT, *more]))
    raise ValueError(f"{given.where}: this layer is not known here; there are {known}")


def cell(given: Layer, arrays: Arrays, path: str, dropout: bool) -> Cell:
    """Return the cell of a recurrent layer. Raises ValueError for settings that it has not."""
    config = given.config
    used = ["units", "use_bias", "dropout", "return_sequences", "go_backwards",
            "zero_output_for_mask", "activation"]  # fmt: skip
    used += ["recurrent_activation"] * (given.kind != "SimpleRNN")
    used += ["reset_after"] * (given.kind == "GRU")
    used += ["recurrent_dropout"] * (not dropout)
    _check(given, *used)
    kernel = _array(given, arrays, f"{path}/vars/0")
    sizes = (kernel.shape[0], int(config["units"]))
    options: dict[str, Any] = {"bias": bool(config.get("use_bias", True)), "dtype": kernel.dtype}
    made: Any
    if given.kind == "SimpleRNN":
        _one_of(given, "activation", NONLINEARITIES)
        made = ElmanCell(*sizes, nonlinearity=NONLINEARITIES[config["activation"]], **options)
    else:
        _one_of(given, "activation", ("tanh",))
        _one_of(given, "recurrent_activation", ("sigmoid",))
        after = config.get("reset_after", True)
        kind = LSTMCell if given.kind == "LSTM" else GRUCell if after else ResetBeforeGRUCell
        made = kind(*sizes, **options)
    if given.kind != "GRU" and made.bias_hh is not None:
        made.bias_hh.requires_grad = (
            False  # with it the one bias of Keras would learn twice as fast
        )
    rate = config.get("dropout", 0.0)
    return VariationalDropout(made, inputs=rate) if rate and dropout else made


def _bidirectional(given: Layer, arrays: Arrays, dropout: bool, number: int) -> Built:
    _check(given, "merge_mode", "layer", "backward_layer")
    _one_of(given, "merge_mode", MERGES)
    cells, options = {}, []
    for place, backward in (("layer", False), ("backward_layer", True)):
        own = layer(given.config[place], given.key)
        _check_dtype(own)
        if own.kind not in RECURRENT or bool(own.config.get("go_backwards")) != backward:
            raise ValueError(
                f"{own.where} in {given.kind} {given.name!r}: expected an LSTM, GRU or SimpleRNN "
                f"with go_backwards={backward}"
            )
        name = "backward_layer/cell" if backward else "forward_layer/cell"
        cells[name] = cell(own, arrays, f"layers/{given.key}/{name}", dropout)
        options.append(bool(own.config.get("return_sequences")))
    if options[0] != options[1]:
        raise ValueError(f"{given.where}: return_sequences differs between its directions")
    run = KerasRecurrent(*cells.values(), return_sequences=options[0],
                         merge=given.config["merge_mode"], layer=number)  # fmt: skip
    return Built(Part(given.kind, {}, dict(cells)), run)


def _dense(given: Layer, arrays: Arrays, place: str = "") -> Built:
    _check(given, "units", "use_bias", "activation")
    kernel = _array(given, arrays, f"layers/{given.key}/{place}vars/0")
    made = Linear(kernel.shape[0], int(given.config["units"]),
                  bias=bool(given.config.get("use_bias", True)), dtype=kernel.dtype)  # fmt: skip
    return Built(Part(given.kind, {}, {place.strip("/"): made}), made, *_activation(given))


def _time_distributed(given: Layer, arrays: Arrays) -> Built:
    """Return a dense layer, which takes any axes before the last."""
    _check(given, "layer")
    own = layer(given.config["layer"], given.key)
    if own.kind != "Dense":
        raise ValueError(f"{own.where} in {given.kind} {given.name!r}: expected a Dense")
    _check_dtype(own)
    return _dense(own, arrays, "layer/")


def _embedding(given: Layer, arrays: Arrays) -> Built:
    _check(given, "input_dim", "output_dim", "mask_zero")
    kind = KerasEmbedding if given.config.get("mask_zero") else Embedding
    rows = _array(given, arrays, f"layers/{given.key}/vars/0")
    made = kind(int(given.config["input_dim"]), int(given.config["output_dim"]), dtype=rows.dtype)
    return Built(Part(given.kind, {}, {"": made}), made)


def _layer_norm(given: Layer, arrays: Arrays) -> Built:
    _check(given, "axis", "epsilon", "center", "scale")
    gamma = _array(given, arrays, f"layers/{given.key}/vars/0")
    _one_of(given, "scale", (True,))
    if given.config.get("axis", -1) not in (-1, [-1]):
        raise ValueError(f"{given.where}: axis {given.config['axis']}, expected -1")
    made = LayerNorm(gamma.shape[0], eps=given.config["epsilon"],
                     bias=bool(given.config.get("center", True)), dtype=gamma.dtype)  # fmt: skip
    return Built(Part(given.kind, {}, {"": made}), made)


def _activation(given: Layer) -> list[Any]:
    """Return the function of a layer, none for the identity."""
    _one_of(given, "activation", ACTIVATIONS)
    name = given.config["activation"]
    return [] if name == "linear" else [ACTIVATIONS[name]]


def _check(given: Layer, *used: str) -> None:
    """Raise ValueError for a setting that is on and not known here."""
    for name, value in given.config.items():
        known = name in IGNORED or name in used or name.endswith(ENDINGS)
        if not known and value not in (None, False, 0.0):
            hint = "; give dropout=False to leave it out, as in inference" * ("dropout" in name)
            hint += HINTS.get(name, "")
            raise ValueError(f"{given.where}: {name}={value!r} is not known here{hint}")


def _check_dtype(given: Layer) -> None:
    """Raise ValueError for weights or sums of another kind; mixed policies compute in float32."""
    policy = given.config.get("dtype", "float32")
    name = policy.get("config", {}).get("name") if isinstance(policy, Mapping) else policy
    if name not in POLICIES:
        raise ValueError(f"{given.where}: dtype {name!r}, expected {', '.join(POLICIES)}")


def _one_of(given: Layer, name: str, expected: Any) -> None:
    """Raise ValueError for a setting that is none of the values expected."""
    value = given.config.get(name)
    if not isinstance(value, str | bool) or value not in expected:
        told = value.get("config", value) if isinstance(value, Mapping) else value
        known = ", ".join(map(repr, expected))
        raise ValueError(f"{given.where}: {name}={told!r} is not known here; expected {known}")


def _array(given: Layer, arrays: Arrays, path: str) -> Array:
    """Return an array of the file. Raises ValueError where it is missing."""
    if path not in arrays:
        raise ValueError(f"{given.where}: the file has no {path}; was the model built?")
    return arrays[path]
