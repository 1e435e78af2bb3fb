"""Shrink a random recurrence that fails: drop statements, options and inputs while it still fails.

Above `step_programs`; `random_steps` shrinks what it prints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from tests.engine.scan.step_checks import check_source
from tests.engine.scan.step_programs import Program, namespace, used

Fails = Callable[[str], bool]


def shrunk(program: Program, fails: Fails, seconds: float = 20.0) -> Program:
    """Return the smallest program found in the time for which ``fails(source)`` holds."""
    end, smaller = time.monotonic() + seconds, True
    while smaller:
        smaller = False
        for candidate in candidates(program):
            if time.monotonic() > end:
                return program
            if fails(candidate.source()):
                program, smaller = candidate, True
                break
    return program


def still(kind: str) -> Fails:
    """Return a predicate: a source is wrong in the same way."""

    def fails(source: str) -> bool:
        try:
            verdict = check_source(source, explain=False)
        except Exception:
            return False
        return verdict.status == "wrong" and verdict.kind == kind

    return fails


def candidates(program: Program) -> Iterator[Program]:
    """Yield programs that lack one thing, the greatest cuts first."""
    yield from unused(program)
    for option in program.options:
        yield changed(program, lambda p, o=option: p.options.pop(o))
    for key, plain in (("quiet", False), ("again", False)):
        if program.extra[key] != plain:
            yield changed(program, lambda p, k=key, v=plain: p.extra.update({k: v}))
    if program.output != "None":
        yield changed(program, lambda p: setattr(p, "output", "None"))
    for i, name in enumerate(program.news):
        old = list(program.states)[i]
        if name != old:
            yield changed(program, lambda p, i=i, old=old: p.news.__setitem__(i, old))
    if program.form == "dict":
        yield changed(program, lambda p: setattr(p, "form", "tuple"))
    for i in reversed(range(len(program.body))):
        yield from without(program, i)
    for i, name in enumerate(program.states):
        if len(program.states) > 1 and program.news[i] == name:
            yield changed(program, lambda p, i=i, n=name: drop_state(p, i, n))
    for name, text in program.leaves.items():
        if '"normal"' not in text and "index" not in text and '"bool"' not in text:
            yield changed(program, lambda p, n=name, t=text: p.leaves.update({n: plain_values(t)}))


def plain_values(text: str) -> str:
    return re.sub(r'"(whole|halves|zeros|ones|equal)"', '"normal"', text)


def changed(program: Program, change: Callable[[Program], Any]) -> Program:
    """Return a changed copy."""
    copy = deepcopy(program)
    change(copy)
    return copy


def drop_state(program: Program, i: int, name: str) -> None:
    """Make a state that does not change a constant."""
    del program.states[name]
    program.news.pop(i)


def unused(program: Program) -> Iterator[Program]:
    """Yield the program without statements, inputs and parameters that nothing reads."""
    need = used(program)
    body = [(n, t) for n, t in program.body if n in need]
    if len(body) < len(program.body):
        yield changed(program, lambda p: setattr(p, "body", body))
    inputs = [n for n in program.inputs if n in need]
    if inputs and len(inputs) < len(program.inputs):
        gone = set(program.inputs) - set(inputs)

        def cut(p: Program) -> None:
            p.inputs = inputs
            p.leaves = {n: t for n, t in p.leaves.items() if n not in gone}

        yield changed(program, cut)
    kept = need | set(program.states) | set(program.inputs) | {"W" if "W2" in need else ""}
    if set(program.leaves) - kept:
        leaves = {n: t for n, t in program.leaves.items() if n in kept}
        yield changed(program, lambda p: setattr(p, "leaves", leaves))


def without(program: Program, i: int) -> Iterator[Program]:
    """Yield programs in which a value of the same shape, or zeros, stands for statement i."""
    name = program.body[i][0]
    shape, dtype = program.shapes[name]
    later = " ".join([*(t for _, t in program.body[i + 1 :]), *program.news, program.output])
    if not re.search(rf"\b{name}\b", later):
        yield changed(program, lambda p: p.body.pop(i))
        return
    known = known_shapes(program)
    earlier = [*program.leaves, *(n for n, _ in program.body[:i])]
    same = [n for n in earlier if known.get(n) == (shape, dtype)]
    for other in same[-3:]:
        yield changed(program, lambda p, o=other: replaced(p, i, name, o))
    kept = program.body[i][1]
    if not kept.startswith("e.zeros("):
        zeros = f'e.zeros({shape}, dtype="{dtype}")'
        yield changed(program, lambda p: p.body.__setitem__(i, (name, zeros)))


def known_shapes(program: Program) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and dtype of each value as the step sees it."""
    names = namespace(program.source())
    shapes = dict(program.shapes)
    for name in program.leaves:
        value = names[name][0] if name in program.inputs else names[name]
        shapes[name] = (tuple(value.shape), str(value.dtype))
    return shapes


def replaced(program: Program, i: int, name: str, other: str) -> None:
    """Drop statement i and read `other` for its value."""

    def put(text: str) -> str:
        return re.sub(rf"\b{name}\b", other, text)

    program.body = [(n, put(t)) for n, t in program.body if n != name]
    program.news = [put(n) for n in program.news]
    program.output = put(program.output)
