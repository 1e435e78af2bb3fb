"""Run what users of PyTorch and Keras write in their first hour, and read what they are told."""

import re
from typing import Any

import numpy as np
import pytest

import engine
import rnn
import viz
from engine import suggestions
from rnn import instead, keywords
from viz import instead as drawing

# A line, and the end of what it raises.
LINES = {
    # of PyTorch
    "x.size(0)": "x.size is the number of elements here; write x.shape[0]",
    "x.size()": "write x.shape",
    "x.ge(0)": "write x >= y",
    "x.where(x > 0, 0.0)": "write engine.where(mask, x, y)",
    "x.allclose(x)": "write numpy.allclose(x, y)",
    "x.new_tensor([1])": "write engine.asarray(values)",
    "x.is_floating_point()": 'write engine.isdtype(x.dtype, "real floating")',
    "x.pin_memory()": "write x",
    "x.abs_()": "write x += y or x[...] = engine.abs(x, ...), as no method works in place",
    "engine.dropout(x, 0.5, training=False)": "engine.dropout(x, p) if module.training else x",
    "engine.randn(2, 3)": "write engine.random.normal(shape, 1.0)",
    "engine.random.randn(2, 3)": "write engine.random.normal(shape, 1.0)",
    "engine.F.relu(x)": "write engine itself, as in engine.softmax(x, axis=-1)",
    "engine.sofmax(x)": "did you mean softmax?",
    "rnn.pack_padded(seq, [3, 5], enforce_sorted=False)": "leave it out: lengths come in any order",
    "rnn.LSTM(3, 4, layers=2)": "LSTM: no keyword 'layers'; did you mean num_layers=?",
    "rnn.Linear(3, 2, device='cuda')": 'Linear: no keyword \'device\'; write module.to("cupy")',
    "rnn.Transformer(4)": "whole transformers are not here",
    "rnn.initializers.xavier_uniform_(net.weight)": "did you mean xavier_uniform?",
    "rnn.optim.Adam(net.parameters(), learning_rate=0.1)": "write lr=, not learning_rate=",
    "rnn.optim.RMSProp(net.parameters())": "did you mean RMSprop?",
    "rnn.optim.StepLR(optimizer, 2)": "write rnn.schedules, which has it",
    "optimizer.defaults": "write optimizer.param_groups",
    "rnn.schedules.StepLR(optimizer, 2).last_epoch": "write schedule.steps",
    "rnn.schedules.StepLR(optimizer, 2, verbose=True)": "leave it out: it prints nothing",
    "rnn.data.ArrayBatches(x, x, batch_size=2, num_workers=2)": "leave it out: batches are made in "
    "this process, when they are asked for",
    "rnn.data.random_split(x, [1, 1])": "write loader.split(share)",
    "net.register_forwad_hook(print)": "no attribute 'register_forwad_hook'",
    # of Keras
    "rnn.layers.Dense(3)": "write rnn.Linear(inputs, units)",
    "rnn.Input((3,))": "leave it out: a layer is given the size of its input",
    "rnn.LSTM(units=4)": "LSTM: units is called hidden_size here; write hidden_size=, not units=",
    "rnn.LSTM(3, 4, return_sequences=True)": "write y, state = layer(x): all outputs and the last "
    "state are always returned",
    "rnn.LSTM(3, 4, stateful=True)": "write y, state = layer(x, state), or carry=True of rnn.fit",
    "rnn.Linear(3, 4, activation='relu')": "a cell of your own",
    "rnn.Embedding(input_dim=9, output_dim=4)": "write num_embeddings=, not input_dim=",
    "rnn.Dropout(rate=0.5)": "Dropout: rate is called p here; write p=, not rate=",
    "rnn.training.EarlyStopping(patience=3)": "write patience= of rnn.fit",
    "rnn.models.load_model('x.keras')": "write rnn.interop.import_keras(path)",
    "rnn.metrics.SparseCategoricalAccuracy()": "write rnn.metrics.Accuracy",
    "rnn.metrics.Accuracy().update_state(x, x)": "write metric.update(*batch)",
    "rnn.schedules.ExponentialDecay(0.1)": "write rnn.schedules.ExponentialLR",
    "net.trainable_variables": "write module.parameters()",
    "net.build((3,))": "leave it out: sizes are given where a module is made",
    "net.train_on_batch(x, x)": "write loss.backward(); optimizer.step()",
    "optimizer.apply_gradients([])": "write loss.backward(); optimizer.step()",
    "fit(verbose=0)": "fit: verbose is called progress here; write progress=, not verbose=",
    "fit(epoch=3)": "fit: no keyword 'epoch'; did you mean epochs=?",
    "fit(validation_data=data)": "write validation=, not validation_data=",
    "fit(batch_size=32)": "write data=rnn.data.ArrayBatches(x, y, batch_size=32, shuffle=True)",
    "fit(learning_rate=0.1)": "write optimizer=rnn.optim.Adam(model.parameters(), lr=0.001)",
    "fit(class_weight={})": "write weight= of engine.cross_entropy, in the loss",
    "fit().history['loss']": "write history.losses, of each step, and history.validations, each "
    "with its metrics",
    "rnn.predict(net, x, verbose=0)": "leave it out: it prints nothing",
    "rnn.data.windows(x, sequence_length=3)": "write size=, not sequence_length=",
    "engine.Variable(1.0)": "write engine.asarray(x)",
    "engine.reduce_sum(x)": "write engine.sum(x, axis=axis)",
    # of libraries that draw
    "viz.plot_model(net)": "write viz.draw_rolled(model(x))",
    "viz.make_dot(w.sum())": "write viz.draw_unrolled(loss), or one of the other viz.draw_...",
    "viz.draw_rolled(y).save('x.svg')": "Diagram has no 'save'; write diagram.render(path): .svg, "
    ".html, .png, .pdf, .dot, .json or .graphml",
    "viz.draw_unrolled(y, leve='op')": "draw_unrolled: no keyword 'leve'; did you mean level=?",
    "viz.draw_rolled(y, path='x.svg')": "write viz.draw_...(...).render(path)",
}  # fmt: skip


