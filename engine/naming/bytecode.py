"""Follow the values of a function through its byte code, to the variables that they are stored to.

Each instruction's result gets its variable, and the place that it takes in the returned tuple.

The value stack is simulated along every path, so that `u, dt = a, b` gives each side its own
variable in every version of Python, in any order of the stores. Exception handlers and
instructions of an unknown effect end a path: what lies behind them has no name. Below
`equations.py`, which asks for the names while a step runs.
"""

import dis
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from types import CodeType

from engine.naming.dataflow import NONE, Flow, Frame, Offsets, UnknownEffectError, Unpacking, Value

NEUTRAL = frozenset({
    "NOP", "RESUME", "CACHE", "EXTENDED_ARG", "COPY_FREE_VARS", "MAKE_CELL", "PRECALL", "KW_NAMES",
    "SETUP_ANNOTATIONS", "NOT_TAKEN", "JUMP_FORWARD", "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_CONST",
})  # fmt: skip
# Instructions that use up values and push none.
ENDS = ("STORE_", "POP_", "DELETE_", "END_", "RETURN_", "RAISE_", "RERAISE")
# Instructions that read one value and push one more than stack_effect says.
READS = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SPECIAL", "BEFORE_WITH", "IMPORT_FROM", "GET_LEN",
         "LOAD_FROM_DICT", "MATCH_SEQUENCE", "MATCH_MAPPING")  # fmt: skip
ADDS = frozenset({"LIST_EXTEND", "LIST_APPEND", "SET_UPDATE", "SET_ADD", "DICT_UPDATE",
                  "DICT_MERGE", "MAP_ADD"})  # fmt: skip
STOPS = ("RETURN_", "RAISE_", "RERAISE")
GIVEN_UP = ("SEND", "YIELD_", "RETURN_GENERATOR", "GET_AWAITABLE", "GET_A", "END_ASYNC")


@lru_cache(maxsize=256)
def flow_of(code: CodeType) -> Flow:
    """Follow all paths through a function that pass no exception handler."""
    return _Simulation(code).run()


