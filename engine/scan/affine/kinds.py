"""Find the groups of states that read each other, and tell how new states depend on old ones.

A claim is proved on the recorded step and never guessed: a group of which nothing can be proved is
non-linear. What the degrees of the ops alone say holds for mixed entries too; forms know more.
Above `rules.py` and `outer.py`.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from engine.backends import HOST
from engine.node import Shape
from engine.scan.affine.forms import ANY, Form, NotAffineError, Term, identity, size
from engine.scan.affine.outer import products
from engine.scan.affine.rules import form_of
from engine.scan.program import Literal, Program, Value
from engine.scan.reading import shapes_only, trace
from engine.tensor import Tensor

SHIFT = "shift"
DIAGONAL = "diagonal"
BLOCKS = "blocks"
OUTER = "outer product"
RANK_ONE = "rank one"
AFFINE = "affine"
MAX_PLUS = "max-plus"
NON_LINEAR = "non-linear"

MEANING = {
    SHIFT: "no step feeds it back", DIAGONAL: "affine, each entry by itself",
    BLOCKS: "affine, the states of an entry together",
    OUTER: "affine, decays and takes in an outer product",
    RANK_ONE: "affine, a decay plus a product of rank one", AFFINE: "affine, entries mixed",
    MAX_PLUS: "a maximum of sums", NON_LINEAR: "not affine",
}  # fmt: skip


class Axes(NamedTuple):
    """Name the two axes of a matrix state: one that is summed over, and one that is kept."""

    folded: int
    kept: int


class Group(NamedTuple):
    """Group states that lead to each other, by number.

    Without a `loop` it is one state that no step feeds back: a shift of something that can be known
    for all steps at once. `kind` says how its new states depend on the old ones.
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


def classified(program: Program) -> tuple[Group, ...]:
    """Return the groups of a program's states with the kind of each; found once a program."""
    if "groups" not in program.memo:
        with shapes_only():
            made = trace(program)
            program.memo["groups"] = tuple(
                one._replace(kind=_kind(program, one, made)) for one in groups(program)
            )
    found: tuple[Group, ...] = program.memo["groups"]
    return found


def _kind(program: Program, group: Group, made: list[Tensor]) -> str:
    if not group.loop:
        return SHIFT
    try:
        forms = state_forms(program, group.states, made)
    except NotAffineError:
        forms = None
    if forms is not None:
        return _entry_by_entry(program, group, forms)
    if is_affine(program, group.states):
        return AFFINE
    return MAX_PLUS if is_max_plus(program, group.states) else NON_LINEAR


def _entry_by_entry(program: Program, group: Group, forms: dict[int, Form]) -> str:
    terms = [term for form in forms.values() for term in form.terms]
    shapes = {program.values[program.carry[i]].shape for i in group.states}
    if len(shapes) > 1 or not all(is_in_place(term, shape) for term in terms for shape in shapes):
        return AFFINE
    if len(group.states) > 1:
        return BLOCKS if all(term.weight is None for term in terms) else AFFINE
    (form,) = forms.values()
    if matrix_axes(form) is None:
        return DIAGONAL if all(term.weight is None for term in terms) else AFFINE
    return RANK_ONE if any(term.weight is not None for term in terms) else OUTER


def state_forms(program: Program, states: Collection[int], made: list[Tensor]) -> dict[int, Form]:
    """Return the new value of each state as a form of the old ones; `made` traces the program.

    Raises NotAffineError where one has none. To be called while recording.
    """
    leads = {program.carry[i] for i in states}
    for value in reversed(program.values):
        if value.position in leads:
            leads.update(value.operands)
    found: dict[int, Form] = {}
    for value in program.values:
        p = value.position
        if p in program.carried and program.carried[p] in states:
            found[p] = identity(("before", program.carried[p]), value.shape)
        elif p in leads and any(one in found for one in value.operands):
            found[p] = form_of(value, [_input(one, found, made) for one in value.inputs], program)
    return {i: found[program.carry[i]] for i in states if program.carry[i] in found}


def _input(one: Any, forms: dict[int, Form], made: list[Tensor]) -> Any:
    if isinstance(one, Literal):
        return one.value
    return forms.get(one, made[one])


def is_in_place(term: Term, shape: Shape) -> bool:
    """Return whether each axis of a state lies on the axis of its number, or is summed over."""
    return len(term.axes) == len(shape) and all(
        one is None or one in (ANY, i) for i, one in enumerate(term.axes)
    )


def matrix_axes(form: Form) -> Axes | None:
    """Return the axes on which a new state is a decay of the old one plus outer products.

    That is: decays and weights are the same all along the kept axis, and what is added is a sum of
    products of a factor without the kept axis and one without the folded axis. None: on no two.
    """
    rank = len(form.shape)
    last = [i for i in range(rank - 2, rank) if i >= 0 and form.shape[i] > 1]
    for folded in last:
        for kept in last:
            if kept != folded and fits(form, Axes(folded, kept)):
                return Axes(folded, kept)
    return None


def fits(form: Form, axes: Axes) -> bool:
    """Return whether a new state is of the form that `matrix_axes` describes on two axes."""
    rank = len(form.shape)
    for term in form.terms:
        own = [one for one in (term.coefficient, term.weight) if isinstance(one, Tensor)]
        if any(size(one, axes.kept, rank) > 1 for one in own):
            return False
        if term.weight is not None and term.folded != axes.folded:
            return False
    if sum(term.weight is not None for term in form.terms) > 1:
        return False
    if form.offset is None:
        return any(term.weight is not None for term in form.terms)
    try:
        products(form.offset, form.shape, axes.folded, axes.kept)
    except NotAffineError:
        return False
    return True


def is_affine(program: Program, states: Collection[int]) -> bool:
    """Return whether the new values of some states are affine in those states together."""
    affine: dict[int, bool] = {}
    for value, depends in _depending(program, states):
        degree, alone = value.degree, sum(depends) == 1
        affine[value.position] = (
            all(affine.get(one, True) for one in value.operands)
            and _is_floating(value, program)
            and (
                degree == "sum"
                or (degree == "product" and alone and not any(depends[2:]))
                or (degree == "product" and value.linear and not all(depends[:2]))
                or (degree == "quotient" and depends[0] and alone)
                or (degree == "choice" and not depends[0])
            )
        )
    return all(affine.get(program.carry[i], True) for i in states)


def is_max_plus(program: Program, states: Collection[int]) -> bool:
    """Return whether the new values of some states are maxima of sums: state plus a rest."""
    shifted: dict[int, bool] = {}
    for value, depends in _depending(program, states):
        inside = all(shifted.get(one, True) for one in value.operands)
        same = all(program.values[p].shape == value.shape for p in value.operands if p in shifted)
        shifted[value.position] = (
            inside and same and value.kind == "elementwise" and _is_floating(value, program)
            and (value.degree == "maximum" or (value.degree == "sum" and _is_shift(value, depends)))
        )  # fmt: skip
    return all(shifted.get(program.carry[i], True) for i in states)


def _is_floating(value: Value, program: Program) -> bool:
    """Return whether a degree says something of a value: of floats, however they are chosen."""
    chosen = value.degree == "choice"
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
