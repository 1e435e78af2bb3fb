"""Test modules: what they hold, by which names, and what may be assigned in its place."""

import copy
import re
from collections import OrderedDict, deque, namedtuple

import numpy as np
import pytest

import engine
import rnn
from engine.instead import INSTEAD as ENGINE_INSTEAD
from rnn import instead

Pair = namedtuple("Pair", "first second")


class Held(rnn.Module):
    """Hold one attribute, `x`; a call returns `use` of it."""

    def __init__(self, x, use=None):
        self.x = x
        self._use = use

    def forward(self, y):
        return self._use(self, y)


def linear():
    return rnn.Linear(2, 2)


def weight():
    return rnn.parameter((2, 2))


def names(module):
    return [name for name, _ in module.named_parameters()]


BOTH = ["weight", "bias"]
CONTAINERS = {
    "module": (linear, BOTH, ""),
    "list": (lambda: [linear(), 3], BOTH, "0."),
    "tuple": (lambda: ("word", linear()), BOTH, "1."),
    "dict": (lambda: {"a": linear(), "n": 1}, BOTH, "a."),
    "ordered": (lambda: OrderedDict(a=linear()), BOTH, "a."),
    "integer keys": (lambda: {3: linear()}, BOTH, "3."),
    "named tuple": (lambda: Pair(1, linear()), BOTH, "1."),
    "nested": (lambda: [(), {"a": (None, [linear()])}], BOTH, "1.a.1.0."),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_modules_in_containers_are_trained_saved_and_moved(kind):
    make, parts, path = CONTAINERS[kind]
    module = Held(make())
    front = f"x.{path}"
    assert names(module) == [f"{front}{part}" for part in parts]
    assert list(module.state_dict()) == names(module)
    inner = next(module.children())
    assert [one for one, _ in module.named_modules()] == ["", front[:-1]]
    assert inner._name == front[:-1]
    assert not module.eval().training
    assert not inner.training
    module.to(engine.float64)
    assert inner.weight.dtype == engine.float64
    other = Held(make())
    other.to(engine.float64).load_state_dict(module.state_dict())
    np.testing.assert_array_equal(other.state_dict()[f"{front}bias"], inner.bias.numpy())


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda p: [p], "x.0"),
        (lambda p: (1, p), "x.1"),
        (lambda p: {"w": p}, "x.w"),
        (lambda p: [[2.0], {"w": (p,)}], "x.1.w.0"),
    ],
)
def test_parameters_in_containers_are_trained_frozen_and_loaded(make, path):
    p = weight()
    module = Held(make(p))
    assert names(module) == [path]
    assert p.node.name == path
    p.requires_grad = False
    assert names(module) == [path]  # frozen, and still saved
    module.load_state_dict({path: np.full((2, 2), 7.0)})
    assert (p.numpy() == 7).all()


def test_what_is_appended_later_is_found_with_its_name_and_scope():
    def run(module, y):
        for layer in module.x:
            y = layer(y)
        return y

    module = Held([], run)
    module.x.append(linear())
    y = module(engine.ones((1, 2)))  # called before anything has looked at the list
    assert "x.0" in str(y.node.scope)
    module.x.append(linear())
    assert names(module) == ["x.0.weight", "x.0.bias", "x.1.weight", "x.1.bias"]
    module.x.insert(0, linear())
    assert names(module)[-1] == "x.2.bias"
    scopes = {str(x.node.scope) for x in [layer(engine.ones((1, 2))) for layer in module.x]}
    assert len(scopes) == 3
    module.x.append(weight())
    assert names(module)[0] == "x.3"


def test_an_array_put_into_a_list_of_parameters_is_refused():
    module = Held([weight(), weight()])
    module.x[1] = np.ones((2, 2), "f")
    with pytest.raises(TypeError, match=r"Held.x.1: expected a tensor, got an array"):
        module.state_dict()


@pytest.mark.parametrize("kind", [set, frozenset, deque, lambda x: dict.fromkeys(x).keys()])
def test_containers_without_names_are_refused(kind):
    for part in (linear(), weight()):
        with pytest.raises(TypeError, match=r"Held.x: modules and parameters in a .* no lasting"):
            Held(kind([part]))
        with pytest.raises(TypeError, match="no lasting names"):
            Held([{"a": kind([part])}])
    assert names(Held(kind(["a word", 3]))) == []


