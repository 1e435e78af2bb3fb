"""Checkpoints: tensors as safetensors with a JSON file beside them; no pickle anywhere.

Both files are written whole under another name and then moved into place, so a crash leaves the
old ones.
"""

import json
import os
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as encode

from engine.backends import HOST, Array
from engine.backends.half import bfloat16
from rnn.module import Module

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip


def save(path: str | Path, state: Module | Mapping[str, Any], config: Any = None) -> None:
    """Write a module's parameters, or a mapping of arrays, and a JSON-able `config`.

    `path` takes the tensors; the configuration goes beside it, ``model.json`` for
    ``model.safetensors`` and ``model.v1.json`` for ``model.v1``.
    Raises OSError where the folder cannot be written, TypeError for a config JSON cannot hold.
    """
    path = Path(path)
    arrays = state.state_dict() if isinstance(state, Module) else dict(state)
    arrays = {
        name: getattr(array, "numpy", lambda array=array: array)().copy(order="C")
        for name, array in arrays.items()
    }  # safetensors asks it
    text = json.dumps({} if config is None else config, indent=2, sort_keys=True)
    replace_files({_config(path): text.encode() + b"\n", path: encode(arrays)})


def load(path: str | Path) -> tuple[dict[str, Any], Any]:
    """The arrays by name and the configuration that `save` wrote.

    Raises FileNotFoundError where there is none, ValueError for a file that is damaged.
    """
    path = Path(path)
    try:
        config = json.loads(_config(path).read_bytes())
        return decoded(path.read_bytes()), config
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"load: {path} is no checkpoint or is damaged: {error}") from error


def decoded(content: bytes) -> dict[str, Array]:
    """The arrays of a safetensors file in the order of their names, bfloat16 among them.

    Raises SafetensorError for what is none, ValueError for dtypes that there are not here.
    """
    found = {}
    for name, entry in sorted(deserialize(content), key=itemgetter(0)):  # type: ignore[no-untyped-call]
        kind = entry["dtype"]
        if kind != "BF16" and kind not in DTYPES:
            raise ValueError(f"{name}: arrays of {kind} cannot be read")
        dtype = bfloat16() if kind == "BF16" else DTYPES[kind]
        found[name] = HOST.xp.frombuffer(entry["data"], dtype=dtype).reshape(entry["shape"])
    return found


def _config(path: Path) -> Path:
    """Where the configuration of a checkpoint lies."""
    return path.with_name(path.name.removesuffix(".safetensors") + ".json")


def replace_files(contents: dict[Path, bytes]) -> None:
    """Write files so that they are there whole or not at all, and only once all are written.

    They take their places in the order given, and are on the disk, names and all, before this
    returns. Raises OSError where they cannot be written; then the old ones are as they were.
    """
    partial = {path: path.with_name(path.name + ".part") for path in contents}
    try:
        for path, content in contents.items():
            with partial[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, written in partial.items():
            written.replace(path)
    except BaseException:
        for written in partial.values():
            written.unlink(missing_ok=True)
        raise
    for folder in dict.fromkeys(path.parent for path in contents):
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Have new names in a folder on the disk, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
