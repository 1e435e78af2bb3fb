"""Write and read ONNX models: against onnxruntime, which runs what is written and, for what is
read, models made here by hand; and every refusal.
"""

import sys
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn.interop import OnnxGRUCell, OnnxLSTMCell, OnnxRNNCell, export_onnx, import_onnx
from tests.draws import covering, normal

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

T, B, I, H = 6, 3, 4, 5
NAMES = ("RNN", "LSTM", "GRU")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
LENGTHS = np.array([4, 6, 1], "int32")


def single(*shape: int, salt: int = 0) -> np.ndarray:
    return normal(*shape, salt=salt).astype("float32")


def leaves(tree: Any) -> list[np.ndarray]:
    """Return the leaves of nested states, in order."""
    if isinstance(tree, list | tuple):
        return [x for one in tree for x in leaves(one)]
    return [tree.numpy()]


def joined(final: Any, kinds: int) -> list[np.ndarray]:
    """Return the final states (layers * directions, B, H) of each kind, of a layer or of cells."""
    found = leaves(final)
    return found if found[0].ndim == 3 else [np.stack(found[k::kinds]) for k in range(kinds)]


def run(model: Any, x: np.ndarray, **more: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of a model by name, from onnxruntime."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": x, **more}), strict=True))


def close(module: Any, found: dict[str, np.ndarray], x: np.ndarray, *call: Any) -> None:
    """Check the outputs and states of a module against those found, however they are nested."""
    y, final = module(x, *call)
    np.testing.assert_allclose(found["Y"], y.numpy(), **CLOSE)
    assert y.numpy().std() > 1e-3
    kinds = [name for name in ("Y_h", "Y_c") if name in found]
    for name, own in zip(kinds, joined(final, len(kinds)), strict=True):
        np.testing.assert_allclose(found[name], own, **CLOSE)


def layer(name: str, **options: Any) -> Any:
    engine.seed(5)
    return getattr(rnn, name)(I, H, **options)


def starts(name: str, count: int) -> dict[str, np.ndarray]:
    kinds = ("h", "c") if name == "LSTM" else ("h",)
    return {f"initial_{kind}": single(count, B, H, salt=30 + n) for n, kind in enumerate(kinds)}


def state_of(given: dict[str, np.ndarray]) -> Any:
    parts = tuple(given.values())
    return parts if len(parts) == 2 else parts[0]


OPTIONS = [
    {}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 3, "bidirectional": True},
    {"batch_first": True, "num_layers": 2}, {"bias": False}, {"bias": False, "bidirectional": True},
]  # fmt: skip


# ---- layers


@pytest.mark.parametrize(
    ("options", "name", "with_states", "with_lengths"),
    covering(OPTIONS, NAMES, [False, True], [False, True], parts=3), ids=str,
)  # fmt: skip
def test_layers_in_onnxruntime_and_back(name, options, with_states, with_lengths):
    net = layer(name, **options)
    count = net.num_layers * (2 if net.bidirectional else 1)
    x = single(B, T, I) if net.batch_first else single(T, B, I)
    given = starts(name, count) if with_states else {}
    call = [state_of(given) if with_states else None, LENGTHS if with_lengths else None]
    model = export_onnx(net, states=with_states, lengths=with_lengths)
    feed = {**given, **({"sequence_lens": LENGTHS} if with_lengths else {})}
    close(net, run(model, x, **feed), x, *call)
    back = import_onnx(model)
    assert type(back) is type(net)
    assert (back.batch_first, back.bidirectional) == (net.batch_first, net.bidirectional)
    assert list(back.state_dict()) == list(net.state_dict())
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[key], value, strict=True)


def test_a_model_in_a_file(tmp_path):
    net, x = layer("LSTM", num_layers=2), single(T, B, I)
    path = tmp_path / "net.onnx"
    export_onnx(net, path)
    for given in (path, str(path)):
        back = import_onnx(given)
        np.testing.assert_array_equal(back(x)[0].numpy(), net(x)[0].numpy())


