"""Test the page for users of Keras: each row and block of it runs, and both sides give the same."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import engine
import rnn
from tests import ROOT
from tests.rnn.interop import keras_peer

pytest.importorskip("h5py")

PAGE = ROOT / "docs" / "howto" / "coming_from_keras.md"
TEXT = PAGE.read_text(encoding="utf-8")
OF_KERAS, OURS, HISTORY, LOGS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
ROWS = {part.splitlines()[0]: re.findall(r"^\| `(.+)` \| `(.+)` \|$", part, re.MULTILINE)
        for part in TEXT.split("\n## ")}  # fmt: skip
MOVES, LAYERS, FUNCTIONS, OPTIMISERS, FIT = (
    ROWS[name] for name in ("Models move whole", "Layers", "Functions", "Optimisers", "fit")
)
BOARDS = find_spec("tensorboardX") is not None


def names_of(block):
    """Return the names that a block leaves."""
    engine.seed(0)
    names = {}
    exec(block, names)
    return names


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """Return the names of our side, on a model that Keras would have saved."""
    monkeypatch.chdir(tmp_path)
    embedding = rnn.interop.KerasEmbedding(9, 3)
    lstm = rnn.interop.KerasRecurrent(rnn.LSTMCell(3, 4))
    model = rnn.interop.KerasModel([embedding, lstm, rnn.Linear(4, 2)])
    rnn.interop.export_keras(model, "model.keras")
    return names_of(OURS)


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Return the names of both sides, on one model of Keras."""
    keras = keras_peer.keras()
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    theirs = names_of(OF_KERAS)
    return theirs, names_of(OURS)


def plain(value):
    """Return tensors of either side as arrays, in lists."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, engine.Tensor):
        return value.numpy()
    if value is None or isinstance(value, float | int | np.ndarray):
        return value
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def assert_same(own, other):
    own, other = plain(own), plain(other)
    assert isinstance(own, list) == isinstance(other, list)
    if isinstance(own, list):
        assert len(own) == len(other)
        for one, two in zip(own, other, strict=True):
            assert_same(one, two)
    elif own is None:
        assert other is None
    else:
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)


def test_the_page_has_its_rows():
    tables = (MOVES, LAYERS, FUNCTIONS, OPTIMISERS, FIT)
    assert [len(rows) for rows in tables] == [13, 20, 11, 7, 13]
    table = [line for line in TEXT.splitlines() if line.startswith("|")]
    assert len(table) == 13 + 20 + 11 + 7 + 13 + 2 * 5  # with the heads: no row is left unread


@pytest.mark.parametrize("row", MOVES + LAYERS + FUNCTIONS)
def test_our_side_runs(row, ours, capsys):
    eval(row[1], ours)
    assert "summary" not in row[0] or "LSTMCell" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", MOVES + FUNCTIONS)
def test_both_sides_give_the_same_numbers(row, both, capsys):
    theirs, ours = both
    assert_same(eval(row[1], ours), eval(row[0], theirs))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", LAYERS)
def test_both_sides_give_the_same_shapes(row, both):
    theirs, ours = both
    own, other = eval(row[1], ours), eval(row[0], theirs)
    assert own.shape == tuple(other.shape)
    if "Normalization" in row[0]:
        assert_same(own, other)


def trained(names, row, **more):
    """Train our side with the arguments of a row; returns the history."""
    own = {"progress": False, "epochs": 2} | eval(f"dict({row[1]})", names)
    own.setdefault("optimizer", rnn.optim.SGD(names["model"].parameters(), 0.1))
    return rnn.fit(names["model"], names["data"], names["loss"], **own, **more)


@pytest.mark.parametrize("row", OPTIMISERS + FIT)
def test_our_arguments_run(row, ours):
    if "TensorBoard" in row[1] and not BOARDS:
        pytest.skip("tensorboardX is not installed")
    history = trained(ours, row)
    assert len(history.steps) == (3 if row[1] == "epochs=3" else 2)
    assert bool(history.validations) == ("validation" in row[1])
    if "seen" in row[1]:
        assert ours["seen"] == history.losses
    for name in re.findall(r'log="(.+?)"|checkpoint="(.+?)"|TensorBoard\("(.+?)"', row[1]):
        assert Path("".join(name)).exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", OPTIMISERS + FIT)
def test_both_sides_train_to_the_same_weights(row, both):
    if "TensorBoard" in row[0] and not (BOARDS and find_spec("tensorflow")):
        pytest.skip("TensorBoard of Keras needs tensorflow")
    theirs, ours = both
    model = theirs["model"]
    given = eval(f"dict({row[0]})", theirs)
    if "optimizer" in given:
        model.compile(loss=model.loss, **given)
        given = {}
    found = model.fit(theirs["ids"], theirs["y"], **{"epochs": 2, "verbose": 0} | given)
    history = trained(ours, row)
    np.testing.assert_allclose(history.losses, found.history["loss"], rtol=1e-4)
    if "val_loss" in found.history:
        figures = [one.metrics["loss"] for one in history.validations]
        np.testing.assert_allclose(figures, found.history["val_loss"], rtol=1e-4)
    if "restore" not in row[0]:
        for own, other in zip(
            rnn.interop.to_keras(ours["model"]), model.get_weights(), strict=True
        ):
            np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("eps", "same"), [(1e-7 / 0.001**0.5, True), (1e-7, False)])
def test_where_adam_of_keras_adds_epsilon(eps, same, both):
    theirs, ours = both
    model = theirs["model"]
    model.compile(loss=model.loss, optimizer=theirs["keras"].optimizers.Adam(0.01))
    model.fit(theirs["ids"], theirs["y"], epochs=1, verbose=0)
    trained(ours, ("", f"optimizer=rnn.optim.Adam(model.parameters(), 0.01, eps={eps}), epochs=1"))
    pairs = zip(rnn.interop.to_keras(ours["model"]), model.get_weights(), strict=True)
    far = max(np.abs(own - other).max() for own, other in pairs)
    assert far < 1e-5 if same else far > 1e-4


@pytest.mark.filterwarnings("ignore")
def test_where_rmsprop_of_keras_adds_epsilon():
    keras = keras_peer.keras()
    g, w = np.array([1.0, 1e-4], "float32"), keras.Variable(np.zeros(2, "float32"))
    keras.optimizers.RMSprop(0.1, epsilon=1e-4).apply([keras.ops.convert_to_tensor(g)], [w])
    np.testing.assert_allclose(plain(w.value), -0.1 * g / np.sqrt(0.1 * g**2 + 1e-4), rtol=1e-5)
    own = engine.zeros(2, requires_grad=True)
    own.grad = engine.asarray(g)
    rnn.optim.RMSprop([own], 0.1, alpha=0.9, eps=1e-4).step()
    np.testing.assert_allclose(own.numpy(), -0.1 * g / (np.sqrt(0.1 * g**2) + 1e-4), rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_state_that_is_handed_on_is_what_a_stateful_layer_keeps():
    keras = keras_peer.keras()
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)
    theirs = keras.layers.LSTM(5, return_sequences=True, stateful=True)
    theirs.build(x.shape)
    ours = rnn.LSTM(3, 5, batch_first=True)
    rnn.interop.from_keras(ours, theirs.get_weights())
    state = None
    for _ in range(3):
        y, state = ours(x, state)
        assert_same(y, theirs(x))


def test_the_blocks_run(ours, capsys):
    exec(HISTORY, ours)
    assert str(ours["history"].losses) in capsys.readouterr().out
    if BOARDS:
        exec(LOGS, ours)
        assert list(Path("events/run1").iterdir())
