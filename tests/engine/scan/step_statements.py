"""Draw the statements of a random step: each template proposes one line over the values so far.

A template returns the text of an expression, or lines with OUT for the name of the result, or None
where no value fits. `step_programs` tries a proposal on numbers before it keeps it, so a template
may propose shapes that do not fit. Below `step_programs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import engine

Template = Callable[["Draft"], "str | None"]
TEMPLATES: list[tuple[float, Template]] = []


class Draft:
    """Hold the values that a step has so far, by name, and pick among them."""

    def __init__(self, rng: Random, values: dict[str, Any], sizes: dict[str, int]) -> None:
        self.rng, self.values, self.sizes = rng, values, sizes
        self.live = {name for name in values if name[0] in "hxim"}  # depend on states or inputs
        self.unused = set(self.live)

    def names(self, kind: str = "float") -> list[str]:
        """Return the names of all values of a kind: float, int or bool."""
        return [name for name, value in self.values.items() if kind in str(value.dtype)]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.values[name].shape)

    def pick(self, kind: str = "float", fits: Callable[[tuple[int, ...]], bool] = bool) -> Any:
        """Return a name of this kind with a shape that fits: often late, unused, of this step."""
        accept = (lambda _: True) if fits is bool else fits
        names = [name for name in self.names(kind) if accept(self.shape(name))]
        for part, share in ((self.live, 0.8), (self.unused, 0.5)):
            some = [name for name in names if name in part]
            names = some if some and self.rng.random() < share else names
        return self.rng.choice(names[-6:] if self.rng.random() < 0.5 else names) if names else None

    def add(self, name: str, value: Any, needs: set[str]) -> None:
        """Add a value that was computed from the names in `needs`."""
        self.values[name] = value
        self.unused -= needs
        self.unused.add(name)
        if needs & self.live:
            self.live.add(name)

    def like(self, name: str) -> str:
        """Return another value of the same shape, or the same one where there is no other."""
        return str(self.pick(fits=lambda shape: shape == self.shape(name)))

    def beside(self, name: str) -> str:
        """Return a value that broadcasts with `name`: any rank, rows and units mixed."""
        mine = self.shape(name)
        return str(self.pick(fits=lambda shape: broadcasts(mine, shape)))

    def axis(self, name: str) -> int:
        rank = len(self.shape(name))
        return self.rng.randrange(-rank, rank) if rank else 0

    def number(self) -> str:
        return self.rng.choice(["0.5", "-0.5", "2.0", "0.1", "1", "0.0", "-0.0", "-1.5", "3", "0"])


def broadcasts(one: Sequence[int], other: Sequence[int]) -> bool:
    """Tell whether two shapes broadcast."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def template(weight: float) -> Callable[[Template], Template]:
    """Add a template that is drawn with this weight."""

    def add(function: Template) -> Template:
        TEMPLATES.append((weight, function))
        return function

    return add


def proposal(draft: Draft) -> str | None:
    """Return one statement drawn from all templates."""
    for name, use in (("i0", gathered), ("m0", masked)):
        if name in draft.unused and draft.rng.random() < 0.4:
            return use(draft)
    weights = [weight for weight, _ in TEMPLATES]
    return draft.rng.choices([f for _, f in TEMPLATES], weights)[0](draft)


