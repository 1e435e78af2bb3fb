"""Compile the kernels of the emulator's tests for real devices, where there is a compiler."""

import pytest

from tests.draws import crossed, first
from tests.engine.cuda import emulated_kernels as kernels
from tests.engine.cuda.device_compiler import ARCHITECTURES, COMPILERS, RefusedError, compiled

SOURCES = {
    "row_sums": (kernels.ROW_SUMS, {"row_sums": 16, "segment_sums": 0}),
    "tiles": (kernels.TILES, {"product": 2 * 8 * 9 * 4}),
    "sweep": (kernels.SWEEP, {"sweep": 4}),
    "bf16": ("#define TF32 0\n" + kernels.MMA, {"fragments": 0}),
    "tf32": ("#define TF32 1\n" + kernels.MMA, {"fragments": 0}),
}


@pytest.mark.parametrize(
    ("name", "architecture", "compiler"), first(2, crossed(SOURCES, ARCHITECTURES, COMPILERS))
)
def test_the_source_of_the_emulator_compiles_for_a_device(name, architecture, compiler):
    source, shared = SOURCES[name]
    found = compiled(source, architecture, compiler=compiler)
    assert found.keys() == shared.keys()
    for kernel, usage in found.items():
        assert usage.spills == 0
        assert 8 <= usage.registers <= 64
        # ptxas rounds what is shared up to 16 bytes
        assert usage.shared == -(-shared[kernel] // 16) * 16


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_source_that_is_wrong_is_refused_with_its_line(compiler):
    with pytest.raises(RefusedError, match=r"kernel\.cu\(1\): error: identifier"):
        compiled("__global__ void k() { undeclared = 1; }", "sm_90", compiler=compiler)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_spills_are_seen(compiler):
    # A kernel that keeps 200 values in 32 registers spills them.
    values = "\n".join(f"const float v{i} = x[{i} * n];" for i in range(200))
    sums = " + ".join(f"v{i} * x[{i}]" for i in range(200))
    source = f"""extern "C" __global__ void __launch_bounds__(1024, 2)
    k(volatile float* x, int n) {{
      {values} __syncthreads(); x[0] = {sums};
    }}"""
    assert compiled(source, "sm_90", compiler=compiler)["k"].spills > 0


def test_nvrtc_refuses_more_than_nvcc():
    # A constexpr function without __device__: CuPy would fail where nvcc succeeds.
    source = """constexpr int twice(int n) { return 2 * n; }
    extern "C" __global__ void k(int* x, int n) { x[0] = twice(n); }"""
    with pytest.raises(RefusedError):
        compiled(source, "sm_90", compiler="nvrtc")
