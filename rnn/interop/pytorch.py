"""Convert to and from PyTorch state dicts: mappings and safetensors files. Above `blocks.py`.

Names, layouts and equations of `rnn.RNN`, `LSTM`, `GRU`, `Linear`, `Embedding` and the three cells
are PyTorch's own, so values move unchanged.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save as encode

from engine import Tensor
from engine.backends import Array
from engine.checks import flag
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from rnn.cells.base import PyTorchCell
from rnn.interop.blocks import as_array, assign, keep_old, mismatches
from rnn.layers.pytorch import _Layer
from rnn.layers.recurrent import Recurrent
from rnn.models.sequential import Sequential
from rnn.modules.module import Module
from rnn.modules.states import IncompatibleKeys, incompatible, name_faults, twin_faults
from rnn.serialization.files import replace_files
from rnn.serialization.saving import decoded

COUNTERPARTS = (ElmanCell, LSTMCell, GRUCell)
STEPS = {cell.step for cell in COUNTERPARTS}  # the equations that PyTorch has

# What DataParallel, DistributedDataParallel and torch.compile put before all names.
WRAPPERS = ("module.", "_orig_mod.")


def to_pytorch(
    module: Module, path: str | Path | None = None, *, prefix: str = ""
) -> dict[str, Array]:
    """Return a copy of every parameter as a NumPy array, under the name that PyTorch has for it.

    A `Recurrent` of an `ElmanCell`, `LSTMCell` or `GRUCell` becomes one direction of a layer:
    ``weight_ih_l0``, or ``weight_ih_l0_reverse``. `prefix` goes before all names: for ``"encoder"``
    they are ``encoder.weight_ih_l0``. A `path` has the arrays written there too, as safetensors.
    Raises TypeError for cells with equations that PyTorch lacks.

    >>> import rnn
    >>> list(rnn.interop.to_pytorch(rnn.GRU(3, 5, bias=False), prefix="encoder"))
    ['encoder.weight_ih_l0', 'encoder.weight_hh_l0']
    """
    front = _front(prefix)
    arrays = {
        f"{front}{name}": keep_old(cell, x.numpy()).copy(order="C")
        for name, (x, cell) in _named(module).items()
    }
    if path is not None:
        replace_files({Path(path): encode(arrays, metadata={"format": "pt"})})
    return arrays


def from_pytorch(
    module: Module,
    weights: Mapping[str, Any] | str | Path,
    *,
    prefix: str = "",
    strict: bool = True,
) -> IncompatibleKeys:
    """Take over the values of all parameters from a state dict, or from a safetensors file.

    With ``strict=False`` those that are there; returned are the names that were missing, and those
    that were left out, as `Module.load_state_dict` returns them.

    The values may be torch tensors on any device or anything that NumPy takes; they are copied, in
    the dtype of the parameters. With a `prefix`, names that do not start with it are left alone.
    The ``module.`` and ``_orig_mod.`` that DataParallel, DistributedDataParallel and torch.compile
    put before all names are taken off. Raises ValueError that lists every missing, unknown and
    misshapen name, and tied weights that differ, of which one is enough; then nothing has changed.
    Without `strict` too it does so where no name is known. Raises TypeError for cells with
    equations that PyTorch lacks.

    >>> import rnn
    >>> here, there = rnn.LSTM(3, 5), rnn.LSTM(3, 5)
    >>> rnn.interop.from_pytorch(there, rnn.interop.to_pytorch(here))
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    own = _named(module)
    front = _front(prefix)
    named = _unwrapped(_mapping(weights), [f"{front}{name}" for name in own])
    given = {name: x for name, x in named.items() if name.startswith(front)}
    parameters = {f"{front}{name}": x for name, x in own.items()}
    tensors = {name: x for name, (x, _) in parameters.items()}
    faults = name_faults(tensors, given, flag("from_pytorch: strict", strict))
    unmatched = incompatible(tensors, given)
    given = {name: x for name, x in given.items() if name in tensors}
    faults += mismatches(given, {name: x.shape for name, x in tensors.items()})
    faults = faults or twin_faults(tensors, {name: as_array(x) for name, x in given.items()})
    if faults:
        raise ValueError(f"from_pytorch: {'; '.join(faults)}")
    assign([(x, keep_old(cell, as_array(given[name])))
            for name, (x, cell) in parameters.items() if name in given])  # fmt: skip
    return unmatched


