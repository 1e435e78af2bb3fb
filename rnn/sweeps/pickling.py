"""Check that what other processes are to run can be sent to them, before they are started."""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.reduction import ForkingPickler
from typing import Any

FIX = (
    "write a function at the top level of a module, and give it data as "
    "functools.partial(train, data) or read them inside; or run the trials in threads: "
    "executor=concurrent.futures.ThreadPoolExecutor()"
)


def check_picklable(train: Any) -> None:
    """Raise TypeError that names the object for a function that cannot be sent to processes."""
    try:
        ForkingPickler.dumps(train)
    except Exception as error:
        found, inner = _culprit("train", train, error)
        raise TypeError(
            f"sweep: {found} cannot be sent to other processes ({inner}); {FIX}"
        ) from None
    main = sys.modules.get("__main__")
    own = _function(train)
    if getattr(own, "__module__", None) == "__main__" and not (
        getattr(main, "__file__", None) or getattr(main, "__spec__", None)
    ):
        raise TypeError(
            f"sweep: {own.__qualname__} was written in an interactive session, which other "
            f"processes cannot import; {FIX}"
        )


def needs_pickle(executor: Any) -> bool:
    """Return whether an executor may run a function in another process."""
    return not isinstance(executor, ThreadPoolExecutor)


def _function(train: Any) -> Any:
    """Return the function or class that is called in the end."""
    while isinstance(train, partial):
        train = train.func
    return train if hasattr(train, "__qualname__") else type(train)


def _culprit(name: str, value: Any, error: Exception) -> tuple[str, Exception]:
    """Return the smallest part of an object that is no pickle, in words, and why."""
    for inner, part in _inside(name, value):
        try:
            ForkingPickler.dumps(part)
        except Exception as found:
            return _culprit(inner, part, found)
    return f"{name}, {_told(value)},", error


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object holds, by names that a reader can follow."""
    if isinstance(value, partial):
        yield f"{name}.func", value.func
        yield from _inside(f"{name}.args", value.args)
        yield from _inside(f"{name}.keywords", value.keywords)
    elif isinstance(value, Mapping):
        yield from ((f"{name}[{key!r}]", one) for key, one in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{name}[{key}]", one) for key, one in enumerate(value))
    elif hasattr(value, "__self__"):
        yield f"{name}.__self__", value.__self__
    elif not hasattr(value, "__qualname__"):
        yield from ((f"{name}.{key}", one) for key, one in getattr(value, "__dict__", {}).items())


def _told(value: Any) -> str:
    """Return an object as a few words, with the place of a function."""
    code = getattr(value, "__code__", None)
    if code is not None:
        kind = "a lambda" if value.__name__ == "<lambda>" else f"the function {value.__qualname__}"
        return f"{kind} of {code.co_filename}:{code.co_firstlineno}"
    return f"a {type(value).__name__}"