UNARY = """
e.tanh({a})|e.tanh({a})|e.tanh({a})|e.sigmoid({a})|e.sigmoid({a})|e.softplus({a})|e.relu({a})
e.abs({a})|e.square({a})|e.sin({a})|e.cos({a})|-{a}|e.exp(-e.square({a}))
e.exp(e.clip({a}, -2.0, 1.0))|e.log(1.0 + e.square({a}))|1.0 / (1.0 + e.square({a}))
1 / (2.0 + e.tanh({a}))|e.clip({a}, -0.5, 0.75)|(e.abs({a}) + 0.5) ** 1.5|{a} ** 2
0.1 * {a} ** 3|e.power(2.0, e.tanh({a}))|e.expm1(e.tanh({a}))|e.log1p(e.square({a}))
e.sqrt({a} * {a} + 0.25)|e.erf({a})|e.silu({a})|e.gelu({a})|e.elu({a})|e.leaky_relu({a})
e.remainder({a}, 1.5)|e.maximum({a}, 0.0)|e.minimum({a}, 0.25)|e.logaddexp({a}, 0.0)
e.where({a} > 0.0, {a}, 0.1 * {a})|e.astype({a} > 0.25, {a}.dtype)|e.sign({a}) * {a}|e.atan({a})
{a} + {n}|{n} + {a}|{a} - {n}|{n} - {a}|{a} * {n}|{n} * {a}|0.5 * {a}|1.0 - {a}|{a} * 0.9
({a} + {a}) / 2|{a}.detach()|{a} + (e.tanh({a}) - {a}).detach()|{a} * e.sigmoid({a}).detach()
e.clip({a}, None, 0.5)|e.softplus(-{a})|e.arange(3)[1] * {a}|e.positive({a})|e.zeros_like({a})
e.ones_like({a}) - {a}
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(6)
def unary(d: Draft) -> str | None:
    """Apply one function, or arithmetic with a Python number."""
    a = d.pick()
    return a and d.rng.choice(UNARY).format(a=a, n=d.number())


BINARY = """
{a} + {b}|{a} + {b}|{a} - {b}|{a} * {b}|{a} * {b}|e.maximum({a}, {b})|e.minimum({a}, {b})
e.logaddexp({a}, {b})|e.where({a} > {b}, {a}, {b})|{a} / (1.0 + e.square({b}))
{a} * e.sigmoid({b})|e.tanh({a} + {b})|e.tanh({a}) * {b}|e.where({b} >= 0.0, {a}, 0.0)
e.where({b} > 0.5, {a}, -0.0)|e.atan2({a}, 1.0 + e.square({b}))|e.hypot({a}, 1.0 + e.abs({b}))
{a} + 0.1 * {b}|({a} + {b}) / 2|e.where(e.logical_and({a} > 0.0, {b} < 0.5), {b}, {a})
e.power(1.0 + e.square({a}), e.tanh({b}))|e.where(e.isfinite({a}), {b}, {a})
e.stack([{a} + 0.0 * {b}, {b} + 0.0 * {a}], axis=0)[1]
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(8)
def binary(d: Draft) -> str | None:
    """Join two values that broadcast, in either order."""
    a = d.pick()
    if a is None:
        return None
    pair = [a, d.beside(a)]
    d.rng.shuffle(pair)
    return d.rng.choice(BINARY).format(a=pair[0], b=pair[1])


@template(2)
def gate(d: Draft) -> str | None:
    """Mix two values of one shape by a gate that may be one number a row."""
    a = d.pick()
    if a is None:
        return None
    b, z = d.like(a), d.beside(a)
    form = "(1.0 - e.sigmoid({z})) * {a} + e.sigmoid({z}) * e.tanh({b})"
    return d.rng.choice([form, "{a} + e.sigmoid({z}) * ({b} - {a})"]).format(a=a, b=b, z=z)


@template(1.5)
def masked(d: Draft) -> str | None:
    """Choose by a mask: a boolean input or a comparison, for its shape or one more axis."""
    m = d.pick("bool")
    a = d.pick()
    if a is None:
        return None
    if m is None:
        m = f"({d.beside(a)} > {d.rng.choice(['0.0', '0.3'])})"
    elif d.rng.random() < 0.4:
        m = d.rng.choice([f"{m}[..., None]", f"e.logical_not({m})", f"e.expand_dims({m}, axis=-1)"])
    other = d.rng.choice([d.like(a), "0.0", "1.0", f"0.5 * {a}"])
    return f"e.where({m}, {a}, {other})"


@template(1)
def compared(d: Draft) -> str | None:
    """Make a boolean."""
    a = d.pick()
    return a and d.rng.choice(["{a} > 0.0", "{a} <= {b}", "e.isfinite({a})"]).format(
        a=a, b=d.beside(a)
    )


