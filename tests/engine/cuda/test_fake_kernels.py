"""Test the rules of CuPy and CUDA around a kernel: arguments, limits of the device, residency."""

import cupy
import numpy as np
import pytest

if not getattr(cupy, "IS_FAKE", False):
    pytest.skip("these are rules of the fake, stricter than a device", allow_module_level=True)

from cupy import _hardware as hardware
from cupy._emulator import KernelError
from cupy._state import count
from cupy.cuda.compiler import CompileException
from cupy.cuda.driver import CUDADriverError, occupancyMaxActiveBlocksPerMultiprocessor

from tests.draws import first

SCALE = """
extern "C" __global__ void scale(float* x, float by, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= by;
}"""


def of(body, parameters, name="k", **options):
    """Return a kernel of a body."""
    source = f'extern "C" __global__ void {name}({parameters}) {{ {body} }}'
    return cupy.RawKernel(source, name, **options)


def scale():
    return cupy.RawKernel(SCALE, "scale")


def test_a_launch_computes_in_place_and_is_counted_by_its_name():
    x = cupy.arange(5, dtype="float32")
    count.clear()
    scale()((2,), (4,), (x, np.float32(2), np.int32(5)))
    assert count.launches == {"scale": 1}
    assert not count.to_host
    assert x.get().tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((np.float32(2),), "has 3 parameters, but 2 arguments"),
        ((np.float32(2), np.int32(5), 1), "has 3 parameters, but 4 arguments"),
        ((np.float32(2), 5), r"argument 2 of scale has 8 bytes \(int64\), the parameter 4"),
        ((2.0, np.int32(5)), r"argument 1 of scale has 8 bytes \(float64\), the parameter 4"),
        ((np.int32(2), np.int32(5)), "argument 1 of scale is of int32, the parameter 4"),
        ((np.float32(2), np.float32(5)), "argument 2 of scale is of float32"),
        ((np.float32(2), np.int16(5)), "argument 2 of scale has 2 bytes"),
        ((np.float32(2), True), r"argument 2 of scale has 8 bytes \(int64\)"),
        ((np.float32(2), None), "argument 2 of scale is None"),
        ((np.float32(2), "5"), "Unsupported type <class 'str'>"),
        ((np.float32(2), np.ones(1)), "Unsupported type <class 'numpy.ndarray'>"),
        ((cupy.ones(1, "float32"), np.int32(5)), "argument 1 of scale is an array"),
    ],
)
def test_arguments_that_do_not_fit_the_parameters(args, said):
    with pytest.raises(TypeError, match=said):
        scale()((1,), (8,), (cupy.ones(5, "float32"), *args))


@pytest.mark.parametrize("dtype", ["float64", "int32", "float16"])
def test_elements_that_do_not_fit_the_pointer(dtype):
    with pytest.raises(TypeError, match=f"is an array of {dtype}, the parameter points at 4 bytes"):
        scale()((1,), (8,), (cupy.ones(5, dtype), np.float32(2), np.int32(5)))


@pytest.mark.parametrize(("parameter", "value"), first(4, [
    ("long n", 3), ("double n", 3.0), ("bool n", np.bool_(True)),
    ("unsigned short n", np.uint16(3)),
    # From here on slow: other numbers of these widths.
    ("long long n", np.int64(3)), ("char n", np.int8(3)), ("unsigned n", np.uint32(3)),
    ("short n", np.int16(3)), ("unsigned long n", np.uint64(3)),
]))  # fmt: skip
def test_numbers_of_each_width_arrive(parameter, value):
    out = cupy.zeros(1, "float64")
    of("out[0] = n;", f"double* out, {parameter}")((1,), (1,), (out, value))
    assert out.item() == value


def test_arrays_of_16_bits_are_read_in_any_format():
    x = cupy.asarray(np.float16([1.5]))
    out = cupy.zeros(1, "uint16")
    of("out[0] = x[0];", "const unsigned short* x, unsigned short* out")((1,), (1,), (x, out))
    assert out.get().view("float16") == 1.5


def test_pointers_as_numbers_and_as_memory_pointers():
    x = cupy.arange(6, dtype="float32")
    args = np.float32(2), np.int32(2)
    scale()((1,), (8,), (x.data, *args))
    scale()((1,), (8,), (np.uintp(x[4:].data.ptr), *args))
    scale()((1,), (8,), (x.data + 8, *args))
    assert x.get().tolist() == [0, 2, 4, 6, 8, 10]


