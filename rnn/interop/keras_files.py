"""Read and write the files of Keras 3, ``.keras`` and ``.weights.h5``: arrays by path, and layers.

A Sequential is a chain of layers; a functional model is one where each layer is called once, on
what the layer before it returned. Anything else is refused by the name of the layer. h5py is
imported where a file is read or written. Below the conversion of layers.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.backends import Array
from rnn.interop.keras_parts import keys
from rnn.serialization.files import replace_files

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"
# As of the layout of files that is written here, in which Keras looks for its own changes.
VERSION = "3.0.0"
WRITTEN = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip: the same model, the same bytes


class Saved(NamedTuple):
    """Hold a Keras file: the configuration, None of weights alone, and arrays by path."""

    config: dict[str, Any] | None
    arrays: dict[str, Array]


def read_file(path: str | Path, where: str) -> Saved:
    """Return what is in a ``.keras`` or ``.weights.h5`` file. Raises ValueError for other files,
    such as those of Keras 2, and ImportError without h5py.
    """
    path = Path(path)
    content = path.read_bytes()
    if content.startswith(b"\x89HDF"):
        return Saved(None, _arrays(content, path, where))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            config = json.loads(archive.read(CONFIG))
            return Saved(config, _arrays(archive.read(WEIGHTS), path, where))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{where}: {path} is neither a .keras file of Keras 3 nor an .h5 file of weights "
            f"({error}); write one by model.save('model.keras')"
        ) from None


def write_file(path: str | Path, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a ``.keras`` file, which ``keras.models.load_model`` reads, whole or not at all. Raises
    OSError where it cannot be written, and ImportError without h5py.
    """
    h5py = _h5py("export_keras")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, x in arrays.items():
            file.create_dataset(name, data=x, track_times=False)
    found = io.BytesIO()
    parts: dict[str, str | bytes] = {
        METADATA: json.dumps({"keras_version": VERSION}),
        CONFIG: json.dumps(config),
        WEIGHTS: weights.getvalue(),
    }
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name, WRITTEN), part, zipfile.ZIP_DEFLATED)
    replace_files({Path(path): found.getvalue()})


def _arrays(content: bytes, path: Path, where: str) -> dict[str, Array]:
    """Return all arrays of an HDF5 file by path. Raises ValueError for one of Keras 2."""
    h5py = _h5py(where)
    found: dict[str, Array] = {}
    try:
        opened = h5py.File(io.BytesIO(content), "r")
    except OSError as error:
        raise ValueError(f"{where}: the weights in {path} are damaged ({error})") from None
    with opened as file:
        if "layer_names" in file.attrs or "model_weights" in file:
            raise ValueError(
                f"{where}: {path} is in the format of Keras 2; load it in Keras 3 and write it "
                "again by model.save('model.keras')"
            )

        def note(name: str, node: Any) -> None:
            if isinstance(node, h5py.Dataset):
                found[name] = node[()]

        file.visititems(note)
    return found


