"""Compare every expression that ops have in C, as CUDA on a device, against the rule of the op."""

import numpy as np
import pytest

import engine
from engine.backends import HOST
from engine.op import Draw
from engine.scan.cuda.headers import runtime
from tests.draws import covering
from tests.engine.cuda.device_compiler import compiled

pytestmark = pytest.mark.cupy

ODD = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, 1e-30, -1e30, 40.0, -90.0]
CLOSE = {4: 4e-6, 8: 1e-13}


def written():
    """Yield element-wise ops with an expression, each with the attributes of its first example."""
    for name, op in sorted(engine.REGISTRY.items()):
        if op.kind != "elementwise" or not op.examples:
            continue
        example = op.examples[0]
        draws = [one for one in example.inputs if isinstance(one, Draw)]
        if len(draws) != len(example.inputs) or any(one.integer for one in draws):
            continue
        if expression := op.expression(example.attrs):
            yield name, op, example, expression


def source(real: int) -> str:
    """Return a kernel for each op: out[i] = the op of a[i], b[i], c[i]."""
    lines = [f"#define REAL_BYTES {real}", "#define THREADS 64", "#define PRECISION 0",
             runtime()]  # fmt: skip
    for name, op, example, expression in written():
        given = ["a[i]", "b[i]", "c[i]"][: len(example.inputs)]
        if op.degree == "choice":
            given[0] = "(a[i] != 0)"
        lines += [
            f'extern "C" __global__ void op_{name}(const real *a, const real *b, const real *c, '
            "real *out, long n) {",
            "    for (long i = threadIdx.x; i < n; i += THREADS)",
            f"        out[i] = (real)({expression.format(*given)});",
            "    (void)a; (void)b; (void)c;",
            "}",
        ]
    return "\n".join(lines)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_expression_in_cuda_gives_the_numbers_of_the_rule(dtype):
    import cupy

    engine.device("cupy")
    kind = np.dtype(dtype)
    module = cupy.RawModule(code=source(kind.itemsize), options=("-std=c++17", "--fmad=false"))
    rng, wrong, count = np.random.default_rng(0), [], 0
    for name, op, example, _ in written():
        columns = [
            np.concatenate(
                [rng.uniform(one.low, one.high, 60), rng.permutation(ODD), ODD, ODD[::-1]]
            )
            for one in example.inputs
        ]
        given = [x.astype(kind) for x in columns]
        first = [x != 0 if op.degree == "choice" and not k else x for k, x in enumerate(given)]
        with np.errstate(all="ignore"):
            right = np.asarray(op.forward(HOST.xp, *first, **example.attrs)).astype(kind)
        arrays = [cupy.asarray(x) for x in (given * 3)[:3]]
        out = cupy.empty(right.shape, kind)
        module.get_function(f"op_{name}")((1,), (64,), (*arrays, out, right.size))
        found = out.get()
        scale = np.where(np.isfinite(right), np.abs(right), 0) + 1e-30
        same = (found == right) | (np.isnan(found) & np.isnan(right))
        with np.errstate(all="ignore"):
            near = same | (np.abs(found - right) <= CLOSE[kind.itemsize] * scale)
        if not near.all():
            at = int(np.argmin(near))
            wrong.append((name, [float(x[at]) for x in given], float(found[at]), float(right[at])))
        count += 1
    assert count > 40
    assert wrong == []


@pytest.mark.parametrize(("real", "compiler"), covering([4, 8], ["nvcc", "nvrtc"]))
def test_real_compilers_take_every_expression(real, compiler):
    assert len(compiled(source(real), "sm_90", compiler=compiler)) > 40