def test_a_null_pointer_is_a_number_and_may_be_asked_for():
    out = cupy.zeros(1, "int32")
    null = of("out[0] = x == nullptr;", "const float* x, int* out")
    null((1,), (1,), (np.uintp(0), out))
    assert out.item() == 1


def test_an_address_of_an_array_that_is_gone():
    address = np.uintp(cupy.ones(3).data.ptr)
    with pytest.raises(ValueError, match="which is in no living array"):
        scale()((1,), (8,), (address, np.float32(2), np.int32(2)))


def test_an_array_of_another_device():
    with cupy.cuda.Device(1):
        x = cupy.ones(5, "float32")
        scale()((1,), (8,), (x, np.float32(2), np.int32(5)))
    with pytest.raises(ValueError, match="argument 0 of scale lies on device 1"):
        scale()((1,), (8,), (x, np.float32(2), np.int32(5)))


def test_a_function_belongs_to_the_device_that_it_was_made_on():
    function = scale().kernel
    with cupy.cuda.Device(1), pytest.raises(CUDADriverError, match="of another device"):
        function((1,), (8,), (cupy.ones(5, "float32"), np.float32(2), np.int32(5)))


@pytest.mark.parametrize(
    ("grid", "block"),
    [((1,), (1025,)), ((1,), (32, 64)), ((1,), (1, 1, 65)), ((1, 65536), (1,)), ((2**31,), (1,))],
)
def test_blocks_and_grids_that_are_too_large(grid, block):
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
        of("", "")(grid, block, ())


def test_more_threads_than_the_launch_bounds():
    source = 'extern "C" __global__ void __launch_bounds__(32 * 2, 1) k() {}'
    kernel = cupy.RawKernel(source, "k")
    assert kernel.max_threads_per_block == 64
    kernel((1,), (64,), ())
    with pytest.raises(CUDADriverError, match="launch bounds of 64"):
        kernel((1,), (65,), ())


@pytest.mark.parametrize(("grid", "threads"), [((0,), 32), ((1, 0, 1), 32), ((1,), 0)])
def test_an_empty_grid_or_block_is_one_as_in_cupy(grid, threads):
    out = cupy.zeros(1, "int32")
    of("atomicAdd(out, 1);", "int* out")(grid, (threads,), (out,))
    assert out.item() == max(1, threads)


def test_grids_are_tuples():
    with pytest.raises(TypeError):
        of("", "")(1, (1,), ())
    with pytest.raises(TypeError):
        of("", "")((1.0,), (1,), ())


def test_dynamic_shared_memory_has_to_be_asked_for():
    kernel = of("extern __shared__ float s[]; s[threadIdx.x] = 0;", "")
    assert kernel.max_dynamic_shared_size_bytes == 48 * 1024
    kernel((1,), (32,), (), shared_mem=48 * 1024)
    with pytest.raises(CUDADriverError, match="set max_dynamic_shared_size_bytes"):
        kernel((1,), (32,), (), shared_mem=48 * 1024 + 1)
    kernel.max_dynamic_shared_size_bytes = 227 * 1024
    kernel((1,), (32,), (), shared_mem=227 * 1024)
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
        kernel.max_dynamic_shared_size_bytes = 227 * 1024 + 1


def test_static_shared_memory_counts():
    kernel = of("__shared__ float s[256]; s[threadIdx.x] = 1; *x = s[0];", "float* x")
    assert kernel.shared_size_bytes == kernel.attributes["shared_size_bytes"] == 1024
    assert kernel.max_dynamic_shared_size_bytes == 47 * 1024
    with pytest.raises(CUDADriverError):
        kernel.max_dynamic_shared_size_bytes = 227 * 1024


def test_residency_by_threads_registers_and_shared_memory():
    plain = of("", "").kernel
    bound = cupy.RawKernel('extern "C" __global__ void __launch_bounds__(256) k() {}', "k").kernel

    def blocks(function, threads, shared=0):
        return occupancyMaxActiveBlocksPerMultiprocessor(function.ptr, threads, shared)

    # 64 registers a thread, of which a multiprocessor has 65,536; 32 blocks at most
    assert blocks(plain, 1024) == 1
    assert blocks(plain, 256) == 4
    assert blocks(plain, 32) == 32
    assert blocks(plain, 32, 100 * 1024) == 2  # 228 KB, and 1 KB a block is the system's
    assert blocks(plain, 32, 114 * 1024) == 1
    assert blocks(bound, 256) == 1  # up to 255 registers
    assert blocks(plain, 32, 228 * 1024) == 0


