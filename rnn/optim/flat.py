"""Join many small arrays into one, so a rule runs once for all parameters. Below the optimisers.

An operation on a small array costs its call and hardly its numbers, so parameters of one dtype on
one device are gathered into one flat array, changed there, and handed out again as views. Those of
half precision are changed in float32, in a copy that is kept, as a small step is lost in half.
On a device, and of many numbers on the host, nothing is gathered: `fused.py` runs the rule as one
kernel, where it can.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import is_
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, NAMESPACES, Array, on_device_of
from rnn.optim.fused import NotRecordableRuleError, stepped
from rnn.optim.on_host import suited

MASTER = "master"  # the state that holds parameters of half precision in float32
# Elements that a rule changes at a time: then what it reads and writes stays in the cache.
BLOCK = 1 << 15

# rule(xp, x, g, state, steps): change x in place. All are flat, and g may be written to as well.
Rule = Callable[[Any, Array, Array, dict[str, Array], int], None]


def gathered(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the elements of all arrays, one after the other, in a new array or in `out`."""
    return NAMESPACES[type(arrays[0])].gather(arrays, out)


def parts(flat: Array, arrays: Sequence[Array]) -> list[Array]:
    """Return `flat` cut into views of the shapes of `arrays`."""
    found, start = [], 0
    for array in arrays:
        stop = start + array.size
        part = flat[start:stop]
        found.append(part if array.ndim == 1 else part.reshape(array.shape))
        start = stop
    return found


def wide(dtype: Any) -> Any:
    """Return the dtype that is computed in: float32 for float16 and bfloat16, else the same."""
    return engine.float32 if dtype.itemsize == 2 else dtype


def called(x: Tensor, number: int) -> str:
    """Return how errors call a parameter: its place in the list, its name, its shape."""
    return f"parameter {number} ({x.node.name or 'unnamed'}, {x.shape})"


