"""Capture what CuPy launches itself: element-wise calls, reductions, copies become nodes.

`install` lays a wrapper around the functions and methods of the fake. Within a capture a call is
computed once to learn the shapes of its results, which then hold NaN, and all that it wrote is put
back; a graph computes it again on the same arrays. Above `_streams.py`, used by `__init__.py`.
"""

import functools
from contextlib import contextmanager

import numpy as np

from cupy import _recorded as recorded
from cupy import _state as state
from cupy import _streams as streams
from cupy._base import Base, wrap
from cupy._indexing import Indexed
from cupy._methods import Methods
from cupy._ufunc import ufunc

# Launches that are calls of a library, which CuPy refuses to make within a capture.
_LIBRARIES = {
    "cuBLAS": {"gemm", "tensordot", "inner", "vdot", "einsum", "kron"},
    "cuSOLVER": {"getrf + getrs", "potrf", "svd", "qr", "eigh", "eigvalsh", "det", "slogdet"},
}
_SPECIAL = ("__getitem__", "__setitem__")


def install(*modules):
    """Wrap what launches kernels: ufuncs, recorded functions of modules, methods of arrays."""
    ufunc.__call__, ufunc.at = _capturable(ufunc.__call__), _capturable(ufunc.at)
    for module in modules:
        names = recorded.MODULES[module.__name__]
        for name, value in vars(module).copy().items():
            if name in names and _is_function(value):
                setattr(module, name, _capturable(value))
    for part in (Methods, Indexed):
        for name, value in vars(part).copy().items():
            if _is_function(value) and (not name.startswith("_") or name in _SPECIAL):
                setattr(part, name, _capturable(value))


def _is_function(value):
    """Return whether a value is a function of the fake, rather than NumPy's own."""
    of_fake = (getattr(value, "__module__", None) or "").startswith("cupy")
    return of_fake and callable(value) and not isinstance(value, type | ufunc)


def _capturable(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        if not state.capturing():
            return function(*args, **kwargs)
        return _record(functools.partial(function, *args, **kwargs))

    return wrapped


def _record(call):
    """Return the results of a call; its launches are nodes of the capture."""
    stream = streams.current_stream()
    given = list(_arrays((call.args, call.keywords)))
    before = [one._a.copy() for one in given]
    with _aside(stream) as launches:
        results = call()
    for one, values in zip(given, before, strict=True):
        np.copyto(one._a, values)
    if not launches:
        return results
    for library, names in _LIBRARIES.items():
        if names.intersection(launches):
            raise NotImplementedError(
                f"calling {library} API during stream capture is currently unsupported"
            )
    made = [one for one in _arrays(results) if not _within(one, given)]
    for one in made:
        one._a[...] = state.poisoned(one.shape, one.dtype)
    work = _again(call, stream, [one._a for one in made])
    first, *more = launches
    streams.submit(first, work, stream, [one._memory for one in (*given, *made)])
    for name in more:
        streams.submit(name, lambda: None, stream)
    return results


def _again(call, stream, targets):
    """Return the call on the same values, without a hold on the memory of its arrays."""
    args, keywords = _borrowed((call.args, call.keywords))
    function = call.func

    def work():
        with _aside(stream):
            results = function(*args, **keywords)
        given = list(_arrays((args, keywords)))
        found = [one for one in _arrays(results) if not _within(one, given)]
        for out, one in zip(targets, found, strict=True):
            np.copyto(out, one._a)

    return work


class _Elsewhere:
    """Refer to the memory of an array that others keep alive."""

    def __init__(self, device):
        self.device = device


def _borrowed(value):
    """Return nested arguments with arrays that do not hold their memory."""
    if isinstance(value, Base):
        return wrap(value._a, _Elsewhere(value._memory.device))
    if isinstance(value, dict):
        return {name: _borrowed(one) for name, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_borrowed, value))
    return value


@contextmanager
def _aside(stream):
    """Compute without a capture and without counting; gives the names of the launches."""
    nodes, stream._nodes = stream._nodes, None
    muted, state.muted = state.muted, []
    try:
        yield state.muted
    finally:
        stream._nodes, state.muted = nodes, muted


def _arrays(value):
    """Yield the device arrays of nested arguments or results."""
    if isinstance(value, Base):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _arrays(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _arrays(one)


def _within(one, given):
    """Return whether an array is an argument or a view of one."""
    return any(np.may_share_memory(one._a, other._a) for other in given)
