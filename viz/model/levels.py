"""Turn a recorded graph into that of a picture, at four levels: op, gate, cell, or rolled up.

Above `grouping.py`, which says what shares a box, and `links.py`, what joins two; `drawing.py` lays
the result out.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

from engine import Graph, Node, Tensor, expanded, unstacked
from engine.backends import DType
from viz.labels import LONGEST, counted, short, symbol
from viz.model.elements import Item, Model
from viz.model.grouping import Hidden, Key, calls_of, is_gap, is_input, keys_of, last_of_equations
from viz.model.inputs import INITIAL, complete_states, cut_leaves, given_leaves, label_inputs
from viz.model.leaves import initial_names, leaf_names, starting_states, told_apart
from viz.model.links import add_links, fold_links

CONST = "const"  # what has no name


def recorded(x: Tensor | Graph | Sequence[Tensor], level: str) -> Graph:
    """Return the graph to draw: the steps of fused recurrences put back.

    Above the level of ops what a step takes from a stack of earlier steps comes straight from
    them. Raises TypeError for what is none, such as a module.
    """
    outputs = expanded(*outputs_of(x))
    return Graph.of(*(outputs if level == "op" else unstacked(*outputs)))


def outputs_of(x: Tensor | Graph | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the tensors of which a picture is drawn. Raises TypeError for what are none."""
    given = (x,) if isinstance(x, Tensor) else x.outputs if isinstance(x, Graph) else x
    listed = isinstance(given, list | tuple) and given
    if not (listed and all(isinstance(one, Tensor) for one in given)):
        raise TypeError(
            "a picture is drawn of a tensor, a Graph or a sequence of tensors that were computed; "
            f"got {type(x).__name__}{' without any' if x in ([], ()) else ''}"
        )
    return tuple(given)


def build(
    graph: Graph, level: str, hidden: Hidden | None = None, *, weights: bool | Node = True
) -> Model:
    """Return the boxes and edges of a recorded graph; of `weights` all, none, or one.

    `hidden` names the gap that a node is joined in.
    """
    states = starting_states(graph) if level != "op" else {}
    calls = calls_of(graph)
    keys = keys_of(graph, level, hidden, states, calls)
    groups: dict[Key, list[Node]] = {}
    for node in graph.nodes:
        groups.setdefault(keys[node], []).append(node)
    given = given_leaves(graph) if level != "op" else {}
    shown = {source for source, target, _ in graph.leaf_edges if not is_gap(keys[target])}
    given = {leaf: t for leaf, t in given.items() if leaf in shown}
    left_out = _left_out(graph, level, groups, given, weights=weights)
    groups = {key: own for key, own in groups.items() if key not in left_out}
    last = last_of_equations(graph)
    items = [_item(graph, n, key, own, level, last) for n, (key, own) in enumerate(groups.items())]
    member = {node: n for n, own in enumerate(groups.values()) for node in own}
    for item, own in zip(items, groups.values(), strict=True):
        item.call = calls.get(own[0], 0)
    model = Model(level, items, [], member, calls)
    if level == "op":
        # A state that is trained keeps its name as a parameter.
        _label_leaves(model, initial_names(graph) | told_apart(graph))
    else:
        label_inputs(graph, model, given, states)
        _label_parameters(graph, model, leaf_names(graph))
    add_links(graph, model)
    if level == "cell":
        complete_states(model)
    _tell_apart(model)
    if level == "rolled":
        fold_links(model)
    return model


def _left_out(
    graph: Graph,
    level: str,
    groups: dict[Key, list[Node]],
    given: dict[Node, Any],
    *,
    weights: bool | Node,
) -> set[Key]:
    """Return the groups that are not drawn: index arrays and the like say nothing over ops."""
    kinds = {key: _kind(graph, key, own[0]) for key, own in groups.items() if not own[0].inputs}
    hidden = weights is not True
    found = {key for key, kind in kinds.items()
             if kind == "parameter" and hidden and weights not in groups[key]}  # fmt: skip
    if level != "op":
        cut = cut_leaves(graph)
        found |= {key for key, kind in kinds.items()
                  if (kind == "constant" and not given.keys() & groups[key])
                  or (kind != "parameter" and cut.issuperset(groups[key]))}  # fmt: skip
    return found if len(found) < len(groups) else set()


