"""Build small networks and graphs of every kind to be drawn, by name, for the tests of pictures."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import engine
import rnn
from engine import Tensor
from tests.viz.pictures import network

I, H, O, B = 3, 4, 2, 2
STEPS = 4
LONG = "a_very_long_name_of_a_tensor_that_no_box_can_hold_in_one_line" * 3

# What a class of cells has to be told besides the sizes.
MORE: dict[str, Callable[[type], rnn.Cell]] = {
    "ElmanJordanCell": lambda kind: kind(I, H, O),
    "JordanCell": lambda kind: kind(I, H, O),
    "TextbookCell": lambda kind: kind(I, H, O),
    "RecurrentDropout": lambda kind: kind(rnn.LSTMCell(I, H), 0.3),
    "VariationalDropout": lambda kind: kind(rnn.GRUCell(I, H), inputs=0.2, states=0.3),
    "WeightDropout": lambda kind: kind(rnn.LSTMCell(I, H), 0.3),
    "Wrapper": lambda kind: kind(rnn.GRUCell(I, H)),
    "Zoneout": lambda kind: kind(rnn.LSTMCell(I, H), 0.2),
}
CELLS = {
    name: kind for name in rnn.__all__
    if inspect.isclass(kind := getattr(rnn, name)) and issubclass(kind, rnn.Cell)
    and kind is not rnn.Cell
}  # fmt: skip


def cell(name: str) -> rnn.Cell:
    """Return a small seeded cell of each class."""
    engine.seed(7)
    kind = CELLS[name]
    return MORE[name](kind) if name in MORE else kind(I, H)


def data(*shape: int, name: str = "x") -> Tensor:
    """Return the same numbers for the same shape."""
    values = np.random.default_rng(11).normal(size=shape)
    return engine.asarray(values.astype("float32"), name=name)


def run(net: Any, *args: Any, steps: int = STEPS, batch_first: bool = False, **more: Any) -> Tensor:
    """Return the sum of squares of the outputs of a network over a sequence."""
    x = data(B, steps, I) if batch_first else data(steps, B, I)
    y, _ = net(x, *args, **more)
    return engine.sum(y * y)


def over_time(name: str) -> Tensor:
    return run(rnn.Recurrent(cell(name)))


def layer(kind: str, steps: int = STEPS, **options: Any) -> Tensor:
    engine.seed(7)
    first = options.get("batch_first", False)
    return run(getattr(rnn, kind)(I, H, **options), steps=steps, batch_first=first)


def lengths() -> Tensor:
    engine.seed(7)
    return run(rnn.GRU(I, H), lengths=[4, 2])


def lengths_both_ways() -> Tensor:
    engine.seed(7)
    return run(rnn.LSTM(I, H, bidirectional=True), lengths=[3, 4])


def resets() -> Tensor:
    engine.seed(7)
    marks = np.zeros((STEPS, B), bool)
    marks[2, 1] = True
    return run(rnn.Recurrent(rnn.LSTMCell(I, H)), resets=marks)


def stacked() -> Tensor:
    engine.seed(7)
    return run(rnn.Stacked([rnn.GRUCell(I, H), rnn.LSTMCell(H, H), rnn.ElmanCell(H, 2)]))


def mixed_both_ways() -> Tensor:
    engine.seed(7)
    both = rnn.Bidirectional(rnn.GRUCell(I, H), rnn.ElmanCell(I, 2))
    return run(rnn.Stacked([both, rnn.LSTMCell(H + 2, 3)]))


def reverse() -> Tensor:
    engine.seed(7)
    return run(rnn.Recurrent(rnn.LSTMCell(I, H), reverse=True))


def truncated() -> Tensor:
    engine.seed(7)
    net = rnn.LSTM(I, H)
    found = rnn.truncated(net, data(6, B, I), kind="window", k1=2, k2=3,
                          loss=lambda y: engine.sum(y * y))  # fmt: skip
    return found.loss


def attention(source: int = 4, target: int = 3) -> Tensor:
    """Return an encoder and a decoder that looks at all states of the encoder, step by step."""
    engine.seed(7)
    encoder, decoder, head = rnn.GRUCell(I, H), rnn.GRUCell(I + H, H), rnn.Linear(H, 5)
    h, states = None, []
    with engine.scope("encoder", block="encoder"):
        for t in range(source):
            with engine.scope(t=t):
                _, h = encoder(data(B, I, name=f"x{t}"), h)
                states.append(h)
    losses = []
    with engine.scope("decoder", block="decoder"):
        for t in range(target):
            with engine.scope(t=t):
                memory = engine.stack(states, axis=1)
                scores = engine.sum(memory * engine.expand_dims(h, axis=1), axis=-1)
                weights = engine.softmax(scores, axis=-1)
                context = engine.sum(memory * engine.expand_dims(weights, axis=-1), axis=1)
                _, h = decoder(engine.concat([data(B, I, name=f"y{t}"), context], axis=-1), h)
                goal = engine.asarray(np.array([t % 5] * B), name=f"goal{t}")
                losses.append(engine.cross_entropy(head(h), goal))
    with engine.scope("total"):
        return engine.sum(engine.stack(losses))


def skips(steps: int = 6, far: int = 3) -> Tensor:
    """Use the value of step t at t + 3 too."""
    engine.seed(7)
    unit, h = rnn.ElmanCell(I, I), None
    before: list[Tensor] = []
    for t in range(steps):
        with engine.scope(t=t):
            x = data(B, I, name=f"x{t}")
            if t >= far:
                x = x + before[t - far]
            _, h = unit(x, h)
            before.append(h)
    return engine.sum(h * h)


def inputs_used_later(steps: int = 6) -> Tensor:
    """Use leaves at the step after next, from a scope with t and one without."""
    xs = [data(B, I, name=f"x{t}") for t in range(steps)]
    with engine.scope(t=0):
        first = data(B, I, name="first") * 2.0
    w = engine.asarray(0.3, requires_grad=True, name="w")
    h = w * xs[0]
    for t in range(steps):
        with engine.scope("unit", t=t, cell="Unit"):
            h = engine.tanh(h * w + xs[max(t - 3, 0)] * first + xs[t])
    return engine.sum(h)


def named_times() -> Tensor:
    """Name steps by words, fractions and both."""
    w = engine.asarray([0.5, -0.25], requires_grad=True, name="w")
    h = w
    for t in ("morning", "noon", "night <&>"):
        with engine.scope("day", t=t):
            h = engine.tanh(h * w + 0.1)
    return engine.sum(h)


def fractions_of_time() -> Tensor:
    w = engine.asarray([0.5, -0.25], requires_grad=True, name="w")
    h = w
    for t in (0.0, 0.5, 1.25, 3.0):
        with engine.scope("integrator", t=t):
            h = h + 0.1 * engine.tanh(h * w)
    return engine.sum(h)


def negative_times() -> Tensor:
    w = engine.asarray([0.5, -0.25], requires_grad=True, name="w")
    h = w
    for t in (-2, -1, 0, 1):
        with engine.scope("unit", t=t):
            h = engine.tanh(h * w)
    return engine.sum(h)


def steps_apart() -> Tensor:
    """Count steps by tens."""
    w = engine.asarray([0.5, -0.25], requires_grad=True, name="w")
    h = w
    for t in (0, 10, 20, 1000):
        with engine.scope("unit", t=t):
            h = engine.tanh(h * w)
    return engine.sum(h)


def no_time() -> Tensor:
    engine.seed(7)
    first, second = rnn.Linear(I, H), rnn.Linear(H, 1)
    first._name, second._name = "first", "second"
    return engine.sum(second(engine.tanh(first(data(B, I)))) ** 2)


def long_names() -> Tensor:
    w = engine.asarray([0.5, -0.25], requires_grad=True, name=LONG)
    h = engine.asarray([0.1, 0.2], name="中文の名前" * 20)
    for t in range(3):
        with engine.scope(LONG, t=t, cell="WWWWWWWW@@@@@@@@MMMMMMMMMmmmm", state="W@m" * 20):
            h = engine.tanh(
                h * w + engine.asarray([1.0, 2.0], name=f"in {t} $x$ <&> \n\x00 {LONG}")
            )
    return engine.sum(h)


def one_step() -> Tensor:
    engine.seed(7)
    return run(rnn.LSTM(I, H), steps=1)


def one_node() -> Tensor:
    return engine.asarray(2.0, requires_grad=True, name="x")


def constants() -> Tensor:
    return engine.asarray(2.0) * engine.asarray([1.0, 3.0])


def two_outputs() -> engine.Graph:
    engine.seed(7)
    y, (h, c) = rnn.LSTM(I, H)(data(STEPS, B, I))
    return engine.Graph.of(engine.sum(y * y), engine.sum(c), h)


def gradient_graph() -> Tensor:
    """Return the norm of a gradient: a graph with a backward pass on it."""
    engine.seed(7)
    net = rnn.Recurrent(rnn.ElmanCell(I, H))
    with engine.explicit():
        loss = run(net, steps=3)
        (g,) = engine.gradients(loss, [net.cell.weight_hh], create_graph=True)
    return engine.sum(g * g)


def tied() -> Tensor:
    """Use the matrix of the embedding in the head too, with a penalty outside of time."""
    engine.seed(7)
    embedding, unit = rnn.Embedding(5, I), rnn.GRUCell(I, I)
    losses, h = [], None
    for t in range(STEPS):
        with engine.scope(t=t):
            _, h = unit(embedding(engine.asarray(np.array([t, 1]))), h)
            goal = engine.asarray(np.array([1, t]))
            losses.append(engine.cross_entropy(h @ embedding.weight.T, goal))
    return engine.sum(engine.stack(losses)) + 0.1 * engine.sum(embedding.weight**2)


def used_outside() -> Tensor:
    """Use a recurrent weight in a penalty and in a preparation outside of time too."""
    engine.seed(7)
    unit = rnn.ElmanCell(I, I)
    h = engine.tanh(data(B, I) @ unit.weight_hh)
    for t in range(STEPS):
        with engine.scope("unit", t=t):
            _, h = unit(data(B, I, name=f"x{t}"), h)
    return engine.sum(h * h) + engine.sum(unit.weight_hh**2)


def called_twice() -> Tensor:
    """Call one module twice in a step, and again in the next one."""
    engine.seed(7)
    linear = rnn.Linear(I, I)
    linear._name = "shared"
    h = data(B, I)
    for t in range(3):
        with engine.scope(t=t):
            h = linear(engine.tanh(linear(h)))
    return engine.sum(h)


def many_uses() -> Tensor:
    """Use one value in a dozen places at once."""
    x = engine.asarray([1.0, 2.0], requires_grad=True, name="x")
    parts = []
    for t in range(3):
        with engine.scope("wide", t=t):
            x = engine.tanh(x)
            parts += [engine.sum(x * float(k)) for k in range(6)]
    return engine.sum(engine.stack(parts))


def same_input_twice() -> Tensor:
    """Draw edges side by side."""
    h = engine.asarray([0.5, 0.25], requires_grad=True, name="h")
    for t in range(3):
        with engine.scope("square", t=t):
            h = h * h + h
    return engine.sum(h)


def by_way_of_no_step() -> Tensor:
    """Pass a value from step 1 to step 2 by way of an op outside of time."""
    w = engine.asarray([0.5], requires_grad=True, name="w")
    h, outside = w, w
    for t in range(4):
        with engine.scope("unit", t=t):
            h = engine.tanh(h * outside)
        if t == 1:
            outside = engine.exp(h)
    return engine.sum(h)


# Losses of recurrences too wide for a page, each with its level, to be cut into chunks.
WIDE: dict[str, tuple[Callable[[], Tensor], str]] = {
    "MLSTMCell by op": (partial(over_time, "MLSTMCell"), "op"),
    "three layers both ways by gate": (
        partial(layer, "LSTM", num_layers=3, bidirectional=True), "gate"),
    "two layers both ways by gate": (
        partial(layer, "LSTM", num_layers=2, bidirectional=True, steps=30), "gate"),
    "three layers both ways": (
        partial(layer, "LSTM", num_layers=3, bidirectional=True, steps=30), "cell"),
    **{f"{name} by op": (partial(over_time, name), "op")
       for name in ("RWKV4Cell", "S4DCell", "SLSTMCell")},
}  # fmt: skip

CASES: dict[str, Callable[[], Tensor | engine.Graph]] = {
    **{name: partial(over_time, name) for name in CELLS},
    **{f"{kind} step by step": partial(network, kind, 4) for kind in ("elman", "lstm", "gru")},
    "two layers": partial(layer, "LSTM", num_layers=2),
    "both ways": partial(layer, "GRU", bidirectional=True),
    "two layers both ways": partial(layer, "LSTM", num_layers=2, bidirectional=True),
    "projected": partial(layer, "LSTM", proj_size=2),
    "batch first": partial(layer, "GRU", batch_first=True),
    "dropout between layers": partial(layer, "RNN", num_layers=3, dropout=0.3),
    "lengths": lengths,
    "lengths both ways": lengths_both_ways,
    "resets": resets,
    "stacked": stacked,
    "mixed both ways": mixed_both_ways,
    "reverse": reverse,
    "truncated": truncated,
    "attention": attention,
    "attention far": partial(attention, 7, 6),
    "skips": skips,
    "inputs used later": inputs_used_later,
    "named times": named_times,
    "fractions of time": fractions_of_time,
    "negative times": negative_times,
    "steps apart": steps_apart,
    "no time": no_time,
    "long names": long_names,
    "one step": one_step,
    "one node": one_node,
    "constants": constants,
    "two outputs": two_outputs,
    "gradient graph": gradient_graph,
    "tied": tied,
    "used outside": used_outside,
    "called twice": called_twice,
    "many uses": many_uses,
    "same input twice": same_input_twice,
    "by way of no step": by_way_of_no_step,
}

# Every second network, then every second cell, then the rest: the first of these are of all kinds.
# In pictures cells differ less than networks do.
ORDER = sorted(CASES, key=lambda name: (list(CASES).index(name) % 2, name in CELLS))
