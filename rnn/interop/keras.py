"""Move weights and whole models of Keras here and back: layers, arrays in lists, files.

Weights are as ``get_weights()`` gives them and as files hold them. Above all other files of this
format; `keras_parts.py` says what the layers of a model are.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import Tensor
from engine.backends import Array
from rnn.cells import Cell, GRUCell, ResetBeforeGRUCell
from rnn.interop.blocks import as_array, assign, mismatches, runs
from rnn.interop.keras_arrays import bare, check_cell, read, shapes_of, written
from rnn.interop.keras_building import built
from rnn.interop.keras_files import Saved, chain, read_file, write_file
from rnn.interop.keras_layers import KerasModel
from rnn.interop.keras_parts import Part, keyed, parts
from rnn.layers.pytorch import _Layer
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.modules.module import Module

Slots = list[tuple[str, Module]]  # modules with arrays of their own, and what errors call them


def to_keras(module: Module) -> list[Array]:
    """Return the weights of a module, for ``set_weights`` of the same Keras layer or model.

    For each direction ``kernel`` (I, gates H), ``recurrent_kernel`` (H, gates H) and, where there
    are biases, ``bias`` (gates H,), (2, 3H) for a GRU. `rnn.RNN` goes to SimpleRNN with the same
    activation, `LSTM` to LSTM, `GRU` to GRU, and a `Recurrent` of a `ResetBeforeGRUCell` to GRU
    with ``reset_after=False``. Both directions come as `Bidirectional` has them, forward first,
    and several layers one after another, as a `Sequential` has them. A `Sequential` of ours, a
    `Classifier` of the last outputs and a `KerasModel` give the arrays of all their layers. Raises
    TypeError for cells and modules and ValueError for settings that Keras does not have.

    >>> import rnn
    >>> [x.shape for x in rnn.interop.to_keras(rnn.GRU(3, 5))]
    [(3, 15), (5, 15), (2, 15)]
    """
    return [x for _, own in _slots(module, "to_keras") for x in written(own)]


def from_keras(module: Module, weights: Any) -> None:
    """Take over weights of Keras: what ``get_weights()`` gives, the layer or model, or a file.

    The order is that of `to_keras`; a list of lists, for directions or layers, is read as the one
    list that it makes. A path is that of a ``.weights.h5`` or ``.keras`` file of Keras 3; its
    layers are found by class and order. Only weights are read: activations, directions and masks
    have to be those of the model there, which `import_keras` sees to. An LSTM's or SimpleRNN's bias
    goes to ``bias_ih``, ``bias_hh`` becomes zeros. Raises ValueError that lists every array
    that does not fit; then nothing has changed. Raises TypeError for cells and modules and
    ValueError for settings that Keras does not have, ImportError where h5py is missing.

    >>> import rnn
    >>> here, there = rnn.LSTM(3, 5, bidirectional=True), rnn.LSTM(3, 5, bidirectional=True)
    >>> rnn.interop.from_keras(there, rnn.interop.to_keras(here))
    """
    if isinstance(weights, str | Path):
        named = keyed(list(parts("from_keras", module)))
        fill("from_keras", named, read_file(weights, "from_keras"))
        return
    if hasattr(weights, "get_weights"):
        weights = weights.get_weights()
    slots = _slots(module, "from_keras")
    given = list(_flat(weights))
    expected = {f"{where} {name}": shape
                for where, own in slots for name, shape in shapes_of(own).items()}  # fmt: skip
    if len(given) != len(expected):
        listed = ", ".join(f"{name} {shape}" for name, shape in expected.items())
        raise ValueError(
            f"from_keras: expected {len(expected)} arrays ({listed}), got {len(given)}; "
            "use_bias, the number of layers and the directions have to be the module's"
        )
    faults = mismatches(dict(zip(expected, given, strict=True)), expected)
    if faults:
        raise ValueError(f"from_keras: {'; '.join(faults)}{_hint(slots, given)}")
    arrays = iter([as_array(x) for x in given])
    values: list[tuple[Tensor, Array]] = []
    for _, own in slots:
        values += read(own, [next(arrays) for _ in shapes_of(own)])
    assign(values)


def fill(where: str, named: dict[str, Part], saved: Saved) -> None:
    """Give the modules of layers, by the names of their groups, the arrays of a file, all or none.
    Raises ValueError that lists what is missing, what is too many and what does not fit.
    """
    slots = [(f"layers/{key}/{place}/vars".replace("//", "/"), module)
             for key, part in named.items() for place, module in part.modules.items()]  # fmt: skip
    expected = {f"{path}/{number}": shape for path, module in slots
                for number, shape in enumerate(shapes_of(module).values())}  # fmt: skip
    found = {name: x for name, x in saved.arrays.items()
             if not name.startswith("optimizer/") and "seed_generator" not in name}  # fmt: skip
    faults = [f"{name}: missing, expected {shape}"
              for name, shape in expected.items() if name not in found]  # fmt: skip
    faults += [f"{name} {x.shape}: the model here has no place for it"
               for name, x in found.items() if name not in expected]  # fmt: skip
    faults += mismatches(found, expected)
    if faults:
        raise ValueError(f"{where}: {'; '.join(faults)}")
    values: list[tuple[Tensor, Array]] = []
    for path, module in slots:
        values += read(module, [found[f"{path}/{n}"] for n in range(len(shapes_of(module)))])
    assign(values)


def _slots(module: Module, where: str) -> Slots:
    """Return all modules with arrays, in order. Raises for those that Keras does not have."""
    if isinstance(module, _Layer | Recurrent | Bidirectional | Stacked | Cell):
        found = [run for layer in runs(module) for run in layer]
        for run in found:
            check_cell(where, run.cell)
        return [(run.where, run.cell) for run in found]
    named = keyed(list(parts(where, module)))
    return [(f"{key} {place}".strip(), own)
            for key, part in named.items() for place, own in part.modules.items()]  # fmt: skip


def _flat(weights: Any) -> Iterator[Any]:
    """Yield the arrays in lists of lists, in order."""
    waiting = [weights]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting += reversed(one)
        else:
            yield one


def _hint(slots: Slots, given: list[Any]) -> str:
    """Return what to do where the arrays are those of the GRU's other form."""
    kinds = {type(bare(own)) for _, own in slots if isinstance(own, Cell)}
    biases = [getattr(x, "ndim", 0) for x in given[2::3]]
    if kinds == {GRUCell} and 1 in biases:
        return "; a GRU with reset_after=False is rnn.Recurrent(rnn.ResetBeforeGRUCell(...)) here"
    if kinds == {ResetBeforeGRUCell} and 2 in biases:
        return "; a GRU with reset_after=True is rnn.GRU here"
    return ""


