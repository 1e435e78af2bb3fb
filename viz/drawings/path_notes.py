"""What stands under a picture of paths: its numbers, told apart in words.

Above `path_factors.py`, below `bptt_path.py`.
"""

import math
from collections.abc import Callable, Iterable, Iterator

from engine import Node
from viz.analysis.jacobian_hops import Hops
from viz.analysis.path_numbers import Chosen, PathNumbers, paths_counted
from viz.analysis.paths import Path
from viz.drawings.path_factors import Factors, equation
from viz.labels import count, number

LONGEST = 9  # values of a path in a note


class Notes:
    """The lines of one picture. `factors` are those of its only path, None where it has several."""

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
