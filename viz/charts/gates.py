"""Draw all gates and states of a cell over time: strips of their units, and their means as lines.

Above `strips.py` and `variables.py`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx

from engine import Graph, Node, Tensor, expanded
from engine.checks import is_whole
from engine.suggestions import advised
from viz.analysis.fetching import bring
from viz.analysis.sampling import check_chart, check_recorded
from viz.charts.parts import NARROWEST, WIDTH
from viz.charts.strips import Picture, Strip
from viz.checks import check_choice, check_names, check_outputs, check_whole, shown
from viz.colors import value_colors
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.model.variables import Run, Variable, runs

KINDS = ("both", "strip", "line")
# Whether the values of a function have a sign; of any other the colours show what is there.
SIGNED = {"tanh": True, "hardtanh": True, "softsign": True, "sin": True, "cos": True,
          "sigmoid": False, "softmax": False, "hard_sigmoid": False}  # fmt: skip


@advised(DRAWINGS)
def draw_gates(
    x: Tensor | Graph,
    *,
    names: Sequence[str] | None = None,
    cell: str | None = None,
    layer: int | None = None,
    direction: str | None = None,
    row: int = 0,
    unit: int | Sequence[int] | None = None,
    kind: str = "both",
    max_steps: int = 60,
    max_units: int = 12,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw gates and states of every cell that led to `x`, all on one time axis.

    A strip has a line for each unit, with its number, and a column for each step. Its colours span
    what it shows, by the bar beside it: white to blue, or brown to blue for what has a sign. Under
    it the mean over all units and, pale, from the smallest to the largest, on the whole range of
    the gate. Of more than `max_units` units those are shown that vary most over time, by standard
    deviation, the most on top: each variable has its own. `unit` names one or several instead, the
    same for all variables. `names` are variables of the cell's equations, by default all that are
    as wide as a state; `cell` (the name of its class), `layer` and `direction` choose among cells,
    `row` in the batch. `kind` is ``"strip"``, ``"line"`` or ``"both"``. Beyond `max_steps`
    neighbouring steps are averaged, as a note says. The picture is at most `width` pixels wide, 480
    or more. `graph` has a node for each variable and step with all its `values`; where a step was
    run twice, the later run counts. Raises ValueError where there is no such cell or variable and
    for another kind, IndexError for an absent row or unit, TypeError for no computed value.

    >>> import engine, rnn
    >>> from viz.charts.gates import draw_gates
    >>> diagram = draw_gates(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0], names=["z", "h"])
    >>> diagram.graph.number_of_nodes(), len(diagram.graph.nodes[0]["values"])
    (10, 4)
    """
    width = check_chart(
        "draw_gates", width, NARROWEST, title, max_steps=max_steps, max_units=max_units
    )
    check_outputs("draw_gates", x)
    check_whole("draw_gates", "row", row)
    if names is not None:
        check_names("draw_gates", "names", names)
    check_recorded("draw_gates", x)
    check_choice("draw_gates", "kind", kind, KINDS)
    graph = Graph.of(*expanded(*(x.outputs if isinstance(x, Graph) else (x,))))
    chosen = _chosen(runs(graph), {"cell": cell, "layer": layer, "direction": direction})
    units = _units(unit)
    picture = Picture(kind, units, max_units, width)
    drawn = []
    for run in chosen:
        variables = _variables(run, names)
        held = {one.at[t][1].node: one.at[t][1].data for one in variables for t in one.at}
        going = {t: x.data for t, x in run.going.items()}
        bring(held, going)
        strips = [_strip(run, one, row, units, held, going) for one in variables]
        picture.add(run, strips, max_steps)
        if names is None:
            picture.leave_out(run)
        drawn.append((run, strips))
    return Diagram(picture.scene(title or "Gates and states", row), lambda: _graph(drawn))


