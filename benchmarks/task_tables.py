"""Tabulate the tasks. Below `tables.py`, which puts the table into the docs."""

from statistics import mean
from typing import Any


def tasks(result: dict[str, Any]) -> list[str]:
    """Tabulate the figure of every task: each seed, its mean, what it is to reach and to beat."""
    seeds = [[run["seed"] for run in row["runs"]] for row in result["rows"]]
    same = all(one == seeds[0] for one in seeds)
    head = f"seeds {', '.join(map(str, seeds[0]))}" if seeds and same else "seed: figure"
    rows = [f"| task | figure | {head} | mean | to reach | to beat | updates | seconds |",
            "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row, own in zip(result["rows"], seeds, strict=True):
        runs, name = row["runs"], row["figure"]
        found = [run["figures"][name] for run in runs]
        told = [("" if same else f"{seed}: ") + _short(value)
                for seed, value in zip(own, found, strict=True)]  # fmt: skip
        floor = [run["figures"][row["floor"]] for run in runs] if row["floor"] else []
        aim = "" if row["aim"] is None else f"{'<' if row['better'] == 'min' else '>'} "
        cells = [
            row["name"],
            row["unit"],
            ", ".join(told),
            _mean(found),
            aim + ("" if row["aim"] is None else _short(row["aim"])),
            f"{_mean(floor)} ({row['floor']})" if floor else "",
            f"{mean(run['steps'] for run in runs):,.0f}",
            f"{mean(run['seconds'] for run in runs):,.0f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _mean(values: list[float | None]) -> str:
    """Return the mean, or say that there is none."""
    known = [value for value in values if value is not None]
    return _short(mean(known)) if len(known) == len(values) else "not reached"


def _short(value: float | None) -> str:
    """Four digits that count, whole numbers as they are."""
    if value is None:
        return "not reached"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"
