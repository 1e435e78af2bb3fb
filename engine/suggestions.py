"""Say what to write for a name or a keyword that there is not. Imports nothing of the engine.

`rnn` and `viz` ask here as well.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Exception)


class Advice(NamedTuple):
    """Hold what to write for `names` and `keywords`, and in `called` the names of keywords here."""

    names: Mapping[str, str] = {}
    keywords: Mapping[str, str] = {}
    called: Mapping[str, tuple[str, ...]] = {}


def kind_of(x: Any) -> str:
    """Return the class of a value, with its package where that is another: "Tensor of torch"."""
    own = type(x)
    package = own.__module__.partition(".")[0]
    ours = package in ("builtins", "numpy", "engine", "rnn", "viz", "__main__")
    return own.__name__ if ours else f"{own.__name__} of {package}"


def said(advice: str) -> str:
    """Return advice as errors give it: what to write, or that there is nothing to write."""
    rest = advice.removeprefix("nothing: ")
    return f"leave it out: {rest}" if rest != advice else f"write {advice}"


def clearer(error: E) -> E:
    """Return NumPy's error about a dtype with what to write, for a dtype of torch."""
    found = re.search(r"Cannot interpret '(torch|tf|keras)\.(\w+)' as a data type$", str(error))
    if not found:
        return error
    return type(error)(f"{error}; write engine.{found[2]}, or the text {found[2]!r}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like this one; nothing where none is.

    >>> nearest("epoch", ["steps", "epochs"]), nearest("RMSProp", ["SGD", "RMSprop"])
    ('epochs', 'RMSprop')
    """
    known = list(known)
    same = [one for one in known if one.lower() == name.lower()]
    parts = [one for one in known if len(name) > 4 and name in one]
    like = get_close_matches(name, known, 1, 0.75)
    return (same or like or (parts if len(parts) == 1 else []) or [""])[0]


def unknown_keyword(
    where: str, keyword: str, value: Any, known: Iterable[str], advice: Advice
) -> str:
    """Return the message about a keyword that is not `known`, with the one that is meant."""
    known = list(known)
    meant = [one for one in advice.called.get(keyword, ()) if one in known]
    if meant:
        return f"{where}: {keyword} is called {meant[0]} here; write {meant[0]}=, not {keyword}="
    start = f"{where}: no keyword {keyword!r}"
    if keyword in advice.keywords:
        return f"{start}; {said(advice.keywords[keyword])}"
    if near := nearest(keyword, known):
        return f"{start}; did you mean {near}=?"
    return f"{start} (given {value!r}); its keywords: {', '.join(known) or 'none'}"


def unknown_name(name: str, advice: Mapping[str, str], known: Iterable[str]) -> str:
    """Return what an error about a name that is not `known` says besides; nothing for most."""
    if name in advice:
        return f"; {said(advice[name])}"
    near = "" if name.startswith("_") else nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def teller(module: str, advice: Mapping[str, str]) -> Callable[[str], NoReturn]:
    """Return a `__getattr__` of a module, which raises AttributeError with what to write."""

    def missing(name: str) -> NoReturn:
        own = vars(sys.modules[module])
        known = own.get("__all__") or [one for one in own if not one.startswith("_")]
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}{unknown_name(name, advice, known)}"
        )

    return missing


def _check(where: str, function: Callable[..., Any], given: Mapping[str, Any], own: Advice) -> None:
    """Raise TypeError for the first keyword that a function does not have."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [name for name, p in parameters.items() if p.kind in kinds and name != "self"]
    for name, value in given.items():
        if name not in known:
            raise TypeError(unknown_keyword(where, name, value, known, own))


def advised(advice: Advice = Advice()) -> Callable[[Callable[P, R]], Callable[P, R]]:  # noqa: B008
    """Return a decorator: a function that refuses unknown keywords with the one that is meant.

    >>> @advised(Advice(called={"dim": ("axis",)}))
    ... def total(x, *, axis=None): return x
    >>> total(1, dim=0)
    Traceback (most recent call last):
        ...
    TypeError: total: dim is called axis here; write axis=, not dim=
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = frozenset(inspect.signature(function).parameters)

        @wraps(function)
        def call(*args: P.args, **keywords: P.kwargs) -> R:
            if not keywords.keys() <= known:
                _check(function.__name__, function, keywords, advice)
            return function(*args, **keywords)

        return call

    return decorate


class Advised:
    """Be a base of classes that say what to write for keywords and attributes they do not have."""

    _advice: ClassVar[Advice] = Advice()

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **keywords: Any) -> Any:
            """Return an object. Raises TypeError for a keyword that `__init__` does not have."""
            if cls.__init__ is object.__init__ and (args or keywords):  # Python would ignore them
                raise TypeError(f"{cls.__name__}() takes no arguments")
            if keywords:
                _check(cls.__name__, cls.__init__, keywords, cls._advice)
            new = super().__new__
            return new(cls) if new is object.__new__ else new(cls, *args, **keywords)

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, with what to write for a name that other libraries have."""
            own = type(self)
            if name in own._advice.names and not hasattr(own, name):  # no property that raised
                raise AttributeError(
                    f"{own.__name__} has no {name!r}; {said(own._advice.names[name])}"
                )
            return object.__getattribute__(self, name)  # raises what was raised