class _Simulation:
    """Run the stack effects of a function to a fixed point."""

    def __init__(self, code: CodeType) -> None:
        self.instructions = [one for one in dis.get_instructions(code) if one.opname != "CACHE"]
        self.place = {one.offset: i for i, one in enumerate(self.instructions)}
        self.flow = Flow()
        ends = [*(one.offset for one in self.instructions[1:]), len(code.co_code)]
        before = None
        for one, end in zip(self.instructions, ends, strict=True):
            # A frame that is in a call may point past the instruction, into its inline cache. Once
            # Python 3.11 has specialised the call of a builtin it points to the PRECALL before it.
            start = before if before is not None and before.opname == "PRECALL" else one
            self.flow.spans[one.offset] = range(start.offset, end, 2)
            before = one
        self.before: dict[int, Frame] = {0: Frame()}

    def run(self) -> Flow:
        """Follow each instruction until nothing changes, then note what the last frames tell."""
        spans, waiting = self.flow.spans, [0]
        while waiting:
            for target, frame in self.after(waiting.pop()):
                known = self.before.get(target)
                try:
                    frame = frame if known is None else known.joined(frame)
                except UnknownEffectError:
                    continue
                if frame != known:
                    self.before[target] = frame
                    waiting.append(target)
        self.flow = Flow(spans=spans)
        following = {number: [target for target, _ in self.after(number)]
                     for number in sorted(self.before)}  # fmt: skip
        self.flow.ends = self.ends(following)
        return self.flow

    def ends(self, following: dict[int, list[int]]) -> dict[int, Offsets]:
        """Return the returns that each instruction leads to; `following` are those after it."""
        before: dict[int, list[int]] = {}
        for number, targets in following.items():
            for target in targets:
                before.setdefault(target, []).append(number)
        found: dict[int, set[int]] = {}
        for end in self.flow.returned:
            waiting = [self.place[end]]
            while waiting:
                number = waiting.pop()
                own = found.setdefault(self.instructions[number].offset, set())
                if end not in own:
                    own.add(end)
                    waiting += before.get(number, ())
        return {offset: frozenset(own) for offset, own in found.items()}

    def after(self, number: int) -> list[tuple[int, Frame]]:
        """Return the frames after an instruction; none where its effect is not known."""
        try:
            return list(self.step(self.instructions[number], self.before[number], number))
        except (UnknownEffectError, IndexError, ValueError):
            return []

    def step(self, one: dis.Instruction, frame: Frame, number: int) -> Iterator[tuple[int, Frame]]:
        """Yield the frames after an instruction, each with the number of the next one."""
        if one.opname.startswith(GIVEN_UP):
            raise UnknownEffectError
        jumps = one.opcode in dis.hasjrel or one.opcode in dis.hasjabs
        if jumps:
            yield self.place[one.argval], self.effect(one, frame, number, jump=True)
        if one.opname.startswith(STOPS):
            self.effect(one, frame, number, jump=False)
        elif not (jumps and one.opname.startswith("JUMP_") and "_IF_" not in one.opname):
            yield number + 1, self.effect(one, frame, number, jump=False)

    def effect(self, one: dis.Instruction, frame: Frame, number: int, *, jump: bool) -> Frame:
        """Return the frame after an instruction."""
        name, stack = one.opname, list(frame.stack)
        if name in NEUTRAL:
            return frame
        own = HANDLERS.get(name)
        if own is not None:
            own(self, one, stack, number)
            return replace(frame, stack=tuple(stack))
        if name == "LOAD_FAST_AND_CLEAR":
            stack.append(replace(frame.variables.get(one.argval, Value()), saved=one.argval))
            return replace(frame, stack=tuple(stack), inner=frame.inner | {one.argval})
        if name.startswith(("LOAD_FAST", "LOAD_DEREF", "STORE_FAST", "STORE_DEREF")):
            return self.locals(one, frame, stack)
        argument = None if one.opcode < dis.HAVE_ARGUMENT else one.arg or 0
        net = dis.stack_effect(one.opcode, argument, jump=jump)
        pops, pushes = _counts(name, one.arg or 0, net)
        if pops > len(stack):
            raise UnknownEffectError
        taken = [stack.pop() for _ in range(pops)]
        if name == "RETURN_VALUE":
            self.flow.returned[one.offset] = taken[0]
        made = frozenset({one.offset}).union(*(value.made for value in taken))
        stack += [Value(made, last=one.offset, path=_path(one, taken))] * pushes
        return replace(frame, stack=tuple(stack))

    def locals(self, one: dis.Instruction, frame: Frame, stack: list[Value]) -> Frame:
        """Load and store variables; Python 3.13 joins two in one instruction."""
        names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
        kinds = [kind for kind in one.opname.split("_") if kind in ("LOAD", "STORE")]
        variables, inner = dict(frame.variables), frame.inner
        for kind, name in zip(kinds, names, strict=True):
            if kind == "LOAD":
                stack.append(variables.get(name, Value()))
                continue
            value = stack.pop()
            if value.saved == name:
                inner -= {name}
            elif name not in inner:
                self.store(one.offset, name, value)
            variables[name] = value.aliased()
        return Frame(tuple(stack), variables, inner)

    def store(self, offset: int, name: str, value: Value) -> None:
        """Note the variable that a value is stored to."""
        if value.piece is not None and value.made:
            unpacking, place = value.piece
            if unpacking in self.flow.unpackings:
                self.flow.unpackings[unpacking].names[place] = name
            return
        if value.parts:  # a tuple of its own: the variables that its parts go to name them
            return
        for kinds, made in ((self.flow.stores, value.made), (self.flow.copies, value.held)):
            for one in made:
                kinds.setdefault(one, {})[offset] = name


def _counts(name: str, argument: int, net: int) -> tuple[int, int]:
    """Return how many values an instruction takes from the stack, and how many it puts there."""
    if name == "CALL":  # Python 3.11 counts a part of it at PRECALL
        return argument + 2, 1
    if name.startswith("LOAD_SUPER"):
        return 3, 3 + net
    if name.startswith(READS):
        return 1, 1 + net
    if name.startswith(("LOAD_", "PUSH_NULL")):
        return 0, net
    if name == "FOR_ITER":
        return (0, 1) if net > 0 else (-net, 0)
    if name.startswith(ENDS):
        return -net, 0
    if name.startswith("JUMP_IF_"):  # 3.11: kept where it jumps
        return (0, 0) if net == 0 else (1, 0)
    if net > 0 and not name.startswith("BUILD_"):
        raise UnknownEffectError
    return 1 - net, 1


