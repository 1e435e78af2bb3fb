"""Meet other libraries: NumPy's protocols, DLPack, copies, iteration."""

import numpy as np

from cupy._base import SCALARS, Base


class Protocols(Base):
    """Answer NumPy's functions and ufuncs, and DLPack."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        import cupyx.scipy.special

        import cupy

        inout = inputs
        if "out" in kwargs:
            out = kwargs["out"]
            if len(out) != 1:
                raise ValueError("The 'out' parameter must have exactly one array value")
            inout += out
            kwargs["out"] = out[0]
        if method not in ("__call__", "outer", "at", "reduce", "accumulate", "reduceat"):
            return NotImplemented
        name = ufunc.__name__
        function = getattr(cupy, name, None) or getattr(cupyx.scipy.special, name, None)
        if function is None:
            return NotImplemented
        if method != "__call__":
            function = getattr(function, method)
        for x in inout:
            if not isinstance(x, (*SCALARS, Base, np.ndarray)):
                return NotImplemented
        if name in ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"):
            inputs = tuple(
                x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs
            )
        return function(*inputs, **kwargs)

    def __array_function__(self, func, types, args, kwargs):
        import cupy

        module = cupy
        for part in func.__module__.split(".")[1:]:
            module = getattr(module, part, None)
        function = getattr(module, func.__name__, None)
        if function is None:
            return NotImplemented
        if not all(issubclass(t, (Base, np.ndarray)) for t in types):
            return NotImplemented
        return function(*args, **kwargs)

    def __dlpack_device__(self):
        return (2, self._memory.device)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if dl_device is None or tuple(dl_device) == self.__dlpack_device__():
            if copy is True:
                raise BufferError("copy=True only supported for copy to CPU.")
            return ("fake capsule", self)
        if tuple(dl_device) != (1, 0):
            raise BufferError("unsupported device requested.")
        if copy is False:
            raise ValueError("GPU memory cannot be exported to CPU without copy.")
        return self._to_host("dlpack").__dlpack__(max_version=max_version)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]