def names() -> dict[str, Any]:
    """Return what the lines speak of."""
    x, net = engine.ones((2, 3)), rnn.Linear(3, 2)
    seq, data = engine.ones((5, 2, 3)), [engine.ones((2, 3))]
    optimizer = rnn.optim.SGD(net.parameters(), lr=0.1)

    def fit(**keywords: Any) -> rnn.History:
        given = {"epochs": 1, "progress": False, **keywords}
        return rnn.fit(net, data, lambda net, x: engine.mean(net(x) ** 2), **given)

    return {"engine": engine, "rnn": rnn, "viz": viz, "x": x, "net": net, "seq": seq, "data": data,
            "w": net.weight, "y": rnn.GRU(3, 4)(seq)[0], "optimizer": optimizer,
            "fit": fit}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_others_says_what_to_write(line):
    with pytest.raises((AttributeError, TypeError)) as caught:
        eval(line, names())
    assert str(caught.value).endswith(LINES[line])


TABLES: dict[str, dict[str, str]] = {
    **{name: getattr(keywords, name) for name in (
        "KEYWORDS", "OF_OPTIMISERS", "OF_SCHEDULES", "OF_LOADERS", "OF_METRICS", "OF_HISTORIES")},
    "INITIALIZERS": instead.INITIALIZERS, "viz": {
        **drawing.NAMES, **drawing.DIAGRAMS.names, **drawing.DRAWINGS.keywords},
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_what_is_advised_exists(table):
    for advice in TABLES[table].values():
        for home, path in re.findall(r"\b(engine|rnn|viz)\.([\w.]*\w)", advice):
            found: Any = {"engine": engine, "rnn": rnn, "viz": viz}[home]
            for part in path.removesuffix("draw_").split("."):
                found = getattr(found, part) if part else found


def test_no_advice_is_about_an_attribute_that_there_is():
    optimizer = rnn.optim.SGD([engine.ones(1, requires_grad=True)])
    for own in (optimizer, rnn.schedules.StepLR(optimizer, 2), rnn.metrics.Accuracy(),
                rnn.History(), viz.draw_rolled(names()["y"]),
                rnn.data.ArrayBatches(np.ones((2, 1)), np.ones(2), batch_size=1)):  # fmt: skip
        assert [name for name in own._advice.names if hasattr(own, name)] == []


def test_a_keyword_that_is_called_otherwise_is_one_of_some_function():
    known = {name for one in (rnn.fit, rnn.LSTM, rnn.Linear, rnn.Embedding, rnn.Dropout,
                              rnn.optim.Adam, rnn.optim.RMSprop, rnn.data.windows, rnn.GRU)
             for name in suggestions.inspect.signature(one).parameters}  # fmt: skip
    assert [name for names in keywords.CALLED.values() for name in names if name not in known] == []


def test_an_optimiser_refuses_a_rate_that_it_would_not_read():
    optimizer = rnn.optim.SGD([engine.ones(1, requires_grad=True)])
    with pytest.raises(AttributeError, match=r"SGD has no 'learning_rate'; write optimizer\.lr"):
        optimizer.learning_rate = 0.5
    optimizer.lr = 0.5
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_module_without_arguments_takes_none():
    class Empty(rnn.Module):
        pass

    class Open(rnn.Module):
        def __init__(self, **options):
            self.options = options

    assert Open(units=3).options == {"units": 3}
    with pytest.raises(TypeError, match=r"Empty\(\) takes no arguments"):
        Empty(3)


def test_the_steps_of_a_sequence_are_read_by_their_place():
    net = rnn.Sequential(rnn.Linear(3, 2), engine.tanh)
    assert (len(net), net[0], net[-1]) == (2, net.steps[0], engine.tanh)
    assert list(net) == net.steps
    with pytest.raises(TypeError, match=r"rnn.Sequential\(\*net.steps\[1:\]\)"):
        net[1:]


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_what_are_no_indices_have_no_rows(dtype):
    with pytest.raises(TypeError, match=rf"Embedding: .*, got {dtype}; write ids.astype\("):
        rnn.Embedding(2, 3)(np.ones(2, dtype))


def test_a_size_is_an_integer():
    size = engine.ones((2, 3)).size
    assert (size, size + 1, repr(size), type(size.__reduce__()[1][0])) == (6, 7, "6", int)


@pytest.mark.parametrize("call", [
    lambda own: engine.zeros((2, 3), dtype=own), lambda own: engine.asarray([1.0], dtype=own),
    lambda own: engine.ones(2).astype(own), lambda own: engine.ones(2).sum(dtype=own),
    lambda own: rnn.Linear(3, 2, dtype=own), lambda own: engine.arange(3, dtype=own),
])  # fmt: skip
def test_a_dtype_of_torch_is_refused_with_the_one_to_write(call):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"'torch.float64' as a data type; write engine.float64"):
        call(torch.float64)


def test_what_is_of_torch_is_said_to_be():
    torch = pytest.importorskip("torch")
    for call in (viz.draw_story, viz.draw_gradients, viz.draw_gates):
        with pytest.raises(TypeError, match="got Tensor of torch"):
            call(torch.ones(3))
    with pytest.raises(TypeError, match="ReLU of torch takes no tensors of engine; write"):
        rnn.Sequential(rnn.Linear(3, 2), torch.nn.ReLU())
    with pytest.raises(TypeError, match="model must be a Module, got Linear of torch"):
        rnn.fit(torch.nn.Linear(3, 2), [], lambda: 0.0, epochs=1)
    assert rnn.Linear(3, 2).to("float64").weight.dtype == engine.float64


def test_dtypes_are_taken_by_name_and_as_numpys():
    for own in ("float64", np.float64, np.dtype("float64"), float, engine.float64):
        assert engine.zeros(2, dtype=own).dtype == engine.float64
