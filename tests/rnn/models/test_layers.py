"""Compare stacks of layers and both directions with cells composed by hand, and with torch."""

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering, first, normal

T, B, I, H, P = 6, 3, 4, 5, 2
NAMES = ("RNN", "LSTM", "GRU")


def made(name, **options):
    engine.seed(3)
    return getattr(rnn, name)(I, H, dtype="float64", **options)


def flat(state):
    return list(state) if isinstance(state, tuple) else [state]


def initial(net, batch=B):
    count = net.num_layers * (2 if net.bidirectional else 1)
    widths = [net.cell.state_size[name] for name in net.cell.state_size]
    parts = [engine.asarray(normal(count, batch, width, salt=7 + i), requires_grad=True)
             for i, width in enumerate(widths)]  # fmt: skip
    return parts[0] if len(parts) == 1 else tuple(parts)


@pytest.mark.parametrize(("name", "lengths"), covering(NAMES, [[2, 0, 6], None]))
def test_a_stack_in_both_directions_is_its_cells_composed(name, lengths):
    net = made(name, num_layers=2, bidirectional=True)
    x, state = normal(T, B, I), initial(net)
    y, final = net(x, state, lengths)
    below, number, finals = engine.asarray(x), 0, []
    for layer in range(2):
        ys = []
        for direction in ("", "_reverse"):
            kind = {"RNN": rnn.ElmanCell, "LSTM": rnn.LSTMCell, "GRU": rnn.GRUCell}[name]
            cell = kind(below.shape[-1], H, dtype="float64")
            for weight in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                setattr(cell, weight, getattr(net, f"{weight}_l{layer}{direction}"))
            own = [one[number] for one in flat(state)]
            out, last = rnn.Recurrent(cell, reverse=bool(direction))(
                below, own[0] if len(own) == 1 else tuple(own), lengths
            )
            ys.append(out)
            finals.append(flat(last))
            number += 1
        below = engine.concat(ys, axis=-1)
    assert y.shape == (T, B, 2 * H)
    np.testing.assert_allclose(y.numpy(), below.numpy(), rtol=1e-12)
    for kind, own in enumerate(flat(final)):
        assert own.shape == (4, B, H)
        expected = np.stack([last[kind].numpy() for last in finals])
        np.testing.assert_allclose(own.numpy(), expected, rtol=1e-12)


