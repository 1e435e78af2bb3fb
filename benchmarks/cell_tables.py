"""Write the tables of cells: on tasks that compare them, as language models.

Below `tables.py`.
"""

from typing import Any


def cell_tasks(result: dict[str, Any]) -> list[str]:
    """Write a line for each cell: the accuracy on each task, and the parameters of the model."""
    rows = result["rows"]
    heads = {row["task"]: row["unit"] for row in rows}
    told = " | ".join(f"{task.replace('_', ' ')}: {unit}" for task, unit in heads.items())
    lines = [f"| cell | {told} |", f"|---{'|---' * len(heads)}|"]
    found = {(row["cell"], row["times"], row["task"]): row for row in rows}
    for cell, times in dict.fromkeys((row["cell"], row["times"]) for row in rows):
        name = cell if times == 1 else f"{cell}, {times} times the updates"
        cells = [_figure(found.get((cell, times, task))) for task in heads]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    guess = {row["task"]: row["figures"]["guessing"] for row in rows}
    return [*lines, f"| guessing | {' | '.join(f'{guess[task]:.1%}' for task in heads)} |"]


def _figure(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    own = row["figures"]
    return f"{own['accuracy']:.1%} ({own['parameters']:,.0f} parameters, {row['steps']:,} updates)"


def cell_language(result: dict[str, Any]) -> list[str]:
    """Return a line for each block: its model, the cost of held-out text, the time of all updates.

    The time is that of an update, measured alone, as many times; empty where it is not measured.
    """
    lines = [
        "| cell | hidden | parameters | held-out bits per character | seconds |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        taken = row.get("milliseconds")
        told = "" if taken is None else f"{row['updates'] * taken / 1e3:.1f}"
        lines.append(f"| {row['cell']} | {row['hidden']} | {row['parameters']:,} "
                     f"| {row['bits']:.2f} | {told} |")  # fmt: skip
    return [*lines, f"| character frequencies alone | | | {result['text']['frequencies']:.2f} | |"]
