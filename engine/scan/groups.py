"""Groups of states: those that read each other from step to step. Above `program.py`."""

from typing import NamedTuple

from engine.scan.program import Program


class Group(NamedTuple):
    """States that lead to each other, by number.

    Without a `loop` it is one state that no step feeds back: a shift of something that can be known
    for all steps at once. `kind` says how its new states depend on the old ones, where that has
    been asked for (`affine/kinds.py`).
    """

    states: tuple[int, ...]
    loop: bool
    kind: str = ""


def groups(program: Program) -> tuple[Group, ...]:
    """Return the groups of a program's states, each after those that it reads."""
    count = len(program.carry)
    every = states_read(program)
    reads = [every[p] for p in program.carry]
    reach = [set(one) for one in reads]
    for k in range(count):  # all states that a state depends on, over any number of steps
        for i in range(count):
            if k in reach[i]:
                reach[i] |= reach[k]
    together = {tuple(sorted({i, *(j for j in reach[i] if i in reach[j])})) for i in range(count)}
    ordered = sorted(together, key=lambda own: (len(set().union(*(reach[i] for i in own))), own))
    return tuple(Group(own, own[0] in reach[own[0]]) for own in ordered)


def states_read(program: Program) -> list[set[int]]:
    """Return the states that each value is computed from."""
    found: list[set[int]] = []
    for value in program.values:
        own = {program.carried[value.position]} if value.position in program.carried else set()
        found.append(own.union(*(found[p] for p in value.operands)))
    return found
