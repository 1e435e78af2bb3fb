"""Write random recurrences as programs: leaves, a step of drawn statements, options, their source.

A program is made from its seed alone; `source` prints it as Python that a person can run. Above
`step_statements`; `step_checks` runs what is made here and `step_shrinking` cuts it down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import engine
from tests.engine.scan.step_statements import Draft, coerced, proposal, reads

Array = np.ndarray[Any, Any]
LIMIT = 200  # elements in one value
HEADER = """import numpy as np
import engine as e
from tests.engine.scan.step_programs import draw
"""
FOOTER = """
if __name__ == "__main__":
    from tests.engine.scan.step_checks import check_source
    print(check_source(open(__file__).read()))
"""


@dataclass
class Program:
    """Hold a recurrence as texts: its leaves, statements, results and options."""

    seed: int
    leaves: dict[str, str] = field(default_factory=dict)
    states: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    body: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)
    output: str = "None"
    options: dict[str, str] = field(default_factory=dict)
    form: str = "tuple"
    extra: dict[str, Any] = field(default_factory=dict)

    def source(self) -> str:
        """Return the program as Python source that defines init, xs, options, extra and step."""
        lines = [HEADER, *(f"{name} = {text}" for name, text in self.leaves.items())]
        lines += [f"init = {self.packed(list(self.states))}", f"xs = {self.packed(self.inputs)}"]
        options = ", ".join(f"{k}={v}" for k, v in self.options.items())
        lines += [
            f"options = dict({options})",
            f"extra = {self.extra!r}",
            "",
            "",
            "def step(state, x):",
        ]
        lines += [
            f"    {self.opened(list(self.states), 'state')}",
            f"    {self.opened(self.inputs, 'x')}",
        ]
        for name, text in self.body:
            lines += ["    " + line for line in statement(name, text).split("\n")]
        lines += [f"    return {self.packed(self.news)}, {self.output}", FOOTER]
        return "\n".join(lines)

    def packed(self, names: list[str]) -> str:
        """Return the text of names in the structure of this program."""
        if not names:
            return "None"
        if len(names) == 1 and self.form != "dict":
            return names[0]
        if self.form == "dict":
            return "{" + ", ".join(f'"{i}": {name}' for i, name in enumerate(names)) + "}"
        return "(" + ", ".join(names) + ")"

    def opened(self, names: list[str], whole: str) -> str:
        if not names:
            return "pass"
        if len(names) == 1 and self.form != "dict":
            return f"{names[0]} = {whole}"
        parts = [
            f'{whole}["{i}"]' if self.form == "dict" else f"{whole}[{i}]" for i in range(len(names))
        ]
        return f"{', '.join(names)} = {', '.join(parts)}"

    def reads(self) -> bool:
        """Tell whether a statement asks for numbers."""
        return any(reads(text) for _, text in self.body)


def statement(name: str, text: str) -> str:
    """Return the lines that give `name` its value."""
    return text.replace("OUT", name) if "OUT" in text else f"{name} = {text}"


def draw(
    name: str, shape: tuple[int, ...], seed: int, kind: str = "normal", dtype: str = "float64",
    grad: bool = True, rowed: bool = False, change: Callable[..., Array] | None = None,
    version: int = 0,
) -> engine.Tensor:  # fmt: skip
    """Return a leaf of this name, seed and kind of values; `change` edits its array by name."""
    rng = np.random.default_rng([seed, version, *name.encode()])
    array = np.asarray(numbers(rng, shape, kind))
    if array.dtype.kind == "f":
        array = array.astype(dtype)
    if change:
        array = change(name, array, rowed)
    floats = array.dtype.kind == "f"
    return engine.asarray(array, requires_grad=grad and floats, name=name)


def numbers(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Any:
    """Return the values of a leaf; most kinds coincide on purpose."""
    if kind.startswith("index"):
        return rng.integers(0, int(kind[5:]), shape)
    if kind == "bool":
        return rng.random(shape) < 0.6
    makers: dict[str, Callable[[], Any]] = {
        "normal": lambda: 0.8 * rng.normal(size=shape),
        "whole": lambda: rng.integers(-2, 3, shape) * 1.0,
        "halves": lambda: rng.integers(-2, 3, shape) * 0.5,
        "zeros": lambda: np.zeros(shape),
        "ones": lambda: np.ones(shape),
        "equal": lambda: np.full(shape, rng.normal()),
    }
    return makers[kind]()


def namespace(source: str, **changes: Any) -> dict[str, Any]:
    """Run a program's source up to its step, with other leaves where `changes` say so."""

    def drawn(*args: Any, **kwargs: Any) -> engine.Tensor:
        return draw(*args, **kwargs, **changes)

    names: dict[str, Any] = {"__name__": "case"}
    names |= {"np": np, "e": engine, "draw": drawn}
    exec(compile(source.replace(HEADER, ""), "<random step>", "exec"), names)
    return names


