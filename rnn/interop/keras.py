"""Weights of layers and models of Keras, as ``get_weights()`` gives them and as files hold them.

Above `keras_parts.py`, which says what the layers of a model are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine import Tensor
from engine.backends import Array
from rnn.cells import Cell, GRUCell, ResetBeforeGRUCell
from rnn.interop.blocks import as_array, assign, mismatches, runs
from rnn.interop.keras_arrays import bare, check_cell, read, shapes_of, written
from rnn.interop.keras_files import Saved, read_file
from rnn.interop.keras_parts import Part, keyed, parts
from rnn.layers.pytorch import _Layer
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.modules.module import Module


class Slot(NamedTuple):
    """Hold a module with arrays of its own, and what errors call it."""

    where: str
    module: Module


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
    return [x for slot in _slots(module, "to_keras") for x in written(slot.module)]


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
    expected = {f"{slot.where} {name}": shape
                for slot in slots for name, shape in shapes_of(slot.module).items()}  # fmt: skip
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
    for slot in slots:
        values += read(slot.module, [next(arrays) for _ in shapes_of(slot.module)])
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


def _slots(module: Module, where: str) -> list[Slot]:
    """Return all modules with arrays, in order. Raises for those that Keras does not have."""
    if isinstance(module, _Layer | Recurrent | Bidirectional | Stacked | Cell):
        found = [Slot(run.where, run.cell) for layer in runs(module) for run in layer]
        for slot in found:
            check_cell(where, slot.module)  # type: ignore[arg-type]
        return found
    named = keyed(list(parts(where, module)))
    return [Slot(f"{key} {place}".strip(), own)
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


def _hint(slots: list[Slot], given: list[Any]) -> str:
    """Return what to do where the arrays are those of the GRU's other form."""
    kinds = {type(bare(one.module)) for one in slots if isinstance(one.module, Cell)}
    biases = [getattr(x, "ndim", 0) for x in given[2::3]]
    if kinds == {GRUCell} and 1 in biases:
        return "; a GRU with reset_after=False is rnn.Recurrent(rnn.ResetBeforeGRUCell(...)) here"
    if kinds == {ResetBeforeGRUCell} and 2 in biases:
        return "; a GRU with reset_after=True is rnn.GRU here"
    return ""
