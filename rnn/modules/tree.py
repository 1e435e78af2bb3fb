"""Walk the tree of modules: what public attributes hold, by name, and what may be assigned to them.

They may lie in lists, tuples and dicts, which are walked here too. Below `module.py`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, MappingView, Set
from copy import copy
from functools import partial
from typing import Any, Generic, TypeVar, cast
from weakref import ref

import engine
from engine import Tensor

PLAIN = frozenset({str, bytes, int, float, complex, bool, type(None)})
# Besides dicts: no place in them has a lasting name.
UNNAMED = (Set, Mapping, MappingView, deque)
Held = TypeVar("Held", bound="Tree[Any]")  # the modules, which `module.py` has


class Tree(Generic[Held]):
    """Hold modules, parameters and buffers by path; the base of `Module` alone."""

    _name = ""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "trainable" and value is False:  # as in Keras: it would be trained all the same
            raise AttributeError(
                f"{type(self).__name__}: trainable = False freezes nothing here; write "
                "module.requires_grad_(False)"
            )
        roots = {path.partition(".")[0] for path in _noted(self)}
        if name.startswith("_") or (type(value) in PLAIN and name not in roots):
            object.__setattr__(self, name, value)
            return
        _check_assigned(self, name, value)
        object.__setattr__(self, name, value)
        held = dict(self.named_children())
        for path, part in leaves(name, value):
            if path in held:
                held[path]._name = path
            elif isinstance(part, Tensor):
                engine.name_leaf(part, path)
        _own_tensors(self)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        for kind in ("_parameters", "_buffers"):
            kept = [one for one in vars(self).get(kind, ()) if one.partition(".")[0] != name]
            if kind in vars(self):
                vars(self)[kind] = dict.fromkeys(kept)

    # ---- modules

    def named_children(self) -> Iterator[tuple[str, Held]]:
        """Yield the modules held by this one, each once, by name, in the order of assignment."""
        seen = set()
        for path, part in _leaves(self):
            if isinstance(part, Tree) and id(part) not in seen:
                seen.add(id(part))
                yield path, cast("Held", part)

    def children(self) -> Iterator[Held]:
        """Yield the modules held by this one, each once."""
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, Held]]:
        """Yield this module and all below it, each once, by path, parents first."""
        seen = set()
        stack = [("", cast("Held", self))]
        while stack:
            path, module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                front = f"{path}." if path else ""
                own = [(f"{front}{name}", child) for name, child in name_children(module)]
                stack += reversed(own)

    def modules(self) -> Iterator[Held]:
        """Yield this module and all below it, each once, parents first."""
        return (module for _, module in self.named_modules())

    # ---- tensors

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """Return every parameter and every buffer by its path, in the order of assignment."""
        return [(path, x) for path, x, _ in _all_tensors(self)]

    def named_parameters(self, recurse: bool = True) -> list[tuple[str, Tensor]]:
        """Return every parameter by its path, frozen ones too, in the order of assignment.

        Without `recurse` those of the module itself, without the modules that it holds.

        >>> import rnn
        >>> [(name, x.shape) for name, x in rnn.Linear(3, 2).named_parameters()]
        [('weight', (2, 3)), ('bias', (2,))]
        """
        return [(path, x) for path, x, is_buffer in _all_tensors(self, recurse)
                if not is_buffer]  # fmt: skip

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        """Return every buffer by its path, in the order of assignment."""
        return [(path, x) for path, x, is_buffer in _all_tensors(self) if is_buffer]

    def parameters(self, recurse: bool = True) -> list[Tensor]:
        """Return every parameter, frozen ones too, each once; without `recurse` its own alone."""
        return list({id(x): x for _, x in self.named_parameters(recurse)}.values())

    def each_parameter(self) -> Iterator[Tensor]:
        """Yield the parameters one by one, a tied one each time: to look at the first is cheap."""
        for module in self.modules():
            buffers = vars(module).get("_buffers", {})
            yield from (x for name, x in _own_tensors(module)
                        if name not in buffers or is_trained(x))  # fmt: skip

    def buffers(self) -> list[Tensor]:
        """Return every buffer, each once."""
        return list({id(x): x for _, x in self.named_buffers()}.values())


def _check_assigned(tree: Tree[Any], name: str, value: Any) -> None:
    """Raise for what would take a parameter off unseen, or could not be listed itself."""
    where = f"{type(tree).__name__}.{name}"
    noted, parts = _noted(tree), dict(leaves(name, value))
    lost = [path for path, part in parts.items() if not isinstance(part, Tensor | None)]
    if not any(isinstance(part, Tensor | None) for part in parts.values()):
        lost += [one for one in noted if one.partition(".")[0] == name]
    if wrong := [one for one in lost if one in noted]:
        raise TypeError(
            f"{where}: {wrong[0]} is a parameter or a buffer, got {type(value).__name__}; "
            "write engine.asarray(...), or x.data = array for other values, or del it first"
        )
    buffers = vars(tree).get("_buffers", {})
    for path, part in parts.items():
        if path in buffers and getattr(part, "requires_grad", False) and not is_trained(part):
            raise ValueError(
                f"{where}: {path} is a buffer, got a tensor with a graph, which would hold that of "
                "every step before; write detach() behind it"
            )
        if isinstance(part, UNNAMED):
            _refuse_unnamed(where, part)
        elif isinstance(part, Tree) and any(one is tree for one in part.modules()):
            raise ValueError(
                f"{where}: {type(part).__name__} holds this module, which cannot hold it too; "
                f"keep it under a private name such as self._{name}"
            )


def _noted(tree: Tree[Held]) -> Mapping[str, None]:
    """Return the paths of the parameters and buffers of a module, of such as are None too."""
    return {**vars(tree).get("_parameters", {}), **vars(tree).get("_buffers", {})}


# The tensors that were a parameter once: frozen, they are one wherever they are put.
_once: dict[int, "ref[Tensor]"] = {}


def _forget(number: int, _: Any) -> None:
    _once.pop(number, None)


def _leaves(tree: Tree[Held]) -> Iterator[tuple[str, Any]]:
    """Yield all that public attributes hold, by path, but for plain values such as numbers."""
    for name, value in list(vars(tree).items()):
        kind = type(value)
        if name[:1] == "_" or kind in PLAIN:
            continue
        if kind is Tensor:
            yield name, value
        else:
            yield from leaves(name, value)


def name_children(tree: Tree[Held]) -> list[tuple[str, Held]]:
    """Name modules put into a list or dict, or moved, since it was assigned; return all."""
    own = list(tree.named_children())
    for name, child in own:
        if "." in name and child._name.partition(".")[0] in ("", name.partition(".")[0]):
            child._name = name
    return own


def _own_tensors(tree: Tree[Held]) -> list[tuple[str, Tensor]]:
    """Return the parameters and buffers of a module itself, by name; new ones are noted. Raises
    TypeError for an array that lies where a parameter was in a list or a dict.
    """
    noted, found = _noted(tree), []
    for path, x in _leaves(tree):
        if isinstance(x, Tensor) and (path in noted or is_trained(x) or id(x) in _once):
            found.append((path, x))
        elif path in noted and hasattr(x, "dtype"):
            raise TypeError(f"{type(tree).__name__}.{path}: expected a tensor, got an array; "
                            "write engine.asarray(...)")  # fmt: skip
    if new := [path for path, _ in found if path not in noted]:
        for path, x in found:
            engine.name_leaf(x, path)
            if is_trained(x):
                _once[id(x)] = ref(x, partial(_forget, id(x)))
        declared = vars(tree).get("_parameters", {})
        vars(tree)["_parameters"] = {**declared, **dict.fromkeys(new)}  # copies share the old
    return found


def _all_tensors(tree: Tree[Any], recurse: bool = True) -> list[tuple[str, Tensor, bool]]:
    """Return every parameter and buffer by its path, and whether it is a buffer. Raises ValueError
    where two have one name, as of ``{1: p, "1": q}``.
    """
    found: dict[str, tuple[Tensor, bool]] = {}
    for front, module in tree.named_modules() if recurse else [("", tree)]:
        buffers = vars(module).get("_buffers", {})
        for name, x in _own_tensors(module):
            path = f"{front}.{name}" if front else name
            if path in found:
                raise ValueError(f"{type(tree).__name__}: two tensors are called {path}; "
                                 "give them keys that differ as text")  # fmt: skip
            found[path] = x, name in buffers and not is_trained(x)
    return [(path, *own) for path, own in found.items()]


def is_trained(x: Any) -> bool:
    """Tell whether x is a parameter by itself: a leaf that requires a gradient."""
    return isinstance(x, Tensor) and x.requires_grad and (x._node is None or not x._node.inputs)


def _refuse_unnamed(where: str, container: Any) -> None:
    """Raise TypeError for a container without names that holds modules or parameters."""
    parts = container.values() if isinstance(container, Mapping) else container
    if any(isinstance(one, Tree) or is_trained(one) for one in parts):
        raise TypeError(
            f"{where}: modules and parameters in a {type(container).__name__} have no lasting "
            "names; use a list, a tuple or a dict"
        )


# ---- containers


def leaves(name: str, value: Any, inside: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield all that lies in a value with its path, such as ``layers.0.f``; no list or dict itself.

    Containers of plain values alone, such as the words of a vocabulary, are passed over.

    >>> list(leaves("layers", [{"f": abs}, (3, 4)]))
    [('layers.0.f', <built-in function abs>)]
    """
    parts = _parts(value)
    if parts is None:
        yield name, value
    elif not any(value is outer for outer in inside):
        values, keys = parts
        if not PLAIN.issuperset(map(type, values)):
            for key, part in zip(keys, values, strict=True):
                yield from leaves(f"{name}.{key}", part, (*inside, value))


def rebuilt(name: str, value: Any, change: Callable[[str, Any], Any]) -> Any:
    """Return a value with ``change(path, leaf)`` in the place of every leaf, in new containers."""
    parts = _parts(value)
    if parts is None:
        return change(name, value)
    values, keys = parts
    if PLAIN.issuperset(map(type, values)):
        return value
    made = [rebuilt(f"{name}.{key}", part, change)
            for key, part in zip(keys, values, strict=True)]  # fmt: skip
    if isinstance(value, dict):
        own = copy(value)
        own.update(zip(keys, made, strict=True))
        return own
    kind = type(value)
    return kind._make(made) if hasattr(kind, "_make") else kind(made)


def _parts(value: Any) -> tuple[Any, Any] | None:
    """Return the values and the keys of a container, None for anything else."""
    if isinstance(value, list | tuple):
        return value, range(len(value))
    if isinstance(value, dict):
        return value.values(), value
    return None
