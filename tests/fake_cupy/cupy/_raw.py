"""Compile `RawKernel` and `RawModule`, CUDA C++ as a string, and run them on the CPU.

After `cupy/_core/raw.pyx`: compiled at the first use, one module a source, options and device.
Above `_launch.py`.
"""

from functools import lru_cache

from cupy import _hardware as hardware
from cupy import _state as state
from cupy._base import Unsupported
from cupy._build import CannotCompileError, module_of
from cupy._launch import Function


class CompileException(Exception):  # noqa: N818  (the name of the real one)
    """Report the compiler's words, as `cupy.cuda.compiler.CompileException`."""

    def __init__(self, msg, source, name, options, backend="nvrtc"):
        self._msg, self.source, self.name = msg, source, name
        self.options, self.backend = options, backend
        super().__init__(msg)

    def __str__(self):
        return self._msg

    def get_message(self):
        return self._msg


@lru_cache(maxsize=1024)
def _function(code, options, expressions, name, device):
    return Function(module_of(code, options, expressions), name, device)


class RawKernel:
    """Hold a kernel of CUDA C++."""

    def __init__(
        self,
        code,
        name,
        options=(),
        backend="nvrtc",
        *,
        translate_cucomplex=False,
        enable_cooperative_groups=False,
        jitify=False,
    ):
        if not isinstance(options, tuple):
            raise TypeError("options is a tuple")
        if translate_cucomplex or jitify:
            raise Unsupported("RawKernel(translate_cucomplex=, jitify=)")
        self.code, self.options, self.backend = code, options, backend
        self.name = self.__name__ = name
        self.enable_cooperative_groups = enable_cooperative_groups
        self.name_expressions = None
        self.file_path = None

    def __call__(self, grid, block, args, **kwargs):
        """Launch; `shared_mem` is the dynamic shared memory of a block in bytes."""
        self.kernel(
            grid, block, args, enable_cooperative_groups=self.enable_cooperative_groups, **kwargs
        )

    @property
    def kernel(self):
        """Return the function on the current device."""
        try:
            return _function(
                self.code, self.options, self.name_expressions or (), self.name, state.current[-1]
            )
        except CannotCompileError as error:
            raise CompileException(
                str(error), self.code, self.name, self.options, self.backend
            ) from None

    def compile(self, log_stream=None):
        """Compile now."""
        _ = self.kernel

    @property
    def attributes(self):
        """Return all attributes by name."""
        return {name: getattr(self, name) for name in _ATTRIBUTES}

    @property
    def max_dynamic_shared_size_bytes(self):
        return self.kernel.dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        self.kernel.dynamic = size

    # The compiler of the device is not here: registers are the most that it may use.
    max_threads_per_block = property(lambda self: self.kernel.bound)
    shared_size_bytes = property(lambda self: self.kernel.static_shared)
    num_regs = property(lambda self: self.kernel.registers)
    local_size_bytes = const_size_bytes = cache_mode_ca = property(lambda self: 0)
    preferred_shared_memory_carveout = -1
    ptx_version = binary_version = property(lambda self: int(hardware.COMPUTE_CAPABILITY))


_ATTRIBUTES = (
    "max_threads_per_block", "shared_size_bytes", "const_size_bytes", "local_size_bytes",
    "num_regs", "ptx_version", "binary_version", "cache_mode_ca",
    "max_dynamic_shared_size_bytes", "preferred_shared_memory_carveout",
)  # fmt: skip


class RawModule:
    """Hold the kernels of one source."""

    def __init__(
        self,
        *,
        code=None,
        path=None,
        options=(),
        backend="nvrtc",
        translate_cucomplex=False,
        enable_cooperative_groups=False,
        name_expressions=None,
        jitify=False,
    ):
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None:
            raise Unsupported("RawModule(path=)")
        if name_expressions is not None and backend != "nvrtc":
            raise ValueError(
                "only nvrtc supports retrieving the mangled names for the given name expressions"
            )
        self.code, self.options, self.backend = code, options, backend
        self._more = {
            "translate_cucomplex": translate_cucomplex,
            "enable_cooperative_groups": enable_cooperative_groups,
            "jitify": jitify,
        }
        self.name_expressions = name_expressions and tuple(name_expressions)
        self.enable_cooperative_groups = enable_cooperative_groups

    def get_function(self, name):
        """Return a kernel by its name, or by one of the name expressions."""
        kernel = RawKernel(self.code, name, self.options, self.backend, **self._more)
        kernel.name_expressions = self.name_expressions
        _ = kernel.kernel  # compiled here, as there
        return kernel

    def compile(self, log_stream=None):
        """Compile now."""
        try:
            module_of(self.code, self.options, self.name_expressions or ())
        except CannotCompileError as error:
            raise CompileException(str(error), self.code, "", self.options, self.backend) from None

    def get_global(self, name):
        raise Unsupported("RawModule.get_global")