def test_keys_that_are_the_same_text_are_refused():
    for make in (weight, linear):
        module = Held({1: make(), "1": make()})
        with pytest.raises(ValueError, match=r"two tensors are called x\.1"):
            module.state_dict()


def test_a_module_that_would_hold_itself_is_refused():
    parent = Held(linear())
    child = Held(1)
    parent.y = [child]
    with pytest.raises(ValueError, match=r"Held.up: Held holds this module.*self._up"):
        child.up = parent
    with pytest.raises(ValueError, match="holds this module"):
        child.up = {"a": parent}
    with pytest.raises(ValueError, match="holds this module"):
        child.up = child
    child._up = parent
    assert names(parent) == ["x.weight", "x.bias"]


def test_a_cycle_through_a_list_is_visited_once():
    parent, child = Held([]), Held([linear()])
    parent.y = child
    child.x.append(parent)
    assert names(parent) == ["y.x.0.weight", "y.x.0.bias"]
    assert len(list(parent.eval().modules())) == 3
    assert "Held(...)" in repr(parent)
    parent.x.append(parent.x)  # a list in itself
    assert len(names(parent)) == 2


def test_a_tensor_made_before_has_the_name_of_its_attribute():
    class Cell(rnn.Cell):
        input_size, state_size = 2, {"h": 2}

        def __init__(self):
            self.W = engine.asarray(np.eye(2), requires_grad=True)
            self.own = engine.asarray(np.eye(2), requires_grad=True, name="M")

        def step(self, x, h):
            h = engine.tanh(engine.linear(h, self.W) + engine.linear(x, self.own))
            return h, h

    cell = Cell()
    assert (cell.W.node.name, cell.own.node.name) == ("W", "M")
    read = engine.asarray(np.eye(2), requires_grad=True)
    loss = engine.sum(read)
    cell.U = read  # it stands in a graph without a name already
    assert read.node.name == ""
    assert engine.gradients(loss, [cell.U])[0].shape == (2, 2)


def test_what_load_returns_is_no_state(tmp_path):
    net = rnn.Linear(2, 1)
    rnn.save(tmp_path / "net", net)
    with pytest.raises(TypeError, match=r"got tuple; of what rnn\.load returns"):
        net.load_state_dict(rnn.load(tmp_path / "net"))
    net.load_state_dict(rnn.load(tmp_path / "net")[0])


def test_a_shared_module_has_its_first_name():
    one = linear()
    module = Held([one, one])
    module.again = one
    assert names(module) == ["x.0.weight", "x.0.bias"]
    assert one._name == "x.0"
    assert len(list(module.children())) == 1
    module.x[0] = linear()
    assert names(module)[2:] == ["x.1.weight", "x.1.bias"]


def test_pairs_unpack_as_in_torch():
    torch = pytest.importorskip("torch")
    ours = rnn.Sequential(rnn.Linear(2, 3), rnn.Linear(3, 1))
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    for kind in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        pairs = [(name.removeprefix("steps."), type(x).__name__)
                 for name, x in getattr(ours, kind)()]  # fmt: skip
        expected = [(name, type(x).__name__.replace("Parameter", "Tensor"))
                    for name, x in getattr(theirs, kind)()]  # fmt: skip
        assert pairs == expected
    for kind in ("modules", "children"):
        found = [type(x).__name__ for x in getattr(ours, kind)()]
        assert found == [type(x).__name__ for x in getattr(theirs, kind)()]


# ---- assignment


@pytest.mark.parametrize(
    "value", [np.ones((2, 2), "f"), [[1.0, 0.0], [0.0, 1.0]], 1.0, "word", linear(), []]
)
def test_only_tensors_take_the_place_of_a_parameter(value):
    module = linear()
    before = module.state_dict()
    with pytest.raises(TypeError, match=r"Linear.weight: weight is a parameter"):
        module.weight = value
    with pytest.raises(TypeError, match=r"x\.0 is a parameter"):
        Held([weight()]).x = value
    held = Held([weight()])
    if not isinstance(value, list):
        with pytest.raises(TypeError, match=r"x\.0 is a parameter"):
            held.x = [value]
    assert list(module.state_dict()) == list(before)
    layer = rnn.LSTM(2, 3)
    with pytest.raises(TypeError, match=r"LSTM.weight_ih_l0"):
        layer.weight_ih_l0 = value
    assert layer.cell.weight_ih is layer.weight_ih_l0
    zoneout = rnn.Zoneout(rnn.GRUCell(2, 3), 0.5)
    with pytest.raises(TypeError, match=r"GRUCell.weight_hh"):
        zoneout.weight_hh = value


