"""Move whole models of Keras both ways: against models that Keras wrote and what it computed with
them, recorded in `data` by `record_keras.py`, and against Keras itself where it is installed.
"""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import engine
import rnn
from rnn.interop import (
    KerasModel,
    KerasRecurrent,
    export_keras,
    from_keras,
    import_keras,
    to_keras,
)
from rnn.interop.keras_parts import ACTIVATIONS
from tests.draws import normal
from tests.rnn.interop import keras_peer

pytest.importorskip("h5py")

DATA = Path(__file__).parent / "data"
NAMES = ("masked", "backward", "held")
CLOSE = {"rtol": 2e-6, "atol": 2e-7}
OUTPUTS = load_file(DATA / "keras_outputs.safetensors")


def recorded(name):
    return DATA / f"keras_{name}.keras"


def changed(name, path, change):
    """Write a recorded model with another configuration."""
    with zipfile.ZipFile(recorded(name)) as archive:
        parts = {one: archive.read(one) for one in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for one, part in parts.items():
            archive.writestr(one, part)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_model_computes_what_keras_computed(name):
    x, y = OUTPUTS[f"{name} x"], OUTPUTS[f"{name} y"]
    assert np.ptp(y, axis=0).min() > 1e-3  # rows differ, so that a dead layer would be seen
    found = import_keras(recorded(name)).eval()(x).numpy()
    np.testing.assert_allclose(found, y, **CLOSE, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_as_many_numbers_learn_as_in_keras(name):
    # A second bias beside the one of Keras would learn as well, and their sum twice as fast.
    model = import_keras(recorded(name))
    learning = [x.size for x in model.parameters() if x.requires_grad]
    assert sum(learning) == sum(x.size for x in to_keras(model))
    frozen = [x.numpy() for x in model.parameters() if not x.requires_grad]
    assert not any(x.any() for x in frozen)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_keras(name):
    x = np.linspace(-4, 4, 12, dtype="float32").reshape(3, 4)
    y = ACTIVATIONS[name](engine.asarray(x)).numpy()
    np.testing.assert_allclose(y, OUTPUTS[f"activation {name}"], **CLOSE, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_written_comes_back(name, tmp_path):
    model = import_keras(recorded(name)).eval()
    export_keras(model, tmp_path / "again.keras")
    again = import_keras(tmp_path / "again.keras").eval()
    x = OUTPUTS[f"{name} x"]
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
    export_keras(again, tmp_path / "twice.keras")
    assert (tmp_path / "twice.keras").read_bytes() == (tmp_path / "again.keras").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_weight_or_a_lost_mask_is_seen(name):
    # The comparison with Keras can fail.
    model, x = import_keras(recorded(name)).eval(), OUTPUTS[f"{name} x"]
    with engine.no_grad():
        x_weights = next(p for p in reversed(model.parameters()) if p.ndim == 2)
        x_weights *= 1.01
    assert not np.allclose(model(x).numpy(), OUTPUTS[f"{name} y"], **CLOSE)
    model = import_keras(recorded(name)).eval()
    model.layers[0].mask = lambda ids: engine.ones(x.shape[:2], dtype=bool)
    assert not np.allclose(model(x).numpy(), OUTPUTS[f"{name} y"], **CLOSE)


def test_weights_go_into_a_users_model(tmp_path):
    own = rnn.Sequential(
        rnn.Embedding(9, 3), rnn.LSTM(3, 2, bidirectional=True), rnn.Dropout(0.1),
        rnn.GRU(4, 3), rnn.RNN(3, 2), rnn.Linear(2, 3), engine.softmax,
    )  # fmt: skip
    own.steps[4] = rnn.Recurrent(rnn.ElmanCell(3, 2, nonlinearity="softplus"))
    from_keras(own, recorded("masked"))
    theirs = import_keras(recorded("masked"))
    for one, two in zip(to_keras(own), to_keras(theirs), strict=True):
        np.testing.assert_array_equal(one, two)
    with zipfile.ZipFile(recorded("masked")) as archive:
        (tmp_path / "a.weights.h5").write_bytes(archive.read("model.weights.h5"))
    x = OUTPUTS["masked x"]
    for p in own.parameters():
        p.data = p.data * 0
    from_keras(own, tmp_path / "a.weights.h5")
    full = x[:1].T  # a row without padding, time first: the masks do not matter
    np.testing.assert_allclose(own.eval()(full).numpy()[-1], OUTPUTS["masked y"][:1], **CLOSE)
    with pytest.raises(ValueError, match="holds weights and no model"):
        import_keras(tmp_path / "a.weights.h5")


def test_arrays_that_do_not_fit_are_listed_and_nothing_changes():
    own = rnn.Sequential(rnn.Embedding(9, 3), rnn.GRU(3, 4), rnn.Linear(4, 2))
    before = own.state_dict()
    with pytest.raises(ValueError, match="from_keras") as caught:
        from_keras(own, recorded("held"))
    for part in (
        "layers/dense/vars/0: missing, expected (4, 2)",
        "layers/lstm/cell/vars/0 (3, 8): the model here has no place for it",
        "layers/gru/cell/vars/1: shape (3, 9), expected (4, 12)",
    ):
        assert part in str(caught.value)
    for name, value in own.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_models_of_ours_in_the_form_of_keras(tmp_path):
    net = rnn.Classifier(9, 3, embedding=4, hidden=5, layers=2, bidirectional=True, dropout=0.1)
    path = tmp_path / "classifier.keras"
    export_keras(net, path)
    x = (1 + np.arange(12).reshape(6, 2) * 5) % 9
    found = import_keras(path)
    kinds = [type(one).__name__ for one in found.layers]
    assert kinds == [
        "Embedding",
        "KerasRecurrent",
        "Dropout",
        "KerasRecurrent",
        "Dropout",
        "Linear",
    ]
    np.testing.assert_allclose(found.eval()(x.T).numpy(), net.eval()(x).numpy(), **CLOSE)
    layers = rnn.Sequential(rnn.Linear(3, 4), engine.tanh, rnn.Stacked([rnn.GRUCell(4, 2)]))
    export_keras(layers, path, steps=7)
    y = normal(5, 7, 3).astype("f")
    expected = layers(y.swapaxes(0, 1)).numpy().swapaxes(0, 1)
    np.testing.assert_allclose(import_keras(path)(y).numpy(), expected, **CLOSE)


def test_what_is_frozen_and_dropped(tmp_path):
    def freeze(layers):
        layers[1]["config"]["trainable"] = False

    model = import_keras(changed("masked", tmp_path / "a.keras", freeze))
    assert [x.requires_grad for x in model.parameters()][:2] == [False, True]
    kinds = [type(x).__name__ for x in model.modules()]
    assert {"Dropout", "VariationalDropout"} <= set(kinds)
    none = import_keras(recorded("masked"), dropout=False)
    assert not {"Dropout", "VariationalDropout"} & {type(x).__name__ for x in none.modules()}
    x = OUTPUTS["masked x"]
    np.testing.assert_array_equal(none(x).numpy(), model.eval()(x).numpy())
    path = changed("masked", tmp_path / "b.keras", setting(4, "recurrent_dropout", 0.2))
    np.testing.assert_array_equal(import_keras(path, dropout=False)(x).numpy(), none(x).numpy())
    model.train()
    assert not np.array_equal(model(x).numpy(), none(x).numpy())
    loss = engine.sum(model(x))
    loss.backward()
    assert model.layers[0].weight.grad is None


def setting(number, name, value):
    def change(layers):
        layers[number]["config"][name] = value

    return change


def other_kind(layers):
    layers[3]["class_name"] = "Conv1D"


def own_layer(layers):
    layers[3] |= {"module": "mine", "registered_name": "mine>Dropout"}


@pytest.mark.parametrize(("change", "told"), [
    (other_kind, "Conv1D 'dropout': this layer is not known here"),
    (own_layer, "Dropout 'dropout': not a layer of Keras itself, but 'mine'"),
    (setting(4, "activation", "relu"), "GRU 'gru': activation='relu' is not known here"),
    (setting(4, "recurrent_activation", "hard_sigmoid"), "GRU 'gru': recurrent_activation="),
    (setting(4, "stateful", True), "stateful=True is not known here; write the layer with s"),
    (setting(4, "return_state", True), "GRU 'gru': return_state=True is not known here"),
    (setting(4, "recurrent_dropout", 0.2), "recurrent_dropout=0.2 .* give dropout=False"),
    (setting(4, "of_the_future", "x"), "GRU 'gru': of_the_future='x' is not known here"),
    (setting(4, "dtype", "bfloat16"), "GRU 'gru': dtype 'bfloat16', expected float32"),
    (setting(2, "merge_mode", None), "Bidirectional 'bidirectional': merge_mode=None"),
    (setting(5, "activation", "leaky_relu"), "SimpleRNN 'simple_rnn': activation='leaky_relu'"),
    (setting(6, "activation", {"class_name": "function", "config": "mine"}),
     "Dense 'dense': activation='mine' is not known here"),
    (setting(6, "units", 4), r"layers/dense/vars/0: shape \(2, 3\), expected \(2, 4\)"),
])  # fmt: skip
def test_what_is_not_known_is_refused_by_name(change, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        import_keras(changed("masked", tmp_path / "a.keras", change))


def called_on(number, name):
    def change(layers):
        calls = layers[number]["inbound_nodes"][0]
        calls["args"][0]["config"]["keras_history"][0] = name

    return change


def without_mask(layers):
    layers[4]["inbound_nodes"][0]["kwargs"]["mask"] = None


def with_state(layers):
    layers[4]["inbound_nodes"][0]["kwargs"]["initial_state"] = [1]


@pytest.mark.parametrize(("change", "told"), [
    (called_on(5, "masking"), "is called on 'masking', expected 'lstm"),
    (without_mask, "LSTM 'lstm.*': its mask is not that of"),
    (with_state, "LSTM 'lstm.*' is called with initial_state="),
    (setting(2, "mask_value", 1.0), "LSTM 'lstm.*': its mask is not that of"),
])  # fmt: skip
def test_a_functional_model_that_is_no_chain_is_refused(change, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        import_keras(changed("backward", tmp_path / "a.keras", change))


def test_what_keras_does_not_have_is_refused_by_name(tmp_path):
    path, linear = tmp_path / "a.keras", rnn.Linear(5, 2)
    lstm = rnn.LSTM(3, 5)
    for model, error, told in (
        (rnn.Sequential(lstm, lambda y: y[-1], linear), TypeError, "steps.1 is a <lambda>"),
        (rnn.Sequential(rnn.Recurrent(rnn.SRUCell(5, 5))), TypeError, "Keras has no SRUCell"),
        (rnn.Sequential(rnn.Recurrent(rnn.GRUCell(3, 5), reverse=True)), ValueError, "reverse"),
        (rnn.Sequential(rnn.Embedding(9, 3, padding_idx=0)), ValueError, "padding_idx=0"),
        (rnn.Classifier(9, 2, embedding=3, hidden=4, pooling="max"), ValueError, "pooling 'max'"),
        (rnn.Sequential(rnn.LSTM(3, 5, proj_size=2)), ValueError, "no proj_size"),
        (rnn.Sequential(engine.tanh), ValueError, "nothing says how wide"),
        (rnn.LanguageModel(9, 3, 4), TypeError, "the model is a LanguageModel"),
    ):
        with pytest.raises(error, match=told):
            export_keras(model, path)
    assert not path.exists()
    with pytest.raises(ValueError, match=r"ends in .keras, got '.*a.weights.h5'"):
        export_keras(linear, tmp_path / "a.weights.h5")


def test_files_that_are_none(tmp_path):
    import h5py

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["lstm"]
    with pytest.raises(ValueError, match="in the format of Keras 2"):
        import_keras(path)
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="neither a"):
        import_keras(path)
    archive = io.BytesIO()
    zipfile.ZipFile(archive, "w").close()
    path.write_bytes(archive.getvalue())
    with pytest.raises(ValueError, match="neither a"):
        import_keras(path)
    with zipfile.ZipFile(recorded("held")) as parts:
        path.write_bytes(parts.read("model.weights.h5")[:2000])
    with pytest.raises(ValueError, match=r"the weights in .* are damaged"):
        from_keras(rnn.Linear(2, 2), path)
    with pytest.raises(TypeError, match="got Linear"):
        import_keras(rnn.Linear(2, 2))


def test_options_of_a_recurrent_layer():
    with pytest.raises(ValueError, match="merge must be one of"):
        KerasRecurrent(rnn.GRUCell(3, 5), rnn.GRUCell(3, 5), merge="max")
    with pytest.raises(ValueError, match="go_backwards is for one cell"):
        KerasRecurrent(rnn.GRUCell(3, 5), rnn.GRUCell(3, 5), go_backwards=True)
    x, cells = normal(2, 7, 3).astype("f"), [rnn.GRUCell(3, 5) for _ in range(2)]
    one, two = (KerasRecurrent(cell, return_sequences=True)(turned).numpy()
                for cell, turned in zip(cells, (x, x[:, ::-1].copy()), strict=True))  # fmt: skip
    for merge, expected in (
        ("sum", one + two[:, ::-1]), ("mul", one * two[:, ::-1]), ("ave", (one + two[:, ::-1]) / 2)
    ):  # fmt: skip
        run = KerasRecurrent(*cells, return_sequences=True, merge=merge)
        np.testing.assert_allclose(run(x).numpy(), expected, **CLOSE)


# ---- where Keras is installed


def close_in_keras(keras, ours, theirs, x):
    y = keras.ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(ours.eval()(x).numpy(), y, rtol=1e-5, atol=1e-6, strict=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_keras_reads_what_is_written(name, tmp_path):
    keras = keras_peer.keras()
    theirs = keras.models.load_model(recorded(name))
    x, y = OUTPUTS[f"{name} x"], OUTPUTS[f"{name} y"]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(theirs(x)), y, rtol=1e-5, atol=1e-6)
    ours = import_keras(theirs)
    close_in_keras(keras, ours, theirs, x)
    export_keras(ours, tmp_path / "ours.keras")
    close_in_keras(keras, ours, keras.models.load_model(tmp_path / "ours.keras"), x)
    theirs.set_weights([w * 0.5 for w in to_keras(ours)])
    from_keras(ours, theirs)
    close_in_keras(keras, ours, theirs, x)
    theirs.save_weights(tmp_path / "a.weights.h5")
    if name != "backward":  # its dense layer is inside of a TimeDistributed there
        from_keras(ours, [w * 0 for w in to_keras(ours)])
        from_keras(ours, tmp_path / "a.weights.h5")
        close_in_keras(keras, ours, theirs, x)


@pytest.mark.filterwarnings("ignore")
def test_keras_reads_a_classifier(tmp_path):
    keras = keras_peer.keras()
    net = rnn.Classifier(9, 3, embedding=4, hidden=5, layers=2, bidirectional=True).eval()
    export_keras(net, tmp_path / "a.keras")
    theirs = keras.models.load_model(tmp_path / "a.keras")
    x = (1 + np.arange(12).reshape(6, 2) * 5) % 9
    y = keras.ops.convert_to_numpy(theirs(x.T))
    np.testing.assert_allclose(y, net(x).numpy(), rtol=1e-5, atol=1e-6)
    assert isinstance(import_keras(theirs), KerasModel)
