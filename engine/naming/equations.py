"""Names each node after the variable that its equation assigns, so a cell needs no annotations.

While a step function runs on the graph, `apply` asks here which assignment of the step is being
computed: in ``c = f * c + i * g`` all three nodes belong to ``c``. Read from the compiled
function, so it works without the source, and costs nothing outside of a step. `bytecode.py`
follows the values of the function.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from inspect import unwrap
from types import CodeType, FrameType
from typing import Any

from engine.naming.bytecode import flow_of
from engine.naming.dataflow import Flow, Unpacking, Value
from engine.scope import Scope

Label = tuple[str, str]  # gate or state, and its name
NAMELESS: Label = ("", "")


class Equations:
    """The assignments of one step function; `states` names the states that it returns.

    A cell's step returns ``(y, state)``: the variable that is returned in the place of a state
    is labelled as that state, ``m_new`` as m; where the returned tuple is not written out, a
    variable is a state if it has the name of one. A value that several variables take apart,
    ``a, b = split(x)``, is labelled with all of them: ``"a, b"``, or ``"(a, b)"`` where the
    function is not the engine's, so that the order in which it makes its parts is not known.
    """

    __slots__ = ("_code", "_labels", "_parts")

    def __init__(
        self, code: CodeType, states: Iterable[str], variables: dict[str, Any] | None = None
    ) -> None:
        self._code = code
        flow = flow_of(code)
        ordered = [one for one, unpacking in flow.unpackings.items()
                   if _is_ordered(unpacking, variables or {})]  # fmt: skip
        self._labels, self._parts = _labels(code, tuple(states), tuple(ordered))

    @classmethod
    def of(cls, step: Callable[..., Any], states: Iterable[str] = ()) -> "Equations | None":
        """Return the equations of `step`, looking through wrappers; None for what is not Python."""
        inner = unwrap(step)
        code = getattr(inner, "__code__", None)
        if code is None:
            return None
        states = states or getattr(step, "state_names", ())
        return cls(code, states, getattr(inner, "__globals__", None))

    def label(self, scope: Scope) -> Scope:
        """Return `scope` with ``gate=`` or ``state=`` of the assignment being computed."""
        frame: FrameType | None = sys._getframe(2)
        above = frame
        while frame is not None and frame.f_code is not self._code:
            above, frame = frame, frame.f_back
        if frame is None or above is None:
            return scope
        names = self._parts.get(frame.f_lasti)
        if names is not None:
            place = _returned_places(above.f_code, len(names)).get(above.f_lasti)
            if place is not None:
                return _named(scope, names[place])
        return _named(scope, self._labels.get(frame.f_lasti, NAMELESS))


def _named(scope: Scope, label: Label) -> Scope:
    return scope.named(*label) if label[1] else scope


@lru_cache(maxsize=256)
def _labels(
    code: CodeType, states: tuple[str, ...], ordered: tuple[int, ...]
) -> tuple[dict[int, Label], dict[int, list[Label]]]:
    """Return the label of each instruction, and those of the parts of unpacked calls."""
    flow = flow_of(code)
    places, variables = _states(flow, len(states))
    read = bool(places or variables)  # the returned states could be told

    def label(name: str) -> Label:
        if name in variables:
            return ("state", states[variables[name]])
        if name not in states:
            return ("gate", name)
        return NAMELESS if read else ("state", name)  # another variable is that state

    labels: dict[int, Label] = {}
    for offset, span in flow.spans.items():
        if offset in places:
            found = NAMELESS if places[offset] < 0 else ("state", states[places[offset]])
        elif offset in flow.pieces:
            unpacking = flow.pieces[offset]
            found = ("gate", _joint(flow.unpackings[unpacking], unpacking in ordered))
        else:
            found = label(flow.variable(offset))
        if found[1]:
            labels.update(dict.fromkeys(span, found))
    parts = {}
    for number, one in flow.unpackings.items():
        if one.source in flow.spans and number not in ordered and one.star < 0:
            own = [label(one.names.get(place, "")) for place in range(one.count)]
            parts.update(dict.fromkeys(flow.spans[one.source], own))
    return labels, parts


def _states(flow: Flow, count: int) -> tuple[dict[int, int], dict[str, int]]:
    """Return the places of instructions and variables among the returned states."""
    returned: list[list[Value]] = [[] for _ in range(count)]
    for value in flow.returned.values():
        state = value.parts[1] if value.parts and len(value.parts) == 2 else None
        if state is None:
            continue
        whole = (state,) if count == 1 and not state.parts else state.parts or ()
        if len(whole) == count:
            for own, part in zip(returned, whole, strict=True):
                own.append(part)
    return _places(flow, returned)


@lru_cache(maxsize=256)
def _returned_places(code: CodeType, count: int) -> dict[int, int]:
    """Return the part of the returned tuple that each instruction is computed for."""
    flow = flow_of(code)
    returned: list[list[Value]] = [[] for _ in range(count)]
    for value in flow.returned.values():
        if value.parts is None or len(value.parts) != count:
            return {}
        for own, part in zip(returned, value.parts, strict=True):
            own.append(part)
    places, variables = _places(flow, returned)
    found: dict[int, int] = {}
    for offset, span in flow.spans.items():
        place = places.get(offset, variables.get(flow.variable(offset), -1))
        if place >= 0:
            found.update(dict.fromkeys(span, place))
    return found


def _places(
    flow: Flow, returned: Sequence[Sequence[Value]]
) -> tuple[dict[int, int], dict[str, int]]:
    """Return the place of instructions and variables that are returned; -1 for several."""
    places: dict[int, int] = {}
    variables: dict[str, int] = {}
    for values in zip(*returned, strict=True):  # of one return statement
        own: dict[int, int] = {}
        for place, value in enumerate(values):
            for offset in value.all - flow.pieces.keys():
                own.setdefault(offset, place)
        named = {name: own[offset] for offset in sorted(own, reverse=True)
                 if (name := flow.variable(offset))}  # fmt: skip
        for place, value in enumerate(values):
            if value.piece is not None and value.piece[0] in flow.unpackings:
                number, part = value.piece
                named.setdefault(flow.unpackings[number].names.get(part, ""), place)
        _merge(places, own)
        _merge(variables, named)
    return places, {name: place for name, place in variables.items() if place >= 0 and name}


def _merge(found: dict[Any, int], own: dict[Any, int]) -> None:
    """Add the places that another return statement tells; -1 where it tells another."""
    for key, place in own.items():
        found[key] = place if found.get(key, place) == place else -1


def _joint(unpacking: Unpacking, ordered: bool) -> str:
    """Join the names of all parts of one value; empty where one goes to no variable."""
    if len(unpacking.names) < unpacking.count:
        return ""
    names = ", ".join(
        f"*{name}" if place == unpacking.star else name
        for place, name in sorted(unpacking.names.items())
    )
    return names if ordered else f"({names})"


def _is_ordered(unpacking: Unpacking, variables: dict[str, Any]) -> bool:
    """Tell whether a value comes from a function of the engine, which makes parts in order."""
    if not unpacking.called or unpacking.star >= 0:
        return False
    head, *rest = unpacking.called
    found = variables.get(head)
    for name in rest:
        found = getattr(found, name, None)
    return str(getattr(found, "__module__", "")).partition(".")[0] == "engine"
