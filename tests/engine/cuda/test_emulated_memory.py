"""Test memory of kernels on the CPU: bad addresses, races, poison, and threads that wait for it."""

import cupy
import numpy as np
import pytest

if not getattr(cupy, "IS_FAKE", False):
    pytest.skip("a real CuPy runs kernels on its device", allow_module_level=True)

from cupy._emulator import ORDERS, KernelError, settings

from tests.draws import first


@pytest.fixture(params=ORDERS)
def order(request):
    """Yield the order in which threads run."""
    with settings.use(order=request.param):
        yield request.param


def kernel(source, name, **more):
    return cupy.RawModule(code=source, **more).get_function(name)


def test_lanes_that_meet_at_different_places_are_reported(order):
    source = """extern "C" __global__ void apart(int* out) {
      if (threadIdx.x % 2) __syncwarp(); else out[threadIdx.x] = __shfl_sync(~0u, 1, 0);
    }"""
    with pytest.raises(KernelError, match="meet at different places"):
        kernel(source, "apart")((1,), (32,), (cupy.zeros(32, "int32"),))


def test_a_loop_that_waits_for_a_plain_variable_lets_others_run(order):
    source = """extern "C" __global__ void wait(volatile int* flag, int* out) {
      if (threadIdx.x == blockDim.x / 2) *flag = 1;
      while (!*flag) {}
      out[threadIdx.x] = 1;
    }"""
    out = cupy.zeros(64, "int32")
    kernel(source, "wait")((1,), (64,), (cupy.zeros(1, "int32"), out))
    assert int(out.sum()) == 64


def test_shared_memory_is_poisoned_before_every_block(order):
    source = """extern "C" __global__ void poison(float* out) {
      __shared__ float kept[4];
      extern __shared__ float more[];
      out[blockIdx.x] = kept[1] + more[1];
      kept[1] = more[1] = 1.0f;
    }"""
    out = cupy.zeros(3, "float32")
    kernel(source, "poison")((3,), (1,), (out,), shared_mem=16)
    assert np.isnan(out.get()).all()


def test_shared_memory_is_a_blocks_own(order):
    source = """extern "C" __global__ void own(int* out) {
      __shared__ int kept;
      if (threadIdx.x == 0) kept = blockIdx.x;
      __syncthreads();
      emulated::sync_grid();
      out[blockIdx.x * blockDim.x + threadIdx.x] = kept;
    }"""
    out = cupy.zeros((3, 5), "int32")
    kernel(source, "own", enable_cooperative_groups=True)((3,), (5,), (out,))
    assert out.get().tolist() == [[0] * 5, [1] * 5, [2] * 5]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x[-1] = 0;", "writes 4 bytes 4 bytes before argument 0"),
        ("x[0] = x[4];", "reads 4 bytes 0 bytes past the end of argument 0"),
        ("x[0] = *(float*)0;", "reads 4 bytes at a null pointer"),
        ("x[0] = *(float*)((char*)x + 2);", "not aligned to their size"),
        ("extern __shared__ float s[]; s[2] = 0;", "at byte 8 of 8 of dynamic shared memory"),
        ("x[0] = __shfl_sync(1u, x[0], 5);", "reads lane 5"),
    ],
)
def test_a_bad_address_ends_the_launch_with_its_place(order, body, said):
    source = f'extern "C" __global__ void bad(float* x) {{ {body} }}'
    with pytest.raises(KernelError, match=said):
        kernel(source, "bad")((1,), (1,), (cupy.zeros(4, "float32"),), shared_mem=8)


def test_a_view_may_reach_all_of_its_block_of_memory(order):
    source = 'extern "C" __global__ void reach(float* x) { x[-2] = x[1]; }'
    x = cupy.arange(4, dtype="float32")
    kernel(source, "reach")((1,), (1,), (x[2:],))
    assert x.get().tolist() == [3, 1, 2, 3]


def test_kernels_of_a_seed_are_the_same_and_seeds_differ():
    source = """extern "C" __global__ void turn(int* next, int* out) {
      out[threadIdx.x] = atomicAdd(next, 1);
    }"""

    def turns(seed):
        out = cupy.zeros(64, "int32")
        with settings.use(order="any", seed=seed):
            kernel(source, "turn")((1,), (64,), (cupy.zeros(1, "int32"), out))
        return out.get().tolist()

    assert turns(1) == turns(1) != turns(2)
    assert sorted(turns(1)) == list(range(64))


def run(body, threads=64):
    """Return what a block of a kernel writes; `s` is shared memory of 128 floats."""
    source = f"""extern "C" __global__ void k(float* out) {{
      __shared__ float s[128];
      const int i = threadIdx.x;
      {body}
    }}"""
    out = cupy.zeros(128, "float32")
    kernel(source, "k")((1,), (threads,), (out,))
    return out.get()


RACES = {
    "write and read": "s[i] = i; out[i] = s[i ^ 32];",
    "read and write": "s[i] = i; __syncthreads(); out[i] = s[i ^ 32]; s[i] = 1;",
    "two writes": "s[i / 2] = i;",
    "16 bytes and one of them": "if (i == 1) s[2] = 1; if (i == 40) *(float4*)s = {1, 2, 3, 4};",
    # From here on slow.
    "a lane of the same warp": "s[i] = i; out[i] = s[i ^ 1];",
    "shuffles order no memory": "s[i] = i; __shfl_sync(~0u, i, 0); out[i] = s[i ^ 1];",
    "another warp than the one that is synchronised": "s[i] = i; __syncwarp(); out[i] = s[i ^ 32];",
    "some readers": "if (i > 40) out[i] = s[0]; if (i == 3) s[0] = 1;",
}


@pytest.mark.parametrize("name", first(4, RACES))
def test_races_in_shared_memory(order, name):
    with pytest.raises(KernelError, match=r"k: a race in block \(0, 0, 0\): thread \(\d+, 0, 0\) "):
        run(RACES[name])
    with settings.use(races=False):
        run(RACES[name])


ORDERED = {
    "a barrier": "s[i] = i; __syncthreads(); out[i] = s[63 - i]; __syncthreads(); s[i] = 1;",
    "a barrier of the warp": "s[i] = i; __syncwarp(); out[i] = s[i ^ 31]; __syncwarp(); s[i] = 2;",
    "atomics": "if (i == 0) s[0] = 0; __syncthreads(); atomicAdd(&s[0], 1.0f); __syncthreads();"
    "out[i] = s[0];",
    "halves of a word": "((unsigned short*)s)[i] = i; __syncthreads(); out[i] = s[0] == s[0];",
    # From here on slow.
    "its own": "s[i] = i; s[i] += 2; out[i] = s[i];",
    "all read, then each its own": "s[i] = i; __syncwarp(); float t = s[i ^ 1]; __syncwarp();"
    "s[i] = t + s[i]; out[i] = s[i];",
    "the same value": "s[3] = 1; __syncthreads(); out[i] = s[3];",
}


@pytest.mark.parametrize("name", first(4, ORDERED))
def test_what_is_ordered_is_no_race(order, name):
    assert not np.isnan(run(ORDERED[name])).any()