@template(5)
def product(d: Draft) -> str | None:
    """Multiply by a parameter, or two values with each other, as matrices."""
    a = d.pick(fits=lambda shape: len(shape) > 0)
    if a is None:
        return None
    n = d.shape(a)[-1]
    w = d.pick(fits=lambda shape: len(shape) == 2 and n in shape)
    b = d.pick(fits=lambda shape: len(shape) > 0)
    if w is None:
        return f"e.matmul({a}, {b})"
    bias = d.pick(fits=lambda shape: shape == d.shape(w)[:1])
    forms = ["e.linear({a}, {w})", "e.linear({a}, {w})", "{a} @ {w}", "{a} @ {w}.T", "{w} @ {a}"]
    forms += ["e.matmul({a}, {b})", "e.vecdot({a}, {b})", "e.tensordot({a}, {w}, axes=1)"]
    forms += ["({a}[..., None, :] @ {b})[..., 0, :]", "({b} @ {a}[..., None])[..., 0]"]
    forms += [
        "e.linear(e.linear({a}, {w}, {bias}), {w})",
        "e.linear(e.tanh(e.linear({a}, {w})), {w})",
    ]
    forms += ["e.linear({a}, {w}, {bias})"] * (3 if bias else 0)
    return d.rng.choice(forms).format(a=a, b=b, w=w, bias=bias or "None")


@template(3)
def equation(d: Draft) -> str | None:
    """Join two values by a random equation of einsum."""
    a, b = d.pick(fits=lambda s: 0 < len(s) < 4), d.pick(fits=lambda s: 0 < len(s) < 4)
    if a is None or b is None:
        return None
    sizes: dict[str, int] = {}
    sides = []
    for name in (a, b):
        side = ""
        for size in d.shape(name):
            same = [k for k, v in sizes.items() if v == size and k not in side]
            fresh = next(k for k in "abcdefgh" if k not in sizes and k not in side)
            letter = d.rng.choice(same) if same and d.rng.random() < 0.7 else fresh
            sizes[letter] = size
            side += letter
        sides.append(side)
    out = d.rng.sample(list(sizes), d.rng.randint(0, min(3, len(sizes))))
    return f'0.5 * e.einsum("{sides[0]},{sides[1]}->{"".join(out)}", {a}, {b})'


@template(1.5)
def outer(d: Draft) -> str | None:
    """Form a product of every unit with every unit, or every row with every row."""
    a, b = d.pick(fits=lambda s: 0 < len(s) < 3), d.pick(fits=lambda s: 0 < len(s) < 3)
    if a is None or b is None:
        return None
    forms = ["{a}[..., :, None] * {b}[..., None, :]", "e.outer({a}, {b})"]
    forms += ["e.einsum('bk,bv->bkv', {a}, {b})", "e.einsum('bk,ck->bc', {a}, {b})"]
    return d.rng.choice(forms).format(a=a, b=b)


REDUCTIONS = """
e.sum({a}{k})|e.sum({a}{k})|e.mean({a}{k})|e.mean({a}{k})|e.max({a}{k})|e.min({a}{k})
e.logsumexp({a}{k})|e.var({a}{k})|e.prod(e.tanh({a}){k})|e.sqrt(e.sum(e.square({a}){k}) + 0.5)
e.norm(1.0 + e.square({a}){k})
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(4)
def reduction(d: Draft) -> str | None:
    """Reduce over one axis, several or all, with or without keepdims."""
    a = d.pick(fits=lambda s: len(s) > 0)
    if a is None:
        return None
    rank = len(d.shape(a))
    axes: Any = d.axis(a)
    if d.rng.random() < 0.2:
        axes = tuple(d.rng.sample(range(rank), d.rng.randint(1, rank)))
    elif d.rng.random() < 0.15:
        axes = None
    keep = d.rng.choice(["", "", ", keepdims=True", ", keepdims=True"])
    return d.rng.choice(REDUCTIONS).format(a=a, k=f", axis={axes}{keep}")


AXIS = """
e.softmax({a}, axis={k})|e.softmax({a}, axis={k})|e.log_softmax({a}, axis={k})
e.cumsum({a}, axis={k})|e.cumprod(e.tanh({a}), axis={k})|e.sort({a}, axis={k})
e.sort({a}, axis={k}, descending=True)|e.flip({a}, axis={k})|e.flip({a})
e.roll({a}, 1, axis={k})|e.roll({a}, -2, axis={k})|e.roll({a}, 1)
e.layer_norm({a}, axis={k}, eps=0.1)|e.diff({a}, axis={k})
e.cumsum({a}, axis={k}, include_initial=True)|{a} - e.mean({a}, axis={k}, keepdims=True)
{a} - e.max({a}, axis={k}, keepdims=True)
{a} / e.sqrt(0.5 + e.mean(e.square({a}), axis={k}, keepdims=True))|e.topk({a}, 1, axis={k})[0]
{a} - e.mean({a}, axis=0, keepdims=True)|{a} - e.mean({a}, axis=0)
{a} / (1.0 + e.var({a}, axis=0))
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(3)
def along(d: Draft) -> str | None:
    """Apply a function along an axis: units or, one time in some, rows."""
    a = d.pick(fits=lambda s: len(s) > 0)
    return a and d.rng.choice(AXIS).format(a=a, k=d.axis(a))


