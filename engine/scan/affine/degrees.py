"""Tell by the degrees of the ops alone how new states depend on old ones.

Below the forms, which know more: these rules hold for mixed entries too. Above `program.py`.
"""

from collections.abc import Collection

from engine.backends import HOST
from engine.scan.program import Literal, Program, Value


def is_affine(program: Program, states: Collection[int]) -> bool:
    """Return whether the new values of some states are affine in those states together."""
    affine: dict[int, bool] = {}
    for value, depends in _depending(program, states):
        op = value.op
        assert op is not None
        alone = sum(depends) == 1
        affine[value.position] = (
            all(affine.get(one, True) for one in value.operands)
            and _is_floating(value, program)
            and (
                op.degree == "sum"
                or (op.degree == "product" and alone and not any(depends[2:]))
                or (op.degree == "product" and op.inputs == 3 and not all(depends[:2]))
                or (op.degree == "quotient" and depends[0] and alone)
                or (op.degree == "choice" and not depends[0])
            )
        )
    return all(affine.get(program.carry[i], True) for i in states)


def is_max_plus(program: Program, states: Collection[int]) -> bool:
    """Return whether the new values of some states are maxima of sums: state plus a rest."""
    shifted: dict[int, bool] = {}
    for value, depends in _depending(program, states):
        op = value.op
        assert op is not None
        inside = all(shifted.get(one, True) for one in value.operands)
        same = all(program.values[p].shape == value.shape for p in value.operands if p in shifted)
        shifted[value.position] = (
            inside and same and op.kind == "elementwise" and _is_floating(value, program)
            and (op.degree == "maximum" or (op.degree == "sum" and _is_shift(value, depends)))
        )  # fmt: skip
    return all(shifted.get(program.carry[i], True) for i in states)


def _is_floating(value: Value, program: Program) -> bool:
    """Return whether a degree says something of a value: of floats, however they are chosen."""
    chosen = value.op is not None and value.op.degree == "choice"
    kinds = {program.values[p].dtype.kind for p in value.operands[chosen:]}
    return kinds == {"f"} and value.dtype.kind == "f"


def _is_shift(value: Value, depends: list[bool]) -> bool:
    """Return whether the one input that depends on states has the factor 1."""
    if sum(depends) != 1 or value.op is None:
        return False
    numbers = [HOST.xp.asarray(float(one)) for one in depends]
    attrs = {name: one for name, one in value.attrs.items() if name != "dtype"}
    return float(value.op.forward(HOST.xp, *numbers, **attrs)) == 1.0


def _depending(program: Program, states: Collection[int]) -> list[tuple[Value, list[bool]]]:
    """Return the ops from some states to their new values, and which inputs depend on them."""
    own = {p for p, i in program.carried.items() if i in states}
    leads = {program.carry[i] for i in states}
    for value in reversed(program.values):
        if value.position in leads:
            leads.update(value.operands)
    found = []
    for value in program.values:
        depends = [not isinstance(one, Literal) and one in own for one in value.inputs]
        if any(depends):
            own.add(value.position)
            if value.position in leads:
                found.append((value, depends))
    return found