def _mapping(weights: Any) -> Mapping[str, Any]:
    """Return the state dict itself, or the one in the file."""
    if isinstance(weights, str | Path):
        try:
            return decoded(Path(weights).read_bytes())
        except SafetensorError as error:
            raise ValueError(
                f"from_pytorch: {weights} is no safetensors file: {error}; a file of "
                "torch.save is read by torch.load: pass the state dict that it returns"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"from_pytorch: {weights}: {error}; read it by torch and pass the state dict"
            ) from error
    if isinstance(weights, Mapping):
        return weights
    raise TypeError(
        "from_pytorch: expected a mapping of names to arrays or the path of a safetensors file, "
        f"got {type(weights).__name__}; pass the state_dict() of a PyTorch module"
    )


def _unwrapped(weights: Mapping[str, Any], own: Sequence[str]) -> Mapping[str, Any]:
    """Return the state dict without what a wrapper of the whole model has put before all names."""
    for wrapper in WRAPPERS * 2:  # one may wrap the other
        named = weights and all(str(name).startswith(wrapper) for name in weights)
        if named and not any(name in weights for name in own):
            weights = {name.removeprefix(wrapper): x for name, x in weights.items()}
    return weights


def _front(prefix: str) -> str:
    """Return what stands before every name."""
    return f"{prefix.removesuffix('.')}." if prefix else ""


def _named(module: Module) -> dict[str, tuple[Tensor, Cell | None]]:
    """Return the parameters by PyTorch's names, with the cells that are not listed as layers."""
    owners: dict[str, tuple[str, Cell]] = {}
    chains: list[str] = []
    for path, part in module.named_modules():
        chains += [path] * isinstance(part, Sequential)
        _check(part.cell if isinstance(part, _Layer) else part, path)
        front = f"{path}." if path else ""
        if isinstance(part, Recurrent) and isinstance(part.cell, COUNTERPARTS):
            back = f"_l{part.layer}{'_reverse' if part.reverse else ''}"
            for name, _ in part.cell.named_parameters():
                owners[f"{front}cell.{name}"] = f"{front}{name}{back}", part.cell
        elif isinstance(part, COUNTERPARTS):
            for name, _ in part.named_parameters():
                owners.setdefault(f"{front}{name}", (f"{front}{name}", part))
    return {
        _flat(owners[name][0] if name in owners else name, chains): (
            x,
            owners[name][1] if name in owners else None,
        )
        for name, x in module.named_tensors()
    }


def _flat(name: str, chains: Sequence[str]) -> str:
    """Return a name as PyTorch has it, where the parts of a Sequential are called 0, 1, ..."""
    for path in reversed(chains):  # the inner ones first: they leave the outer's names as they are
        front = f"{path}." if path else ""
        if name.startswith(f"{front}steps."):
            name = front + name.removeprefix(f"{front}steps.")
    return name


def _check(part: Module, path: str) -> None:
    """Raise TypeError for a cell that has PyTorch's parameters and not its equations.

    Loaded there, they would run and give other numbers.
    """
    other = isinstance(part, ElmanCell) and part.nonlinearity not in ("tanh", "relu")
    own_step = isinstance(part, PyTorchCell) and type(part).step not in STEPS
    if other or own_step:
        what = "such nonlinearity of an RNN" if other else type(part).__name__
        raise TypeError(
            f"{path or type(part).__name__}: PyTorch has no {what}; the weights would fit a layer "
            "there and give other numbers"
        )