def test_double_precision_is_kept():
    net = layer("GRU", dtype="float64")
    model = export_onnx(net)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    assert import_onnx(model).weight_ih_l0.dtype == np.float64


def test_dropout_is_left_out():
    net, x = layer("GRU", num_layers=2, dropout=0.5), single(T, B, I)
    close(net.eval(), run(export_onnx(net), x), x)


# ---- cells

CELLS = {
    "peephole": lambda width: rnn.PeepholeLSTMCell(width, H),
    "peephole without bias": lambda width: rnn.PeepholeLSTMCell(width, H, bias=False),
    "coupled": lambda width: rnn.CoupledLSTMCell(width, H),
    "reset before": lambda width: rnn.ResetBeforeGRUCell(width, H),
    "reset before, take new": lambda width: rnn.ResetBeforeGRUCell(width, H, take_new=True),
    "take new": lambda width: rnn.GRUCell(width, H, take_new=True),
    "reset before without bias": lambda width: rnn.ResetBeforeGRUCell(width, H, bias=False),
    "lstm clipped": lambda width: OnnxLSTMCell(width, H, clip=0.3),
    "lstm all": lambda width: OnnxLSTMCell(
        width, H, activations=["HardSigmoid", ("ScaledTanh", 1.2, 0.7), "Softsign"], clip=0.8,
        coupled=True, peephole=True),
    "lstm peephole": lambda width: OnnxLSTMCell(
        width, H, activations=["Sigmoid", "Relu", ("LeakyRelu", 0.2)], peephole=True),
    "gru clipped": lambda width: OnnxGRUCell(width, H, clip=0.3, reset_after=True),
    "gru before": lambda width: OnnxGRUCell(
        width, H, activations=["HardSigmoid", ("Affine", 0.5, 0.1)], bias=False),
    "gru after": lambda width: OnnxGRUCell(
        width, H, activations=[("HardSigmoid", 0.3, 0.4), "Softsign"], reset_after=True),
    "rnn clipped": lambda width: OnnxRNNCell(width, H, clip=0.4),
}  # fmt: skip
ELMAN = ["tanh", "relu", "sigmoid", "identity", "elu", "softplus", "leaky_relu"]
CELLS |= {g: lambda width, g=g: rnn.ElmanCell(width, H, nonlinearity=g) for g in ELMAN}
ACTIVATIONS = [
    "Sigmoid", "Tanh", "Relu", "Softsign", "Softplus", "LeakyRelu", "Elu", "HardSigmoid",
    ("LeakyRelu", 0.3), ("Elu", 0.5), ("ThresholdedRelu", 0.2), ("Affine", 0.7, 0.2),
    ("ScaledTanh", 1.5, 0.5), ("HardSigmoid", 0.4, 0.3),
]  # fmt: skip


SHAPES = {
    "forward": lambda make: rnn.Recurrent(make(I)),
    "reverse": lambda make: rnn.Recurrent(make(I), reverse=True),
    "both": lambda make: rnn.Bidirectional(make(I), make(I)),
    "stack": lambda make: rnn.Stacked([rnn.Bidirectional(make(I), make(I)),
                                       rnn.Bidirectional(make(2 * H), make(2 * H))]),
}  # fmt: skip


@pytest.mark.parametrize(("name", "shape"), covering(CELLS, SHAPES))
def test_cells_in_onnxruntime_and_back(name, shape):
    engine.seed(8)
    net, x = SHAPES[shape](CELLS[name]), single(T, B, I)
    model = export_onnx(net, lengths=True)
    found = run(model, x, sequence_lens=LENGTHS)
    close(net, found, x, None, LENGTHS)
    close(import_onnx(model), found, x, None, LENGTHS)


