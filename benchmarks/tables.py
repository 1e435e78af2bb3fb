"""Write the tables in the README and the docs from the files in `results/`.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; run `python -m benchmarks.tables`.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    cell_tables,
    division_tables,
    gpu_tables,
    picture_tables,
    recurrence_tables,
    scaling_predicted,
    scaling_tables,
    task_tables,
)
from benchmarks.gpu_lines import PARTS
from benchmarks.gpu_predicted import predicted
from benchmarks.measuring import RESULTS
from benchmarks.plots import plot_ratios, plot_tasks
from benchmarks.tasks import TASKS

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/about/benchmarks.md",
    "docs/about/tasks.md",
    "docs/reference/modern.md",
    "docs/about/gpu.md",
)


def eager(result: dict[str, Any]) -> list[str]:
    """Return microseconds an op of each engine, and how many times ours that is."""
    micro = result["microseconds_per_op"]
    rows = ["| engine | µs an op | times ours |", "|---|---|---|"]
    for name, value in micro.items():
        rows.append(f"| {name} | {value:.2f} | {value / micro['bptt']:.2f} |")
    return rows


def char_rnn(result: dict[str, Any]) -> list[str]:
    """Tabulate the character model in one row."""
    return [
        "| updates | seconds, pictures and all | held-out bits per character "
        "| character frequencies alone |",
        "|---|---|---|---|",
        f"| {result['updates']:,} | {result['seconds']:.0f} "
        f"| {result['held_out_bits_per_character']:.2f} "
        f"| {result['character_frequencies_alone']:.2f} |",
    ]


def executors(result: dict[str, Any]) -> list[str]:
    """Tabulate the three executors on every cell and shape."""
    rows = [
        "| cell | T, B, I, H | explicit, ms | plan, ms | c, ms | explicit / plan | explicit / c |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in result["rows"]:
        explicit, plan, c = (line["milliseconds"][name] for name in ("explicit", "plan", "c"))
        rows.append(
            f"| {line['cell']} | {', '.join(map(str, line['shape']))} | {explicit:.1f} "
            f"| {plan:.1f} | {c:.1f} | {explicit / plan:.2f} | {explicit / c:.2f} |"
        )
    job = result["main_job"]
    slow, fast = (job[f"{name}_milliseconds_per_update"] for name in ("explicit", "c"))
    rows += ["", f"An update of the character model: {slow:.1f} ms explicit, "
             f"{fast:.1f} ms compiled ({slow / fast:.1f} times)."]  # fmt: skip
    return rows


def language_step(result: dict[str, Any]) -> list[str]:
    """Tabulate the time of a whole step of both sides, by optimiser and threads."""
    rows = [
        "| optimiser | threads | bptt, ms | torch, ms | torch / bptt |",
        "|---|---|---|---|---|",
    ]
    for line in result["rows"]:
        own, peer = (line["milliseconds"][name] for name in ("bptt", "torch"))
        rows.append(
            f"| {line['optimizer']} | {line['threads']} | {own:.1f} | {peer:.1f} "
            f"| {line['ratio']:.2f} |"
        )
    return rows


def second_order(result: dict[str, Any]) -> list[str]:
    """Tabulate the time of a gradient and of a product with the Hessian."""
    rows = [
        "| cell | T, B, I, H | threads | gradient, ms | product with the Hessian, ms | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for line in result["rows"]:
        once, twice = (line["milliseconds"][name] for name in ("gradient", "product"))
        rows.append(
            f"| {line['cell']} | {', '.join(map(str, line['shape']))} | {line['threads']} "
            f"| {once:.1f} | {twice:.1f} | {line['ratio']:.1f} |"
        )
    return rows


def modern(result: dict[str, Any]) -> list[str]:
    """Tabulate the time of affine recurrences by each side, and the memory of ours."""
    sides = list(dict.fromkeys(side for line in result["rows"] for side in line["milliseconds"]))
    rows = [f"| recurrence | sizes | threads | {', ms | '.join(sides)}, ms | peak of bptt, MiB |",
            "|---" * (len(sides) + 4) + "|"]  # fmt: skip
    for line in result["rows"]:
        own = line["milliseconds"]
        taken = " | ".join(f"{own[side]:.1f}" if side in own else "" for side in sides)
        rows.append(f"| {line['line']} | {', '.join(map(str, line['shape']))} | {line['threads']} "
                    f"| {taken} | {line['peak_megabytes']:.0f} |")  # fmt: skip
    return rows


# A table by its name in the pages: the file of results that it is made of, and its rows.
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "eager": ("eager", eager),
    "char_rnn": ("char_rnn", char_rnn),
    "executors": ("executors", executors),
    "recurrence": ("recurrence", recurrence_tables.lines),
    "recurrence_groups": ("recurrence", recurrence_tables.groups),
    "recurrence_spread": ("recurrence", recurrence_tables.spread),
    "recurrence_beside": ("recurrence", recurrence_tables.beside),
    "first_use": ("recurrence", recurrence_tables.first_use),
    "language_step": ("language_step", language_step),
    "second_order": ("second_order", second_order),
    "modern": ("modern", modern),
    "division": ("division", division_tables.measured),
    "division_on_paper": ("division", division_tables.on_paper),
    "scaling_network": ("scaling_network", scaling_tables.network),
    "scaling_maps": ("scaling_network", scaling_tables.maps),
    "scaling_fit": ("scaling_fit", scaling_tables.fit),
    "scaling_scan": ("scaling_scan", scaling_tables.scan),
    "scaling_layer": ("scaling_layer", scaling_tables.scan),
    "pictures": ("pictures", picture_tables.pictures),
    "large_pictures": ("pictures", picture_tables.large_pictures),
    "million_ops": ("pictures", picture_tables.million_ops),
    "tasks": ("tasks", task_tables.tasks),
    "cell_language": ("cell_language", cell_tables.cell_language),
    "cell_tasks": ("cell_tasks", cell_tables.cell_tasks),
    "gpu_state": ("gpu/environment", gpu_tables.state),
    "gpu_tests": ("gpu/tests", gpu_tables.account),
    "gpu_tests_of_ops": ("gpu/tests_of_ops", gpu_tables.account),
    "gpu_sanitizer": ("gpu/sanitizer", gpu_tables.account),
    "gpu_recurrence": ("gpu/recurrence_anchors", gpu_tables.recurrence),
    "gpu_recurrence_grid": ("gpu/recurrence_grid", gpu_tables.recurrence),
    "gpu_eager": ("gpu/eager", eager),
    "gpu_executors": ("gpu/executors", gpu_tables.executors),
    "gpu_char_rnn": ("gpu/char_rnn", char_rnn),
}
COMPUTED: dict[str, Callable[[], list[str]]] = {
    "gpu_predicted": predicted,
    "scaling_predicted": scaling_predicted.predicted,
}


def table(name: str) -> str:
    """Return a table with the line that says what was measured on what, or how to make one."""
    if name in COMPUTED:
        return "\n".join(COMPUTED[name]())
    source, rows = TABLES[name]
    path = RESULTS / f"{source}.json"
    if not path.exists():
        return missing(source)
    result = json.loads(path.read_text(encoding="utf-8"))
    on = result["machine"]
    if on.get("gpu", {}).get("fake"):
        raise ValueError(f"{path}: it comes from a fake of CuPy, which says nothing of a GPU")
    versions = ", ".join(f"{package} {version}" for package, version in on["versions"].items())
    where = f"{on['processor']}, {on['cores']} cores, Python {on['python']}, {versions}"
    if "gpu" in on:
        where = f"{on['gpu']['name']}, {where}"
    commit = f"commit {result['commit']}" if result.get("commit") else ""
    when = ", ".join(filter(None, (commit, result.get("date"))))
    return "\n".join([*rows(result), "", f"{result['what']}; {where}{when and f'; {when}'}."])


def missing(source: str) -> str:
    """Return the line in the place of a table for which there is no result."""
    folder, _, name = source.rpartition("/")
    if not folder:
        return f"Not run yet: `python -m benchmarks.{name}`."
    own = "make gpu" if name in PARTS else f"python -m benchmarks.{name} --device cupy"
    return f"Not run on a GPU yet: `{own}`."


def filled(page: str) -> str:
    """Return the page with all of its tables rewritten."""
    for name in (*TABLES, *COMPUTED):
        before, after = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if before in page:
            head, _, rest = page.partition(before)
            page = f"{head}{before}{table(name)}\n{after}{rest.partition(after)[2]}"
    return page


def main(arguments: list[str] | None = None) -> None:
    argparse.ArgumentParser("tables", description=__doc__).parse_args(arguments)
    plot_ratios(json.loads((RESULTS / "recurrence.json").read_text(encoding="utf-8")))
    if (RESULTS / "tasks.json").exists():
        curves = {task.name: task.curve for task in TASKS}
        plot_tasks(json.loads((RESULTS / "tasks.json").read_text(encoding="utf-8")), curves)
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
