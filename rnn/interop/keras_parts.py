"""Cut a module of ours into layers of Keras: the class of each, its settings, and its modules.

Above `keras_arrays.py`, below `keras.py`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import engine
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from rnn.interop.keras_arrays import bare, check_cell
from rnn.interop.keras_layers import KerasEmbedding, KerasMasking, KerasModel, KerasRecurrent
from rnn.layers.pytorch import _Layer
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.models import Classifier, Sequential
from rnn.modules.feedforward import Dropout, Embedding, LayerNorm, Linear
from rnn.modules.module import Module
from rnn.wrappers.regularizers import VariationalDropout

# By Keras's names. Others differ from the functions of the same name here, or are not here.
ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "linear": engine.positive, "tanh": engine.tanh, "relu": engine.relu, "sigmoid": engine.sigmoid,
    "softmax": engine.softmax, "softplus": engine.softplus, "silu": engine.silu,
    "elu": engine.elu, "gelu": engine.gelu,
}  # fmt: skip
# What an Elman cell calls them.
NONLINEARITIES = {name: "identity" if name == "linear" else name
                  for name in ACTIVATIONS if name != "softmax"}  # fmt: skip


class Part(NamedTuple):
    """Hold a layer of Keras: class, the settings that are not the default, and, by their place in
    it, the modules that its arrays belong to.
    """

    kind: str
    config: dict[str, Any]
    modules: dict[str, Module]


def parts(where: str, module: Any, name: str = "the model") -> Iterator[Part]:
    """Yield the layers of Keras that a module is made of, in order.

    Raises TypeError for one that Keras does not have, and ValueError for settings that it has not,
    with the name of the part.
    """
    if isinstance(module, KerasModel | Sequential):
        if isinstance(module, KerasModel):
            named = list(zip(module.names, module.layers, strict=True))
        else:
            named = [(f"steps.{number}", step) for number, step in enumerate(module.steps)]
        for path, step in named:
            yield from parts(where, step, path)
    elif isinstance(module, Classifier):
        yield from _classifier(where, module)
    elif isinstance(module, KerasRecurrent):
        yield _recurrent(where, module)
    elif isinstance(module, _Layer | Recurrent | Bidirectional | Stacked):
        yield from _sequences(where, module)
    elif isinstance(module, Linear):
        yield Part("Dense", {"units": module.out_features, "use_bias": module.bias is not None},
                   {"": module})  # fmt: skip
    elif isinstance(module, Embedding):
        yield _embedding(where, module, name)
    elif isinstance(module, Dropout):
        yield Part("Dropout", {"rate": module.p}, {})
    elif isinstance(module, LayerNorm):
        own = {"axis": -1, "epsilon": module.eps, "scale": True, "center": module.bias is not None}
        yield Part("LayerNormalization", own, {"": module})
    elif isinstance(module, KerasMasking):
        yield Part("Masking", {"mask_value": module.mask_value}, {})
    else:
        yield _activation(where, module, name)


def keyed(found: Sequence[Part]) -> dict[str, Part]:
    """Return the layers by the name of their group in a file, such as ``lstm_1``."""
    return dict(zip(keys([part.kind for part in found]), found, strict=True))


def keys(kinds: Sequence[str]) -> list[str]:
    """Return the names of the groups in a file of weights: the class, and a number from the second.

    >>> keys(["LSTM", "SimpleRNN", "LSTM"])
    ['lstm', 'simple_rnn', 'lstm_1']
    """
    names = []
    for number, kind in enumerate(kinds):
        before = kinds[:number].count(kind)
        spaced = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind))
        names.append(spaced.lower() + (f"_{before}" if before else ""))
    return names


def _activation(where: str, given: Any, name: str) -> Part:
    """Return the layer of a function. Raises TypeError for what Keras does not have."""
    for known, function in ACTIVATIONS.items():
        if given is function:
            return Part("Activation", {"activation": known}, {})
    told = getattr(given, "__name__", type(given).__name__)
    raise TypeError(
        f"{where}: {name} is a {told}, which is no layer of Keras here; there are Embedding, "
        "Linear, RNN, LSTM, GRU, Recurrent, Bidirectional, Stacked, Dropout, LayerNorm, and the "
        f"functions {', '.join(ACTIVATIONS)} of engine"
    )


def _embedding(where: str, module: Embedding, name: str) -> Part:
    if module.padding_idx is not None:
        raise ValueError(
            f"{where}: {name} has padding_idx={module.padding_idx}, which Keras's Embedding has "
            "not; make it without, or use rnn.interop.KerasEmbedding (mask_zero)"
        )
    config: dict[str, Any] = {"input_dim": module.num_embeddings,
                              "output_dim": module.embedding_dim}  # fmt: skip
    if isinstance(module, KerasEmbedding):
        config["mask_zero"] = True
    return Part("Embedding", config, {"": module})


def _classifier(where: str, module: Classifier) -> Iterator[Part]:
    """Yield the layers of a classifier of the last outputs."""
    if module.pooling != "last":
        raise ValueError(
            f"{where}: a Classifier with pooling {module.pooling!r} has no layers of Keras here; "
            "there is pooling='last'"
        )
    if module.embedding is not None:
        yield from parts(where, module.embedding, "embedding")
    own = list(_sequences(where, module.recurrent))
    yield from own[:-1]
    last = own[-1]
    yield last._replace(config=_ending(last.config))
    if module.dropout:
        yield Part("Dropout", {"rate": module.dropout}, {})
    yield from parts(where, module.head, "head")


def _ending(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer that gives its last output alone."""
    if "layer" in config:
        return {**config, **{one: Part(config[one].kind, _ending(config[one].config), {})
                             for one in ("layer", "backward_layer")}}  # fmt: skip
    return {**config, "return_sequences": False}


