"""Save arrays and a configuration in one safetensors file, replaced at once; no pickle anywhere.

The configuration stands in the metadata of the file, with a digest of the whole file: a crash
leaves the old file or the new one, and a changed byte is refused. Above `files.py` and
`documents.py`.
"""

from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as encode

from engine.backends import HOST, Array
from engine.backends.half import bfloat16
from rnn.modules.module import Module
from rnn.serialization import documents
from rnn.serialization.files import BLANK, check_seal, replace_files, sealed

METADATA, OWN = "__metadata__", "bptt"
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "C64": "complex64",
}  # fmt: skip


def save(path: str | Path, state: Module | Mapping[str, Any], config: Any = None) -> None:
    """Write a module's parameters, or a mapping of arrays, and a JSON-able `config`, as one file.

    The file has exactly the name given and is safetensors. One that is there is replaced at once,
    so that a crash leaves the old one or the new one. Raises OSError where it cannot be written,
    TypeError for arrays that safetensors cannot hold and a config that JSON cannot hold; then the
    old file is as it was.

    >>> import rnn, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rnn.save(f"{folder}/net.safetensors", rnn.Linear(2, 1), {"sizes": [2, 1]})
    ...     weights, config = rnn.load(f"{folder}/net.safetensors")
    >>> rnn.Linear(*config["sizes"]).load_state_dict(weights)
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"save: expected a path, got {type(path).__name__}; the path comes first: "
                        "save(path, module)")  # fmt: skip
    arrays = _arrays(state)
    about = {"sha256": BLANK, "config": {} if config is None else config}  # the digest first
    content = encode(arrays, metadata={OWN: documents.written(about).decode()})
    replace_files({Path(path): sealed(content)})


def load(path: str | Path) -> tuple[dict[str, Any], Any]:
    """Return the arrays by name and the configuration that `save` wrote.

    Raises FileNotFoundError where there is none, ValueError for a damaged or other file.

    >>> import rnn, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rnn.save(f"{folder}/net", rnn.Linear(2, 1), {"bias": True})
    ...     weights, config = rnn.load(f"{folder}/net")
    >>> list(weights), config
    (['bias', 'weight'], {'bias': True})
    """
    content = Path(path).read_bytes()
    try:
        about = _about(content)
        check_seal(content, about["sha256"])
        return decoded(content), about["config"]
    except (SafetensorError, ValueError) as error:
        if content[:2] in (b"PK", b"\x80\x02"):  # an archive, as torch.save writes, or a pickle
            raise ValueError(
                f"load: {path} was not written by rnn.save; a file of torch.save is read by "
                "torch.load: give rnn.interop.from_pytorch(module, weights) what that returns"
            ) from error
        raise ValueError(f"load: {path} is no checkpoint or is damaged: {error}") from error


def decoded(content: bytes) -> dict[str, Array]:
    """Return the arrays of a safetensors file in the order of their names.

    bfloat16 comes out as float32, to the bit, where there is no ml_dtypes package. Raises
    SafetensorError for what is none, ValueError for dtypes that there are not here.
    """
    found = {}
    for name, entry in sorted(deserialize(content), key=itemgetter(0)):  # type: ignore[no-untyped-call]
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{name}: arrays of {entry['dtype']} cannot be read")
        found[name] = _flat(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return found


def _flat(data: bytearray, dtype: str) -> Array:
    """Return the numbers in some bytes."""
    xp = HOST.xp
    if dtype != "bfloat16":
        return xp.frombuffer(data, dtype=dtype)
    try:
        return xp.frombuffer(data, dtype=bfloat16())
    except ImportError:  # the upper half of float32
        return (xp.frombuffer(data, dtype="uint16").astype("uint32") << 16).view("float32")


def _arrays(state: Any) -> dict[str, Array]:
    """Return the arrays of a module or mapping. Raises TypeError for what safetensors cannot."""
    if isinstance(state, Module):
        state = state.state_dict()
    if not isinstance(state, Mapping):
        raise TypeError(f"save: expected a module or a mapping of names to arrays, got "
                        f"{type(state).__name__}; give its state_dict()")  # fmt: skip
    found = {}
    for name, value in state.items():
        array = value.numpy() if hasattr(value, "numpy") else value
        if not isinstance(name, str) or name == METADATA:
            raise TypeError(f"save: {name!r} cannot be the name of an array; expected other text")
        if not hasattr(array, "dtype") or array.dtype.name not in DTYPES.values():
            kind = array.dtype if hasattr(array, "dtype") else type(array).__name__
            raise TypeError(f"save: {name} is {kind}; expected an array of a dtype that "
                            "safetensors has, such as float32")  # fmt: skip
        found[name] = array.copy(order="C")  # as safetensors asks
    return found


def _about(content: bytes) -> dict[str, Any]:
    """Return what `save` said of a file in its metadata. Raises ValueError if that is nothing."""
    header = documents.read(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.get(METADATA) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != {OWN}:
        raise ValueError("rnn.save did not write it; weights of PyTorch are read by "
                         "rnn.interop.from_pytorch(module, path)")  # fmt: skip
    about = documents.read(str(metadata[OWN]).encode())
    if not isinstance(about, dict) or set(about) != {"sha256", "config"}:
        raise ValueError("it has no digest")
    return about
