"""Run whole models as ONNX in onnxruntime, at several lengths of every axis, against themselves."""

import re
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from engine.apply import apply
from engine.op import Draw
from engine.pytree import flatten
from rnn.interop import export_onnx
from rnn.interop import onnx_operators as operators
from rnn.interop.onnx_models import described
from rnn.interop.onnx_operators import BITWISE, rule_of
from rnn.interop.onnx_steps import Inverse, NoEquivalentError, Size, Sizes, UnknownSizeError, spec
from tests.docs.two_sides import HOWTO
from tests.draws import normal

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

I, H, V = 4, 5, 9
LENGTHS = ((6, 3), (1, 1), (2, 7))  # of T and B
CLOSE = {"rtol": 1e-4, "atol": 2e-6}


class Function(rnn.Module):
    """Wrap a function as a model."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def forward(self, *args: Any, **named: Any) -> Any:
        return self._function(*args, **named)


def drawn(text: str, T: int, B: int, salt: int) -> np.ndarray:
    """Return numbers for an input that is described."""
    own = spec("x", text)
    shape = own.shape({"T": T, "B": B})
    if own.dtype.kind == "b":
        return normal(*shape, salt=salt) > 0
    if own.dtype.kind == "i" and own.axes == ("B",):  # lengths
        return (np.abs(normal(*shape, salt=salt)) * 1e3).astype(own.dtype) % T + 1
    if own.dtype.kind == "i":
        return (np.abs(normal(*shape, salt=salt)) * 1e3).astype(own.dtype) % V
    return normal(*shape, salt=salt).astype(own.dtype)


def check(module: rnn.Module, inputs: dict[str, Any], lengths: Any = LENGTHS, **close: Any) -> Any:
    """Assert that the model computes in onnxruntime what it computes here; return the model."""
    model = export_onnx(module, inputs=inputs)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names, rebuild = flatten(described(inputs)[0])
    texts = dict(zip(names, flatten(inputs)[0], strict=True))
    for T, B in lengths:
        given = {name: drawn(text, T, B, salt) for salt, (name, text) in enumerate(texts.items())}
        found = session.run(None, given)
        own = flatten(module.eval()(**rebuild([engine.asarray(given[name]) for name in names])))[0]
        assert len(own) == len(found)
        for mine, theirs in zip(own, found, strict=True):
            assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
            np.testing.assert_allclose(theirs, mine.numpy(), **CLOSE | close)
    return model


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


class Attentive(rnn.Module):
    """Chain embedding, a layer, attention over its outputs, a head."""

    def __init__(self, score: str) -> None:
        self.embedding, self.layer = rnn.Embedding(V, I), rnn.GRU(I, H)
        self.attention, self.head = rnn.Attention(H, H, score), rnn.Linear(H, 3)

    def forward(self, x: Any) -> Any:
        y, h = self.layer(self.embedding(x))
        context, weights = self.attention(h[0], self.attention.prepare(y))
        return {"logits": engine.log_softmax(self.head(context), axis=-1), "weights": weights}


class Reader(rnn.Module):
    """Attend in every step, which reads what lies around the recurrence."""

    def __init__(self) -> None:
        self.attention, self.cell = rnn.Attention(H, I, "additive"), rnn.GRUCell(I, H)

    def forward(self, x: Any) -> Any:
        memory = self.attention.prepare(x)

        def step(h: Any, x: Any) -> Any:
            context, weights = self.attention(h, memory)
            y, h = self.cell(x + context, h)
            return h, (y, weights)

        return engine.scan(step, engine.zeros((x.shape[1], H)), x)


class Leaky(rnn.Cell):
    """Step as a cell of a user."""

    input_size, state_size = I, {"h": I}

    def __init__(self) -> None:
        self.w = rnn.parameter((I, I), 0.5)

    def step(self, x: Any, h: Any) -> Any:
        g = engine.sigmoid(x @ self.w)
        h = g * h + (1 - g) * engine.tanh(x)
        return engine.log1p(h * h), h


class Mixing(rnn.Cell):
    input_size, state_size = I, {"h": I}

    def step(self, x: Any, h: Any) -> Any:
        h = h + x - x.mean(axis=0)
        return h, h


class Resetting(rnn.Module):
    def __init__(self) -> None:
        self.layer = rnn.GRU(I, H)

    def forward(self, x: Any) -> Any:
        return self.layer(x, resets=x[0, :, 0] > 0)


softsign = engine.custom_op(
    "softsign", lambda xp, x: x / (1 + xp.abs(x)), lambda xp, g, out, x: g / (1 + xp.abs(x)) ** 2
)

WORDS, NUMBERS = {"x": "int64[T, B]"}, {"x": "float32[T, B, 4]"}
RAGGED = {"lengths": "int64[B]"}


class Masked(rnn.Module):
    def __init__(self) -> None:
        self.layer, self.attention = rnn.GRU(I, H, bidirectional=True), rnn.Attention(H, 2 * H)

    def forward(self, x: Any, mask: Any, lengths: Any) -> Any:
        y, h = self.layer(x, lengths=lengths, mask=mask)
        return y, h, self.attention(h[0], self.attention.prepare(y, lengths))


MODELS: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    **{f"language model of {cell}": (
        lambda cell=cell: rnn.LanguageModel(V, I, H, 2, cell=cell, dropout=0.5), WORDS,
        [cell.upper()] * 2) for cell in ("lstm", "gru", "rnn")},
    "language model with states": (
        lambda: rnn.LanguageModel(V, H, H, tie_weights=True),
        {"x": "int32[T, B]", "state": [("float32[B, 5]", "float32[B, 5]")]}, ["LSTM"]),
    "language model of a cell": (
        lambda: rnn.LanguageModel(V, I, H, cell=rnn.MinimalGatedCell), WORDS, ["Scan"]),
    **{f"classifier by {pooling}": (
        lambda pooling=pooling: rnn.Classifier(V, 3, embedding=I, hidden=H, pooling=pooling,
                                               bidirectional=True), WORDS, ["LSTM"] * 2)
       for pooling in ("last", "mean", "max")},
    "tagger": (lambda: rnn.Tagger(V, 3, embedding=I, hidden=H, cell="gru"), WORDS, ["GRU"] * 2),
    "sequential": (lambda: rnn.Sequential(
        rnn.LSTM(I, H, batch_first=True), rnn.LayerNorm(H), rnn.Dropout(0.5), engine.gelu,
        rnn.Linear(H, 2), engine.softplus), NUMBERS, ["LSTM"]),
    **{f"attention by {score}": (lambda score=score: Attentive(score), WORDS, ["GRU"])
       for score in ("dot", "general", "additive")},
    "attention in the step": (Reader, NUMBERS, ["Scan"]),
    "a cell of a user": (lambda: rnn.Recurrent(Leaky()), NUMBERS, ["Scan"]),
    "backward in time": (lambda: rnn.Recurrent(Leaky(), reverse=True), NUMBERS, ["Scan"]),
    "spikes": (lambda: rnn.Recurrent(rnn.ALIFCell(I, H)), NUMBERS, ["Scan"]),
    "an op of a user": (lambda: Function(lambda x: softsign(x).sum(axis=0)), NUMBERS, []),
    "matrix memory": (lambda: rnn.Recurrent(rnn.DeltaNetCell(I, H)), NUMBERS, ["Scan"]),
    "a norm": (lambda: Function(lambda x: (engine.norm(x, axis=-1) * 9).astype(engine.int32)),
               NUMBERS, []),
    "a cell around a cell": (lambda: rnn.Recurrent(rnn.Zoneout(rnn.LSTMCell(I, H), 0.3)),
                                        NUMBERS, ["Scan"]),
    "states that rows restart with": (lambda: Resetting(), NUMBERS, ["GRU"]),
    **{f"lengths, {pooling}": (
        lambda pooling=pooling: rnn.Classifier(V, 3, embedding=I, hidden=H, pooling=pooling),
        WORDS | RAGGED, ["Scan"]) for pooling in ("last", "mean", "max")},
    "lengths of a cell": (
        lambda: rnn.Classifier(V, 3, embedding=I, hidden=H, cell=rnn.MinimalGatedCell,
                               bidirectional=True), WORDS | {"lengths": "int32[B]"},
        ["Scan"] * 2),
    "lengths of a tagger": (lambda: rnn.Tagger(V, 3, embedding=I, hidden=H), WORDS | RAGGED,
                            ["Scan"] * 2),
    "lengths and a mask": (Masked, NUMBERS | {"mask": "bool[T, B]"} | RAGGED, ["Scan"] * 2),
    "numbers from sizes": (lambda: Function(
        lambda x: (x.mean() + x[1 - len(x):].sum(axis=0) / len(x),
                   x * engine.arange(len(x))[:, None, None], x.reshape((-1, 2)))),
        NUMBERS, []),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_in_onnxruntime(name):
    engine.seed(3)
    make, inputs, recurrences = MODELS[name]
    model = check(make(), inputs)
    assert [kind for kind in kinds(model) if kind in ("LSTM", "GRU", "RNN", "Scan")] == recurrences


def test_recurrences_inside_of_a_step_and_without_inputs():
    def nested(x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            g, _ = engine.scan(lambda a, b: (0.5 * a + engine.sin(b) + h.mean(), None),
                               engine.zeros((x.shape[0],)), x.T)  # fmt: skip
            return h * 0.1 + g, h

        h, y = engine.scan(step, engine.zeros((x.shape[1],)), x, reverse=True)
        return h, y, engine.scan(lambda h, _: (h * 0.5 + 1, h), x[0], None, length=len(x))

    check(Function(nested), NUMBERS)


def test_names_of_inputs_outputs_and_weights_and_a_file(tmp_path):
    net = rnn.LanguageModel(V, I, H)
    model = export_onnx(net, tmp_path / "net.onnx", inputs=WORDS, outputs=["logits", "h", "c"])
    assert onnx.load_model(str(tmp_path / "net.onnx")) == model
    shapes = [[one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
              for value in (*model.graph.input, *model.graph.output)]  # fmt: skip
    assert shapes == [["T", "B"], ["T", "B", V], ["B", H], ["B", H]]
    assert [one.name for one in model.graph.output] == ["logits", "h", "c"]
    assert {"embedding.weight", "head.weight", "head.bias"} <= {
        one.name for one in model.graph.initializer
    }
    assert [one.name for one in export_onnx(net, inputs=WORDS).graph.output] == [
        "y.0", "y.1.0.0", "y.1.0.1"
    ]  # fmt: skip
    assert net.training  # it was recorded in evaluation mode


def test_axes_with_numbers_may_be_looped_over():
    net = Function(lambda x: sum(x[t] * t for t in range(len(x))))
    check(net, {"x": "float32[5, B, 4]"}, [(5, 1), (5, 3)])


# ---- ops

# Exact at integers, where onnxruntime and NumPy may differ in which side of a border a number is.
LOOSE = {"expm1": 1e-5, "exp2": 1e-5, "tan": 1e-4}
WRITTEN = [op for op in engine.REGISTRY.values() if rule_of(op.name)]


def of_example(op: Any, example: Any) -> tuple[list[np.ndarray], Any]:
    """Return arrays for an example of an op, and a function of tensors by name that applies it."""
    draws = [one for one in example.inputs if isinstance(one, Draw)]
    given = [
        np.random.default_rng(n).integers(int(one.low), int(one.high), one.shape)
        if one.integer
        else np.random.default_rng(n).uniform(one.low, one.high, one.shape).astype("float32")
        for n, one in enumerate(draws)
    ]
    if op.name == "searchsorted":
        given[0] = np.sort(given[0])

    def function(**named: Any) -> Any:
        tensors = iter(named.values())
        inputs = (next(tensors) if isinstance(one, Draw) else one for one in example.inputs)
        return apply(op, tuple(inputs), example.attrs)

    return given, function


def described_arrays(given: list[np.ndarray]) -> dict[str, str]:
    """Return what `export_onnx` is told of arrays, by name."""
    return {f"x{n}": f"{x.dtype}[{', '.join(map(str, x.shape))}]" for n, x in enumerate(given)}


@pytest.mark.parametrize("op", WRITTEN, ids=lambda op: op.name)
def test_every_op_of_the_table_on_its_examples(op):
    written = 0
    for example in op.examples:
        given, function = of_example(op, example)
        inputs = described_arrays(given)
        try:
            model = export_onnx(Function(function), inputs=inputs)
        except NoEquivalentError:  # these settings are refused
            continue
        session = ort.InferenceSession(model.SerializeToString())
        (found,) = session.run(None, dict(zip(inputs, given, strict=True)))
        own = function(**{name: engine.asarray(x) for name, x in zip(inputs, given, strict=True)})
        assert (found.shape, found.dtype) == (own.shape, own.dtype)
        close = LOOSE.get(op.name, 2e-6)
        np.testing.assert_allclose(found, own.numpy(), rtol=close, atol=close)
        written += 1
    assert written or op.name in BITWISE


def refused(op: Any) -> bool:
    """Return whether no example of an op can be written, by a rule or as what it is made of."""
    for example in op.examples:
        given, function = of_example(op, example)
        try:
            export_onnx(Function(function), inputs=described_arrays(given))
        except TypeError:
            continue
        return False
    return True


def test_the_guide_lists_every_op_that_is_refused():
    guide = (HOWTO / "move_weights.md").read_text(encoding="utf-8")
    listed = re.search(r"These ops have no equivalent in ONNX and are refused by name: (.*?)\.\n",
                       guide, re.DOTALL)  # fmt: skip
    own = [name for name, op in sorted(engine.REGISTRY.items())
           if op.public and name not in BITWISE and refused(op)]  # fmt: skip
    assert re.findall(r"`(\w+)`", listed[1]) == own, (
        "write what the op is in ONNX into a table of rnn/interop/onnx_arithmetic.py or "
        "onnx_operators.py, or list it in docs/howto/move_weights.md"
    )


def test_a_wrong_operator_is_caught(monkeypatch):
    monkeypatch.setitem(operators.PLAIN, "tanh", "Atan")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(Function(lambda x: engine.tanh(x)), NUMBERS)


@pytest.mark.parametrize("name", ["expm1", "log1p", "logaddexp", "logsumexp"])
def test_composed_functions_keep_their_digits(name):
    x = np.array([[-60.0, -1.0, -1e-6, 1e-7, 1e-3, 0.4, 3.0, 60.0]], "float32")
    x = np.maximum(x, -0.9) if name == "log1p" else x
    function = {"logaddexp": lambda x: engine.logaddexp(x, 1.0),
                "logsumexp": lambda x: engine.logsumexp(x * 1e3, axis=-1)}.get(
        name, lambda x: getattr(engine, name)(x))  # fmt: skip
    model = export_onnx(Function(function), inputs={"x": "float32[B, 8]"})
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(found, function(engine.asarray(x)).numpy(), rtol=2e-6)


@pytest.mark.parametrize("name", ["atan2", "copysign", "floor_divide", "hypot", "remainder"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_functions_of_two_numbers_at_their_corners(name, dtype):
    ends = [-3.5, -2, -1, 0.0, 1, 2, 3.5, 1e30, np.inf, -np.inf, -0.0]
    values = np.array(ends if dtype == "float32" else [-7, -2, -1, 0, 1, 2, 7], dtype)
    x, y = (one.ravel() for one in np.meshgrid(values, values))
    if dtype == "float32" and name in ("floor_divide", "remainder"):  # NumPy's are finite alone
        kept = np.isfinite(x) & np.isfinite(y) & (y != 0) & (np.abs(x) < 9) & (np.abs(y) < 9)
        x, y = x[kept], y[kept]
    function = Function(lambda a, b: getattr(engine, name)(a, b))
    inputs = dict.fromkeys("ab", f"{dtype}[B]")
    if (name, dtype) == ("atan2", "int32"):
        return  # it is float64 then, for which onnxruntime has no Atan
    session = ort.InferenceSession(export_onnx(function, inputs=inputs).SerializeToString())
    (found,) = session.run(None, {"a": x, "b": y})
    with np.errstate(all="ignore"):
        own = function(engine.asarray(x), engine.asarray(y)).numpy()
    np.testing.assert_allclose(found, own, rtol=1e-6)
    np.testing.assert_array_equal(np.signbit(found[own != 0]), np.signbit(own[own != 0]))


ARRANGED = {
    "pad": lambda x: engine.pad(x, [(1, 2), (0, 3)]),
    "pad with a number": lambda x: engine.pad(x, 1, constant_values=2.5),
    "pad and crop": lambda x: engine.pad(x, [(2, -1), (0, 0)]),
    "roll": lambda x: engine.roll(x, (3, -9), axis=(0, 1)),
    "roll all": lambda x: engine.roll(x, -5),
    "sort": lambda x: engine.sort(x, axis=0),
    "sort down": lambda x: engine.sort(x, axis=1, descending=True),
    "argsort of ties": lambda x: engine.argsort(engine.sign(x), axis=0),
    "argsort of ties, down": lambda x: engine.argsort(x > 0, axis=0, descending=True),
    "argsort of NaN": lambda x: engine.argsort(engine.where(x > 1, engine.nan, x), axis=0),
    "topk": lambda x: engine.topk(x, 1, axis=0),
    "add at rows": lambda x: engine.scatter_add(
        engine.zeros((3, 4)), engine.asarray([0, -1, 0, 1]), engine.matmul(engine.ones((4, 1)),
                                                                          x[:1])),
    "count": lambda x: engine.count_nonzero(x > 0, axis=1),
    "search": lambda x: engine.searchsorted(engine.asarray([-1.0, 0.0, 0.5]), x),
    "search on the right": lambda x: engine.searchsorted(engine.sort(x), x, side="right"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRANGED)
def test_what_moves_and_orders_at_any_length(name):
    check(Function(ARRANGED[name]), {"x": "float32[T, 4]"}, [(5, 1), (7, 1), (1, 1)])


# ---- refusals


@pytest.mark.parametrize(
    ("function", "text", "told"),
    [
        (lambda x: engine.linalg.det(x[:, :4]), "float32[T, 4, 4]", "no equivalent here: det"),
        (lambda x: engine.dropout(x, 0.5), "float32[T]", "a draw at random; leave it out"),
        (lambda x: x if x.sum() > 0 else -x, "float32[T]", "the truth of a number, as `if`"),
        (lambda x: sum(x[t] for t in range(len(x))), "float32[T]", "by rnn.Recurrent or engine"),
        (lambda x: x[: len(x) // 2], "float32[T]", "getitem: a number is 5, 11, 20, 35 for T"),
        (lambda x: rnn.Recurrent(Mixing())(x, mask=x[:, :, 0] > 0), "float32[T, B, 4]",
         "forward uses lengths or a mask in a step that mixes the rows"),
        (lambda x: x[x > 0], "float32[T]", "cannot be written"),
        (lambda x: x + engine.asarray(np.random.default_rng(0).normal(size=len(x))), "float64[T]",
         "a constant of shape (11,) with numbers that depend on the sizes"),
        (lambda x: "text", "float32[T]", "the outputs are no tensors"),
        (lambda x: x, "float[T]", "expected a dtype and axes such as"),
        (lambda x: x, "float32[T, 3*B]", "'3*B' is no name or number of an axis"),
        (lambda x: x, "float32[A, B, C, D, E, F]", "6 axes of any length"),
        (lambda x: engine.nextafter(x, x), "float32[T]", "no equivalent here: nextafter"),
    ],
)  # fmt: skip
def test_what_onnx_does_not_have_is_refused_by_name(function, text, told):
    with pytest.raises((TypeError, ValueError)) as caught:
        export_onnx(Function(function), inputs={"x": text})
    assert told in str(caught.value)
    assert str(caught.value).startswith("export_onnx: ")


def test_other_misuse():
    net = rnn.Linear(3, 2)
    with pytest.raises(TypeError, match=r"inputs must be a dict .* got \{\}"):
        export_onnx(net, inputs={})
    with pytest.raises(ValueError, match="2 names for 1 outputs"):
        export_onnx(net, inputs={"x": "float32[B, 3]"}, outputs=["a", "b"])
    with pytest.raises(ValueError, match="the output 'x' has the name of another value"):
        export_onnx(net, inputs={"x": "float32[B, 3]"}, outputs=["x"])
    with pytest.raises(ValueError, match="states, lengths and layout are of recurrent modules"):
        export_onnx(net, inputs={"x": "float32[B, 3]"}, lengths=True)
    with pytest.raises(ValueError, match="the weight expects 3") as caught:
        export_onnx(net, inputs={"x": "float32[B, 4]"})
    assert caught.value.__notes__ == ["export_onnx records Linear with B = 11"]
    with pytest.raises(TypeError, match="expected a Module with inputs, got 3"):
        export_onnx(3, inputs={"x": "float32[B, 4]"})
    with pytest.raises(TypeError, match="here: weight of float16; convert it to float32"):
        export_onnx(rnn.Linear(3, 2).to(engine.float16), inputs={"x": "float32[B, 3]"})
    with pytest.raises(TypeError, match="expected an RNN, LSTM, GRU") as caught:
        export_onnx(net)
    assert "a whole model needs inputs" in caught.value.__notes__[0]


def test_numbers_that_follow_from_sizes():
    sizes = Sizes([spec("x", "float32[T, B]")])
    at = [(one["T"], one["B"]) for one in sizes.tried]
    assert sizes.number([7] * len(at)) == 7
    assert sizes.number([3 * T * B - 2 for T, B in at]) == Size(3, ("T", "B"), -2)
    assert sizes.number([float(B) for _, B in at]) == Size(1, ("B",), 0)
    assert sizes.number([1 / (T + 1) for T, _ in at]) == Inverse(Size(1, ("T",), 1))
    for unknown in ([T // 2 for T, _ in at], [T + B for T, B in at], [T**0.5 for T, _ in at],
                    [True, True, True, False]):  # fmt: skip
        with pytest.raises(UnknownSizeError, match="T = 11, 23"):
            sizes.number(unknown)