def _sequences(where: str, module: Any) -> Iterator[Part]:
    """Yield the layers of recurrences that give all their outputs."""
    if isinstance(module, Stacked):
        for number, layer in enumerate(module.layers):
            if number and module.dropout:
                yield Part("Dropout", {"rate": module.dropout}, {})
            yield from _sequences(where, layer)
    elif isinstance(module, _Layer):
        for number, runs in enumerate(module._runs):
            if number and module.dropout:
                yield Part("Dropout", {"rate": module.dropout}, {})
            yield _cells(where, [run.cell for run in runs], {"return_sequences": True})
    elif isinstance(module, Bidirectional):
        yield _cells(where, [module.onward.cell, module.backward.cell], {"return_sequences": True})
    elif isinstance(module, Recurrent):
        if module.reverse:
            raise ValueError(
                f"{where}: a Recurrent with reverse=True puts its outputs in the order of time, "
                "which Keras's go_backwards does not; use rnn.interop.KerasRecurrent"
            )
        yield _cells(where, [module.cell], {"return_sequences": True})
    else:
        raise TypeError(f"{where}: {type(module).__name__} is no recurrent layer of Keras")


def _recurrent(where: str, module: KerasRecurrent) -> Part:
    own = {"return_sequences": module.return_sequences}
    if module.backward is not None:
        cells = [module.onward.cell, module.backward.cell]
        return _cells(where, cells, own, merge=module.merge)
    if module.go_backwards:
        own["go_backwards"] = True
    if module.zero_output_for_mask:
        own["zero_output_for_mask"] = True
    return _cells(where, [module.onward.cell], own)


def _cells(where: str, cells: list[Cell], own: dict[str, Any], merge: str = "concat") -> Part:
    """Return the layer of one cell, or of two, from both ends."""
    for cell in cells:
        check_cell(where, cell)
    if len(cells) == 1:
        return Part(_kind(cells[0]), {**_settings(where, cells[0]), **own}, {"cell": cells[0]})
    layers = [Part(_kind(cell), {**_settings(where, cell), **own, **more}, {})
              for cell, more in zip(cells, ({}, {"go_backwards": True}), strict=True)]  # fmt: skip
    config = {"merge_mode": merge, "layer": layers[0], "backward_layer": layers[1]}
    return Part("Bidirectional", config,
                {"forward_layer/cell": cells[0], "backward_layer/cell": cells[1]})  # fmt: skip


def _kind(cell: Cell) -> str:
    inner = bare(cell)
    if isinstance(inner, ElmanCell):
        return "SimpleRNN"
    return "LSTM" if isinstance(inner, LSTMCell) else "GRU"


def _settings(where: str, cell: Cell) -> dict[str, Any]:
    """Return the settings of a recurrent layer that its cell has."""
    inner: Any = bare(cell)
    config = {"units": inner.weight_hh.shape[1], "use_bias": inner.bias_ih is not None}
    if isinstance(inner, ElmanCell):
        known = {ours: theirs for theirs, ours in NONLINEARITIES.items()}
        if inner.nonlinearity not in known:
            raise ValueError(
                f"{where}: an ElmanCell has nonlinearity {inner.nonlinearity!r}, which is no "
                f"activation of Keras here; there are {', '.join(known)}"
            )
        config["activation"] = known[inner.nonlinearity]
    else:
        config |= {"activation": "tanh", "recurrent_activation": "sigmoid"}
    if _kind(cell) == "GRU":
        config["reset_after"] = isinstance(inner, GRUCell)
    if isinstance(cell, VariationalDropout):
        if cell.states or cell.outputs:
            raise ValueError(
                f"{where}: VariationalDropout of states or outputs has no layer of Keras here; "
                "its dropout of inputs has"
            )
        config["dropout"] = cell.inputs
    return config