OPTIONS = [
    {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 3, "bidirectional": True},
    {"num_layers": 2, "batch_first": True}, {"bias": False, "bidirectional": True},
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "name", "unbatched"),
    covering(OPTIONS, [*NAMES, "projected"], [False, True], parts=3), ids=str,
)  # fmt: skip
def test_against_torch(name, options, unbatched):
    torch = pytest.importorskip("torch")
    more = {"proj_size": P} if name == "projected" else {}
    name = "LSTM" if name == "projected" else name
    net = made(name, **options, **more)
    theirs = getattr(torch.nn, name)(I, H, **options, **more, dtype=torch.float64)
    assert list(dict(net.named_parameters())) == [n for n, _ in theirs.named_parameters()]
    theirs.load_state_dict({n: torch.tensor(x) for n, x in net.state_dict().items()})
    shape = (T, I) if unbatched else (B, T, I) if options.get("batch_first") else (T, B, I)
    state = initial(net)
    if unbatched:
        parts = tuple(engine.asarray(one.numpy()[:, 0], requires_grad=True) for one in flat(state))
        state = parts if isinstance(state, tuple) else parts[0]
    x = engine.asarray(normal(*shape), requires_grad=True)
    tx = torch.tensor(x.numpy(), requires_grad=True)
    ts = [torch.tensor(one.numpy(), requires_grad=True) for one in flat(state)]
    y, final = net(x, state)
    ty, tfinal = theirs(tx, tuple(ts) if isinstance(state, tuple) else ts[0])
    for own, other in zip([y, *flat(final)], [ty, *flat(tfinal)], strict=True):
        np.testing.assert_allclose(own.numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-11)
    seeds = [normal(*one.shape, salt=20 + i) for i, one in enumerate([y, *flat(final)])]
    own_grads = engine.gradients([y, *flat(final)], [x, *flat(state), *net.parameters()], seeds)
    their_grads = torch.autograd.grad(
        [ty, *flat(tfinal)], [tx, *ts, *theirs.parameters()], [torch.tensor(s) for s in seeds]
    )
    for own, other in zip(own_grads, their_grads, strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", first(1, ["LSTM", "GRU", "RNN"]))
def test_one_sequence_without_a_batch(name):
    net = made(name, num_layers=2)
    x = normal(T, I)
    alone, state = net(x)
    y, batched = net(x[:, None])
    assert alone.shape == (T, H)
    np.testing.assert_allclose(alone.numpy(), y.numpy()[:, 0], rtol=1e-13)
    for one, other in zip(flat(state), flat(batched), strict=True):
        assert one.shape == (2, H)
        np.testing.assert_allclose(one.numpy(), other.numpy()[:, 0], rtol=1e-13)


def test_projection_widths_and_gradients():
    net = rnn.LSTM(I, H, proj_size=P, dtype="float64")
    y, (h, c) = net(normal(T, B, I))
    assert (y.shape, h.shape, c.shape) == ((T, B, P), (1, B, P), (1, B, H))
    cell = net.cell

    def f(x, w_hr):
        cell.weight_hr = w_hr
        return rnn.Recurrent(cell)(x)[0]

    assert engine.gradcheck(f, [normal(3, 2, I), normal(P, H, salt=1)], order=2)


def test_mistakes_in_layers():
    for wrong in ({"num_layers": 0}, {"num_layers": 2.5}, {"num_layers": "3"}):
        with pytest.raises(ValueError, match="num_layers"):
            rnn.GRU(I, H, **wrong)
    for wrong in (-0.1, 1.1, "x", True):
        with pytest.raises(ValueError, match="dropout"):
            rnn.GRU(I, H, dropout=wrong)
    for wrong in (-1, 2.5, H, H + 1, True):
        with pytest.raises(ValueError, match="proj_size"):
            rnn.LSTM(I, H, proj_size=wrong)
    net = made("LSTM", num_layers=2)
    with pytest.raises(ValueError, match=r"expected x \(T, B, I\) or \(T, I\) with I = 4"):
        net(normal(T, B, I + 1))
    with pytest.raises(ValueError, match=r"expected states h, c of shapes"):
        net(normal(T, B, I), (normal(1, B, H), normal(1, B, H)))


@pytest.mark.parametrize("row", [0, 2, -1])
def test_the_row_of_the_padding_stays_as_it_is(row):
    engine.seed(3)
    layer = rnn.Embedding(4, 3, padding_idx=row)
    engine.seed(3)
    plain = rnn.Embedding(4, 3).weight.numpy().copy()
    plain[row] = 0.0
    np.testing.assert_array_equal(layer.weight.numpy(), plain)
    assert layer.weight.requires_grad
    assert layer.weight.node.name == "weight"
    optimizer = rnn.optim.Adam(layer.parameters(), 0.1)
    engine.sum(layer([[0, 1], [2, 3]]) ** 2 + layer([row % 4])).backward()
    assert not layer.weight.grad.numpy()[row].any()
    optimizer.step()
    assert not layer.weight.numpy()[row].any()
    assert (layer.weight.numpy() != plain).any(axis=1).sum() == 3


@pytest.mark.parametrize("wrong", [-1, 4])
def test_an_index_that_is_no_row_is_refused_by_name(wrong):
    # Not taken from the end, as an array would be: -1 is often padding.
    with pytest.raises(IndexError, match=rf"Embedding: index {wrong} is outside .* 0 to 3"):
        rnn.Embedding(4, 3)([[0, wrong]])


def test_a_padding_that_is_no_row_is_refused():
    for row, kind in ((4, ValueError), (-5, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="padding_idx must"):
            rnn.Embedding(4, 3, padding_idx=row)