MOVES = """
e.expand_dims({a}, axis={x})|e.expand_dims({a}, axis=-1)|e.expand_dims({a}, axis=0)
{a}[..., None]|{a}[None]|e.moveaxis({a}, 0, -1)|e.moveaxis({a}, -1, 0)|e.swapaxes({a}, 0, -1)
{a}.T|{a}.mT|e.matrix_transpose({a})|{a}[:, None]|{a}[:, 1:]|{a}[:, :1]|{a}[..., :-1]
{a}[..., 0]|{a}[:, 0]|{a}[0]|{a}[-1:]|{a}[::-1]|{a}[..., ::-1]|{a}[..., ::2]|{a}[:, -1]
{a}[:, [0, -1]]|{a}[..., [0]]|{a}[1:]|e.take({a}, e.asarray([0, 0]), axis={k})
e.take({a}, [0], axis={k})|e.repeat({a}, 2, axis={k})|e.tile({a}, 2)
e.split({a}, 2, axis={k})[1]|e.unstack({a}, axis={k})[0]|e.triu({a})|e.tril({a}, k=-1)
e.diagonal({a})|e.sum(e.stack(e.unstack({a}, axis={k})), axis=0)
e.concat(e.split({a}, 2, axis={k})[::-1], axis={k})|e.pad({a}, [(0, 0)] * {r1} + [(1, 0)])
e.squeeze({a}, axis={k})|e.concat([{a}[..., 1:], {a}[..., :1]], axis=-1)
e.concat([{a}[1:], {a}[:1]], axis=0)|{a}.reshape(-1)
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(4)
def move(d: Draft) -> str | None:
    """Move, cut or repeat."""
    a = d.pick(fits=lambda s: len(s) > 0)
    if a is None:
        return None
    rank = len(d.shape(a))
    form = d.rng.choice(MOVES)
    return form.format(a=a, k=d.axis(a), x=d.rng.randint(-rank - 1, rank), r1=rank - 1)


@template(2)
def reshaped(d: Draft) -> str | None:
    """Give another shape of as many elements, permute axes, or broadcast."""
    a = d.pick()
    if a is None:
        return None
    shape, how = d.shape(a), d.rng.random()
    if how < 0.4:
        return f"e.reshape({a}, {factors(d, math.prod(shape))})"
    if how < 0.7 and len(shape) > 1:
        return f"e.permute_dims({a}, {tuple(d.rng.sample(range(len(shape)), len(shape)))})"
    wide = tuple(d.rng.choice([*d.sizes.values()]) if n == 1 else n for n in shape)
    if d.rng.random() < 0.5 and len(wide) < 3:
        wide = (d.sizes["B"], *wide)
    return f"e.broadcast_to({a}, {wide})"


def factors(d: Draft, size: int) -> tuple[int, ...]:
    """Return a random shape of so many elements, with unit axes here and there."""
    shape: list[int] = []
    while size > 1 and len(shape) < 3:
        n = d.rng.choice([k for k in range(2, size + 1) if size % k == 0])
        shape.append(n)
        size //= n
    shape += [size] if size > 1 else []
    if len(shape) < 3 and d.rng.random() < 0.4:
        shape.insert(d.rng.randint(0, len(shape)), 1)
    return tuple(shape)


@template(2)
def joined(d: Draft) -> str | None:
    """Join two or three values along an axis, new or old."""
    a = d.pick(fits=lambda s: len(s) > 0)
    if a is None:
        return None
    b, k = d.like(a), d.axis(a)
    if d.rng.random() < 0.3:
        return f"e.stack([{a}, {b}], axis={k})"
    if d.rng.random() < 0.3:
        b = str(d.pick(fits=lambda s: len(s) == len(d.shape(a))))
    return (
        f"e.concat([{', '.join(d.rng.sample([a, b, d.like(a)], d.rng.randint(2, 3)))}], axis={k})"
    )


@template(2)
def gathered(d: Draft) -> str | None:
    """Look up by an integer input: rows of a table, columns of a row, or one-hot."""
    i = d.pick("int")
    a = d.pick(fits=lambda s: len(s) > 0)
    if i is None or a is None:
        return None
    n, m = d.sizes["N"], d.shape(a)[-1]
    row = i if i == "i0" else f"({i} % {n})"  # within the table at every step, not at this one
    column = i if i == "i0" and n <= m else f"({i} % {m})"
    forms = ["e.embedding(E, {r})", "e.take(E, {r}, axis=0)", "E[{r}]"] * ("E" in d.values)
    forms += [
        "e.astype(e.equal({i}[..., None], e.arange({n})), {a}.dtype)",
        "e.where(e.equal({i}, 0)[..., None], {a}, 0.5)",
    ]
    forms += ["e.take_along_axis({a}, {c}[..., None], axis=-1)", "e.astype({i}, {a}.dtype) * 0.5"]
    forms += ["e.equal({i}, 1)", "{i} + 1", "0.5 * {i} * {a}", "e.take({a}, {c}, axis=-1)"]
    return d.rng.choice(forms).format(i=i, a=a, n=n, r=row, c=column)


@template(1)
def chosen(d: Draft) -> str | None:
    """Find the place of the greatest value and use it: hard attention."""
    a = d.pick(fits=lambda s: len(s) > 0)
    forms = ["e.astype({a} >= e.max({a}, axis=-1, keepdims=True), {a}.dtype)"]
    forms += ["e.take_along_axis({a}, e.argmax({a}, axis=-1)[..., None], axis=-1)"]
    forms += ["e.take_along_axis({a}, e.argsort({a}, axis=-1), axis=-1)", "e.argmax({a}, axis={k})"]
    return a and d.rng.choice(forms).format(a=a, k=d.axis(a))


@template(1.5)
def loop(d: Draft) -> str | None:
    """Solve an equation by some turns of Euler or Runge-Kutta, or go over columns."""
    a = d.pick(fits=lambda s: len(s) > 0)
    if a is None:
        return None
    b, turns, n = d.beside(a), d.rng.randint(2, 6), d.shape(a)[-1]
    w = d.pick(fits=lambda s: s == (n, n))
    f = f"e.tanh({{q}} @ {w} + {b})" if w and d.rng.random() < 0.6 else f"(e.sin({{q}}) - {b})"
    euler = f"OUT = {a}\nfor _ in range({turns}):\n    OUT = OUT + 0.1 * {f.format(q='OUT')}"
    half = f.format(q="(OUT + 0.05 * k1)")
    turn = f"    k1 = {f.format(q='OUT')}\n    OUT = OUT + 0.1 * {half}"
    kutta = f"OUT = {a}\nfor _ in range({turns}):\n{turn}"
    columns = f"OUT = {a}[..., 0] * 0.5\nfor j in range({n}):\n    OUT = OUT + e.tanh({a}[..., j])"
    return d.rng.choice([euler, euler, kutta, columns])


@template(1)
def literal(d: Draft) -> str | None:
    """Use a constant that the step makes: zeros, numbers, an array of NumPy."""
    a = d.pick()
    if a is None:
        return None
    shape = d.shape(a)
    dtype = f"{a}.dtype"
    forms = [
        f"e.full({shape}, 0.25, dtype={dtype}) * {a}",
        f"e.zeros({shape}, dtype={dtype}) + {a}",
    ]
    forms += [f"e.full((), {d.number()}, dtype={dtype}) + {a}"]
    forms += [
        f"e.asarray({[0.5, -1.0, 0.0, 2.0][: shape[-1]] if shape else 0.5}, dtype={dtype}) * {a}"
    ]
    forms += [
        f"{a} * np.asarray(0.5, dtype=str({dtype}))",
        f"{a} + np.zeros({shape}, dtype=str({dtype}))",
    ]
    forms += [f"e.eye({shape[-1] if shape else 1}, dtype={dtype}) + {a}"]
    return d.rng.choice(forms)


WEIGHTS = """
e.softmax({w}, axis=-1)|{w} / e.norm({w} + 3.0)|{w} + {w}.mT|e.exp(-e.square({w}))|e.tril({w})
{w} @ {w}.mT|e.tanh({w})[:1]|e.linalg.inv(e.eye({n}, dtype={w}.dtype) * 4.0 + {w} @ {w}.mT)
e.mean({w}, axis=0)|{w} / e.sqrt(1.0 + e.sum(e.square({w}), axis=1, keepdims=True))
e.concat([{w}, -{w}], axis=0)|e.sum({w})
e.linalg.solve(e.eye({n}, dtype={w}.dtype) * 4.0 + {w} @ {w}.mT, {w})
e.cumsum(e.softmax({w}, axis=0), axis=0)
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(1.5)
def weights(d: Draft) -> str | None:
    """Compute with parameters alone."""
    names = [k for k in d.names() if k[0] in "WUM" and len(d.shape(k)) == 2]
    if not names:
        return None
    w = d.rng.choice(names)
    return d.rng.choice(WEIGHTS).format(w=w, n=d.shape(w)[0])


