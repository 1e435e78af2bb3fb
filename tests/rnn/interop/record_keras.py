"""Record models of Keras and what they compute, for `test_keras_models.py`. Run ``KERAS_BACKEND=jax
python -m tests.rnn.interop.record_keras`` with Keras installed to write them.
"""

import zipfile
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

from rnn.interop.keras_parts import ACTIVATIONS
from tests.draws import normal

DATA = Path(__file__).parent / "data"
V, E, T, B = 9, 3, 6, 4
L = keras.layers
GRID = np.linspace(-4, 4, 12, dtype="float32").reshape(3, 4)
LENGTHS = (6, 2, 0, 4)


def indices():
    """Return rows of indices (B, T) that end in zeros, one all zeros, one with a zero inside."""
    x = 1 + np.arange(B * T).reshape(B, T) * 5 % (V - 1)
    x[np.arange(T) >= np.array(LENGTHS)[:, None]] = 0
    x[3, 1] = 0
    return x.astype("int32")


def features():
    """Return (B, T, E) with steps that are all zero."""
    return (normal(B, T, E) * (indices() != 0)[..., None]).astype("float32")


def masked():
    """Return layers of all three kinds after an embedding that masks."""
    return keras.Sequential([
        L.Input((None,)), L.Embedding(V, E, mask_zero=True),
        L.Bidirectional(L.LSTM(2, return_sequences=True)), L.Dropout(0.3),
        L.GRU(3, return_sequences=True, dropout=0.2), L.SimpleRNN(2, activation="softplus"),
        L.Dense(3, activation="softmax"),
    ])  # fmt: skip


def backward():
    """Return a functional model that runs backward in time, with the older GRU."""
    x = L.Input((T, E))
    h = L.Masking()(x)
    h = L.LSTM(3, go_backwards=True, return_sequences=True)(h)
    h = L.TimeDistributed(L.Dense(4, activation="tanh"))(h)
    h = L.LayerNormalization()(h)
    h = L.Bidirectional(L.GRU(2, reset_after=False), merge_mode="sum")(h)
    return keras.Model(x, L.Dense(2, use_bias=False)(h))


def held():
    """Return outputs for all steps, also those that are left out."""
    return keras.Sequential([
        L.Input((None,)), L.Embedding(V, E, mask_zero=True), L.GRU(3, return_sequences=True),
        L.LSTM(2, return_sequences=True, go_backwards=True, use_bias=False),
    ])  # fmt: skip


MODELS = {"masked": (masked, indices), "backward": (backward, features), "held": (held, indices)}


def drawn(model):
    """Give all weights of a model values that tests can tell apart, biases too."""
    model.set_weights([normal(*x.shape, salt=number).astype("float32") * 0.7
                       for number, x in enumerate(model.get_weights())])  # fmt: skip
    return model


def packed(path):
    """Write a file once more, its parts compressed, which Keras reads as well."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def main():
    outputs = {}
    for name, (make, inputs) in MODELS.items():
        model = drawn(make())
        path = DATA / f"keras_{name}.keras"
        model.save(path)
        packed(path)
        outputs[f"{name} x"] = inputs()
        outputs[f"{name} y"] = keras.ops.convert_to_numpy(model(inputs()))
    for name in ACTIVATIONS:
        outputs[f"activation {name}"] = keras.ops.convert_to_numpy(
            keras.activations.get(name)(keras.ops.convert_to_tensor(GRID))
        )
    save_file(outputs, DATA / "keras_outputs.safetensors")


if __name__ == "__main__":
    main()