def test_a_cooperative_grid_that_does_not_fit():
    kernel = of("if (threadIdx.x == 0) atomicAdd(out, 1);", "int* out")
    kernel.enable_cooperative_groups = True
    out = cupy.zeros(1, "int32")
    with pytest.warns(UserWarning, match="reduced from 133 to 132, as the specified grid size"):
        kernel((133,), (1024,), (out,))
    assert out.item() == 132
    with pytest.raises(ValueError, match=r"\(67 \* 2 \* 1\) exceeds the limit \(132\)"):
        kernel((67, 2), (1024,), (out,))


def test_sources_that_do_not_compile_and_names_that_are_not_there():
    with pytest.raises(CompileException, match=r"kernel\.cu:1"):
        of("undeclared = 1;", "").compile()
    with pytest.raises(CompileException, match="includes nothing"):
        cupy.RawModule(code="#include <cstdio>\n" + SCALE).get_function("scale")
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        cupy.RawModule(code=SCALE).get_function("scales")
    with pytest.raises(CUDADriverError, match="CUDA_ERROR_NOT_FOUND"):
        cupy.RawModule(code="__global__ void mangled() {}").get_function("mangled")


def test_templates_by_name_expressions():
    source = "template <class T> __global__ void add(T* x, T y) { x[threadIdx.x] += y; }"
    module = cupy.RawModule(code=source, name_expressions=["add<float>", "add<int>"])
    x = cupy.arange(3, dtype="int32")
    module.get_function("add<int>")((1,), (3,), (x, np.int32(2)))
    assert x.get().tolist() == [2, 3, 4]
    with pytest.raises(TypeError, match="points at 4 bytes"):
        module.get_function("add<float>")((1,), (3,), (x, np.float32(2)))


def test_kernels_of_one_module_share_no_arguments_but_the_source():
    both = cupy.RawModule(
        code="#if SIGN\n#define AND -\n#else\n#define AND +\n#endif\n"
        'extern "C" __global__ void a(int* x) { *x = AND 1; }\n'
        'extern "C" { __global__ void b(int* x, int y) { *x = AND y; } }',
        options=("-DSIGN=1", "--use_fast_math"),
    )
    x = cupy.zeros(1, "int32")
    both.get_function("a")((1,), (1,), (x,))
    assert x.item() == -1
    both.get_function("b")((1,), (1,), (x, np.int32(7)))
    assert x.item() == -7


def test_names_of_c_functions_are_names_of_kernels_too():
    for name in ("index", "read", "div"):
        out = cupy.zeros(1, "int32")
        of("*out = 1;", "int* out", name=name)((1,), (1,), (out,))
        assert out.item() == 1


def test_an_error_of_a_kernel_leaves_the_emulator_usable():
    with pytest.raises(KernelError):
        of("if (threadIdx.x) __syncthreads();", "")((1,), (64,), ())
    test_a_launch_computes_in_place_and_is_counted_by_its_name()


def test_what_a_device_says_of_itself():
    device = cupy.cuda.Device(0)
    assert device.compute_capability == "90"
    assert device.attributes["MultiProcessorCount"] == hardware.MULTIPROCESSORS
    assert device.attributes["MaxSharedMemoryPerBlockOptin"] == 227 * 1024
    found = cupy.cuda.runtime.getDeviceProperties(1)
    assert (found["major"], found["multiProcessorCount"]) == (9, hardware.MULTIPROCESSORS)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        cupy.cuda.runtime.getDeviceProperties(7)


def test_memory_is_set_and_copied_by_bytes():
    x, y = cupy.arange(4, dtype="int32"), cupy.zeros(4, "int32")
    count.clear()
    y.data.copy_from_device_async(x[1:].data, 8)
    x.data.memset_async(255, 4)
    assert count.launches == {"copy": 1, "memset": 1}
    assert x.get().tolist() == [-1, 1, 2, 3]
    assert y.get().tolist() == [1, 2, 0, 0]
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="IllegalAddress"):
        x[2:].data.memset_async(0, 12)
