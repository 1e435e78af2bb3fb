"""Compile kernels over many arrays for real devices where a compiler is; test rule statements."""

import re
from functools import partial

import numpy as np
import pytest

import engine
import rnn
from engine.backends.multi import COUNTS, INTEGERS, Many, copying, launches
from rnn.clipping.on_device import bounding, combining, measuring, scaling
from rnn.optim.fused import NotRecordableRuleError, kernel, recorded
from tests.draws import crossed, first
from tests.engine.cuda.device_compiler import ARCHITECTURES, compiled

OPTIONS = ("--fmad=false",)
DTYPES = [np.dtype(one) for one in ("float32", "float64", "float16")] + [engine.bfloat16]


def rule_of(optimizer):
    (group,) = optimizer.param_groups
    return partial(optimizer._ruled, group), optimizer.slots(group)


def adam():
    weights = [engine.zeros(3, requires_grad=True)]
    return rnn.optim.Adam(weights, amsgrad=True, weight_decay=0.1, maximize=True)


def step_kernel(dtype):
    rule, slots = rule_of(adam())
    found = recorded(rule, slots, 2)
    changes = (True,) * len(slots)
    return kernel(dtype, tuple(found.lines), len(found.numbers), changes,
                  master=dtype.itemsize == 2)  # fmt: skip


def kernels(dtype) -> list[Many]:
    return [step_kernel(dtype), measuring(dtype), scaling(dtype), bounding(dtype), copying(dtype),
            combining()]  # fmt: skip


OLD, NEW = ARCHITECTURES
# First both types of 16 bits, which need headers of the devices, both architectures and compilers.
COMPILED = [(DTYPES[-1], OLD, "nvcc"), (DTYPES[2], NEW, "nvrtc")]
COMPILED += [
    one for one in crossed(DTYPES, ARCHITECTURES, ["nvcc", "nvrtc"]) if one not in COMPILED
]


@pytest.mark.parametrize(("dtype", "architecture", "compiler"), first(2, COMPILED), ids=str)
def test_kernels_compile_for_real_devices(dtype, architecture, compiler):
    for own in kernels(dtype):
        (usage,) = compiled(own.sources[COUNTS[-1]], architecture, OPTIONS, compiler).values()
        assert usage.spills == 0, own.name
        assert usage.registers <= 64, own.name  # four blocks of 256 threads a multiprocessor


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arguments_fit_in_4_kb(dtype):
    for own in kernels(dtype):
        (text,) = re.findall(rf"{own.name}\(\n(.*?)\) {{", own.sources[COUNTS[-1]], re.DOTALL)
        assert 8 * (text.count(",") + 1) <= 4096, own.name


def test_the_statements_of_a_rule():
    plain = rnn.optim.SGD([engine.zeros(3, requires_grad=True)], lr=0.5, momentum=0.25)
    rule, slots = rule_of(plain)
    found = recorded(rule, slots, 2)
    assert found.lines == ["s0 = (s0 * c0);", "s0 = (s0 + g);", "g = s0;", "g = (g * c1);",
                           "x = (x - g);"]  # fmt: skip
    assert found.numbers == [0.25, 0.5]
    assert recorded(rule, slots, 1).lines[0] == "s0 = g;"


@pytest.mark.parametrize("rule", [
    lambda xp, x, g, state, steps: x[1:],
    lambda xp, x, g, state, steps: x.__setitem__(slice(1), g),
    lambda xp, x, g, state, steps: bool(g),
    lambda xp, x, g, state, steps: g > 0,
    lambda xp, x, g, state, steps: xp.sum(g),
    lambda xp, x, g, state, steps: xp.linalg,
    lambda xp, x, g, state, steps: xp.clip(g, -1, 1),
    lambda xp, x, g, state, steps: g.max(),
    lambda xp, x, g, state, steps: g * np.ones(3),
    lambda xp, x, g, state, steps: np.ones(3) * g,
    lambda xp, x, g, state, steps: g @ g,
    lambda xp, x, g, state, steps: abs(g),
])  # fmt: skip
def test_what_no_kernel_can_have_is_refused(rule):
    with pytest.raises(NotRecordableRuleError):
        recorded(rule, {}, 1)


def test_arrays_are_shared_out_among_launches():
    found = launches([1] * (COUNTS[-1] + 2))
    assert [one[:3] for one in found] == [
        (0, COUNTS[-1], 0), (COUNTS[-1], COUNTS[-1] + 2, COUNTS[-1])]  # fmt: skip
    assert found[1][3] == [COUNTS[-1] + 1, COUNTS[-1] + 2]


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_are_copied_as_such(kind):
    compiled(copying(np.dtype(kind)).sources[COUNTS[0]], "sm_90", OPTIONS, "nvrtc")