PLAIN = {
    "peephole": rnn.PeepholeLSTMCell, "coupled": rnn.CoupledLSTMCell,
    "reset before": rnn.ResetBeforeGRUCell, "lstm all": OnnxLSTMCell, "gru clipped": OnnxGRUCell,
    "rnn clipped": OnnxRNNCell,
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_the_cell_that_comes_back_and_its_weights(name):
    net = rnn.Recurrent(CELLS[name](I), reverse=True)
    back = import_onnx(export_onnx(net))
    assert isinstance(back, rnn.Recurrent)
    assert back.reverse
    assert type(back.cell) is PLAIN[name]
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[key], value)


@pytest.mark.parametrize("cell", [rnn.CoupledLSTMCell, OnnxLSTMCell])
def test_coupled_gates_are_right_where_input_forget_is_ignored(cell):
    more = {"coupled": True, "peephole": True} if cell is OnnxLSTMCell else {}
    net, x = rnn.Recurrent(cell(I, H, **more)), single(T, B, I)
    model = export_onnx(net)
    (node,) = [one for one in model.graph.node if one.op_type == "LSTM"]
    (flag,) = [one for one in node.attribute if one.name == "input_forget"]
    close(net, run(model, x), x)
    node.attribute.remove(flag)
    close(net, run(model, x), x)


@pytest.mark.parametrize(
    ("given", "kind"), covering(ACTIVATIONS, [OnnxRNNCell, OnnxLSTMCell, OnnxGRUCell]), ids=str
)
def test_activations_in_onnxruntime_and_back(kind, given):
    engine.seed(8)
    count, x = {"RNN": 1, "LSTM": 3, "GRU": 2}[kind.op], single(T, B, I)
    net = rnn.Bidirectional(*(kind(I, H, activations=[given] * count) for _ in range(2)))
    model = export_onnx(net)
    found = run(model, x)
    close(net, found, x)
    close(import_onnx(model), found, x)


def test_the_two_directions_may_have_unlike_activations():
    first = OnnxLSTMCell(I, H, activations=[("HardSigmoid", 0.3, 0.4), "Tanh", ("Elu", 0.7)])
    second = OnnxLSTMCell(I, H, activations=["Sigmoid", ("LeakyRelu", 0.2), "Tanh"])
    net, x = rnn.Bidirectional(first, second), single(T, B, I)
    found = run(export_onnx(net), x)
    close(net, found, x)
    close(import_onnx(export_onnx(net)), found, x)


def test_layers_of_unlike_kinds_and_sizes():
    net = rnn.Stacked([rnn.Bidirectional(rnn.LSTMCell(I, 3), rnn.LSTMCell(I, 3)),
                       rnn.Recurrent(rnn.GRUCell(6, H), reverse=True)])  # fmt: skip
    x = single(T, B, I)
    h, c, g = single(2, B, 3), single(2, B, 3, salt=1), single(1, B, H)
    model = export_onnx(net, states=True)
    found = run(model, x, initial_h_l0=h, initial_c_l0=c, initial_h_l1=g)
    call = [((h[0], c[0]), (h[1], c[1])), g[0]]
    for one in (net, import_onnx(model)):
        y, ((h0, c0), (h1, c1)), g1 = (lambda out: (out[0], *out[1]))(one(x, call))
        np.testing.assert_allclose(found["Y"], y.numpy(), **CLOSE)
        np.testing.assert_allclose(found["Y_h_l0"], [h0.numpy(), h1.numpy()], **CLOSE)
        np.testing.assert_allclose(found["Y_c_l0"], [c0.numpy(), c1.numpy()], **CLOSE)
        np.testing.assert_allclose(found["Y_h_l1"], [g1.numpy()], **CLOSE)


def test_gradients_of_the_general_cells():
    for cell in (
        OnnxLSTMCell(2, 2, activations=["Sigmoid", "Softsign", ("ScaledTanh", 1.2, 0.7)],
                     coupled=True, peephole=True, dtype="float64"),
        OnnxGRUCell(2, 2, activations=["Sigmoid", "Softplus"], clip=5.0, dtype="float64"),
    ):  # fmt: skip
        run_ = rnn.Recurrent(cell)
        assert engine.gradcheck(lambda x, run_=run_: run_(x)[0], [normal(3, 2, 2)], order=2)


