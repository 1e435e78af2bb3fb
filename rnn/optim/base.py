"""Give optimisers groups of parameters with settings of their own, steps, and state to resume.

Above `flat.py`, below the rules.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array, on_device_of
from engine.backends.numpy import quiet
from engine.checks import flag
from engine.suggestions import Advised, kind_of
from rnn.keywords import OPTIMISERS
from rnn.modules.values import nonnegative
from rnn.optim.flat import MASTER, Bucket, buckets, called

Group = Mapping[str, Any]  # the settings of a group
Slots = dict[str, Array]  # the state of a rule by name, flat


class Optimizer(Advised):
    """Serve as base class: write `rule`, `slots` and `check`, and list possible slots in `names`.

    `params` are tensors, or groups of them with settings of their own, such as
    ``{"params": head.parameters(), "lr": 0.1}``; `param_groups` holds the groups, and their
    settings may be changed at any time. A step gives each parameter that has a gradient a new
    array; arrays that a graph holds are never written to, so a backward pass through a graph from
    before uses its values. Other parameters and their state stay. State is float32 for float16 and
    bfloat16, with a float32 copy of the parameter ("master") that steps add up in; a parameter that
    is set between steps is taken over. Copy a model together with its optimiser. Raises TypeError
    for no tensors, ValueError for settings out of range.

    >>> import engine, rnn
    >>> w = engine.asarray([1.0, 2.0], requires_grad=True)
    >>> optimizer = rnn.optim.SGD([w], lr=0.25)
    >>> engine.sum(w**2).backward(); optimizer.step(); w.tolist()
    [0.5, 1.0]
    """

    names: tuple[str, ...] = ()
    _advice = OPTIMISERS

    def __init__(self, params: Iterable[Any], settings: Mapping[str, Any]) -> None:
        self._defaults = dict(settings)
        self.param_groups: list[dict[str, Any]] = []
        self._buckets: list[list[Bucket]] = []  # of each group, made when they are first needed
        self.rated: Any = None  # which schedule has set the rates last, and to what
        kind = type(self).__name__
        if isinstance(params, Tensor | Mapping) or not isinstance(params, Iterable):
            raise TypeError(
                f"{kind}: expected a list of tensors or of groups, got a {kind_of(params)}; "
                f"write {kind}(module.parameters()) or {kind}([tensor])"
            )
        given = list(params)
        if not given:
            raise ValueError(f"{kind}: no parameters to optimise; give module.parameters()")
        grouped = isinstance(given[0], Mapping)
        for group in given if grouped else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: Group) -> None:
        """Add a group: ``{"params": [...], "lr": 0.1}``; other settings are the optimiser's.

        Raises TypeError for what is no group of tensors, ValueError for settings that are unknown
        or out of range and for a parameter that is there already; then nothing has changed.
        """
        kind = type(self).__name__
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f'{kind}: expected a group {{"params": [...], ...}}, got {group!r}')
        own = group["params"]
        own = (own,) if isinstance(own, Tensor) else tuple(own)
        unknown = [name for name in group if name != "params" and name not in self._defaults]
        if unknown:
            raise ValueError(
                f"{kind}: unknown settings {unknown} in a group; there are {list(self._defaults)}"
            )
        first = len(self.parameters)
        taken = {id(x) for x in self.parameters}
        for number, x in enumerate(own, first):
            _check_parameter(kind, x, number, taken)
        if not own:
            there = len(self.param_groups)
            raise ValueError(f"{kind}: no parameters to optimise in group {there}; leave it out")
        settings = {**self._defaults, **{k: v for k, v in group.items() if k != "params"}}
        settings = {name: _plain(value) for name, value in settings.items()}
        self.check(settings)
        self.param_groups.append({"params": own, **settings})

    def __setattr__(self, name: str, value: Any) -> None:
        if name in OPTIMISERS.names:  # it would do nothing
            getattr(self, name)  # raises, with what to write
        super().__setattr__(name, value)

    # ---- what a rule says

    def check(self, group: Group) -> None:
        """Raise ValueError for settings out of range."""
        raise NotImplementedError(f"{type(self).__name__} has no check(group); write one")

    def slots(self, group: Group) -> dict[str, float]:
        """Return the state that the rule needs, by name, and its first values."""
        raise NotImplementedError(f"{type(self).__name__} has no slots(group); write one")

    def rule(self, group: Group, xp: Any, x: Array, g: Array, state: Slots, steps: int) -> None:
        """Change flat x in place by its gradient g, which may be overwritten; `steps` is from 1."""
        told = "rule(group, xp, x, g, state, steps)"
        raise NotImplementedError(f"{type(self).__name__} has no {told}; write one")

    # ---- steps

    @property
    def parameters(self) -> list[Tensor]:
        """Return the parameters of all groups."""
        return [x for group in self.param_groups for x in group["params"]]

    @property
    def lr(self) -> float:
        """Return the learning rate of the first group; assigning sets that of all groups."""
        return self.param_groups[0]["lr"]  # type: ignore[no-any-return]

    @lr.setter
    def lr(self, value: float) -> None:
        at_least_0(type(self).__name__, {"lr": value}, "lr")
        for group in self.param_groups:
            group["lr"] = float(value)

    def step(self) -> None:
        """Change every parameter that has a gradient.

        Raises ValueError or TypeError for a gradient unlike its parameter, and changes nothing.
        """
        kind = type(self).__name__
        work = [
            (group, bucket, bucket.runs(kind))
            for group, own in zip(self.param_groups, self._all(), strict=True)
            for bucket in own
        ]
        with quiet():  # a gradient of inf is an answer, not an accident
            for group, bucket, runs in work:
                bucket.update(runs, partial(self._ruled, group), self.slots(group))

    def _ruled(
        self, group: dict[str, Any], xp: Any, x: Array, g: Array, state: Any, steps: int
    ) -> None:
        """Apply the rule, uphill where that is asked for."""
        if group["maximize"]:
            xp.negative(g, out=g)
        self.rule(group, xp, x, g, state, steps)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or zero them: then `step` goes on by momentum and decay."""
        none = flag("zero_grad: set_to_none", set_to_none)
        for x in self.parameters:
            x.grad = None if none or x.grad is None else engine.zeros_like(x.grad)

    def _all(self) -> list[list[Bucket]]:
        """Return the buckets of every group; parameters may be moved before that."""
        for group in self.param_groups[len(self._buckets) :]:
            first = sum(len(other["params"]) for other in self.param_groups[: len(self._buckets)])
            self._buckets.append(buckets(group["params"], first))
        return self._buckets

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Return settings, step counts and state as NumPy arrays, by name: all that resuming needs.

        ``groups.0.lr`` and its like are settings of groups, ``state.3.exp_avg`` the state of the
        fourth parameter. `rnn.save` takes it as it is.
        """
        found: dict[str, Any] = {}
        for number, group in enumerate(self.param_groups):
            for name in self._defaults:
                found[f"groups.{number}.{name}"] = HOST.asarray(group[name], None, None)
        for bucket in (bucket for own in self._all() for bucket in own):
            for position, number in enumerate(bucket.numbers):
                if bucket.steps[position]:
                    found[f"state.{number}.step"] = HOST.asarray(bucket.steps[position], None, None)
                    for slot in bucket.state:
                        values = Tensor(bucket.view(slot, position)).numpy()
                        found[f"state.{number}.{slot}"] = values.copy()
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another optimiser's `state_dict` was taken: to the bit.

        Raises ValueError that lists missing, unknown and misshapen names, and changes nothing.
        """
        left = {name: HOST.asarray(value, None, None) for name, value in state.items()}
        faults: list[str] = []
        groups = [
            {name: _taken(left, f"groups.{number}.{name}", group[name], faults)
             for name in self._defaults}
            for number, group in enumerate(self.param_groups)
        ]  # fmt: skip
        loaded: list[tuple[Bucket, int, dict[str, float], dict[str, Array]]] = []
        for group, own in zip(groups, self._all(), strict=True):
            for bucket in own:
                for position in range(len(bucket.parameters)):
                    found = self._found(left, group, bucket, position, faults)
                    loaded.append((bucket, position, self.slots(group), found))
        faults += [f"unknown: {name}" for name in left]
        if faults:
            raise ValueError(f"{type(self).__name__}: load_state_dict: {'; '.join(faults)}")
        for group in groups:
            self.check(group)
        for bucket in (bucket for own in self._all() for bucket in own):
            bucket.forget()
        for bucket, position, slots, found in loaded:
            if not found:
                continue
            bucket.steps[position] = int(found.pop("step"))
            bucket.prepare(dict.fromkeys(found, 0.0) | slots)
            for slot, values in found.items():
                on_device = engine.asarray(values, dtype=bucket.wide, device=bucket.device)
                with on_device_of(on_device.data):
                    bucket.view(slot, position)[...] = on_device.data
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)

    def _found(
        self,
        left: dict[str, Array],
        group: dict[str, Any],
        bucket: Bucket,
        position: int,
        faults: list[str],
    ) -> dict[str, Array]:
        """Take what a state says about one parameter out of `left`; nothing if it has none."""
        prefix = f"state.{bucket.numbers[position]}."
        if f"{prefix}step" not in left:
            return {}
        found = {"step": _taken(left, f"{prefix}step", 0, faults)}
        halves = (MASTER,) if bucket.wide != bucket.dtype else ()
        for slot in (*self.names, *halves):
            name = f"{prefix}{slot}"
            if name in left and left[name].shape == bucket.shapes[position]:
                found[slot] = left.pop(name)
            elif name in left:
                shape = left.pop(name).shape
                faults.append(f"{name}: shape {shape}, expected {bucket.shapes[position]}")
            elif slot in self.slots(group):
                faults.append(f"missing: {name}")
        return found


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, which widens nothing; other things as given."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return value.item() if getattr(value, "shape", None) == () else value


