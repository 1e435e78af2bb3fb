"""Hold what is known of a function's values while its byte code is followed, by `bytecode.py`.

Nothing here knows an instruction.
"""

from dataclasses import dataclass, field, replace

Offsets = frozenset[int]
NONE: Offsets = frozenset()


class UnknownEffectError(Exception):
    """Report an instruction that cannot be followed."""


@dataclass(frozen=True, slots=True)
class Value:
    """Hold a value on the stack: the instructions that made it, and those that a variable had."""

    made: Offsets = NONE
    held: Offsets = NONE  # computed for a variable that this was read from
    parts: tuple["Value", ...] | None = None  # of a tuple or list that was written out
    last: int = -1  # the instruction that it is the result of
    piece: tuple[int, int] | None = None  # the unpacking instruction, and the place in it
    path: tuple[str, ...] = ()  # a global and attributes of it; of a result, what was called
    saved: str = ""  # the variable that a comprehension hides

    @property
    def all(self) -> Offsets:
        """Return the instructions that computed it or its parts."""
        return self.made | self.held

    def aliased(self) -> "Value":
        """Return the value as a variable has it: the next store does not name it."""
        parts = None if self.parts is None else tuple(one.aliased() for one in self.parts)
        return replace(self, made=NONE, held=self.all, parts=parts, saved="")

    def joined(self, other: "Value") -> "Value":
        """Return the value where two paths meet."""
        if self == other:
            return self
        parts = None
        if self.parts and other.parts and len(self.parts) == len(other.parts):
            parts = tuple(a.joined(b) for a, b in zip(self.parts, other.parts, strict=True))
        made, held = self.made | other.made, self.held | other.held
        if self.last != other.last:
            return Value(made, held, parts)
        piece = self.piece if self.piece == other.piece else None
        path = self.path if self.path == other.path else ()
        return Value(made, held, parts, self.last, piece, path, self.saved and other.saved)


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold stack and variables before an instruction; `inner` are those of a comprehension."""

    stack: tuple[Value, ...] = ()
    variables: dict[str, Value] = field(default_factory=dict)
    inner: frozenset[str] = frozenset()

    def joined(self, other: "Frame") -> "Frame":
        """Return the frame where two paths meet."""
        if len(self.stack) != len(other.stack):
            raise UnknownEffectError
        stack = (a.joined(b) for a, b in zip(self.stack, other.stack, strict=True))
        names = dict.fromkeys((*self.variables, *other.variables))
        unset = Value()
        variables = {
            name: self.variables.get(name, unset).joined(other.variables.get(name, unset))
            for name in names
        }
        return Frame(tuple(stack), variables, self.inner | other.inner)


@dataclass(slots=True)
class Unpacking:
    """Hold a value that is taken apart: variables of its parts by place, and its origin."""

    count: int
    star: int  # the place of the starred target, -1 for none
    source: int  # the instruction that gave it, -1 for several
    called: tuple[str, ...]  # the global that the instruction calls
    names: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Flow:
    """Record the stores and returns of one function.

    `stores` has the variables that each instruction's value is stored to, by the offset of the
    store, `copies` those that it is stored to when it has been read from another variable. `ends`
    has the returns that can follow each instruction.
    """

    stores: dict[int, dict[int, str]] = field(default_factory=dict)
    copies: dict[int, dict[int, str]] = field(default_factory=dict)
    returned: dict[int, Value] = field(default_factory=dict)
    ends: dict[int, Offsets] = field(default_factory=dict)
    unpackings: dict[int, "Unpacking"] = field(default_factory=dict)
    pieces: dict[int, int] = field(default_factory=dict)  # the unpacking of an instruction's result
    spans: dict[int, range] = field(default_factory=dict)  # what f_lasti may be, by instruction

    def variable(self, offset: int) -> str:
        """Return the first variable that takes the result of an instruction; empty for none."""
        found = self.stores.get(offset) or self.copies.get(offset)
        return found[min(found)] if found else ""
