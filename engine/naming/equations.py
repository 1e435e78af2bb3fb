"""Name each node after the variable that its equation assigns, so a cell needs no annotations.

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
from typing import Any, NamedTuple

from engine.naming.bytecode import flow_of
from engine.naming.dataflow import Flow, Unpacking, Value
from engine.scope import Scope

Label = tuple[str, str]  # gate or state, and its name
NAMELESS: Label = ("", "")


class Equations:
    """Read the assignments of one step function; `states` names the states that it returns.

    A cell's step returns ``(y, state)``: the variable that is returned in the place of a state
    is labelled as that state, ``m_new`` as m, where all returns that can follow agree; where the
    returned tuple is not written out, a variable is a state if it has the name of one. A value that
    several variables take apart, ``a, b = split(x)``, is labelled with all of them: ``"a, b"``, or
    ``"(a, b)"`` where the function is not the engine's, so that the order in which it makes its
    parts is not known.
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
    told = _states(flow, len(states))

    def label(offset: int, name: str) -> Label:
        places = _places_at(flow, told, offset, name)
        if len(places) > 1:
            return NAMELESS  # a state at one of the returns behind it and not at another
        if places and (place := min(places)) >= 0:
            return ("state", states[place])
        if name not in states:
            return ("gate", name)
        return NAMELESS if places else ("state", name)  # another variable is that state

    labels: dict[int, Label] = {}
    for offset, span in flow.spans.items():
        if offset in flow.pieces:
            unpacking = flow.pieces[offset]
            found = ("gate", _joint(flow.unpackings[unpacking], unpacking in ordered))
        else:
            found = label(offset, flow.variable(offset))
        if found[1]:
            labels.update(dict.fromkeys(span, found))
    parts = {}
    for number, one in flow.unpackings.items():
        if one.source in flow.spans and number not in ordered and one.star < 0:
            own = [label(number, one.names.get(place, "")) for place in range(one.count)]
            parts.update(dict.fromkeys(flow.spans[one.source], own))
    return labels, parts


class _Return(NamedTuple):
    """Hold the places of instructions and variables in what one return statement returns.

    An instruction that is in several has the first.
    """

    places: dict[int, int]
    variables: dict[str, int]


def _states(flow: Flow, count: int) -> dict[int, _Return]:
    """Return the places among the states of each return that writes them out."""
    found = {}
    for end, value in flow.returned.items():
        state = value.parts[1] if value.parts and len(value.parts) == 2 else None
        if state is None:
            continue
        whole = (state,) if count == 1 and not state.parts else state.parts or ()
        if count and len(whole) == count:
            found[end] = _return(flow, whole)
    return found


@lru_cache(maxsize=256)
def _returned_places(code: CodeType, count: int) -> dict[int, int]:
    """Return the part of the returned tuple that each instruction is computed for."""
    flow = flow_of(code)
    told = {}
    for end, value in flow.returned.items():
        if value.parts is None or len(value.parts) != count:
            return {}
        told[end] = _return(flow, value.parts)
    found: dict[int, int] = {}
    for offset, span in flow.spans.items():
        places = _places_at(flow, told, offset, flow.variable(offset))
        if len(places) == 1 and (place := min(places)) >= 0:
            found.update(dict.fromkeys(span, place))
    return found


def _return(flow: Flow, values: Sequence[Value]) -> _Return:
    """Return the places in what one return statement returns."""
    own: dict[int, int] = {}
    for place, value in enumerate(values):
        for offset in value.all - flow.pieces.keys():
            own.setdefault(offset, place)
    named = {name: own[offset] for offset in sorted(own, reverse=True)
             if (name := flow.variable(offset))}  # fmt: skip
    for place, value in enumerate(values):
        if value.piece is not None and value.piece[0] in flow.unpackings:
            number, part = value.piece
            if name := flow.unpackings[number].names.get(part, ""):
                named.setdefault(name, place)
    return _Return(own, named)


def _places_at(flow: Flow, told: dict[int, _Return], offset: int, name: str) -> set[int]:
    """Return the places that the result of an instruction takes at the returns behind it.

    `name` is the variable that takes it. -1 is for a return that has it in no place; empty where no
    return tells. An instruction behind which no return is known is looked up at all of them.
    """
    ends = flow.ends.get(offset) or told.keys()
    return {told[end].places.get(offset, told[end].variables.get(name, -1))
            for end in ends if end in told}  # fmt: skip


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
