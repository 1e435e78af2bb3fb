"""Read the arguments of public functions: flags, arrays, names of other libraries.

A flag is a parameter annotated `bool`, a tensor one annotated `Tensor`: the signature is the one
place that says so. Above `apply`, below the registry, which reads ops by the same rule.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from engine.apply import asarray
from engine.backends import backend_of
from engine.checks import flag
from engine.suggestions import Advice, clearer, unknown_keyword
from engine.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")

# What NumPy and PyTorch call a parameter, and what it may be called here.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "dim": ("axis", "axes"), "dims": ("axes", "axis", "repetitions"), "axis": ("axes",),
    "axes": ("axis",), "keepdim": ("keepdims",), "ddof": ("correction",),
    "unbiased": ("correction",), "dim0": ("axis1",), "dim1": ("axis2",), "size": ("shape",),
    "diagonal": ("k",), "a_min": ("min",), "a_max": ("max",), "shifts": ("shift",),
    "right": ("side",), "p": ("ord",), "newshape": ("shape",), "reps": ("repetitions",),
    "grad_outputs": ("grads",), "gradient": ("grad",), "value": ("constant_values",),
    "rcond": ("rtol",), "normalized_shape": ("axis",),
}  # fmt: skip

# And what there is for some that are no parameter.
OTHERWISE = {
    "training": "engine.dropout(x, p) if module.training else x", "inplace":
    "nothing: no function works in place", "non_blocking": "nothing: no copy is waited for",
}  # fmt: skip

# NumPy's functions give these to the method of their name where nothing was asked for.
UNSAID: dict[str, Any] = {"out": None, "dtype": None, "ddof": 0}

FLAGS = (bool, bool | None)


class Rule:
    """Read the arguments of one function by its parameters.

    More arguments by position than `limit` go to the parameters named in `behind`.
    """

    __slots__ = (
        "behind", "flags", "limit", "most", "name", "names", "open", "places", "plain", "rest",
    )  # fmt: skip

    def __init__(
        self, name: str, parameters: Iterable[inspect.Parameter], *, limit: int | None = None,
        behind: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        given = list(parameters)
        by_place = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        by_name = [p for p in given if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.name, self.limit, self.behind = name, sys.maxsize if limit is None else limit, behind
        self.names = [p.name for p in by_name]
        self.flags = {p.name: p.annotation is not bool for p in given if p.annotation in FLAGS}
        several = any(p.kind is p.VAR_POSITIONAL for p in given)
        self.most = sys.maxsize if several else len(by_place)
        self.plain = frozenset(self.names) - self.flags.keys()
        self.open = any(p.kind is p.VAR_KEYWORD for p in given)
        # Where tensors of any number begin.
        several = any(p.kind is p.VAR_POSITIONAL and p.annotation is Tensor for p in given)
        self.rest = len(by_place) if several else sys.maxsize
        self.places = tuple(
            (place, p.name if p.name in self.flags else "")
            for place, p in enumerate(by_place)
            if p.name in self.flags or p.annotation is Tensor
        )

    def is_ready(self, keywords: Mapping[str, Any]) -> bool:
        """Return whether the keywords are known and flags booleans, so that nothing is to do."""
        for name, value in keywords.items():  # no generator: this is asked at every call
            if name not in self.plain and not (name in self.flags and type(value) is bool):
                return False
        return True

    def sorted_out(
        self, args: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments by position and by name, with flags as booleans.

        Raises TypeError for a keyword that there is not, with the one that is meant.
        """
        found = dict(keywords)
        if len(args) > self.limit:
            behind = dict(zip(self.behind, args[self.limit :], strict=False))
            if len(args) > self.limit + len(self.behind) or behind.keys() & keywords.keys():
                raise TypeError(f"{self.name}: too many arguments, {len(args)} given")
            found.update(behind)
            args = args[: self.limit]
        for name, value in list(found.items()):
            if name in self.plain:
                continue
            if name in self.flags:
                found[name] = self.flag(name, value)
            elif value is UNSAID.get(name, UNSAID):
                del found[name]
            elif not self.open:
                raise TypeError(self._unknown(name, value))
        return args, found

    def placed(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments by position with flags as booleans and arrays as tensors."""
        new = list(args)
        device = next((x.device for x in args if type(x) is Tensor), None)
        for place, name in (*self.places, *((i, "") for i in range(self.rest, len(args)))):
            if place < len(new) and name:
                new[place] = self.flag(name, new[place])
            elif place < len(new) and type(new[place]) is not Tensor:
                if new[place] is None:
                    raise TypeError(f"{self.name}: input {place} is None; expected a tensor")
                own = backend_of(new[place])
                new[place] = asarray(new[place], device=None if own else device)
        return tuple(new)

    def flag(self, name: str, value: Any) -> bool | None:
        """Return a flag as a boolean; as None where it may be None."""
        if value is None and self.flags[name]:
            return None
        return flag(f"{self.name}: {name}", value)

    def too_many(self, args: tuple[Any, ...]) -> str:
        """Return what to write where there are more arguments by position than there may be."""
        if self.names[:1] == ["shape"] and all(isinstance(one, int) for one in args):
            return f"{self.name}: a shape is one argument; write {self.name}({args})"
        named = ", ".join(f"{name}=" for name in self.names) or "none"
        return (
            f"{self.name}: {len(args)} arguments by position, at most {self.most}; the others have "
            f"names: {named}"
        )

    def _unknown(self, name: str, value: Any) -> str:
        """Return what to write in the place of a keyword that there is not."""
        return unknown_keyword(self.name, name, value, self.names, Advice({}, OTHERWISE, ELSEWHERE))


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that is called by the rule of its signature.

    Flags must be booleans; arrays and numbers may stand for tensors.
    """
    rule = Rule(function.__name__.rstrip("_"), inspect.signature(function).parameters.values())
    plain, rest, places = rule.plain, rule.rest, [place for place, _ in rule.places]

    most = rule.most

    @wraps(function)
    def call(*args: Any, **keywords: Any) -> R:
        if len(args) > most:
            raise TypeError(rule.too_many(args))
        if keywords and not keywords.keys() <= plain and not rule.is_ready(keywords):
            args, keywords = rule.sorted_out(args, keywords)
        for place in places:
            if place < len(args) and type(args[place]) is not Tensor:
                args = rule.placed(args)
                break
        if len(args) > rest:
            args = rule.placed(args)
        try:
            return function(*args, **keywords)
        except TypeError as error:
            if (told := clearer(error)) is error:
                raise
            raise told from None

    return cast("Callable[P, R]", call)