def test_none_and_del_take_a_parameter_off():
    module = linear()
    module.bias = None
    assert names(module) == ["weight"]
    np.testing.assert_array_equal(module(engine.ones((1, 2))).numpy()[0],
                                  module.weight.numpy().sum(1))  # fmt: skip
    with pytest.raises(TypeError, match="bias is a parameter"):
        module.bias = np.ones(2)
    module.bias = engine.ones(2)  # its name is kept for one
    assert names(module) == BOTH
    del module.bias
    assert names(module) == ["weight"]
    assert not hasattr(module, "bias")
    module.bias = 3  # now it is any attribute
    assert list(module.state_dict()) == ["weight"]


def test_taking_a_weight_off_a_layer_takes_it_off_its_cell():
    layer = rnn.GRU(2, 3)
    layer.bias_ih_l0 = layer.bias_hh_l0 = None
    assert layer.cell.bias_ih is None
    plain = rnn.GRU(2, 3, bias=False)
    plain.load_state_dict(layer.state_dict())
    x = engine.ones((2, 1, 2))
    np.testing.assert_array_equal(layer(x)[0].numpy(), plain(x)[0].numpy())
    del layer.weight_ih_l0
    with pytest.raises(AttributeError, match="weight_ih"):
        layer(x)
    zoneout = rnn.Zoneout(rnn.GRUCell(2, 3), 0.5)
    zoneout.bias_hh = None
    assert zoneout.cell.bias_hh is None
    assert "cell.bias_hh" not in names(zoneout)


def test_a_computed_tensor_is_no_parameter():
    module = linear()
    module.penalty = engine.sum(module.weight**2)
    module.seen = [module.penalty]
    assert names(module) == BOTH
    module.to(engine.float64)


# ---- buffers


def test_buffers_are_saved_loaded_and_moved_and_not_trained():
    module = linear()
    module.register_buffer("mean", np.zeros(2, "f"))
    module.register_buffer("count", engine.asarray(3))
    module.plain = engine.ones(4)
    assert names(module) == BOTH
    assert [name for name, _ in module.named_buffers()] == ["mean", "count"]
    assert list(module.state_dict()) == [*BOTH, "mean", "count"]
    module.to(engine.float64)
    assert module.mean.dtype == engine.float64
    assert module.count.dtype == engine.int64
    assert module.plain.dtype == engine.float32
    state = module.state_dict() | {"mean": np.full(2, 5.0), "count": np.asarray(9)}
    module.load_state_dict(state)
    assert module.mean.numpy().tolist() == [5, 5]
    assert int(module.count) == 9
    with pytest.raises(ValueError, match="count: float64, expected int64"):
        module.load_state_dict(state | {"count": np.asarray(9.0)})
    module.mean = module.mean + 1  # stays one
    assert module.state_dict()["mean"].tolist() == [6, 6]
    with pytest.raises(TypeError, match="mean is a parameter or a buffer"):
        module.mean = np.zeros(2)
    twin = copy.deepcopy(module)
    assert list(twin.state_dict()) == list(module.state_dict())


def test_buffers_that_would_be_trained_are_refused():
    module = linear()
    for name, value in (("weight", engine.ones(2)), ("new", weight())):
        with pytest.raises(ValueError, match="is a parameter, which is trained"):
            module.register_buffer(name, value)
    module.register_buffer("new", None)
    module.new = weight()
    assert names(module) == [*BOTH, "new"]


def test_a_buffer_takes_no_graph_and_no_odd_name():
    module = linear()
    module.register_buffer("mean", np.zeros(2))
    with pytest.raises(ValueError, match=r"mean is a buffer, got a tensor with a graph.*detach"):
        module.mean = 0.9 * module.mean + engine.sum(module.weight)
    module.mean = (0.9 * module.mean + engine.sum(module.weight)).detach()
    assert not module.mean.requires_grad
    for name in ("forward", "a.b", "_hidden", 3):
        with pytest.raises(ValueError, match="register_buffer: "):
            module.register_buffer(name, np.ones(2))