def _h5py(where: str) -> Any:
    """Return h5py. Raises ImportError that says how to install it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{where}: files of Keras are read and written by h5py; "
            "pip install '.[keras]' in a clone of bptt, or pip install h5py"
        ) from error
    return h5py


MASKS = ("NotEqual", "Any")  # ops that compute masks in a functional model
MASKED = ("LSTM", "GRU", "SimpleRNN", "Bidirectional")
Mask = tuple[str, str, float] | None


class Layer(NamedTuple):
    """Hold a layer of Keras: class, name, settings, and its group in the file of weights."""

    kind: str
    name: str
    config: Mapping[str, Any]
    key: str

    @property
    def where(self) -> str:
        return f"import_keras: {self.kind} {self.name!r}"


def layer(given: Mapping[str, Any], key: str) -> Layer:
    """Return a layer of its serialized form. Raises ValueError for one that is not of Keras."""
    kind, config = given.get("class_name", "?"), given.get("config", {})
    found = Layer(str(kind), str(config.get("name", "?")), config, key)
    if not str(given.get("module", "")).startswith("keras") or given.get("registered_name"):
        raise ValueError(f"{found.where}: not a layer of Keras itself, but {given.get('module')!r}")
    return found


def chain(given: Mapping[str, Any]) -> Iterator[Layer]:
    """Yield the layers of a model in order, without inputs. Raises ValueError for no chain."""
    kind, config = given["class_name"], given["config"]
    if kind not in ("Sequential", "Functional"):
        raise ValueError(
            f"import_keras: the model is of the class {kind!r}; there are Sequential and "
            "functional models here. Write its layers here, and take over get_weights() of each by "
            "rnn.interop.from_keras"
        )
    own = [one for one in config["layers"] if one["class_name"] not in MASKS]
    named = zip(own, keys([one["class_name"] for one in own]), strict=True)
    found = [layer(one, key) for one, key in named]
    if kind == "Functional":
        _check_chain(own, config)
    yield from (one for one in found if one.kind != "InputLayer")


def _check_chain(layers: list[Mapping[str, Any]], config: Mapping[str, Any]) -> None:
    """Raise ValueError where a functional model is no chain, or a mask is not that of a layer."""
    inputs = [one["name"] for one in layers if one["class_name"] == "InputLayer"]
    if len(inputs) != 1 or layers[0]["name"] != inputs[0]:
        raise ValueError(f"import_keras: the model has {len(inputs)} inputs; expected one")
    ops = {one["name"]: one for one in config["layers"] if one["class_name"] in MASKS}
    before, mask = inputs[0], None
    for one in layers[1:]:
        where = f"import_keras: {one['class_name']} {one['name']!r}"
        calls = one["inbound_nodes"]
        if len(calls) != 1:
            raise ValueError(f"{where} is called {len(calls)} times; expected once")
        sources = [_source(x) for x in calls[0]["args"]]
        if sources != [before]:
            told = ", ".join(map(repr, sources))
            raise ValueError(f"{where} is called on {told}, expected {before!r} alone: here each "
                             "layer takes what the one before it gives")  # fmt: skip
        given = calls[0]["kwargs"]
        wanted = one["class_name"] in MASKED
        if ("mask" in given or wanted) and _mask(ops, given.get("mask")) != mask:
            raise ValueError(f"{where}: its mask is not that of the Embedding or Masking before it")
        for name, value in given.items():
            if name not in ("mask", "training") and value is not None:
                raise ValueError(f"{where} is called with {name}=..., which is not known here")
        mask, before = _mask_after(one, before, mask), one["name"]
    outputs = config["output_layers"]
    names = [outputs[0]] if isinstance(outputs[0], str) else [one[0] for one in outputs]
    if names != [before]:
        raise ValueError(f"import_keras: the outputs are {names}, expected {before!r} alone")


def _mask(ops: Mapping[str, Any], given: Any) -> Mask:
    """Return what a mask is computed from: op, source and the value that is left out."""
    if given is None:
        return None
    found = ops.get(str(_source(given)))
    if found is None:
        return ("?", "", 0.0)
    args = found["inbound_nodes"][0]["args"]
    if found["class_name"] == "NotEqual":
        return ("NotEqual", str(_source(args[0])), float(args[1]))
    inner = _mask(ops, args[0])
    if inner is None or found["config"].get("axis") != -1 or found["config"].get("keepdims"):
        return ("?", "", 0.0)
    return ("Any", *inner[1:])


def _mask_after(one: Mapping[str, Any], before: str, mask: Mask) -> Mask:
    """Return the mask of what a layer returns; `before` is the layer that feeds it."""
    kind, own = one["class_name"], one["config"]
    if kind == "Embedding":
        return ("NotEqual", before, 0.0) if own.get("mask_zero") else None
    if kind == "Masking":
        return ("Any", before, float(own["mask_value"]))
    if kind in MASKED:
        inner = own["layer"]["config"] if kind == "Bidirectional" else own
        return mask if inner.get("return_sequences") else None
    return mask


def _source(given: Any) -> Any:
    """Return the name of the layer that a tensor comes from, or what else was given."""
    if isinstance(given, Mapping) and given.get("class_name") == "__keras_tensor__":
        return given["config"]["keras_history"][0]
    return given