def _check_parameter(kind: str, x: Any, number: int, taken: set[int]) -> None:
    """Raise for what cannot be a parameter or is one already; remember it in `taken`."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{kind}: parameter {number} is {kind_of(x)}, expected a Tensor; "
            "give module.parameters()"
        )
    if x.node.inputs:
        raise ValueError(f"{kind}: {called(x, number)} was computed from others: optimise leaves")
    if not engine.isdtype(x.dtype, "real floating"):
        raise TypeError(f"{kind}: {called(x, number)} is {x.dtype}; only floats have gradients")
    if id(x) in taken:
        raise ValueError(f"{kind}: {called(x, number)} is given twice; list shared ones once")
    taken.add(id(x))


def _taken(left: dict[str, Array], name: str, like: Any, faults: list[str]) -> Any:
    """Return a setting of the kind of `like`, taken out of `left`; `like` itself after a fault."""
    if name not in left:
        faults.append(f"missing: {name}")
        return like
    value, expected = left.pop(name), HOST.asarray(like, None, None).shape
    if value.shape != expected:
        faults.append(f"{name}: shape {value.shape}, expected {expected}")
        return like
    return tuple(value.tolist()) if isinstance(like, tuple | list) else value.item()


def settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among the locals of the `__init__` of a rule: all but the parameters."""
    return {name: x for name, x in given.items() if name not in ("self", "params", "__class__")}


def at_least_0(kind: str, group: Group, *names: str) -> None:
    """Raise ValueError for settings that are no finite numbers of at least 0."""
    for name in names:
        nonnegative(kind, "learning rate lr" if name == "lr" else name, group[name])


def yes_or_no(kind: str, group: Group, *names: str) -> None:
    """Raise TypeError for settings that are not True or False."""
    for name in names:
        flag(f"{kind}: {name}", group[name])