def _item(
    graph: Graph, number: int, key: Key, own: list[Node], level: str, last: set[Node]
) -> Item:
    """Return one box."""
    first, end = own[0], own[-1]
    labels = first.scope.labels
    kind = _kind(graph, key, first)
    role = str(labels.get("state") or labels.get("gate") or labels.get("input") or "")
    if level == "gate" and kind in ("gate", "state") and isinstance(key, tuple):
        role = str(key[2])
    if level in ("cell", "rolled") and kind == "cell":
        role = ""
    label = _label(kind, first, own, role, last)
    return Item(
        number, kind, short(label), label,
        op=first.op.name if len(own) == 1 and first.inputs else "",
        t=labels.get("t") if level != "rolled" and kind != "gap" else None,
        layer=labels.get("layer"),
        direction=labels.get("direction"),
        cell=labels.get("cell") if first.inputs else None,
        role=role,
        block=labels.get("block"),
        shape=end.shape,
        dtype=_name(end.dtype),
        path=first.scope.path,
        members=len(own),
        is_state=kind == "state" or (level == "op" and "state" in labels),
        gap=(times[0], times[-1]) if (times := _times(own) if kind == "gap" else []) else None,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _name(dtype: DType) -> str:
    return str(dtype)


def _times(own: list[Node]) -> list[Any]:
    return [node.scope.labels["t"] for node in own if "t" in node.scope.labels]


def _kind(graph: Graph, key: Key, first: Node) -> str:
    if is_gap(key):
        return "gap"
    if not first.inputs:
        if graph.tensor(first).requires_grad:
            return "parameter"
        return "input" if is_input(first) else "constant"
    if isinstance(key, Node):
        return "gradient" if first.origin is not None else "op"
    assert isinstance(key, tuple)
    if first.origin is not None:
        return "gradient"
    if key[0] in ("input", "gate", "state"):
        return str(key[0])
    return "cell" if "cell" in first.scope.labels and "t" in first.scope.labels else "module"


def _label(kind: str, first: Node, own: list[Node], role: str, last: set[Node]) -> str:
    """Return the words in the box."""
    if kind == "gap":
        steps = len(set(_times(own)))
        return f"… {counted(steps, 'step')}"
    if not first.inputs:
        names = [node.name for node in own]
        return _common(names) or role or _ends(names) or CONST
    if kind in ("input", "gate", "state"):
        return role
    if kind == "cell":
        return str(first.scope.labels["cell"])
    if kind == "module":
        return first.scope.path or symbol(own[-1])
    if role and "," not in role and first in last and kind == "op":
        return f"{role} = {symbol(first)}"
    return symbol(first)


def _ends(names: list[str]) -> str:
    """Return the first and the last of names that have nothing in common: ``'h' … 'o'``."""
    told = [*dict.fromkeys(filter(None, names))]
    return " … ".join(told[:1] + told[1:][-1:])


def _common(names: list[str]) -> str:
    """Return what the names of leaves that share a box begin with: ``x`` for ``x0`` and ``x1``."""
    if len(names) == 1:
        return names[0]
    columns = zip(*names, strict=False)
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
    whole = min(map(len, names)) == shared == max(map(len, names))
    return names[0] if whole else names[0][:shared].rstrip(" =:'\"0123456789")


def _label_leaves(model: Model, names: dict[Node, str]) -> None:
    """Call leaves by their names, where a box is not of several."""
    for node, name in names.items():
        if node in model.member and model.items[model.member[node]].kind != "gap":
            item = model.items[model.member[node]]
            item.label, item.full = short(name), name


def _tell_apart(model: Model) -> None:
    """Add its layer, or else a number, to the name of an input that others have too."""
    owners = [item for item in model.items
              if item.kind == "input" and item.t is None and item.full != CONST]  # fmt: skip
    names = Counter(item.full for item in owners)
    users = {link.source: model.items[link.target] for link in reversed(model.links)}
    for item in owners:
        user = users.get(item.key)
        if names[item.full] > 1 and user is not None and user.layer is not None:
            back = " reverse" if user.direction == "reverse" else ""
            own = (f"{name} l{user.layer}{back}" for name in item.full.split(", "))
            item.full = ", ".join(own)
    seen: Counter[str] = Counter()
    for item in owners:
        seen[item.full] += 1
        item.full += f" ({seen[item.full]})" if seen[item.full] > 1 else ""
        if item.role != INITIAL:  # the row that it begins says of which layer it is
            item.label = short(item.full)


def _label_parameters(graph: Graph, model: Model, called: dict[Node, str]) -> None:
    """Call the parameters of one module by its path, and say below which they are."""
    names: dict[int, list[str]] = {}
    paths: dict[int, str] = {}
    for node, n in model.member.items():
        if model.items[n].kind == "parameter":
            names.setdefault(n, []).append(called[node])
    for source, target, _ in graph.leaf_edges:
        n = model.member.get(source, -1)
        if n in names and n not in paths:
            where = target.scope.path or target.scope.labels.get("cell")
            if where:
                paths[n] = where
    apart = told_apart(graph) if len(paths) < len(names) else called
    alone = {n: apart[node] for node, n in model.member.items() if n in names}
    for n, own in names.items():
        own = own if n in paths or len(own) > 1 else [alone[n]]
        full = ", ".join(own)
        label = f"θ {paths[n]}" if n in paths else full
        item = model.items[n]
        item.label, item.full = short(label), f"{label}: {full}"
        item.sub = (
            short(full) if len(own) == 1 or len(full) <= LONGEST else f"{len(own)} parameters"
        )