# ---- drawing a program


class Maker:
    """Draw one program."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(f"step {seed}")
        self.program = Program(seed)
        self.sizes = self.drawn_sizes()
        self.dtype = "float64" if self.rng.random() < 0.8 else "float32"
        self.inert = self.rng.random() < 0.08  # no leaf asks for a gradient
        self.usual = self.rng.choice(["normal", "normal", "normal", "whole", "halves", "zeros"])

    def drawn_sizes(self) -> dict[str, int]:
        """Return sizes that coincide often and are one often."""
        rng, names = self.rng, "TBIHKV"
        how = rng.random()
        if how < 0.25:
            sizes = dict.fromkeys(names, rng.choice([1, 2, 2, 3, 3]))
        else:
            sizes = {name: rng.choice([1, 2, 2, 3, 3, 4]) for name in names}
        if 0.25 < how < 0.5:
            sizes["H"] = sizes["B"]
        if 0.4 < how < 0.6:
            sizes["I"] = sizes["K"] = sizes["V"] = sizes["H"]
        if rng.random() < 0.6:
            sizes["T"] = rng.choice([2, 3, 4, 5, 6])
        return sizes | {"N": rng.choice([2, 3])}

    def leaf(self, name: str, letters: str, kind: str = "", rowed: bool = False) -> tuple[int, ...]:
        """Add a leaf with a shape of these sizes; '1' is a unit axis."""
        rng = self.rng
        shape = tuple(1 if c == "1" else self.sizes[c] for c in letters)
        odd = rng.choice(["zeros", "ones", "equal", "whole", "halves"])
        kind = kind or (self.usual if rng.random() < 0.5 else rng.choice(["normal", "normal", odd]))
        grad = not self.inert and rng.random() < 0.85
        more = f', "{self.dtype}"' if self.dtype != "float64" else ""
        more += "" if grad or kind == "bool" or "index" in kind else ", grad=False"
        more += ", rowed=True" if rowed else ""
        self.program.leaves[name] = f'draw("{name}", {shape}, {self.program.seed}, "{kind}"{more})'
        return shape

    def make(self) -> Program:
        self.draw_leaves()
        values = self.first_values()
        draft = Draft(self.rng, values, self.sizes)
        self.fill(draft, self.rng.choice([2, 4, 6, 8, 10, 14, 20]))
        self.finish(draft)
        self.program.options = self.drawn_options()
        rng = self.rng
        self.program.extra = {
            "use": rng.choice(["all", "all", "all", "all", "final", "outputs"]),
            "dtype": self.dtype, "quiet": rng.random() < 0.5, "again": rng.random() < 0.2,
        }  # fmt: skip
        return self.program

    def draw_leaves(self) -> None:
        """Draw one to three states, inputs and parameters, of many shapes."""
        rng, program = self.rng, self.program
        forms = ["BH"] * 11 + ["B"] * 3 + ["BKV"] * 3 + ["1H", "H", "", "B1", "BK", "BHH"]
        first = rng.choice(forms)
        for i in range(rng.choice([1, 1, 1, 2, 2, 3])):
            letters = first if rng.random() < 0.5 else rng.choice(forms)
            program.states[f"h{i}"] = self.leaf(f"h{i}", letters)
        kinds = (
            ["BI"] * 6
            + ["BH"] * 4
            + ["B", "B", "1I", "I", "", "BKV", "BKV", "BK", "H", "B1", "BHH"]
        )
        for i in range(rng.choice([1, 1, 1, 2, 2, 3])):
            letters = rng.choice(kinds)
            self.leaf(f"x{i}", "T" + letters, rowed=letters[:1] == "B")
            program.inputs.append(f"x{i}")
        if rng.random() < 0.2:
            letters = rng.choice(["TB", "TB", "T", "TB1"])
            self.leaf("i0", letters, f"index{self.sizes['N']}", rowed="B" in letters)
            self.leaf("E", rng.choice(["NH", "NI", "NK"]))
            program.inputs.append("i0")
        if rng.random() < 0.15:
            letters = rng.choice(["TB", "TB1", "TBH", "T"])
            self.leaf("m0", letters, "bool", rowed="B" in letters)
            program.inputs.append("m0")
        shapes = {
            "W": "HH",
            "U": "HI",
            "V": "IH",
            "M": "KV",
            "b": "H",
            "c": "BH",
            "r": "B",
            "s": "",
            "q": "B1",
        }
        for name in rng.sample(list(shapes), rng.choice([0, 1, 2, 3, 4])):
            self.leaf(name, shapes[name])
        if "W" in program.leaves and rng.random() < 0.15:
            program.leaves["W2"] = rng.choice(["e.tanh(W)", "W.detach()", "W + 0.5", "W"])
        program.form = rng.choice(["tuple", "tuple", "tuple", "dict"])
        if rng.random() < 0.03:
            for name in program.inputs:
                del program.leaves[name]
            program.inputs.clear()

    def first_values(self) -> dict[str, Any]:
        """Return what the step sees at time 0."""
        names = namespace(self.program.source())
        return {
            name: names[name][0] if name in self.program.inputs else names[name]
            for name in self.program.leaves
        }

    def fill(self, draft: Draft, count: int) -> None:
        """Add so many statements, each tried on numbers first."""
        for _ in range(4 * count):
            if len(self.program.body) >= count:
                return
            text = proposal(draft)
            if text:
                self.accept(draft, text)

    def accept(self, draft: Draft, text: str) -> str | None:
        """Add a statement if it gives a finite tensor of a moderate size; return its name."""
        name = f"v{len(self.program.body)}"
        names = {"np": np, "e": engine, **draft.values}
        try:
            with np.errstate(all="ignore"):
                exec(statement(name, text), names)
            value = names[name]
            if not isinstance(value, engine.Tensor) or not self.moderate(value):
                return None
        except Exception:
            return None
        draft.add(name, value, words(text))
        self.program.body.append((name, text))
        self.program.shapes[name] = (tuple(value.shape), str(value.dtype))
        return name

    def moderate(self, value: engine.Tensor) -> bool:
        array = value.numpy()
        if array.dtype.kind == "f" and str(array.dtype) != self.dtype:
            return False
        large = array.dtype.kind == "f" and not (np.abs(array) < 20).all()
        return 0 < array.size <= LIMIT and array.ndim <= 4 and not large

    def finish(self, draft: Draft) -> None:
        """Choose the new states and the output."""
        rng, program = self.rng, self.program
        olds = list(program.states)
        for old, shape in program.states.items():
            how = rng.random()
            same = [s for s in olds if program.states[s] == shape and s != old]
            if how < 0.06:
                program.news.append(old)
            elif how < 0.12 and same:
                program.news.append(rng.choice(same))
            elif how < 0.16 and program.news and program.states[olds[0]] == shape:
                program.news.append(program.news[0])
            else:
                program.news.append(self.next_state(draft, old, shape))
        program.output = self.drawn_output(draft)
        used = [n for n in draft.values if n in program.leaves or n in dict(program.body)]
        assert all(n in used for n in program.news)

    def next_state(self, draft: Draft, old: str, shape: tuple[int, ...]) -> str:
        """Add statements that end in a value of this shape, mostly bounded."""
        rng = self.rng
        live = [n for n in draft.names() if n in draft.live]
        fresh = [n for n in live if n in draft.unused and n[0] == "v"]
        late = fresh if fresh and rng.random() < 0.8 else live[-5:]
        new = coerced(draft, rng.choice(late), shape)
        if "(" in new:
            new = self.accept(draft, new) or old
        if draft.shape(new) != shape:
            return old
        z = draft.pick(fits=lambda s: len(s) <= len(shape))
        forms = [
            "e.tanh({n})",
            "e.tanh({n} + {o})",
            "0.5 * {o} + e.tanh({n})",
            "{o} + 0.3 * {n}",
            "e.sigmoid({n}) * {o}",
        ]
        forms += ["{o} + e.tanh({n})", "({o} + {n}) / 2", "{o} - 0.1 * {n}", "e.maximum({o}, {n})"]
        forms += ["e.where({z} > 0.0, {n}, {o})", "e.tanh({n}) + 0.0 * {o}", "{o} * 0.5"]
        text = rng.choice(forms).format(n=new, o=old, z=z or old)
        if rng.random() < 0.15:
            return new
        got = self.accept(draft, text)
        return got if got and draft.shape(got) == shape else new

    def drawn_output(self, draft: Draft) -> str:
        rng = self.rng
        news, outs = self.program.news, draft.names()
        late = [n for n in outs if n in draft.unused] or outs[-4:]
        choices = [*news * 3, *late, *late, *self.program.states, rng.choice(list(draft.values))]
        one, two = rng.choice(choices), rng.choice(choices)
        how = rng.random()
        if how < 0.06:
            return rng.choice(["None", "()"])
        if how < 0.2:
            return f"({one}, {two})"
        if how < 0.26:
            return f'{{"a": {one}, "b": ({two},)}}'
        return one

    def drawn_options(self) -> dict[str, str]:
        """Draw reverse, lengths of any integer kind, masks with holes, checkpoints."""
        rng, T, B = self.rng, self.sizes["T"], self.sizes["B"]
        options: dict[str, str] = {}
        if not self.program.inputs:
            options["length"] = str(T)
        if rng.random() < 0.3:
            options["reverse"] = "True"
        rowed = all(s and s[0] == B for s in self.program.states.values())
        how = rng.random() if rowed or rng.random() < 0.1 else 1.0
        ends = [rng.choice([0, 1, T, rng.randint(0, T), rng.randint(0, T)]) for _ in range(B)]
        if how < 0.4:
            dtype = rng.choice(["int64", "int64", "uint8", "int8", "int32", "uint64"])
            listed = rng.random() < 0.3
            options["lengths"] = str(ends) if listed else f'np.array({ends}, "{dtype}")'
        elif how < 0.55:
            mask = [[int(rng.random() < 0.65) for _ in range(B)] for _ in range(T)]
            options["mask"] = f"np.array({mask}, bool)"
        if rng.random() < 0.25:
            options["checkpoint"] = rng.choice(["True", "1", "2", "3"])
        return options


def made(seed: int) -> Program:
    """Return the program of a seed."""
    return Maker(seed).make()


def used(program: Program) -> set[str]:
    """Return the names that the results of a program need."""
    need = words(" ".join([*program.news, program.output]))
    for name, text in reversed(program.body):
        if name in need:
            need |= words(text)
    return need


def words(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Za-z]\w*\b", text))
