"""Write the numbers of a picture of paths: norms of hops on its wires, those of one path as factors
that multiply as printed, and all of them told apart in the notes under it.

Above `jacobian_hops.py` and `path_numbers.py`, below `bptt_path.py`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from functools import reduce
from itertools import groupby

from engine import Node
from viz.analysis.jacobian_hops import Hops
from viz.analysis.path_numbers import Chosen, PathNumbers, paths_counted
from viz.analysis.paths import Path
from viz.labels import count, number, superscript

Hop = tuple[Node, Node]  # earlier, later
Place = tuple[str, int]  # a wire, or a box
TIMES = "×"
LONGEST = 9  # values of a path in a note
WIDE = Context(prec=60, Emax=10**9, Emin=-(10**9))  # products of many floats, none of them 0
FEW, MOST = 3, 17  # digits of a product, and those that tell any two floats apart


def multiplied(groups: Sequence[Sequence[float]], digits: int = FEW) -> tuple[list[str], str]:
    """Return the product of each group and of all, as text: the printed ones multiply.

    The product of all is the exact one, to `digits` digits; those of groups have as many or, where
    it takes more for theirs to multiply to it, more. None is 0 or inf for being beyond what a float
    holds. inf and NaN are words.

    >>> multiplied([[0.33333], [0.66667], [40.0, 0.5]])
    (['0.333', '0.667', '20'], '4.44')
    """
    values = [v for own in groups for v in own]
    if not all(map(math.isfinite, values)):
        return [number(math.prod(own)) for own in groups], number(math.prod(values))
    exact = [_product(list(map(Decimal, own))) for own in groups]
    wanted = _rounded(_product(exact), digits)
    for many in range(digits, MOST + 1):
        rounded = [_rounded(v, many) for v in exact]
        if _rounded(_product(rounded), digits) == wanted:
            break
    return [_text(v) for v in rounded], _text(wanted)


def _product(values: Sequence[Decimal]) -> Decimal:
    return reduce(WIDE.multiply, values, Decimal(1))


def _rounded(value: Decimal, digits: int) -> Decimal:
    return Context(prec=digits, Emax=10**9, Emin=-(10**9)).plus(value)


def _text(value: Decimal) -> str:
    """Return a rounded number as people write it: 0.0312, 20, 1.2×10⁻⁵."""
    exponent = value.adjusted()
    if not value or -3 <= exponent < 3:
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    head = _text(value.scaleb(-exponent, WIDE))
    return f"{head}×10{superscript(exponent)}"


class Factors:
    """Hold the factors of one path, each in one place of the picture, and their product as text.

    `on_wires` and `in_boxes` say what is written there, `elsewhere` what has no place. A hop within
    a box stands in it, one from a source that is not drawn in the box that it leads to, and a gap
    has the product of all hops within it. The printed factors multiply to `product`.
    """

    def __init__(
        self, hops: Hops, path: Path, uses: Mapping[int, Sequence[Hop]],
        member: Mapping[Node, int], name: Callable[[Node], str],
    ) -> None:  # fmt: skip
        place: dict[Hop, Place] = {}
        for i in sorted(uses):
            for hop in uses[i]:
                place.setdefault(hop, ("wire", i))
        own = hops_of(path)
        places = [place.get(hop) or ("box", member.get(hop[1], member.get(hop[0], -1)))
                  for hop in own]  # fmt: skip
        groups = [list(group) for _, group in groupby(range(len(own)), key=lambda k: places[k])]
        norms = [[hops.hop_norm(*own[k]) for k in group] for group in groups]
        texts, self.product = multiplied(norms)
        self.on_wires: dict[int, str] = {}
        self.in_boxes: dict[int, list[str]] = {}
        for group, text in zip(groups, texts, strict=True):
            kind, at = places[group[0]]
            many = f"{len(group)} hops " if len(group) > 1 else ""
            if kind == "wire":
                self.on_wires[at] = f"{self.on_wires.get(at, '')}{many}{TIMES}{text}"
            else:
                earlier, later = own[group[0]]
                what = many or f"∂{name(later)}/∂{name(earlier)} "
                self.in_boxes.setdefault(at, []).append(f"{what}{TIMES}{text}")
        self.elsewhere = self.in_boxes.pop(-1, [])


def hops_of(path: Path) -> list[Hop]:
    """Return the hops of a path from its source back."""
    return [(earlier, later) for earlier, later, _ in reversed(path.edges)]


def equation(hops: Hops, path: Path, longest: int) -> str:
    """Return the norms of a path and their product: 0.95 × 0.25 × 0.34 = 0.0808.

    Of more than `longest` those in the middle are one factor.
    """
    own = [hops.hop_norm(*hop) for hop in hops_of(path)]
    groups = [[v] for v in own]
    hidden = len(own) - longest + 1
    if hidden > 1:
        head = (longest - 1) // 2
        groups = [*groups[:head], own[head : head + hidden], *groups[head + hidden :]]
    texts, product = multiplied(groups)
    words = [text if len(group) == 1 else f"({len(group)} hops: {text})"
             for text, group in zip(texts, groups, strict=True)]  # fmt: skip
    return f"{' × '.join(words)} = {product}"


def grouped(hops: Sequence[Hop]) -> dict[Node, list[Node]]:
    """Return hops along one wire by the value that they lead back to."""
    found: dict[Node, list[Node]] = {}
    for earlier, later in sorted(hops, key=lambda hop: hop[1].scope.labels.get("state") != "h"):
        found.setdefault(earlier, []).append(later)
    return found


def joint(hops: Hops, own: Sequence[Hop]) -> str:
    """Return the norm of the hops along one wire, and whether it is that of several."""
    norms = norms_of(hops, own)
    text = number(max(norms))
    if len(norms) > 1:
        return f"≤{text}"
    return f"joint {text}" if len(own) > 1 else f"{TIMES}{text}"


def norms_of(hops: Hops, own: Sequence[Hop]) -> list[float]:
    """Return the norm by each value that hops along a wire lead back to, of all they come from."""
    return [hops.joint_norm(earlier, later) for earlier, later in grouped(own).items()]


def derivatives(hops: Hops, own: Sequence[Hop], name: Callable[[Node], str]) -> Iterator[str]:
    """Yield what stands on a wire in full: ‖∂h5/∂h4‖ = 0.251234."""
    for (earlier, later), norm in zip(grouped(own).items(), norms_of(hops, own), strict=True):
        names = ", ".join(map(name, later))
        above, more = (f"({names})", ", joint") if len(later) > 1 else (names, "")
        yield f"‖∂{above}/∂{name(earlier)}‖ = {norm:.6g}{more}"


class Notes:
    """Write the lines of a picture. `factors` are of its only path, None where it has several."""

    def __init__(
        self, hops: Hops, chosen: Chosen, numbers: PathNumbers, factors: Factors | None,
        name: Callable[[Node], str],
    ) -> None:  # fmt: skip
        self.hops, self.chosen, self.numbers = hops, chosen, numbers
        self.factors, self.name = factors, name

    def lines(self, outputs: Iterable[Node], times: Iterable[int]) -> Iterator[str]:
        """Yield all of them; `outputs` stand for the source, `times` are the steps shown."""
        if self.hops.end not in self.hops.boxes:
            words = ", ".join(map(self.name, outputs))
            yield f"{self.name(self.hops.end)}: what the loss takes from {words}, to first order"
        yield from self._of_paths()
        yield from self._of_all()
        if self.numbers.contributions:
            yield from self._of_uses(set(times))

    def _of_paths(self) -> Iterator[str]:
        """Yield the numbers of single paths: the only one, or the strongest."""
        most = "the most that it could carry"
        if not self.hops.measures_uses:
            most = f"as if its use of {self.name(self.hops.start)} were 1"
        for path, carried in self.numbers.strongest:
            words = _words(path, self.name)
            if self.factors is not None:
                yield f"the path {words}:"
                yield (
                    f"the factors × along it multiply to {self.factors.product}, the product of "
                    f"the norms: {most}"
                )
                yield (
                    f"the norm of the product of its Jacobians is {number(carried)}: what it does "
                    "carry, as directions turn from hop to hop"
                )
            else:
                yield (
                    f"strongest path {words}: product of the norms of its hops "
                    f"{equation(self.hops, path, LONGEST)}, {most}; norm of "
                    f"the product of its Jacobians {number(carried)}, what it does carry"
                )

    def _of_all(self) -> Iterator[str]:
        """Yield the numbers of the paths together: those that are shown, and all there are."""
        numbers, which, many = self.numbers, self.chosen.which, self.numbers.count
        a, b = self.name(self.hops.end), self.name(self.hops.start)
        if which == "state" or (which == "strongest" and many > 1):
            kind = "along states" if which == "state" else "strongest"
            shown = f"the {paths_counted(many)} shown, {kind}" if many else f"no path leads {kind}"
            yield f"{shown}: norm of the sum of their products {number(numbers.shown)}"
        if many > 1 and self.hops.measures_uses:
            yield (
                f"sum of the products of norms over the {paths_counted(many)} shown: "
                f"{number(numbers.bound)}, an upper bound: directions turn and cancel"
            )
        every = (
            f"all {paths_counted(numbers.all)} together" if numbers.all > 1 else "by the only path"
        )
        yield f"‖d{a}/d{b}‖ = {number(numbers.whole)}: the whole derivative, {every}"

    def _of_uses(self, shown: set[int]) -> Iterator[str]:
        """Yield what is to be said of the uses of a parameter."""
        hidden = [t for t in self.numbers.contributions if t not in shown]
        if not self.hops.measures_uses:
            yield (
                f"a use of {self.hops.target.name} counts as a hop of norm 1: its Jacobians are "
                "too large to be measured"
            )
        if hidden:
            rest = math.fsum(self.numbers.contributions[t][1] for t in hidden)
            yield f"uses at the {count(len(hidden))} steps left out add {number(rest)} along it"


def _words(path: Path, name: Callable[[Node], str]) -> str:
    """Return a path from its source back, by the names of its values."""
    names = [name(node) for node in reversed(path.nodes)]
    if len(names) > LONGEST:
        names = [*names[: LONGEST // 2], "…", *names[-LONGEST // 2 + 1 :]]
    return " ← ".join(names)
