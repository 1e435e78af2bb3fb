"""Compare cells on recall, selective copying and parity, each cell with one seed.

Run `python -m benchmarks.cell_tasks` for all runs, or with the names of tasks. A run has one
thread, so that the figures do not depend on the machine's load; what is kept of it are its figures,
not its time. Rows that are in the file of results are not run again.
"""

import argparse
import importlib
import json
from typing import Any, NamedTuple

from benchmarks import measuring
from benchmarks.tasks import plain

SEED = 0
COMMON = ("lstm", "mingru", "linear_attention", "deltanet", "gated_deltanet")


class Task(NamedTuple):
    """Hold an example, the metric that counts, and the cells that it is run with.

    `longer` are cells that are run again with `TIMES` the updates.
    """

    example: str
    unit: str
    cells: tuple[str, ...]
    longer: tuple[str, ...] = ()


TIMES = 4
TASKS = (
    Task("recall", "values right", COMMON, ("lstm",)),
    Task("parity", "parities right beyond the trained steps",
         (*COMMON, "deltanet_negative", "slstm")),
    Task("selective_copying", "symbols right", COMMON),
)  # fmt: skip


def arguments(cell: str, steps: int | None) -> list[str]:
    """Return the options of a run."""
    given = ["--cell", cell, "--seed", str(SEED), "--threads", "1"]
    return given if steps is None else [*given, "--steps", str(steps)]


def ran(task: Task, cell: str, times: int) -> dict[str, Any]:
    """Return one run in plain numbers, without its time."""
    example = importlib.import_module(f"examples.{task.example}")
    steps = times * example.parse([]).steps
    run = plain(example.run(example.parse(arguments(cell, steps))))
    kept = {key: run[key] for key in ("figures", "steps", "curve", "seed", "settings")}
    print(f"{task.example}, {cell}: {run['figures']}", flush=True)
    return {"task": task.example, "unit": task.unit, "cell": cell, "times": times, **kept}


def wanted() -> list[tuple[Task, str, int]]:
    """Return all runs in the order of the table."""
    return [(task, cell, times) for task in TASKS
            for cells, times in ((task.cells, 1), (task.longer, TIMES))
            for cell in cells]  # fmt: skip


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("cell_tasks", description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="examples (all)")
    names = parser.parse_args(given).tasks or [task.example for task in TASKS]
    path = measuring.RESULTS / "cell_tasks.json"
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    rows = {(row["task"], row["cell"], row["times"]): row for row in before}
    for task, cell, times in wanted():
        key = (task.example, cell, times)
        if task.example in names and key not in rows:
            rows[key] = ran(task, cell, times)
            order = [(one.example, name, n) for one, name, n in wanted()]
            what = ("one seed, one thread; the same updates for all, and parameters as near as the "
                    "widths of layers allow")  # fmt: skip
            kept = [rows[one] for one in order if one in rows]
            path = measuring.write("cell_tasks", {"what": what, "rows": kept})
    print(f"written to {path}")


if __name__ == "__main__":
    main()