class Bucket:
    """Hold parameters of one dtype on one device, with their step counts and their state.

    `numbers` are their places among all parameters. The state of all lies in one flat array for
    each name, of the dtype `wide`.
    """

    def __init__(self, parameters: list[Tensor], numbers: list[int]) -> None:
        self.parameters, self.numbers = parameters, numbers
        self.array_type = type(parameters[0].data)
        self.dtype, self.device = parameters[0].dtype, parameters[0].device
        self.wide = wide(self.dtype)
        self.shapes = [x.shape for x in parameters]
        self.bounds = [0, *accumulate(x.size for x in parameters)]
        self.forget()
        self._gradients: Array = None  # what gradients are gathered in, kept for the next step
        self._last: Array = None  # the parameters after the last step, and its parts
        self._parts: list[Array] = []

    @property
    def xp(self) -> Any:
        """Return the namespace that computes with these arrays."""
        return NAMESPACES[self.array_type]

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for copies: their parameters are no parts of one array."""
        return {**vars(self), "_gradients": None, "_last": None, "_parts": []}

    def forget(self) -> None:
        """Start as if no step had been taken."""
        self.steps = [0] * len(self.parameters)
        self.state: dict[str, Array] = {}

    def runs(self, kind: str) -> list[list[int]]:
        """Return neighbours with gradients and equally many steps: [first, last + 1] each. Raises
        TypeError or ValueError, in the name of `kind`, for what cannot be gathered.
        """
        found: list[list[int]] = []
        before: int | None = None  # steps of the neighbour, if it has a gradient
        array_type, dtype = self.array_type, self.dtype
        now = zip(self.parameters, self.shapes, self.steps, strict=True)
        for position, (x, shape, steps) in enumerate(now):
            g = x.grad
            if g is None:
                before = None
                continue
            for one in (x, g):
                if type(one) is not Tensor:
                    self._examine(kind, position)
                data = one.data
                # Other dtype objects may still be equal.
                if data.shape != shape or data.dtype is not dtype or type(data) is not array_type:
                    self._examine(kind, position)
            if steps == before:
                found[-1][1] = position + 1
            else:
                found.append([position, position + 1])
                before = steps
        return found

    def _examine(self, kind: str, position: int) -> None:
        """Raise for a parameter that has changed, or has a gradient unlike it."""
        x, g = self.parameters[position], self.parameters[position].grad
        told = f"{kind}: {called(x, self.numbers[position])}"
        if (x.shape, x.dtype, x.device) != (self.shapes[position], self.dtype, self.device):
            raise ValueError(
                f"{told} is {x.dtype} on {x.device}, but was {self.dtype}"
                f"{list(self.shapes[position])} on {self.device} when the optimiser began; "
                "make the optimiser after such changes and load its state into it"
            )
        if not isinstance(g, Tensor):
            raise TypeError(f"{told}: its .grad is {type(g).__name__}, expected a Tensor")
        if g.shape != x.shape:
            raise ValueError(f"{told}: its .grad has shape {g.shape}")
        if (g.dtype, g.device) != (x.dtype, x.device):
            raise TypeError(f"{told} is {x.dtype} on {x.device}, its .grad {g.dtype} on {g.device}")

    def update(self, runs: Sequence[Sequence[int]], rule: Rule, slots: Mapping[str, float]) -> None:
        """Run a rule over neighbours. `slots` names the state that it needs, with first values."""
        if not runs:
            return
        with on_device_of(self.parameters[0].data):
            self.prepare(slots)
            if self.xp.multi is not None or self._many(runs):
                runs = self._fused(runs, rule, slots)
            for run in runs:
                self._compute(run, rule, slots)

    def _many(self, runs: Sequence[Sequence[int]]) -> bool:
        """Return True for as many numbers on the host as are worth a compiled kernel."""
        return self.wide == self.dtype and suited(
            [self.parameters[position].data for run in runs for position in range(*run)]
        )

    def _fused(
        self, runs: Sequence[Sequence[int]], rule: Rule, slots: Mapping[str, float]
    ) -> list[Sequence[int]]:
        """Run a rule in a kernel for all that are as many steps along; return the runs left over.
        It reads parameters and gradients where they lie, by their pointers.
        """
        left: list[Sequence[int]] = []
        groups: dict[int, list[Sequence[int]]] = {}
        for run in runs:
            groups.setdefault(self.steps[run[0]], []).append(run)
        for steps, own in groups.items():
            try:
                self._fuse([p for run in own for p in range(*run)], rule, slots, steps + 1)
            except NotRecordableRuleError:
                left += own
        return left

    def _fuse(
        self, positions: list[int], rule: Rule, slots: Mapping[str, float], steps: int
    ) -> None:
        master = None
        if self.wide != self.dtype:
            self.prepare({MASTER: 0.0})
            master = self.state[MASTER]
        own = [self.parameters[position] for position in positions]
        arrays = [x.data for x in own]
        grads = [x.grad.data for x in own]  # type: ignore[union-attr]
        places = [self.bounds[position] for position in positions]
        state = {slot: self.state[slot] for slot in slots}
        x = stepped(self.xp, [arrays, grads, places], rule, state, master, steps)
        if slots or master is not None:
            for position in positions:
                self.steps[position] = steps
        self._hand_out(own, x, arrays)

    def _compute(self, run: Sequence[int], rule: Rule, slots: Mapping[str, float]) -> None:
        """Run a rule on flat arrays."""
        first, last = run
        start, stop = self.bounds[first], self.bounds[last]
        own = self.parameters[first:last]
        if self._gradients is None:
            self._gradients = self.xp.empty(self.bounds[-1], dtype=self.dtype)
        arrays = [x.data for x in own]
        x = self._copied(arrays)  # a new array, as graphs may hold the old ones
        g = gathered([x.grad.data for x in own], self._gradients[start:stop])  # type: ignore[union-attr]
        narrow = x
        if self.wide != self.dtype:
            x, g = self._master(narrow, start), g.astype(self.wide)
        state = {slot: self.state[slot][start:stop] for slot in slots}
        xp, steps = self.xp, self.steps[first] + 1
        size = stop - start
        block = BLOCK if xp is HOST.xp else size  # a device has to be called for each
        if size <= block:
            rule(xp, x, g, state, steps)
        else:
            for at in range(0, size, block):
                here = slice(at, at + block)
                few = {slot: whole[here] for slot, whole in state.items()}
                rule(xp, x[here], g[here], few, steps)
        if slots or x is not narrow:
            self.steps[first:last] = [steps] * (last - first)
        if x is not narrow:
            narrow[...] = x  # rounded
        self._hand_out(own, narrow, arrays)

    def _hand_out(self, own: list[Tensor], flat: Array, arrays: list[Array]) -> None:
        """Give parameters their parts of a flat array, in the shapes of `arrays`."""
        self._last, self._parts = flat, parts(flat, arrays)
        for parameter, array in zip(own, self._parts, strict=True):
            parameter.data = array

    def _copied(self, arrays: list[Array]) -> Array:
        """Return a new flat array of these, at one go where they are parts of the last."""
        if len(arrays) == len(self._parts) and all(map(is_, arrays, self._parts)):
            return self._last.copy()
        return gathered(arrays)

    def _master(self, x: Array, start: int) -> Array:
        """Return the float32 copies of some parameters, from `start` on, as a view. Where a
        parameter is not its copy rounded, somebody else has set it, and it holds.
        """
        self.prepare({MASTER: 0.0})
        master = self.state[MASTER][start : start + x.size]
        changed = master.astype(self.dtype) != x
        master[...] = self.xp.where(changed, x.astype(self.wide), master)
        return master

    def prepare(self, slots: Mapping[str, float]) -> None:
        """Make the state that is not there yet."""
        for slot, value in slots.items():
            if slot not in self.state:
                with on_device_of(self.parameters[0].data):
                    self.state[slot] = self.xp.full(self.bounds[-1], value, dtype=self.wide)

    def view(self, slot: str, position: int) -> Array:
        """Return the state of one parameter, in its shape; writing to it changes it."""
        start, stop = self.bounds[position : position + 2]
        return self.state[slot][start:stop].reshape(self.shapes[position])


def buckets(parameters: Sequence[Tensor], first: int) -> list[Bucket]:
    """Return parameters sorted by dtype and device; `first` is the number of the first one."""
    sorts: dict[tuple[str, str], tuple[list[Tensor], list[int]]] = {}
    for number, x in enumerate(parameters, first):
        own, numbers = sorts.setdefault((x.dtype.str, x.device), ([], []))
        own.append(x)
        numbers.append(number)
    return [Bucket(own, numbers) for own, numbers in sorts.values()]