WHERE = "export_keras"


def import_keras(source: Any, *, dropout: bool = True) -> KerasModel:
    """Return a model of Keras 3 as one of ours, that computes what it computes: batch first.

    `source` is the path of a ``.keras`` file, read without Keras, or the model itself. It is a
    Sequential, or functional with one layer after another, of Embedding, LSTM, GRU, SimpleRNN,
    Bidirectional of these, Dense, TimeDistributed Dense, LayerNormalization, Dropout, Masking and
    Activation. Masks, `go_backwards`, `return_sequences` and both forms of the GRU are as there.
    A layer that is not trainable is frozen, and so is ``bias_hh`` of an LSTM or SimpleRNN, which is
    zero, as Keras has one bias: training goes on as there. Without `dropout` all of it is left out,
    as it is in inference. Mixed precision computes in float32. Initialisers, regularisers,
    constraints, and what `compile` was told, are not taken over.

    Raises ValueError for any other layer or setting, with its name, and for files that hold no such
    model; ImportError where h5py is missing.

    >>> import rnn
    >>> net = rnn.interop.import_keras("net.keras")  # doctest: +SKIP
    """
    if not isinstance(source, str | Path):
        if not hasattr(source, "save"):
            raise TypeError(
                "import_keras: expected the path of a .keras file or a model of Keras, got "
                f"{type(source).__name__}"
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            source.save(path)
            return import_keras(path, dropout=dropout)
    saved = read_file(source, "import_keras")
    if saved.config is None:
        raise ValueError(
            f"import_keras: {source} holds weights and no model; make the model here and give it "
            "the file: rnn.interop.from_keras(model, path)"
        )
    steps: list[Any] = []
    names: list[str] = []
    named: dict[str, Part] = {}
    for number, layer in enumerate(chain(saved.config)):
        found = built(layer, saved.arrays, dropout=dropout, number=number)
        named[layer.key] = found.part
        if not layer.config.get("trainable", True):
            for module in found.part.modules.values():
                module.requires_grad_(False)
        steps += found.steps
        names += [layer.name, *[f"{layer.name}/activation"] * (len(found.steps) - 1)][
            : len(found.steps)
        ]
    fill("import_keras", named, saved)
    return KerasModel(steps, names)


def export_keras(model: Module, path: str | Path, *, steps: int | None = None) -> None:
    """Write a model as a ``.keras`` file, for ``keras.models.load_model``; Keras is not needed.

    `model` is a `KerasModel`, a `Sequential` of layers that Keras has, a `Classifier` of the last
    outputs, or such a layer. In Keras it is batch first, also where it is time-major here, and
    takes (B, T) or (B, T, I) of any number of `steps`, or of exactly so many. A recurrent layer
    gives all its outputs, and no state; `KerasRecurrent` may give the last alone. Raises TypeError
    for parts and ValueError for settings that Keras does not have, with their names, and for a
    path that does not end in ``.keras``; ImportError
    where h5py is missing, OSError where the file cannot be written.

    >>> import rnn
    >>> net = rnn.Sequential(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Linear(5, 2))
    >>> rnn.interop.export_keras(net, "net.keras")  # doctest: +SKIP
    """
    if Path(path).suffix != ".keras":  # by which Keras knows what is in a file
        raise ValueError(
            f"{WHERE}: expected a path that ends in .keras, got {str(path)!r}; weights alone are "
            "taken by model.set_weights(rnn.interop.to_keras(model))"
        )
    found = _joined(list(parts(WHERE, model)))
    if not found:
        raise ValueError(f"{WHERE}: the model has no layers")
    named = keyed(found)
    arrays: dict[str, Array] = {}
    layers = [_input(found, steps)]
    for key, part in named.items():
        layers.append(_serialized(part, key))
        for place, module in part.modules.items():
            front = "/".join(filter(None, ("layers", key, place, "vars")))
            arrays |= {f"{front}/{number}": x for number, x in enumerate(written(module))}
    shape = layers[0]["config"]["batch_shape"]
    config = {"name": "sequential", "trainable": True, "layers": layers,
              "build_input_shape": shape}  # fmt: skip
    write_file(path, {"module": "keras", "class_name": "Sequential", "config": config,
                      "registered_name": None, "build_config": {"input_shape": shape}},
               arrays)  # fmt: skip


def _joined(found: list[Part]) -> list[Part]:
    """Return the layers with functions as the activations of the dense layers before them."""
    joined: list[Part] = []
    for part in found:
        last = joined[-1] if joined else None
        follows = part.kind == "Activation" and last is not None and last.kind == "Dense"
        if last is not None and follows and "activation" not in last.config:
            joined[-1] = last._replace(config=last.config | part.config)
        else:
            joined.append(part)
    return joined


def _input(found: list[Part], steps: int | None) -> dict[str, Any]:
    """Return the layer of the inputs. Raises ValueError where no layer says how wide they are."""
    first = next((part for part in found if part.modules), None)
    if first is None:
        raise ValueError(f"{WHERE}: no layer has weights, so nothing says how wide the inputs are")
    module = next(iter(first.modules.values()))
    shape, dtype = next(iter(shapes_of(module).values())), next(module.each_parameter()).dtype
    indices = first.kind == "Embedding"
    batch = [None, steps] if indices else [None, steps, shape[0]]
    config = {"batch_shape": batch, "dtype": "int32" if indices else dtype.name, "name": "input"}
    return _layer("InputLayer", config)


def _serialized(part: Part, name: str) -> dict[str, Any]:
    """Return a layer as the configuration of a model has it."""
    config: dict[str, Any] = {"name": name}
    if part.kind == "Dense":
        config["activation"] = "linear"
    for module in part.modules.values():
        own = list(module.each_parameter())
        config |= {"dtype": own[0].dtype.name, "trainable": any(x.requires_grad for x in own)}
    for key, value in part.config.items():
        inner = isinstance(value, Part)
        config[key] = _serialized(value, f"{name}_{key}") if inner else value
    if "layer" in part.config:  # it has no modules itself, and the arrays of its own two
        for key in ("layer", "backward_layer"):
            config[key]["config"] |= {"dtype": config["dtype"]}
    return _layer(part.kind, config)


def _layer(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