def _units(unit: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the units that were asked for, in their order; None for no choice."""
    if unit is None:
        return None
    several = isinstance(unit, Iterable) and not isinstance(unit, str)
    units: tuple[Any, ...] = tuple(unit) if several else (unit,)  # type: ignore[arg-type]
    if not all(map(is_whole, units)):
        raise TypeError(f"draw_gates: expected unit as whole numbers, got {shown(unit)}")
    if not units:
        raise ValueError("draw_gates: unit names no unit; give a number or several")
    return units


def _chosen(found: list[Run], wanted: dict[str, Any]) -> list[Run]:
    given = {what: value for what, value in wanted.items() if value is not None}
    chosen = [run for run in found
              if all(getattr(run, what) == value for what, value in given.items())]  # fmt: skip
    if not found:
        raise ValueError(
            "draw_gates: no variable of a cell has a time step here; call a cell of your own "
            "inside of engine.scope(t=t)"
        )
    if not chosen:
        asked = ", ".join(f"{what}={value!r}" for what, value in given.items())
        there = "; ".join(f"cell={run.cell!r}, layer={run.layer!r}, direction={run.direction!r}"
                          for run in found)  # fmt: skip
        raise ValueError(f"draw_gates: no cell with {asked}; there are {there}")
    return chosen


def _variables(run: Run, names: Sequence[str] | None) -> list[Variable]:
    """Return the variables to draw, in the order asked for, or in that of the equations."""
    if names is None:
        return [one for one in run.variables.values() if run.as_wide_as_a_state(one)]
    if not names:
        raise ValueError("draw_gates: names names no variable; give one or several")
    for name in names:
        if name not in run.variables:
            raise ValueError(
                f"draw_gates: {run.title} has no variable {name!r}; "
                f"there are {', '.join(run.variables)}"
            )
    return [run.variables[name] for name in names]


def _strip(
    run: Run,
    variable: Variable,
    row: int,
    units: tuple[int, ...] | None,
    held: dict[Node, Any],
    going: dict[Any, Any],
) -> Strip:
    """Return the values of one row of the batch, step by step."""
    for unit in units or ():
        if not 0 <= unit < variable.width:
            raise IndexError(
                f"draw_gates: unit {unit} of {variable.name!r}, which has {variable.width}; "
                "name the variables to draw with names="
            )
    values = [
        _row(run, variable, t, row, held[variable.at[t][1].node], going)
        if t in variable.at else None
        for t in run.times
    ]  # fmt: skip
    flat = [v for own in values if own is not None for v in (float(own.min()), float(own.max()))]
    return Strip(variable, value_colors(flat, signed=SIGNED.get(variable.op)), values)


def _row(run: Run, variable: Variable, t: int, row: int, values: Any, going: dict[Any, Any]) -> Any:
    """Return the values (H,) of one row at one step; None past its end."""
    values = values.astype("float64")
    alone = not values.ndim or (values.ndim == 1 and len(values) != variable.rows)
    values = values.reshape(1 if alone else len(values), -1)
    batch = max(len(values), *(one.at[t][1].shape[0] for one in run.variables.values()
                if t in one.at and len(one.at[t][1].shape) > 1), 1)  # fmt: skip
    if not 0 <= row < batch:
        raise IndexError(f"draw_gates: row {row} of a batch of {batch}")
    if t in going and not bool(going[t].reshape(-1)[row]):
        return None
    return values[row if len(values) > 1 else 0]


def _graph(drawn: list[tuple[Run, list[Strip]]]) -> nx.MultiDiGraph:
    """Return a node for each variable and step, an edge from each state to the next."""
    graph = nx.MultiDiGraph()
    for run, strips in drawn:
        for strip in strips:
            _add_nodes(graph, run, strip)
    return graph


def _add_nodes(graph: nx.MultiDiGraph, run: Run, strip: Strip) -> None:
    """Add the nodes of one variable."""
    one, before = strip.variable, None
    for t, values in zip(run.times, strip.values, strict=True):
        if values is None:
            continue
        n = graph.number_of_nodes()
        graph.add_node(
            n, name=one.name, kind="state" if one.is_state else "gate", t=t, op=one.op,
            layer=run.layer, direction=run.direction, cell=run.cell, path=run.path,
            values=tuple(values.tolist()), value=float(values.mean()), low=float(values.min()),
            high=float(values.max()),
        )  # fmt: skip
        if one.is_state and before is not None:
            ends = (n, before) if run.direction == "reverse" else (before, n)
            graph.add_edge(*ends, kind="time")
        before = n