# ---- models made by hand

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def by_hand(op: str, *, directions: int = 1, bias: bool = True, peephole: bool = False,
            outputs: Any = None, **attributes: Any) -> Any:  # fmt: skip
    """Return a model of one node with weights in ONNX's own layouts."""
    G, D, make = GATES[op], directions, onnx.helper.make_tensor_value_info
    arrays = {"W": single(D, G * H, I, salt=1), "R": single(D, G * H, H, salt=2) * 0.5}
    arrays |= {"B": single(D, 2 * G * H, salt=3)} if bias else {}
    arrays |= {"P": single(D, 3 * H, salt=4)} if peephole else {}
    names = ["X", "W", "R", "B" if bias else "", "", "", "", "P" if peephole else ""]
    while not names[-1]:
        names.pop()
    outputs = outputs or ["Y", "Y_h", *(["Y_c"] if op == "LSTM" else [])]
    if D == 2:
        attributes["direction"] = "bidirectional"
    node = onnx.helper.make_node(op, names, outputs, name="n", hidden_size=H, **attributes)
    FLOAT = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node], "g", [make("X", FLOAT, [None, None, I])],
        [make(name, FLOAT, [None] * (4 if name == "Y" else 3)) for name in outputs if name],
        [onnx.numpy_helper.from_array(x, name) for name, x in arrays.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


HAND = [
    ("RNN", {}), ("RNN", {"directions": 2}), ("RNN", {"clip": 0.5, "direction": "reverse"}),
    ("RNN", {"activations": ["Relu"], "bias": False}),
    ("RNN", {"activations": ["Elu"], "activation_alpha": [0.4]}),
    ("LSTM", {}), ("LSTM", {"directions": 2, "peephole": True}), ("LSTM", {"bias": False}),
    ("LSTM", {"input_forget": 1}), ("LSTM", {"input_forget": 1, "peephole": True, "clip": 0.7}),
    ("LSTM", {"peephole": True, "direction": "reverse"}), ("LSTM", {"clip": 0.4, "directions": 2}),
    ("LSTM", {"activations": ["HardSigmoid", "Affine", "LeakyRelu"],
              "activation_alpha": [0.3, 0.8, 0.1], "activation_beta": [0.4, 0.1]}),
    ("LSTM", {"activations": ["Tanh", "Sigmoid", "Relu"], "input_forget": 1}),
    ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("GRU", {"directions": 2}),
    ("GRU", {"linear_before_reset": 1, "clip": 0.3, "bias": False}),
    ("GRU", {"clip": 0.3, "direction": "reverse"}),
    ("GRU", {"activations": ["Sigmoid", "ScaledTanh"], "activation_alpha": [0.9],
             "activation_beta": [1.1], "linear_before_reset": 1}),
]  # fmt: skip


def raw(module: Any, x: np.ndarray, directions: int) -> tuple[np.ndarray, Any]:
    """Return the module's outputs as the ONNX operator has them, (T, D, B, H), and its states."""
    y, final = module(x)
    return y.numpy().reshape(len(x), B, directions, H).transpose(0, 2, 1, 3), final


@pytest.mark.parametrize(("op", "options"), HAND, ids=str)
def test_models_made_by_hand(op, options):
    model, x = by_hand(op, **options), single(T, B, I)
    found = run(model, x)
    y, final = raw(import_onnx(model), x, options.get("directions", 1))
    np.testing.assert_allclose(found["Y"], y, **CLOSE)
    kinds = 2 if op == "LSTM" else 1
    for name, own in zip(("Y_h", "Y_c"), joined(final, kinds), strict=False):
        np.testing.assert_allclose(found[name].reshape(own.shape), own, **CLOSE)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("op", GATES)
def test_layout_1_is_layout_0_with_the_batch_first(op, directions):
    x = single(T, B, I)
    plain = import_onnx(by_hand(op, directions=directions))
    turned = import_onnx(by_hand(op, directions=directions, layout=1))
    inner = turned.onward if hasattr(turned, "onward") else turned
    assert (inner.batch_first, getattr(plain, "batch_first", False)) == (True, False)
    y, final = plain(x)
    z, last = turned(x.transpose(1, 0, 2))
    np.testing.assert_array_equal(z.numpy().transpose(1, 0, 2), y.numpy())
    for own, other in zip(leaves(last), leaves(final), strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("op", GATES)
def test_layout_1_run_by_the_reference_of_onnx(op, batch_first):
    from onnx.reference import ReferenceEvaluator

    net = layer(op, batch_first=batch_first)
    model = export_onnx(net, layout=1, states=True)
    assert [a.i for n in model.graph.node for a in n.attribute if a.name == "layout"] == [1]
    x = single(B, T, I) if batch_first else single(T, B, I)
    given = starts(op, 1)
    turned = {name: value.transpose(1, 0, 2) for name, value in given.items()}
    outputs = ReferenceEvaluator(model).run(None, {"X": x, **turned})
    y, final = net(x, state_of(given))
    np.testing.assert_allclose(outputs[0], y.numpy(), **CLOSE)
    for found, own in zip(outputs[1:], leaves(final), strict=True):
        np.testing.assert_allclose(found, own.transpose(1, 0, 2), **CLOSE)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_layout_1_comes_back(name, options):
    net = layer(name, **options)
    back = import_onnx(export_onnx(net, layout=1, states=True, lengths=True))
    assert type(back) is type(net)
    assert back.batch_first == net.batch_first
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[key], value)


def test_activations_in_any_case_and_by_default_numbers():
    told = {"activations": ["sigmoid", "leakyrelu"]}
    back = import_onnx(by_hand("GRU", **told))
    assert [tuple(one) for one in back.cell.activations] == [
        ("Sigmoid", None, None), ("LeakyRelu", 0.01, None)
    ]  # fmt: skip


# ---- graphs around the nodes


def wired(nodes: list[Any], output: str, opset: int = 17, **more: Any) -> Any:
    """Return two LSTM nodes n0 and n1 with other nodes around them; `more` holds constants."""
    FLOAT, make = onnx.TensorProto.FLOAT, onnx.helper.make_tensor_value_info
    arrays = {"W0": single(1, 4 * H, I), "R0": single(1, 4 * H, H), "W1": single(1, 4 * H, H),
              "R1": single(1, 4 * H, H, salt=1), "axis": np.array([1]),
              "keep": np.array([0, 0, -1]), **more}  # fmt: skip
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(op, i, o, name=f"at {o[0]}", **a) for op, i, o, a in nodes], "g",
        [make("X", FLOAT, [None, None, I]), make("h", FLOAT, [1, None, H]),
         make("lens", onnx.TensorProto.INT32, [None])],
        [make(output, FLOAT, [None] * 3)],
        [onnx.numpy_helper.from_array(x, name) for name, x in arrays.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def lstm(number: int, x: str, *more: str, **attributes: Any) -> Any:
    names = [x, f"W{number}", f"R{number}", *more]
    return "LSTM", names, [f"Y{number}", f"h{number}"], {"hidden_size": H, **attributes}


SQUEEZE = ("Squeeze", ["Y0", "axis"], ["Z0"], {})
LAST = ("Squeeze", ["Y1", "axis"], ["Z1"], {})
FILL = onnx.helper.make_tensor("v", onnx.TensorProto.FLOAT, [1], [0.5])
ZERO = onnx.helper.make_tensor("v", onnx.TensorProto.FLOAT, [1, 1, H], [0.0] * H)


@pytest.mark.parametrize(
    "middle",
    [
        [SQUEEZE],
        [("Identity", ["Y0"], ["Y"], {}), ("Squeeze", ["Y", "axis"], ["Z0"], {})],
        [("Transpose", ["Y0"], ["Y"], {"perm": [0, 2, 1, 3]}),
         ("Reshape", ["Y", "keep"], ["Z0"], {})],
        [("Constant", [], ["five"], {"value_ints": [0, 0, H]}),
         ("Transpose", ["Y0"], ["Y"], {"perm": [0, 2, 1, 3]}),
         ("Reshape", ["Y", "five"], ["Z0"], {})],
    ],
    ids=len,
)  # fmt: skip
def test_ways_from_one_layer_to_the_next(middle):
    model = wired([lstm(0, "X"), *middle, lstm(1, "Z0"), LAST], "Z1")
    x = single(T, B, I)
    session = ort.InferenceSession(model.SerializeToString())
    (y,) = session.run(["Z1"], {"X": x, "h": single(1, B, H), "lens": LENGTHS})
    back = import_onnx(model)
    assert (type(back), back.num_layers, back.batch_first) == (rnn.LSTM, 2, False)
    np.testing.assert_allclose(back(x)[0].numpy(), y, **CLOSE)


def test_an_old_model_with_lengths_of_another_type():
    nodes = [
        ("Cast", ["lens"], ["L"], {"to": onnx.TensorProto.INT32}),
        lstm(0, "X", "", "L"),
        ("Squeeze", ["Y0"], ["Z0"], {"axes": [1]}),
        ("Identity", ["L"], ["M"], {}),
        lstm(1, "Z0", "", "M"),
        ("Squeeze", ["Y1"], ["Z1"], {"axes": [1]}),
    ]
    model, x = wired(nodes, "Z1", 11), single(T, B, I)
    session = ort.InferenceSession(model.SerializeToString())
    (y,) = session.run(["Z1"], {"X": x, "h": single(1, B, H), "lens": LENGTHS})
    np.testing.assert_allclose(import_onnx(model)(x, None, LENGTHS)[0].numpy(), y, **CLOSE)


def test_an_input_with_the_batch_first_and_zeros_to_begin_with():
    nodes = [
        ("Transpose", ["X"], ["XT"], {"perm": [1, 0, 2]}),
        ("Shape", ["h"], ["size"], {}),
        ("Constant", [], ["zero"], {"value": ZERO}),
        ("Expand", ["zero", "size"], ["start"], {}),
        ("ConstantOfShape", ["size"], ["cell"], {}),
        lstm(0, "XT", "", "lens", "start", "cell"),
        SQUEEZE,
        ("Transpose", ["Z0"], ["Z"], {"perm": [1, 0, 2]}),
    ]
    model, x = wired(nodes, "Z"), single(B, T, I)
    session = ort.InferenceSession(model.SerializeToString())
    (y,) = session.run(["Z"], {"X": x, "h": single(1, B, H), "lens": LENGTHS})
    back = import_onnx(model)
    assert back.batch_first
    np.testing.assert_allclose(back(x, None, LENGTHS)[0].numpy(), y, **CLOSE)


ONE = np.ones((1, B, H), "float32")
REFUSED = {
    "Gemm 'at G'": lambda: wired([lstm(0, "X"), ("Gemm", ["R", "R"], ["G"], {})], "G", R=ONE[0]),
    "no RNN, LSTM or GRU": lambda: wired([("Identity", ["X"], ["Z"], {})], "Z"),
    "Z1' is a piece or another order of Y": lambda: wired(
        [lstm(0, "X"), ("Slice", ["Y0", "axis", "keep"], ["Z1"], {})], "Z1"),
    "has its features|X of LSTM 'at Y0' is a piece": lambda: wired(
        [("Transpose", ["X"], ["XT"], {"perm": [2, 0, 1]}), lstm(0, "XT"), SQUEEZE], "Z0"),
    "Z' is a piece or another order of Y": lambda: wired(
        [lstm(0, "X"), SQUEEZE, ("Transpose", ["Z0"], ["Z"], {"perm": [1, 0, 2]})], "Z"),
    "X of LSTM 'at Y1' is a piece": lambda: wired(
        [lstm(0, "X"), SQUEEZE, ("Transpose", ["Z0"], ["Z"], {"perm": [1, 0, 2]}),
         lstm(1, "Z"), LAST], "Z1"),
    "X of LSTM 'at Y1' is not the output of the layer before": lambda: wired(
        [lstm(0, "X"), lstm(1, "h0"), LAST], "Z1"),
    "X of LSTM 'at Y1' is not the output": lambda: wired(
        [lstm(0, "X"), SQUEEZE, lstm(1, "h"), LAST], "Z1"),
    "'Z0' does not come from the last": lambda: wired(
        [lstm(0, "X"), SQUEEZE, lstm(1, "Z0")], "Z0"),
    "initial_h of LSTM 'at Y0' is a constant that is not zero": lambda: wired(
        [lstm(0, "X", "", "", "one"), SQUEEZE], "Z0", one=ONE),
    "initial_h of LSTM 'at Y0' is a constant": lambda: wired(
        [("Shape", ["h"], ["size"], {}), ("ConstantOfShape", ["size"], ["fill"], {"value": FILL}),
         lstm(0, "X", "", "", "fill"), SQUEEZE], "Z0"),
    "initial_h of LSTM 'at Y1' is computed by LSTM 'at Y0'": lambda: wired(
        [lstm(0, "X"), SQUEEZE, lstm(1, "Z0", "", "", "h0"), LAST], "Z1"),
    "sequence_lens of LSTM 'at Y0' is no input": lambda: wired(
        [lstm(0, "X", "", "three"), SQUEEZE], "Z0", three=LENGTHS),
    "unlike sequence_lens": lambda: wired(
        [lstm(0, "X", "", "lens"), SQUEEZE, lstm(1, "Z0"), LAST], "Z1"),
    "W of LSTM 'at Y0' is not a constant": lambda: wired(
        [("LSTM", ["X", "h", "R0"], ["Y0"], {}), SQUEEZE], "Z0"),
    "R of LSTM 'at Y0': shape": lambda: wired(
        [lstm(0, "X"), SQUEEZE], "Z0", R0=single(1, 4, H)),
    "W of LSTM 'at Y1': shape .*, expected": lambda: wired(
        [lstm(0, "X"), SQUEEZE, lstm(1, "Z0"), LAST], "Z1", W1=single(1, 4 * H, H + 1)),
    "W of LSTM 'at Y0' is float16": lambda: wired(
        [lstm(0, "X"), SQUEEZE], "Z0", W0=single(1, 4 * H, I).astype("float16")),
    "output 'Z' is a piece or another order of Y": lambda: wired(
        [lstm(0, "X"), ("Slice", ["Y0", "axis", "keep"], ["S"], {}),
         ("Squeeze", ["S", "axis"], ["Z"], {})], "Z"),
    "order of the Y before it": lambda: wired(
        [lstm(0, "X"), ("Squeeze", ["Y0", "two"], ["Z0"], {}), lstm(1, "Z0"), LAST], "Z1",
        two=np.array([2])),
    "Y1' is a piece or another order of the Y": lambda: wired(
        [lstm(0, "X"), ("Reshape", ["Y0", "flat"], ["Z0"], {}), lstm(1, "Z0"), LAST], "Z1",
        flat=np.array([-1, 0, 5])),
    "LSTM 'at Y0' has output_sequence": lambda: wired(
        [lstm(0, "X", output_sequence=1), ("Squeeze", ["Y0"], ["Z0"], {"axes": [1]})], "Z0", 6),
    "'bidirectional' with weights for 1": lambda: wired(
        [lstm(0, "X", direction="bidirectional"), SQUEEZE], "Z0"),
    "expected 3 activations, got 2": lambda: by_hand("LSTM", activations=["Tanh", "Relu"]),
    "activation 'Swish'": lambda: by_hand("RNN", activations=["Swish"]),
    "Affine: takes alpha and beta": lambda: by_hand("RNN", activations=["Affine"]),
    "no activation of": lambda: by_hand("RNN", activations=["Tanh"], activation_alpha=[1.0]),
    "clip: expected a number above 0": lambda: by_hand("GRU", clip=-1.0),
    "no valid model": lambda: by_hand("GRU", swing=3),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(text):
    with pytest.raises(ValueError, match=f"import_onnx: .*({text})"):
        import_onnx(REFUSED[text]())


def test_what_cannot_be_written_is_refused_by_name():
    for net, error, text in (
        (rnn.LSTM(I, H, proj_size=2), ValueError, "no proj_size"),
        (rnn.PeepholeLSTMCell(I, H, full=True), ValueError, "full=True"),
        (rnn.LayerNormLSTMCell(I, H), TypeError, "no LayerNormLSTMCell"),
        (rnn.RNN(I, H, nonlinearity="gelu"), ValueError, "nonlinearity 'gelu'"),
        (rnn.Linear(I, H), TypeError, "got Linear"),
        (rnn.Bidirectional(rnn.GRUCell(I, H), rnn.ResetBeforeGRUCell(I, H)), ValueError,
         "layer 0: both directions need the same reset_after"),
        (rnn.Bidirectional(rnn.LSTMCell(I, H), rnn.GRUCell(I, H)), ValueError, "the same op"),
        (rnn.Bidirectional(rnn.GRUCell(I, H), rnn.GRUCell(I, H, bias=False)), ValueError,
         "has B and the other has none"),
        (rnn.Stacked([rnn.Recurrent(rnn.GRUCell(I, H), batch_first=True), rnn.GRUCell(H, H)]),
         ValueError, "batch_first"),
    ):  # fmt: skip
        with pytest.raises(error, match=text):
            export_onnx(net)
    with pytest.raises(ValueError, match="layout must be 0 or 1, got 2"):
        export_onnx(rnn.GRU(I, H), layout=2)
    with pytest.raises(TypeError, match="expected a ModelProto or a path, got int"):
        import_onnx(3)


def test_mistakes_in_general_cells():
    for wrong, text in (
        ({"activations": ["Tanh"]}, "expected 3 activations, got 1"),
        ({"activations": ["Tanh", "Tanh", ("Tanh", 1.0)]}, "takes no numbers"),
        ({"activations": ["Tanh", "Tanh", ("LeakyRelu", 1.0, 2.0)]}, "takes alpha, got"),
        ({"activations": ["Tanh", "Tanh", "tan"]}, "activation 'tan': expected one of"),
        ({"clip": 0}, "clip: expected a number above 0 or None, got 0"),
    ):
        with pytest.raises(ValueError, match=text):
            OnnxLSTMCell(I, H, **wrong)


def test_the_cells_of_a_module_are_a_copy_of_the_models():
    net, x = layer("GRU"), single(T, B, I)
    model = export_onnx(net)
    before = net(x)[0].numpy().copy()
    for value in net.parameters():
        value.data = value.data * 0
    np.testing.assert_allclose(import_onnx(model)(x)[0].numpy(), before, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")  # torch calls its exporter old, and traces lengths
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_models_that_torch_exports_come_back(tmp_path, name, options):
    torch = pytest.importorskip("torch")
    theirs, path = getattr(torch.nn, name)(I, H, **options).eval(), tmp_path / "t.onnx"
    torch.onnx.export(theirs, (torch.ones(T, B, I),), path, dynamo=False)
    back, x = import_onnx(path), single(T, B, I)
    assert type(back) is getattr(rnn, name)
    y = theirs(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(back(x)[0].numpy(), y, **CLOSE)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: export_onnx(rnn.GRU(I, H)), lambda: import_onnx("x.onnx")):
        with pytest.raises(ImportError, match=r"pip install '\.\[onnx\]'"):
            call()


def test_a_node_that_gives_states_only():
    model, x = by_hand("LSTM", outputs=["", "Y_h", "Y_c"]), single(T, B, I)
    found = run(model, x)
    _, (h, c) = import_onnx(model)(x)
    np.testing.assert_allclose(found["Y_h"], h.numpy(), **CLOSE)
    np.testing.assert_allclose(found["Y_c"], c.numpy(), **CLOSE)
