"""Compare schedules with their closed formulas and with PyTorch's, and resume at every step."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn import schedules
from tests.draws import covering

Make = Callable[[Any, Any], Any]
BASES = (0.5, 0.04)
STEPS = 40


def optimiser(kind: str = "SGD", bases: tuple[float, ...] = BASES, **options: Any) -> Any:
    """Return an optimiser of one group for each rate."""
    groups = [{"params": [engine.zeros(1, requires_grad=True)], "lr": lr} for lr in bases]
    return getattr(rnn.optim, kind)(groups, **options)


def torch_optimiser(kind: str = "SGD", **options: Any) -> Any:
    torch = pytest.importorskip("torch")
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in BASES]
    return getattr(torch.optim, kind)(groups, **options)


def cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def restarted(t: int, base: float) -> float:
    """Restart at 3, 3 + 6 = 9, 9 + 12 = 21 and 21 + 24 = 45."""
    start, stop = next((a, b) for a, b in ((0, 3), (3, 9), (9, 21), (21, 45)) if a <= t < b)
    return 0.01 + (base - 0.01) * cosine((t - start) / (stop - start))


# A schedule (of `rnn.schedules` or of PyTorch, by the same name) and its closed formula.
CASES: dict[str, tuple[Make, Callable[[int, float], float]]] = {
    "lambda": (
        lambda of, o: of.LambdaLR(o, lambda t: 1 / (1 + t)),
        lambda t, base: base / (1 + t),
    ),
    "lambdas": (
        lambda of, o: of.LambdaLR(o, [lambda t: 0.9**t, lambda t: t]),
        lambda t, base: base * (0.9**t if base == BASES[0] else t),
    ),
    "step": (
        lambda of, o: of.StepLR(o, 7, gamma=0.5),
        lambda t, base: base * 0.5 ** (t // 7),
    ),
    "step by default": (lambda of, o: of.StepLR(o, 9), lambda t, base: base * 0.1 ** (t // 9)),
    "multi-step": (
        lambda of, o: of.MultiStepLR(o, [3, 20, 3, 11], gamma=0.5),
        lambda t, base: base * 0.5 ** (2 * (t >= 3) + (t >= 11) + (t >= 20)),
    ),
    "exponential": (lambda of, o: of.ExponentialLR(o, 0.93), lambda t, base: base * 0.93**t),
    "constant": (
        lambda of, o: of.ConstantLR(o, factor=0.25, total_iters=11),
        lambda t, base: base * (0.25 if t < 11 else 1),
    ),
    "polynomial": (
        lambda of, o: of.PolynomialLR(o, total_iters=17, power=2.0),
        lambda t, base: base * (1 - min(t, 17) / 17) ** 2,
    ),
    "linear": (
        lambda of, o: of.LinearLR(o, start_factor=0.2, end_factor=0.7, total_iters=11),
        lambda t, base: base * (0.2 + 0.5 * min(t, 11) / 11),
    ),
    "linear by default": (
        lambda of, o: of.LinearLR(o),
        lambda t, base: base * (1 / 3 + 2 / 3 * min(t, 5) / 5),
    ),
    "cosine": (
        lambda of, o: of.CosineAnnealingLR(o, T_max=17, eta_min=0.01),
        lambda t, base: 0.01 + (base - 0.01) * cosine(t / 17),
    ),
    "restarts": (
        lambda of, o: of.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.01),
        restarted,
    ),
    "equal restarts": (
        lambda of, o: of.CosineAnnealingWarmRestarts(o, T_0=6),
        lambda t, base: base * cosine(t % 6 / 6),
    ),
}
EVERY_CASE = pytest.mark.parametrize("name", CASES)


@EVERY_CASE
def test_rates_are_the_closed_formulas(name):
    make, formula = CASES[name]
    o = optimiser()
    schedule = make(schedules, o)
    for t in range(STEPS):
        expected = [formula(t, base) for base in BASES]
        np.testing.assert_allclose(schedule.lrs, expected, rtol=1e-12, atol=1e-17)
        assert schedule.lr == schedule.lrs[0] == o.lr
        assert [group["lr"] for group in o.param_groups] == schedule.lrs
        assert schedule.step() is None
    assert schedule.base_lrs == list(BASES)


@EVERY_CASE
def test_rates_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    make, _ = CASES[name]
    o, theirs = optimiser(), torch_optimiser()
    schedule, other = make(schedules, o), make(torch.optim.lr_scheduler, theirs)
    for _ in range(STEPS):
        found = [group["lr"] for group in theirs.param_groups]
        np.testing.assert_allclose(schedule.lrs, found, rtol=1e-9, atol=1e-15)
        schedule.step()
        theirs.step()
        other.step()


# ---- one cycle

CYCLES: dict[str, dict[str, Any]] = {
    "by default": {"max_lr": 0.3, "total_steps": STEPS},
    "epochs": {"max_lr": 0.3, "epochs": 4, "steps_per_epoch": 10, "div_factor": 5.0},
    "linear": {"max_lr": [0.3, 0.2], "total_steps": STEPS, "anneal_strategy": "linear"},
    "three phases": {
        "max_lr": 0.3,
        "total_steps": STEPS,
        "three_phase": True,
        "final_div_factor": 3.0,
        "base_momentum": [0.7, 0.6],
        "max_momentum": 0.9,
        "pct_start": 0.4,
    },
    "rates only": {"max_lr": 0.3, "total_steps": STEPS, "cycle_momentum": False},
    "all the way up": {"max_lr": 0.3, "total_steps": STEPS, "pct_start": 1.0},
    "all the way down": {"max_lr": 0.3, "total_steps": STEPS, "pct_start": 0.0},
}


def momenta(o: Any) -> list[float]:
    return [g["betas"][0] if "betas" in g else g["momentum"] for g in o.param_groups]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("name", CYCLES)
def test_one_cycle_agrees_with_pytorch(name, kind):
    torch = pytest.importorskip("torch")
    options = CYCLES[name]
    o, theirs = optimiser(kind), torch_optimiser(kind)
    schedule = schedules.OneCycleLR(o, **options)
    other = torch.optim.lr_scheduler.OneCycleLR(theirs, **options)
    for t in range(STEPS):
        found = [group["lr"] for group in theirs.param_groups]
        np.testing.assert_allclose(schedule.lrs, found, rtol=1e-9)
        np.testing.assert_allclose(momenta(o), momenta(theirs), rtol=1e-9)
        if t < STEPS - 1:
            schedule.step()
            theirs.step()
            other.step()


def test_one_cycle_by_hand():
    o = optimiser("Adam")
    schedule = schedules.OneCycleLR(o, 1.0, 21, pct_start=0.5, div_factor=10.0)
    peak, last = 0.5 * 21 - 1, 20
    for t in range(21):
        if t <= peak:
            rate, momentum = 1 - 0.9 * cosine(t / peak), 0.85 + 0.1 * cosine(t / peak)
        else:
            share = (t - peak) / (last - peak)
            rate, momentum = 1e-5 + (1 - 1e-5) * cosine(share), 0.95 - 0.1 * cosine(share)
        np.testing.assert_allclose(schedule.lrs, [rate] * 2, rtol=1e-12)
        np.testing.assert_allclose(momenta(o), [momentum] * 2, rtol=1e-12)
        assert o.param_groups[0]["betas"][1] == 0.999
        schedule.step()
    assert schedule.lrs == [1e-5] * 2  # where it stays
    with pytest.raises(ValueError, match="all 21 steps of the cycle are taken"):
        schedule.step()
    assert schedule.steps == 21


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_cycles(total):
    schedule = schedules.OneCycleLR(optimiser(), 1.0, total, pct_start=1 / total)
    for _ in range(total):
        assert 0 < schedule.lr <= 1
        schedule.step()


# ---- plateau

PLATEAUS: dict[str, dict[str, Any]] = {
    "by default": {},
    "quick": {"factor": 0.5, "patience": 2},
    "at once": {"factor": 0.5, "patience": 0, "threshold": 0.0},
    "by difference": {"factor": 0.5, "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
    "upward": {"mode": "max", "factor": 0.5, "patience": 1, "threshold": 0.05},
    "upward by difference": {"mode": "max", "patience": 1, "threshold": 0.1,
                             "threshold_mode": "abs"},
    "cooldown": {"factor": 0.5, "patience": 1, "cooldown": 3},
    "least": {"factor": 0.5, "patience": 0, "min_lr": [0.1, 0.03]},
    "small changes": {"factor": 0.5, "patience": 0, "eps": 0.01},
}  # fmt: skip


def metrics(sign: int = 1) -> list[float]:
    """Return metrics that improve, then stall, with a jump and a NaN on the way."""
    falling = [sign / (1 + t) for t in range(8)]
    noise = [sign * (0.12 + 0.05 * math.sin(3.0 * t)) for t in range(30)]
    return [*falling, *noise, sign * 0.01, math.nan, *noise]


@pytest.mark.parametrize("name", PLATEAUS)
@pytest.mark.parametrize("sign", [1, -1])
def test_plateaus_agree_with_pytorch(name, sign):
    torch = pytest.importorskip("torch")
    o, theirs = optimiser(), torch_optimiser()
    schedule = schedules.ReduceLROnPlateau(o, **PLATEAUS[name])
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **PLATEAUS[name])
    for metric in metrics(sign):
        schedule.step(metric)
        other.step(metric)
        assert schedule.lrs == pytest.approx([g["lr"] for g in theirs.param_groups], rel=1e-12)


def test_a_plateau_by_hand():
    schedule = schedules.ReduceLROnPlateau(
        optimiser(), factor=0.5, patience=1, cooldown=2, threshold=0.1, min_lr=0.02
    )
    seen = []
    for metric in [1.0, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.8, 0.79, 0.8, math.nan]:
        schedule.step(metric)
        seen.append(schedule.lrs)
    # 0.95 is no better by a tenth: the second such step halves, two rest, two count again; 0.8 is.
    once, twice, thrice = [0.25, 0.02], [0.125, 0.02], [0.0625, 0.02]
    assert seen[:2] == [[0.5, 0.04]] * 2
    assert seen[2:6] == [once] * 4
    assert seen[6:10] == [twice] * 4
    assert schedule.best == 0.8
    for _ in range(2):
        schedule.step(math.inf)
    assert schedule.lrs == thrice


def test_metrics_are_numbers():
    schedule = schedules.ReduceLROnPlateau(optimiser(), patience=0)
    for metric in (engine.asarray(2.0), np.float32(2), np.array(1), 1):
        schedule.step(metric)
    assert schedule.best == 1
    for bad in ("low", None, True):
        with pytest.raises(TypeError, match=r"ReduceLROnPlateau: the metric must be a number, got"):
            schedule.step(bad)
    with pytest.raises(TypeError, match=r"step\(metric\) takes 1 metric, got 0"):
        schedule.step()
    assert schedule.steps == 4


def test_a_plateau_goes_on_from_rates_that_others_set():
    o = optimiser()
    schedule = schedules.ReduceLROnPlateau(o, patience=0, factor=0.5)
    schedule.step(1.0)
    o.lr = 0.2
    schedule.step(1.0)
    assert schedule.lrs == [0.1, 0.1]


# ---- warm-up


@EVERY_CASE
def test_a_warm_up_before_any_schedule(name):
    make, formula = CASES[name]
    schedule = schedules.WarmUp(make(schedules, optimiser()), 10, start_factor=0.25)
    for t in range(30):
        expected = [base * (0.25 + 0.75 * t / 10) if t < 10 else formula(t - 10, base)
                    for base in BASES]  # fmt: skip
        np.testing.assert_allclose(schedule.lrs, expected, rtol=1e-12, atol=1e-17)
        schedule.step()


@EVERY_CASE
def test_warm_ups_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    of, (make, _) = torch.optim.lr_scheduler, CASES[name]
    theirs = torch_optimiser()
    warm = of.LinearLR(theirs, start_factor=0.25, total_iters=10)
    other = of.SequentialLR(theirs, [warm, make(of, theirs)], milestones=[10])
    schedule = schedules.WarmUp(make(schedules, optimiser()), 10, start_factor=0.25)
    for _ in range(30):
        found = [group["lr"] for group in theirs.param_groups]
        np.testing.assert_allclose(schedule.lrs, found, rtol=1e-9, atol=1e-15)
        schedule.step()
        theirs.step()
        other.step()


def test_a_warm_up_before_a_plateau():
    after = schedules.ReduceLROnPlateau(optimiser(), factor=0.5, patience=0)
    schedule = schedules.WarmUp(after, 2, start_factor=0.0)
    seen = [schedule.lr]
    for metric in [1.0, 5.0, 2.0, 2.0, 1.0]:  # those of the warm-up do not count
        schedule.step(metric)
        seen.append(schedule.lr)
    assert seen == [0, 0.25, 0.5, 0.5, 0.25, 0.25]


def test_a_warm_up_before_one_cycle():
    o = optimiser("Adam")
    alone = schedules.OneCycleLR(optimiser("Adam"), 1.0, 10)
    schedule = schedules.WarmUp(schedules.OneCycleLR(o, 1.0, 10), 4, start_factor=0.5)
    assert schedule.lr == pytest.approx(1 / 50)
    for _ in range(4):
        schedule.step()
    for _ in range(10):
        assert schedule.lrs == alone.lrs
        assert momenta(o) == momenta(alone.optimizer)
        schedule.step()
        alone.step()


# ---- one after another


def in_turn(of: Any, o: Any) -> Any:
    parts = [
        of.LinearLR(o, 0.25, total_iters=6),
        of.ExponentialLR(o, 0.8),
        of.CosineAnnealingLR(o, T_max=25),
    ]
    return of.SequentialLR(o, parts, milestones=[6, 15])


def test_schedules_in_turn_are_the_closed_formulas():
    schedule = in_turn(schedules, optimiser())
    for t in range(STEPS):
        factor = 0.25 + 0.125 * t if t < 6 else 0.8 ** (t - 6) if t < 15 else cosine((t - 15) / 25)
        np.testing.assert_allclose(schedule.lrs, [base * factor for base in BASES], rtol=1e-12)
        schedule.step()
    assert schedule.base_lrs == list(BASES)
    assert schedule.length == 40


def test_schedules_in_turn_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch_optimiser()
    schedule, other = in_turn(schedules, optimiser()), in_turn(torch.optim.lr_scheduler, theirs)
    for _ in range(STEPS):
        found = [group["lr"] for group in theirs.param_groups]
        np.testing.assert_allclose(schedule.lrs, found, rtol=1e-9, atol=1e-15)
        schedule.step()
        theirs.step()
        other.step()


def test_momenta_of_a_cycle_in_turn():
    o, alone = optimiser("Adam"), schedules.OneCycleLR(optimiser("Adam"), 1.0, 10)
    parts = [schedules.ConstantLR(o), schedules.OneCycleLR(o, 1.0, 10)]
    schedule = schedules.SequentialLR(o, parts, [3])
    for _ in range(3):
        schedule.step()
    for _ in range(10):
        assert schedule.lrs == alone.lrs
        assert momenta(o) == momenta(alone.optimizer)
        schedule.step()
        alone.step()


def test_sequences_that_do_not_fit_are_refused():
    o = optimiser()
    step, other = schedules.StepLR(o, 3), schedules.StepLR(optimiser(), 3)
    for parts, milestones, text in (
        ([], [], "one milestone fewer than schedulers, got 0 milestones for 0 schedulers"),
        ([step, step], [3, 4], "got 2 milestones for 2 schedulers"),
        ([step, step, step], [4, 4], r"milestones must increase, got \[4, 4\]"),
        ([step, step], [0], "milestones must be an integer of at least 1, got 0"),
        ([step, other], [3], "scheduler 1 is of another optimizer"),
        ([step, schedules.ReduceLROnPlateau(o)], [3], "follows a metric; write rnn.schedules.Warm"),
    ):
        with pytest.raises(ValueError, match=f"SequentialLR: .*{text}"):
            schedules.SequentialLR(o, parts, milestones)
    with pytest.raises(TypeError, match="SequentialLR: scheduler 1 is float, not a Schedule"):
        schedules.SequentialLR(o, [step, 0.5], [3])
    step.step()
    with pytest.raises(ValueError, match="scheduler 0 has taken 1 steps already"):
        schedules.SequentialLR(o, [step], [])
    parts = [schedules.CosineAnnealingLR(o, 5), schedules.StepLR(o, 3)]
    assert schedules.SequentialLR(o, parts, [9]).length == 5  # the rate would rise again


# ---- a second schedule of one optimiser


@EVERY_CASE
def test_a_second_schedule_begins_where_that_of_pytorch_does(name):
    torch = pytest.importorskip("torch")
    make, _ = CASES[name]
    found = []
    for of, o in ((schedules, optimiser()), (torch.optim.lr_scheduler, torch_optimiser())):
        first = of.ExponentialLR(o, 0.5)
        o.step()
        first.step()
        second = make(of, o)
        for _ in range(3):
            o.step()
            second.step()
        found.append([(group["lr"], group["initial_lr"]) for group in o.param_groups])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-15)
    assert [first for _, first in found[0]] == list(BASES)


def test_where_second_schedules_begin():
    for make, share in (
        (lambda o: schedules.StepLR(o, 9), 0.5),  # where the first one is
        (lambda o: schedules.LambdaLR(o, lambda t: 1.0), 1.0),  # where it began
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 9), 1.0),
        (lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 9)], []), 1.0),
        (lambda o: schedules.WarmUp(schedules.StepLR(o, 9), 9, start_factor=1.0), 1.0),
    ):
        o = optimiser()
        schedules.ExponentialLR(o, 0.5).step()
        assert make(o).lrs == [share * base for base in BASES]


def test_first_rates_are_no_part_of_the_state_of_an_optimiser():
    o, plain = optimiser(), optimiser()
    schedule = schedules.StepLR(o, 1, gamma=0.5)
    assert list(o.state_dict()) == list(plain.state_dict())
    schedule.step()
    other = optimiser()
    other.load_state_dict(o.state_dict())
    resumed = schedules.StepLR(other, 1, gamma=0.5)
    resumed.load_state_dict(schedule.state_dict())
    assert resumed.lrs == [base / 2 for base in BASES]


UNDOING = "StepLR has set the rates to .* which this one would undo"


def two(optimizer):
    return schedules.ExponentialLR(optimizer, 0.9), schedules.StepLR(optimizer, 1, gamma=0.5)


def test_schedules_stepped_in_turn_are_refused_where_one_would_undo_the_other():
    first, second = two(optimizer := optimiser())
    first.step()
    with pytest.raises(ValueError, match=r"StepLR\.step: ExponentialLR has set the rates to"):
        second.step()
    assert optimizer.lr == first.lr == 0.9 * BASES[0]
    assert second.steps == 0
    first.step()
    assert first.steps == 2


@pytest.mark.parametrize("after", [0, 3])
def test_a_warm_up_and_a_sequence_refuse_another_schedule_too(after):
    for around in (lambda a: schedules.WarmUp(a, 2), lambda a: schedules.SequentialLR(
            a.optimizer, [a, schedules.ConstantLR(a.optimizer)], [5])):  # fmt: skip
        inner, other = two(optimiser())
        outer = around(inner)
        for _ in range(after):
            outer.step()
        other.load_state_dict(other.state_dict() | {"steps": 4})
        with pytest.raises(ValueError, match=UNDOING):
            outer.step()


def test_rates_set_by_hand_and_schedules_one_after_the_other_are_no_conflict():
    first, _ = two(optimizer := optimiser())
    optimizer.lr = 0.3
    first.step()
    optimizer.lr = 0.2
    first.step()
    assert optimizer.lr == BASES[0] * 0.9**2
    third = schedules.StepLR(optimizer, 1, gamma=0.5)
    third.step()
    assert optimizer.lr == BASES[0] * 0.9**2 / 2


def test_a_plateau_beside_another_schedule_is_reported_when_its_rates_would_be_undone():
    first = schedules.ExponentialLR(optimizer := optimiser(), 0.9)
    plateau = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for metric in (1.0, 0.5):
        first.step()
        plateau.step(metric)
    plateau.step(2.0)
    assert optimizer.lr == BASES[0] * 0.9**2 / 2
    with pytest.raises(ValueError, match="ReduceLROnPlateau has set the rates"):
        first.step()


def test_a_plateau_goes_on_from_the_rates_of_another_schedule():
    o = optimiser()
    schedules.StepLR(o, 1, gamma=0.5).step()
    plateau = schedules.ReduceLROnPlateau(o)
    assert plateau.lrs == [base / 2 for base in BASES]
    assert schedules.WarmUp(plateau, 2, start_factor=1.0).lrs == plateau.lrs
    own = optimiser()
    schedules.ReduceLROnPlateau(own)
    assert "initial_lr" not in own.param_groups[0]  # as in PyTorch


# ---- resuming

RESUMED: dict[str, Callable[[Any], Any]] = {
    **{name: (lambda o, make=make: make(schedules, o)) for name, (make, _) in CASES.items()},
    **{
        name: (lambda o, options=options: schedules.OneCycleLR(o, **options))
        for name, options in CYCLES.items()
    },
    **{
        f"plateau {name}": (lambda o, options=options: schedules.ReduceLROnPlateau(o, **options))
        for name, options in PLATEAUS.items()
    },
    "warm-up": lambda o: schedules.WarmUp(schedules.ExponentialLR(o, 0.9), 10),
    "warm-up before a plateau": lambda o: schedules.WarmUp(
        schedules.ReduceLROnPlateau(o, factor=0.5, patience=0), 10
    ),
    "warm-up of a warm-up": lambda o: schedules.WarmUp(
        schedules.WarmUp(schedules.StepLR(o, 5), 10), 3
    ),
    "in turn": lambda o: in_turn(schedules, o),
    "a cycle in turn": lambda o: schedules.SequentialLR(
        o, [schedules.OneCycleLR(o, 1.0, 12), schedules.OneCycleLR(o, 0.5, STEPS)], [11]
    ),
}


@pytest.mark.parametrize(("name", "stop"), covering(RESUMED, [0, 5, 10, 11, 25]))
def test_resuming_is_exact_to_the_bit(name, stop):
    make = RESUMED[name]
    o = optimiser("RMSprop")
    schedule = make(o)
    for t in range(stop):
        schedule.step(metrics()[t])
    state = json.loads(json.dumps(schedule.state_dict()))
    other = optimiser("RMSprop")
    other.load_state_dict(o.state_dict())
    resumed = make(other)
    resumed.load_state_dict(state)
    for t in range(stop, STEPS):
        assert resumed.lrs == schedule.lrs
        assert momenta(other) == momenta(o)
        schedule.step(metrics()[t])
        resumed.step(metrics()[t])
    assert resumed.state_dict() == schedule.state_dict()


def test_a_state_is_a_copy():
    schedule = schedules.ReduceLROnPlateau(optimiser())
    state = schedule.state_dict()
    state["lrs"][0] = state["base_lrs"][0] = 99
    schedule.step(1.0)
    assert schedule.lr == 0.5
    assert schedule.base_lrs[0] == 0.5


def test_states_that_do_not_fit_are_refused():
    schedule = schedules.StepLR(optimiser(), 3)
    schedule.step()
    good = schedule.state_dict()
    for bad, text in (
        ({}, r"StepLR: load_state_dict: expected \['steps', 'base_lrs'\], got \[\]"),
        (good | {"best": 1}, "got .*'best'"),
        (good | {"base_lrs": [1.0]}, "base_lrs has 1 entries for 2 groups"),
        (good | {"base_lrs": 3}, "base_lrs must be a list"),
    ):
        with pytest.raises(ValueError, match=text):
            schedule.load_state_dict(bad)
        assert schedule.state_dict() == good
    warm = schedules.WarmUp(schedules.StepLR(optimiser(), 3), 2)
    before = warm.state_dict()
    with pytest.raises(ValueError, match="StepLR: load_state_dict"):
        warm.load_state_dict(before | {"steps": 1, "after": {}})
    assert warm.state_dict() == before
    turns = in_turn(schedules, optimiser())
    before = turns.state_dict()
    moved = before["schedulers"]["0"] | {"steps": 3}
    for parts, text in (
        ({}, r"SequentialLR: load_state_dict: expected the states of schedulers \['0', '1', '2'\]"),
        (before["schedulers"] | {"0": moved, "2": {}}, "CosineAnnealingLR: load_state_dict"),
    ):
        with pytest.raises(ValueError, match=text):
            turns.load_state_dict(before | {"steps": 1, "schedulers": parts})
        assert turns.state_dict() == before
        assert turns.lr == BASES[0] / 4


# ---- errors


def test_schedules_need_an_optimiser():
    for make in RESUMED.values():
        with pytest.raises(TypeError, match=r"\w+: expected an optimiser, got Linear"):
            make(rnn.Linear(1, 1))


def test_groups_that_are_added_later_are_refused():
    o = optimiser()
    schedule = schedules.StepLR(o, 3)
    o.add_param_group({"params": [engine.zeros(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="StepLR: the optimiser has 3 groups, it had 2 when"):
        schedule.step()
    assert schedule.steps == 0


def test_a_schedule_without_a_rate_says_so():
    with pytest.raises(NotImplementedError, match=r"Schedule has no rate\(t, base, group\)"):
        schedules.Schedule(optimiser())


BAD: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("StepLR", (0,), {}, "StepLR: step_size must be an integer of at least 1, got 0"),
    ("StepLR", (2.5,), {}, "step_size must be an integer"),
    ("StepLR", (True,), {}, "step_size must be an integer"),
    ("StepLR", (2, -0.1), {}, "StepLR: gamma must be a finite number of at least 0, got -0.1"),
    ("MultiStepLR", ([3, -1],), {}, "milestones must be an integer of at least 0, got -1"),
    ("MultiStepLR", ([3], math.nan), {}, "MultiStepLR: gamma must be"),
    ("ExponentialLR", ("fast",), {}, "ExponentialLR: gamma must be .* got 'fast'"),
    ("LinearLR", (-1.0,), {}, "LinearLR: start_factor must be"),
    ("LinearLR", (), {"end_factor": math.inf}, "LinearLR: end_factor must be"),
    ("LinearLR", (), {"total_iters": 0}, "LinearLR: total_iters must be"),
    ("CosineAnnealingLR", (0,), {}, "CosineAnnealingLR: T_max must be"),
    ("CosineAnnealingLR", (3, -1), {}, "CosineAnnealingLR: eta_min must be"),
    ("CosineAnnealingWarmRestarts", (0,), {}, "T_0 must be"),
    ("CosineAnnealingWarmRestarts", (3, 0), {}, "T_mult must be"),
    ("CosineAnnealingWarmRestarts", (3, 1, None), {}, "eta_min must be"),
    ("LambdaLR", ([abs],), {}, "LambdaLR: lr_lambda has 1 entries for 2 groups"),
    ("OneCycleLR", (1.0,), {}, "OneCycleLR: give total_steps, or epochs and steps_per_epoch"),
    ("OneCycleLR", (1.0, 0), {}, "OneCycleLR: total_steps must be"),
    ("OneCycleLR", (1.0,), {"epochs": 3, "steps_per_epoch": 0}, "steps_per_epoch must be"),
    ("OneCycleLR", (1.0, 5), {"pct_start": 1.5}, r"pct_start must lie in \[0, 1\], got 1.5"),
    ("OneCycleLR", (1.0, 5), {"anneal_strategy": "log"}, "must be 'cos' or 'linear', got 'log'"),
    ("OneCycleLR", (1.0, 5), {"div_factor": 0}, "div_factor must be above 0"),
    ("OneCycleLR", (1.0, 5), {"final_div_factor": -1}, "final_div_factor must be"),
    ("OneCycleLR", (-1.0, 5), {}, "OneCycleLR: max_lr must be"),
    ("OneCycleLR", ([1.0], 5), {}, "max_lr has 1 entries for 2 groups"),
    ("OneCycleLR", (1.0, 5), {"max_momentum": 1.0}, r"max_momentum must lie in \[0, 1\)"),
    ("ReduceLROnPlateau", ("down",), {}, "mode must be 'min' or 'max', got 'down'"),
    ("ReduceLROnPlateau", ("min", 1.0), {}, r"factor must lie in \[0, 1\), got 1.0"),
    ("ReduceLROnPlateau", (), {"patience": -1}, "patience must be"),
    ("ReduceLROnPlateau", (), {"cooldown": 1.5}, "cooldown must be"),
    ("ReduceLROnPlateau", (), {"threshold": -1}, "threshold must be"),
    ("ReduceLROnPlateau", (), {"threshold_mode": "x"}, "must be 'rel' or 'abs', got 'x'"),
    ("ReduceLROnPlateau", (), {"min_lr": [0.1]}, "min_lr has 1 entries for 2 groups"),
    ("ReduceLROnPlateau", (), {"eps": math.nan}, "eps must be"),
]


@pytest.mark.parametrize(("name", "given", "options", "text"), BAD)
def test_settings_out_of_range_are_refused(name, given, options, text):
    o = optimiser("Adam")
    with pytest.raises(ValueError, match=text):
        getattr(schedules, name)(o, *given, **options)
    assert [group["lr"] for group in o.param_groups] == list(BASES)
    assert momenta(o) == [0.9, 0.9]


def test_what_is_no_function_or_schedule_is_refused():
    with pytest.raises(TypeError, match=r"lr_lambda must be a function of t, got 0.5"):
        schedules.LambdaLR(optimiser(), 0.5)
    with pytest.raises(TypeError, match="WarmUp: expected the schedule that comes after, got SGD"):
        schedules.WarmUp(optimiser(), 3)
    after = schedules.StepLR(optimiser(), 3)
    with pytest.raises(ValueError, match="WarmUp: warm_up must be an integer"):
        schedules.WarmUp(after, 0)
    with pytest.raises(ValueError, match="WarmUp: start_factor must be"):
        schedules.WarmUp(after, 3, start_factor=-1.0)
    after.step()
    with pytest.raises(ValueError, match="WarmUp: the schedule after it has taken 1 steps"):
        schedules.WarmUp(after, 3)


def test_a_cycle_of_momentum_needs_one():
    with pytest.raises(ValueError, match="Adagrad has no momentum; give cycle_momentum=False"):
        schedules.OneCycleLR(optimiser("Adagrad"), 1.0, 5)
    assert schedules.OneCycleLR(optimiser("Adagrad"), 1.0, 5, cycle_momentum=False).lr < 1


def test_a_network_trains_by_a_schedule():
    x = engine.asarray(4.0, requires_grad=True)
    rule = rnn.optim.SGD([x], lr=0.5)
    schedule = schedules.ExponentialLR(rule, 0.5)
    for _ in range(3):
        rule.zero_grad()
        (x * x / 2).backward()
        rule.step()
        schedule.step()
    assert x.item() == 4 * 0.5 * 0.75 * 0.875


# ---- what fit asks of a schedule


def test_a_warm_up_is_of_the_kind_of_what_comes_after():
    o = optimiser()
    plateau = schedules.ReduceLROnPlateau(o)
    warm = schedules.WarmUp(schedules.WarmUp(plateau, 2), 1)
    assert plateau.moment == "validation"
    assert warm.takes_metric
    assert [(warm.moment, warm.step())[0] for _ in range(3)] == ["step"] * 3
    assert warm.moment == "validation"
    warm.step(1.0)
    assert plateau.best == 1.0
    other = schedules.WarmUp(schedules.ExponentialLR(o, 0.9), 1)
    other.step()
    assert (other.moment, other.takes_metric, other.length) == ("step", False, None)


def test_the_length_of_a_schedule():
    o = optimiser()
    assert schedules.CosineAnnealingLR(o, 7).length == 7
    cycle = schedules.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=5, cycle_momentum=False)
    assert cycle.length == 10
    assert schedules.WarmUp(cycle, 3).length == 13
    assert schedules.LinearLR(o).length is None


def test_a_plateau_follows_its_mode():
    o = optimiser()
    plateau = schedules.ReduceLROnPlateau(o, patience=0)
    schedules.WarmUp(plateau, 1).follow("max")
    assert (plateau.mode, plateau.best) == ("max", -math.inf)
    plateau.follow("max")
    plateau.step(1.0)
    with pytest.raises(ValueError, match="its mode is 'max', that of the metric it follows is 'mi"):
        plateau.follow("min")
    with pytest.raises(ValueError, match="give mode='max'"):
        schedules.ReduceLROnPlateau(o, "min").follow("max")


def test_numbers_may_be_those_of_numpy():
    def rates(number, real):
        made = [
            schedules.StepLR(optimiser(), number(2), real(0.5)),
            schedules.MultiStepLR(optimiser(), [number(1), number(2)], real(0.5)),
            schedules.CosineAnnealingLR(optimiser(), number(4), real(0.25)),
            schedules.OneCycleLR(optimiser(), real(1.0), number(9), cycle_momentum=False,
                                 pct_start=real(0.5), div_factor=real(4),
                                 final_div_factor=real(8)),
            schedules.WarmUp(schedules.LinearLR(optimiser(), real(0.5), real(1), number(4)),
                             number(2)),
        ]  # fmt: skip
        return [[schedule.step() or schedule.lr for _ in range(4)] for schedule in made]

    found = rates(np.int64, np.float32)
    assert found == rates(int, float)
    assert {type(lr) for own in found for lr in own} == {float}
    with pytest.raises(ValueError, match="step_size must be an integer of at least 1"):
        schedules.StepLR(optimiser(), np.float64(2))