@pytest.mark.parametrize("wrong", [None, "abc", object()], ids=["None", "text", "object"])
def test_a_value_that_is_no_array_is_refused_by_its_name(wrong):
    module = linear()
    state = module.state_dict()
    with pytest.raises(TypeError, match="load_state_dict: weight: "):
        module.load_state_dict(state | {"weight": wrong})


def test_what_is_there_is_loaded_without_strict():
    net = rnn.Sequential(rnn.Linear(2, 1), rnn.Linear(1, 1))
    head = net.state_dict() | {"steps.0.weight": np.ones((1, 2), "float32")}
    del head["steps.1.bias"]
    with pytest.raises(ValueError, match=r"missing: steps.1.bias; unknown: other$"):
        net.load_state_dict(head | {"other": np.ones(2)})
    assert net.steps[0].weight.tolist() != [[1.0, 1.0]]
    found = net.load_state_dict(head | {"other": np.ones(2)}, strict=False)
    assert found == (found.missing_keys, found.unexpected_keys) == (["steps.1.bias"], ["other"])
    assert net.steps[0].weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(ValueError, match=r"shape \(2,\), expected \(1, 2\)"):
        net.load_state_dict({"steps.0.weight": np.ones(2)}, strict=False)


@pytest.mark.parametrize("strict", [True, False])
def test_a_state_dict_of_which_no_name_is_known_does_not_pass_for_loaded(strict):
    net = rnn.Linear(2, 1)
    strange = {f"module.{name}": x for name, x in net.state_dict().items()}
    with pytest.raises(ValueError, match=r"taken by rnn.interop.from_pytorch"):
        net.load_state_dict(strange, strict)
    with pytest.raises(ValueError, match="from_pytorch: missing: weight"):
        rnn.interop.from_pytorch(net, {"body.weight": np.ones((1, 2))}, strict=strict)


