"""Pickle and copy results, optimisers and schedules, also in another process.

Modules are in `test_module_copies.py`; here they are sent to a new interpreter, all at once.
"""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import engine
import rnn
from rnn import optim, schedules, sweeps, training
from tests import ROOT
from tests.draws import normal
from tests.rnn.test_module_copies import MODULES

X = normal(4, 2, 3).astype("f")


def halved(t):
    return 0.5**t


def ones(model, batch):
    return engine.mean(model(batch))


SCHEDULES = {
    "ConstantLR": {}, "CosineAnnealingLR": {"T_max": 9}, "CosineAnnealingWarmRestarts": {"T_0": 3},
    "ExponentialLR": {"gamma": 0.9}, "LambdaLR": {"lr_lambda": halved}, "LinearLR": {},
    "MultiStepLR": {"milestones": [2, 4]}, "OneCycleLR": {"max_lr": 0.3, "total_steps": 20},
    "PolynomialLR": {"total_iters": 9}, "ReduceLROnPlateau": {"mode": "min", "patience": 0},
    "SequentialLR": {"milestones": [3]}, "StepLR": {"step_size": 2}, "WarmUp": {"warm_up": 3},
}  # fmt: skip
OPTIMIZERS = [name for name in optim.__all__ if name != "Optimizer"]


def test_every_schedule_and_optimizer_is_here():
    assert set(SCHEDULES) == set(schedules.__all__) - {"Schedule"}
    kinds = {name for name in vars(optim) if isinstance(getattr(optim, name), type)
             and issubclass(getattr(optim, name), optim.Optimizer)}  # fmt: skip
    assert set(OPTIMIZERS) == kinds - {"Optimizer"}


def trained(optimizer, schedule):
    """Return a model, an optimiser and a schedule after two steps."""
    engine.seed(1)
    net = rnn.Recurrent(rnn.GRUCell(3, 4))
    rule = getattr(optim, optimizer)(net.parameters(), lr=0.1)
    options = dict(SCHEDULES[schedule])
    if schedule == "OneCycleLR" and not {"betas", "momentum"} & set(rule.param_groups[0]):
        options["cycle_momentum"] = False
    if schedule == "WarmUp":
        made = schedules.WarmUp(schedules.StepLR(rule, 2), **options)
    elif schedule == "SequentialLR":
        parts = [schedules.LinearLR(rule), schedules.ExponentialLR(rule, 0.9)]
        made = schedules.SequentialLR(rule, parts, **options)
    else:
        made = getattr(schedules, schedule)(rule, **options)
    ema = training.EMA(net, 0.9)
    return gone_on((net, rule, made, ema), 2)


def gone_on(parts, steps):
    """Train on for some steps."""
    net, rule, schedule, ema = parts
    for _ in range(steps):
        rule.zero_grad()
        engine.mean(net(X)[0] ** 2).backward()
        rule.step()
        ema.update()
        schedule.step(1.0) if schedule.takes_metric else schedule.step()
    return parts


def state(parts):
    """Return all numbers of a model, its optimiser and its average."""
    net, rule, _, ema = parts
    found = {**net.state_dict(), **rule.state_dict(), "lr": np.asarray(rule.lr)}
    return found | {f"average {name}": x for name, x in ema.state_dict().items()}


def pairs():
    """Return an optimiser and a schedule for each case: each schedule with one, all optimisers."""
    return [("SGD", name) for name in SCHEDULES] + [(name, "StepLR") for name in OPTIMIZERS]


