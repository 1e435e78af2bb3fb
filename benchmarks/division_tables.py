"""Write the tables of how threads share a recurrence. Below `tables.py`."""

from typing import Any


def measured(result: dict[str, Any]) -> list[str]:
    """Return the clock and the model on this machine, by division."""
    names = list(result["rows"][0]["microseconds"])
    head = "".join(f" {name}, µs | model |" for name in names)
    rows = [f"| B, H |{head} chosen |", "|---|" + "---|---|" * len(names) + "---|"]
    for line in result["rows"]:
        cells = "".join(f" {line['microseconds'][name]:.1f} | {line['model'][name]:.1f} |"
                        for name in names)  # fmt: skip
        rows.append(f"| {line['B']}, {line['H']} |{cells} {choice(line['predicted']['2'])} |")
    took = ", ".join(f"{n} threads {us:.2f} µs" for n, us in result["meeting_microseconds"].items())
    return [*rows, "", f"A meeting: {took}."]


def on_paper(result: dict[str, Any]) -> list[str]:
    """Return what the model chooses for more cores, and how many times as long rows alone take."""
    machines = list(result["rows"][0]["predicted"])
    rows = ["| B, H |" + "".join(f" {n} cores | µs | rows / chosen |" for n in machines),
            "|---|" + "---|---|---|" * len(machines)]  # fmt: skip
    for line in result["rows"]:
        cells = ""
        for one in line["predicted"].values():
            ratio = one["microseconds_of_rows"] / one["microseconds"]
            cells += f" {choice(one)} | {one['microseconds']:.1f} | {ratio:.1f} |"
        rows.append(f"| {line['B']}, {line['H']} |{cells}")
    return rows


def choice(one: dict[str, Any]) -> str:
    """Return a division in short: threads with own rows, times threads that share units."""
    return f"{one['threads'] // one['lanes']} × {one['lanes']}"