def test_dropout_and_layer_norm_as_modules():
    x = engine.asarray(np.arange(6.0).reshape(2, 3))
    net = rnn.Sequential(rnn.LayerNorm(3, eps=0.0), rnn.Dropout(0.5))
    assert [name for name, _ in net.named_parameters()] == ["steps.0.weight", "steps.0.bias"]
    np.testing.assert_allclose(net.eval()(x).numpy()[0], [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    many = rnn.Dropout(0.5)(engine.ones(1000)).numpy()
    assert set(many.tolist()) == {0.0, 2.0}
    assert rnn.LayerNorm(3, bias=False).bias is None
    with pytest.raises(ValueError, match="Dropout: p must lie in"):
        rnn.Dropout(1.5)


@pytest.mark.parametrize(
    ("name", "told"),
    [("Parameter", "rnn.parameter"), ("clip_grad_norm_", "rnn.clip_grad_norm"),
     ("ModuleList", "assign a list"), ("pad_sequence", "rnn.data.pad")],
)  # fmt: skip
def test_names_of_pytorch_say_what_to_write(name, told):
    with pytest.raises(AttributeError, match=told):
        getattr(rnn, name)
    assert not hasattr(rnn, "nonsense")


@pytest.mark.parametrize(
    ("owner", "name", "told"),
    [(rnn, "L1Loss", "write engine.l1_loss"), (rnn.optim, "LBFGS", "write rnn.optim.Adam"),
     (rnn.schedules.StepLR(rnn.optim.SGD([engine.ones(1, requires_grad=True)]), 3), "get_last_lr",
      "StepLR has no 'get_last_lr'; write schedule.lrs"),
     (rnn.schedules, "CyclicLR", "write rnn.schedules.OneCycleLR"),
     (engine, "save", r"write rnn.save\(path"), (engine, "masked_fill", "write engine.where"),
     (rnn.Linear(1, 1), "cuda", r'Linear has no \'cuda\'; write module.to\("cupy"\)'),
     (rnn, "EarlyStopping", "write patience= of rnn.fit"), (rnn, "Dense", "write rnn.Linear"),
     (rnn.data, "TensorDataset", r"write rnn.data.ArrayBatches\(x, y"),
     (rnn.Linear(1, 1), "fit", r"Linear has no 'fit'; write rnn.fit\(module, data, loss\)")],
    ids=lambda one: one if isinstance(one, str) else "",
)  # fmt: skip
def test_what_is_missing_says_what_to_write(owner, name, told):
    with pytest.raises(AttributeError, match=told):
        getattr(owner, name)
    with pytest.raises(AttributeError, match=r"nonsense'$"):
        owner.nonsense  # noqa: B018


def test_what_is_advised_for_names_of_pytorch_exists():
    for advice in (*instead.NAMES.values(), *instead.SCHEDULES.values(), *ENGINE_INSTEAD.values(),
                   *instead.OPTIMISERS.values(), *instead.METHODS.values(),
                   *instead.DATA.values()):  # fmt: skip
        for home, path in re.findall(r"\b(engine|rnn)\.([\w.]*\w)", advice):
            found = {"engine": engine, "rnn": rnn}[home]
            for part in path.split("."):
                found = getattr(found, part)


def test_a_module_is_not_frozen_as_in_keras():
    with pytest.raises(AttributeError, match=r"write module.requires_grad_\(False\)"):
        rnn.Linear(1, 1).trainable = False


def test_no_advice_is_about_a_name_that_there_is():
    for names, home in ((instead.NAMES, rnn), (instead.SCHEDULES, rnn.schedules),
                        (instead.OPTIMISERS, rnn.optim), (ENGINE_INSTEAD, engine),
                        (instead.METHODS, rnn.Linear(1, 1)), (instead.DATA, rnn.data)):  # fmt: skip
        assert [name for name in names if hasattr(home, name)] == []


def test_a_tensor_is_not_made_by_the_module_of_that_name():
    with pytest.raises(TypeError, match=r"write engine.asarray\(x\)"):
        engine.tensor([1.0])


def test_an_error_inside_of_a_property_is_raised_as_it_is():
    class Broken(rnn.Module):
        @property
        def cuda(self):
            return self.absent

    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        Broken().cuda  # noqa: B018


def test_apply_and_requires_grad_reach_every_module():
    net, seen = rnn.Sequential(linear(), rnn.Sequential(linear())), []
    assert net.apply(seen.append) is net
    assert seen[-1] is net
    assert sorted(map(id, seen)) == sorted(map(id, net.modules()))
    assert net.requires_grad_(False) is net
    assert not any(x.requires_grad for x in net.parameters())
    assert len(net.parameters()) == 4  # frozen ones are parameters too
    net.requires_grad_()
    assert all(x.requires_grad for x in net.parameters())
    with pytest.raises(ValueError, match="requires_grad_: this tensor was computed from others"):
        (net.steps[0].weight * 2).requires_grad_()
    with pytest.raises(TypeError, match="requires_grad_: a int64 tensor has no gradient"):
        engine.asarray([1]).requires_grad_()


def test_a_buffer_is_saved_and_a_run_resumed_with_it(tmp_path):
    def made():
        engine.seed(0)
        module = linear()
        module.register_buffer("scale", engine.asarray([2.0]))
        return module

    def fitted(module, steps, **options):
        rnn.fit(module, [engine.ones((1, 2))], lambda net, x: engine.sum(net(x) ** 2),
                steps=steps, checkpoint=tmp_path / "run", progress=False, **options)  # fmt: skip

    first, second = made(), made()
    fitted(first, 2)
    fitted(second, 3, resume=True)
    assert second.scale.numpy().tolist() == [2.0]
    rnn.save(tmp_path / "m.safetensors", first)
    assert "scale" in rnn.load(tmp_path / "m.safetensors")[0]


# ---- loading


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8", "bool", "complex64"])
def test_arrays_that_are_not_floating_are_refused(dtype):
    module = linear()
    before = module.state_dict()
    state = {"weight": np.ones((2, 2), dtype), "bias": np.ones(2, "float64")}
    with pytest.raises((ValueError, TypeError), match=r"weight: \w+, expected float32|complex"):
        module.load_state_dict(state)
    for name, x in module.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    module.load_state_dict(before | {"weight": np.ones((2, 2), "float16")})
    assert module.weight.dtype == engine.float32


def tied():
    return rnn.LanguageModel(5, 2, 2, tie_weights=True)


def test_tied_weights_that_differ_are_refused():
    model = tied()
    before, state = model.state_dict(), model.state_dict()
    state["embedding.weight"] = state["embedding.weight"] + 1
    state["head.bias"] = state["head.bias"] + 1
    with pytest.raises(ValueError, match=r"embedding.weight and head.weight are one tensor"):
        model.load_state_dict(state)
    with pytest.raises(ValueError, match=r"embedding.weight and head.weight are one tensor"):
        rnn.interop.from_pytorch(
            model, rnn.interop.to_pytorch(tied()) | {"head.weight": state["embedding.weight"]}
        )
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize("left", ["embedding.weight", "head.weight"])
def test_one_name_of_tied_weights_is_enough(left):
    for load, written in (
        (rnn.interop.from_pytorch, rnn.interop.to_pytorch),
        (rnn.Module.load_state_dict, rnn.Module.state_dict),
    ):
        model = tied()
        state = {name: np.full_like(x, 2) for name, x in written(model).items()}
        del state[left]
        load(model, state)
        assert (model.head.weight.numpy() == 2).all()
        assert model.head.weight is model.embedding.weight
    del state["head.weight" if left.startswith("emb") else "embedding.weight"]
    with pytest.raises(ValueError, match=r"missing: embedding\.weight or head"):
        tied().load_state_dict(state)


def test_tied_weights_with_nan_are_alike():
    model = tied()
    state = {name: np.full_like(x, np.nan) for name, x in model.state_dict().items()}
    model.load_state_dict(state)
    assert np.isnan(model.head.weight.numpy()).all()


def test_the_containers_of_torch_are_lists_and_dicts_here():
    for name, kind in (("ModuleList", "a list"), ("ParameterDict", "a dict")):
        with pytest.raises(AttributeError, match=f"'{name}': assign {kind} to an attribute"):
            getattr(rnn, name)
    with pytest.raises(AttributeError, match=r"^module 'rnn' has no attribute 'Torchlike'$"):
        rnn.Torchlike  # noqa: B018


# ---- in cells


class Listed(rnn.Cell):
    """Keep the weights of a cell in containers."""

    input_size, state_size = 2, {"h": 2}

    def __init__(self):
        self.w = {"in": weight(), "out": [weight()]}

    def step(self, x, h):
        h = engine.tanh(engine.linear(x, self.w["in"]) + engine.linear(h, self.w["out"][0]))
        return h, h


def test_cells_with_weights_in_containers_run_and_are_wrapped():
    cell = Listed()
    x = engine.asarray(np.random.default_rng(0).normal(size=(4, 3, 2)), dtype=engine.float32)
    run = rnn.Recurrent(cell)
    fused = engine.gradients(engine.sum(run(x)[0]), run.parameters())
    with engine.explicit():
        expected = engine.gradients(engine.sum(run(x)[0]), run.parameters())
    for one, other in zip(fused, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5)
    probe = rnn.Probe(run, x)
    parts = probe.contributions(engine.sum)
    for (name, _), g in zip(run.named_parameters(), expected, strict=True):
        np.testing.assert_allclose(parts[name].numpy().sum(0), g.numpy(), rtol=1e-4)
    dropped = rnn.WeightDropout(cell, 1.0, names=("in", "0"))
    assert (dropped(x[0])[0].numpy() == 0).all()
    assert (cell(x[0])[0].numpy() != 0).all()
    found = rnn.wrapped(Held({"a": [run]}), lambda one: rnn.Zoneout(one, 0.1))
    assert type(found.x["a"][0].cell) is rnn.Zoneout
    assert type(run.cell) is Listed


def test_a_hook_stays_with_a_tensor_that_gets_a_name():
    x = engine.asarray([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g * 10)
    module = rnn.Module()
    module.w = x
    engine.sum(module.w * 2).backward()
    assert x.grad.numpy().tolist() == [20, 20]


def test_a_changed_tensor_that_gets_a_name_keeps_its_gradient():
    w = engine.asarray([1.0, 2.0], requires_grad=True)
    loss = engine.sum(w * w)
    w.data = np.float32([5, 6])
    module = rnn.Module()
    module.v = w
    (g,) = engine.gradients(loss, [w])
    assert g.numpy().tolist() == [2, 4]


def test_frozen_parameters_stay_parameters_in_every_place():
    module = rnn.Module()
    module.ps = [weight(), weight()]
    for p in module.parameters():
        p.requires_grad = False
    module.ps.insert(0, weight())
    assert list(module.state_dict()) == ["ps.0", "ps.1", "ps.2"]
    module.d = {"b": module.ps[1]}
    assert list(module.state_dict()) == ["ps.0", "ps.1", "ps.2", "d.b"]