def results():
    """Return what runs return."""
    engine.seed(2)
    net = rnn.Linear(3, 2)
    history = rnn.fit(net, [engine.asarray(X[0])], ones, steps=3, validation=[engine.asarray(X[1])],
                      progress=False)  # fmt: skip
    layer = rnn.Recurrent(rnn.GRUCell(3, 4))
    probe = rnn.Probe(layer, X)
    trial = sweeps.Trial(0, {"lr": 0.1}, 5, {"loss": 0.5}, None, 1.0)
    return {
        "history": history,
        "summary": rnn.summary(layer, X),
        "norms": probe.gradient_norms(engine.sum(probe.outputs)),
        "jacobian": probe.jacobian("h", 3, 1),
        "packed": rnn.pack_padded(engine.asarray(X), [4, 2]),
        "vocabulary": rnn.Vocabulary(["a", "b"]),
        "sweep": sweeps.Sweep([trial], {"lr": "[0.1]"}),
        "space": [sweeps.uniform(0, 1), sweeps.choice([1, None])],
        "parameter": layer.parameters()[0],
    }


def as_text(value):
    """Return all of a result as text."""
    if isinstance(value, engine.Tensor):
        return f"{value.dtype}{value.numpy().tolist()}"
    if isinstance(value, dict):
        return {name: as_text(x) for name, x in value.items()}
    if isinstance(value, rnn.PackedSequence):
        return {name: np.asarray(x).tolist() for name, x in value._asdict().items()}
    if isinstance(value, rnn.History):
        return repr(vars(value))
    if isinstance(value, rnn.Summary):
        return str(value)
    if isinstance(value, rnn.Vocabulary):
        return [len(value), list(value.encode(["a", "b", "c"]))]
    return repr(value)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_results_are_the_same_after_a_copy(copied):
    for name, value in results().items():
        assert type(copied(value)) is type(value)
        assert as_text(copied(value)) == as_text(value), name


@pytest.mark.parametrize("kind", "?bBhHiIlLefd")
def test_an_array_of_a_pickle_or_a_file_has_the_dtype_that_kernels_know(kind):
    x = np.arange(6).reshape(2, 3).astype(kind)
    for given in (pickle.loads(pickle.dumps(x)), x.astype(x.dtype.newbyteorder())):
        assert given.dtype is not x.dtype or x.dtype.itemsize == 1
        found = engine.asarray(given).data
        assert found.dtype is np.dtype(kind)
        np.testing.assert_array_equal(found, x)
        assert np.shares_memory(found, given) == given.dtype.isnative


def test_a_probe_says_what_to_send():
    probe = rnn.Probe(rnn.Recurrent(rnn.GRUCell(3, 4)), X)
    for copied in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError, match=r"Probe: it holds the graph.*gradient_norms"):
            copied(probe)


WORK = """
import pickle, sys, warnings
warnings.simplefilter("error")
import engine
warnings.filterwarnings("ignore", category=engine.RecurrenceWarning)
from tests.rnn.test_module_copies import MODULES
from tests.rnn.test_result_copies import gone_on, state, as_text
sent = pickle.load(sys.stdin.buffer)
found = {
    "modules": {k.__name__: MODULES[k][1](net).numpy() for k, net in sent["modules"].items()},
    "trained": [state(gone_on(parts, 3)) for parts in sent["trained"]],
    "results": {name: as_text(value) for name, value in sent["results"].items()},
}
pickle.dump(found, sys.stdout.buffer)
"""


def test_all_of_it_goes_on_in_another_process():
    modules = {kind: make().eval() for kind, (make, _) in MODULES.items()}
    parts = [trained(*names) for names in pairs()]
    own = results()
    sent = pickle.dumps({"modules": modules, "trained": parts, "results": own})
    done = subprocess.run([sys.executable, "-c", WORK], input=sent, capture_output=True, cwd=ROOT,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found = pickle.loads(done.stdout)
    for kind, net in modules.items():
        want = MODULES[kind][1](net).numpy()
        np.testing.assert_array_equal(found["modules"][kind.__name__], want, kind.__name__)
    for names, one, other in zip(pairs(), parts, found["trained"], strict=True):
        want = state(gone_on(one, 3))
        assert list(other) == list(want), names
        for name, x in want.items():
            np.testing.assert_array_equal(other[name], x, f"{names}: {name}")
    assert found["results"] == {name: as_text(value) for name, value in own.items()}
