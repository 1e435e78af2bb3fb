"""Read the configuration of a model of Keras as a chain of layers. Below `keras_building.py`.

A Sequential is a chain; a functional model is one where each layer is called once, on what the
layer before it returned. Anything else is refused by the name of the layer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rnn.interop.keras_parts import keys

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