def _path(one: dis.Instruction, taken: list[Value]) -> tuple[str, ...]:
    """Return the global, or the attribute of one, that is read; of a call what it calls."""
    if one.opname == "LOAD_GLOBAL":
        return (str(one.argval),)
    if one.opname in ("LOAD_ATTR", "LOAD_METHOD") and taken[0].path:
        return (*taken[0].path, str(one.argval))
    if one.opname in ("CALL", "CALL_KW"):  # below its arguments, a null beside it
        return taken[-2].path or taken[-1].path
    return ()


def _copy(self: _Simulation, one: dis.Instruction, stack: list[Value], number: int) -> None:
    """Push a value again; where it is stored at once, what stays on the stack has its name."""
    depth = one.arg or 1
    stack.append(stack[-depth])
    following = self.instructions[number + 1].opname
    if following.startswith(("STORE_FAST", "STORE_DEREF")):
        stack[-1 - depth] = stack[-1 - depth].aliased()


def _swap(self: _Simulation, one: dis.Instruction, stack: list[Value], number: int) -> None:
    depth = one.arg or 1
    stack[-1], stack[-depth] = stack[-depth], stack[-1]


def _display(self: _Simulation, one: dis.Instruction, stack: list[Value], number: int) -> None:
    """Push a tuple or a list that is written out."""
    count = one.arg or 0
    parts = tuple(stack[len(stack) - count :])
    if len(parts) < count:
        raise UnknownEffectError
    del stack[len(stack) - count :]
    made = frozenset({one.offset}).union(*(value.made for value in parts))
    stack.append(Value(made, NONE.union(*(p.held for p in parts)), parts, one.offset))


def _add(self: _Simulation, one: dis.Instruction, stack: list[Value], number: int) -> None:
    """Add an item to a container that lies further down."""
    taken = [stack.pop() for _ in range(2 if one.opname == "MAP_ADD" else 1)]
    depth = one.arg or 1
    made = frozenset({one.offset}).union(*(value.made for value in taken))
    stack[-depth] = Value(stack[-depth].made | made)


def _unpack(self: _Simulation, one: dis.Instruction, stack: list[Value], number: int) -> None:
    """Take a value apart: one that was written out into what it was made of."""
    value, argument = stack.pop(), one.arg or 0
    before, after = argument & 0xFF, argument >> 8
    starred = one.opname == "UNPACK_EX"
    count = before + 1 + after if starred else argument
    parts = _known_parts(value, count, before if starred else -1)
    if parts is None:
        made = value.made | {one.offset}
        parts = [Value(made, last=one.offset, piece=(one.offset, i)) for i in range(count)]
        new = Unpacking(count, before if starred else -1, value.last, value.path)
        self.flow.unpackings[one.offset] = new
        self.flow.pieces.update(dict.fromkeys(made | value.held, one.offset))
    stack += reversed(parts)


def _known_parts(value: Value, count: int, star: int) -> list[Value] | None:
    """Return the value of each target, where the right side is written out."""
    if value.parts is None:
        return None
    parts = list(value.parts)
    if star < 0:
        return parts if len(parts) == count else None
    rest = len(parts) - count + 1
    if rest < 0:
        return None
    several = tuple(parts[star : star + rest])
    middle = Value(NONE.union(*(p.made for p in several)), parts=several)
    return [*parts[:star], middle, *parts[star + rest :]]


Handler = Callable[[_Simulation, dis.Instruction, list[Value], int], None]
HANDLERS: dict[str, Handler] = {
    "COPY": _copy, "SWAP": _swap, "BUILD_TUPLE": _display, "BUILD_LIST": _display,
    "UNPACK_SEQUENCE": _unpack, "UNPACK_EX": _unpack, **dict.fromkeys(ADDS, _add),
}  # fmt: skip