READS = """
{a} if float(e.sum({a})) > 0.1 else -{a}|e.asarray({a}.numpy() * 0.5) + {a}
{a} * float(e.max({a}))|{a} + [0.5, 1.0, -1.0, 2.0][int({i})]|{a} + e.sum({a}).item()
e.asarray(np.asarray({a}.data) * 2) - {a}|e.grad(lambda q: e.sum(e.tanh(q) * q))({a})
e.grad(lambda q: e.sum(q ** 3))({a}.detach()) + {a}|{a} * 2.0 if bool(e.any({a} > 0.2)) else {a}
e.from_dlpack({a}.detach()) * 0.5|{a} * int(e.sum({a} > 0.0))
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@template(0.2)
def read(d: Draft) -> str | None:
    """Ask a value for its number: only the loop can run this."""
    a = d.pick()
    index = d.pick("int", fits=lambda s: math.prod(s) == 1)
    form = d.rng.choice(READS)
    return a and (None if "{i}" in form and not index else form.format(a=a, i=index))


def reads(text: str) -> bool:
    """Tell whether a statement asks for numbers, so that it may not be recorded."""
    words = ("float(", "int(", ".numpy()", ".item()", ".data)", "e.grad(", "bool(", "from_dlpack")
    return any(word in text for word in words)


def coerced(d: Draft, name: str, shape: tuple[int, ...]) -> str:
    """Return an expression of `name` that has this shape: broadcast, reshaped, reduced."""
    mine = d.shape(name)
    if mine == shape:
        return name
    if len(mine) <= len(shape) and broadcasts(mine, shape):
        wide = tuple(engine.broadcast_shapes(mine, shape))
        if wide == shape:
            return f"e.broadcast_to({name}, {shape})"
    if math.prod(mine) == math.prod(shape) and d.rng.random() < 0.7:
        return f"e.reshape({name}, {shape})"
    for axis in d.rng.sample(range(len(mine)), len(mine)):
        for keep in (True, False):
            left = [*mine[:axis], *([1] if keep else []), *mine[axis + 1 :]]
            if len(left) <= len(shape) and broadcasts(left, shape):
                reduced = f"e.mean({name}, axis={axis}{', keepdims=True' if keep else ''})"
                if tuple(engine.broadcast_shapes(tuple(left), shape)) == shape:
                    return f"e.broadcast_to({reduced}, {shape})"
    return f"e.broadcast_to(e.mean({name}), {shape})"
