"""Tabulate what was run on a GPU, or say that nothing was. Below `tables.py`."""

from typing import Any

from benchmarks.gpu_lines import CLASSES, named

BASE = "bptt"


def state(result: dict[str, Any]) -> list[str]:
    """Return what one training step gave on the GPU of the last run."""
    step = result.get("step", {"right": False, "failed": "it did not come to its end"})
    found = f"error {step['error']:.1e}" if "error" in step else step["failed"]
    return [f"One training step on the GPU: {'right' if step['right'] else 'wrong'}, {found}."]


def executors(result: dict[str, Any]) -> list[str]:
    """Return the explicit loop against the executor that is chosen on a GPU."""
    rows = ["| cell | T, B, I, H | explicit, ms | chosen, ms | explicit / chosen |",
            "|---|---|---|---|---|"]  # fmt: skip
    for line in result["rows"]:
        explicit, chosen = (line["milliseconds"][name] for name in ("explicit", "chosen"))
        rows.append(f"| {line['cell']} | {', '.join(map(str, line['shape']))} | {explicit:.2f} "
                    f"| {chosen:.2f} | {explicit / chosen:.2f} |")  # fmt: skip
    job = result["main_job"]
    slow, fast = (job[f"{name}_milliseconds_per_update"] for name in ("explicit", "chosen"))
    last = f"An update of the character model: {slow:.1f} ms explicit, {fast:.1f} ms chosen."
    return [*rows, "", last]


def account(result: dict[str, Any]) -> list[str]:
    """Return the counts of a part of the tests, or the findings of the sanitizer, in rows."""
    rows = ["| what | found |", "|---|---|"]
    if "counts" in result:
        rows += [f"| tests: {name} | {number:,} |" for name, number in result["counts"].items()]
        rows += [f"| {outcome['outcome']}: `{test}` | {outcome.get('why', '')} |"
                 for test, outcome in result["not_passed"].items()]  # fmt: skip
    for tool, run in result.get("tools", {}).items():
        errors = "came to no summary" if run.get("errors") is None else f"{run['errors']} errors"
        rows.append(f"| {tool} | {run.get('not_run') or errors} |")
    return rows if result["finished"] else [*rows, "", "Not finished."]


def recurrence(result: dict[str, Any]) -> list[str]:
    """Return every line by class: ours, the best peer, and the executor that ran ours."""
    rows = ["| class | cell | T, B, I, H | bptt, µs a step | best peer, µs a step | "
            "| best peer / bptt | executor of bptt |", "|---" * 8 + "|"]  # fmt: skip
    for precision in CLASSES:
        rows += [_line(row) for row in result["rows"]
                 if row["precision"] == precision and "cut_off" not in row]  # fmt: skip
    rows += ["", *groups(result), ""]
    rows += [f"Not run: {one['what']}, as {one['why']}." for one in result["not_run"]]
    return rows if result["finished"] else [*rows, "", "Not finished: lines are missing."]


def groups(result: dict[str, Any]) -> list[str]:
    """Return the mean, the worst and the losses of each class."""
    rows = ["| class | lines | failed | geometric mean of best peer / bptt | worst | under 1 |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for precision, group in result["groups"].items():
        mean, worst = (f"{group[name]:.2f}" if group[name] else "" for name in
                       ("geometric_mean", "worst"))  # fmt: skip
        rows.append(f"| {precision} | {group['lines']} | {group['failed']} | {mean} | {worst} "
                    f"| {group['losses']} |")  # fmt: skip
    return rows


def _line(row: dict[str, Any]) -> str:
    """Return a row; where ours failed it says why instead of a time."""
    micro, best = row.get("microseconds_a_step", {}), row.get("best_peer")
    why = row["failed"].get(BASE) or row["failed"].get("line")
    ours = f"{micro[BASE]:.2f}" if BASE in micro else why or ""
    peer = f"{micro[best]:.2f}" if best else ""
    ratio = f"{row['ratio']:.2f}" if row.get("ratio") else ""
    executor = named(row.get("executor", []))
    shape = ", ".join(map(str, row["shape"]))
    return (f"| {row['precision']} | {row['cell'].replace('_', ' ')} | {shape} | {ours} | {peer} "
            f"| {best or ''} | {ratio} | {executor} |")  # fmt: skip
