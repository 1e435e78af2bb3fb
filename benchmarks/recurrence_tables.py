"""Tabulate the benchmark of recurrences on the CPU. Below `tables.py`."""

from typing import Any

HEAD = "| cell | T, B, I, H | threads |"
NOT_YET = ["Not measured yet: `python -m benchmarks.recurrence`."]


def place(line: dict[str, Any]) -> str:
    """Return the first columns of a line: cell, shape and threads."""
    shape = ", ".join(map(str, line["shape"]))
    return f"| {line['cell'].replace('_', ' ')} | {shape} | {line['threads']} |"


def lines(result: dict[str, Any]) -> list[str]:
    """Return the ratio of every line, the milliseconds of ours and of the best peer, the faults."""
    rows = [f"{HEAD} bptt, ms | page faults a step | system, ms a step | best peer, ms | "
            "| best peer / bptt |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for line in result["rows"]:
        peer = line["best_peer"]
        against = (f"{line['milliseconds'][peer]:.2f} | {peer} | {line['ratio']:.2f}" if peer
                   else " | not compared | ")  # fmt: skip
        asked = (f"{line['page_faults_a_step']:.0f} | {line['system_milliseconds_a_step']:.2f}"
                 if "page_faults_a_step" in line else "not measured | ")  # fmt: skip
        rows.append(f"{place(line)} {line['milliseconds']['bptt']:.2f} | {asked} | {against} |")
    return [*rows, *earlier(result)]


def earlier(result: dict[str, Any]) -> list[str]:
    """Return a line for figures from before each side had a process of its own."""
    if "spread" in result:
        return []
    return ["", "These are figures of an earlier commit, all sides in turn in one process; to be "
            "measured again by `python -m benchmarks.recurrence`."]  # fmt: skip


def groups(result: dict[str, Any]) -> list[str]:
    """Return the geometric mean, the worst ratio and the losses of each group of cells."""
    rows = ["| cells | lines | geometric mean of best peer / bptt | worst | lines under 1 |",
            "|---|---|---|---|---|"]  # fmt: skip
    for name, group in result["groups"].items():
        rows.append(
            f"| {name} | {group['lines']} | {group['geometric_mean']:.2f} | {group['worst']:.2f} "
            f"| {group['losses']} |"
        )
    return [*rows, *earlier(result)]


def spread(result: dict[str, Any]) -> list[str]:
    """Return how far the medians of fresh processes lie from each other."""
    if not result.get("spread"):
        return NOT_YET
    rows = [f"{HEAD} processes | least, ms | median, ms | most, ms | (most - least) / median |",
            "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for line in result["spread"]:
        rows.append(
            f"{place(line)} {len(line['milliseconds'])} | {line['min']:.2f} | {line['median']:.2f} "
            f"| {line['max']:.2f} | {line['spread']:.2f} |"
        )
    return rows


def beside(result: dict[str, Any]) -> list[str]:
    """Return our step alone, and with the threads of torch awake in the same process."""
    if not result.get("beside"):
        return NOT_YET
    rows = [f"{HEAD} alone, ms | beside torch, ms | beside / alone |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for line in result["beside"]:
        rows.append(
            f"{place(line)} {line['alone_milliseconds']:.2f} | {line['beside_milliseconds']:.2f} "
            f"| {line['ratio']:.2f} |"
        )
    return rows


def first_use(result: dict[str, Any]) -> list[str]:
    """Return the CPU seconds that the first step of a cell costs once, and the processes'."""
    if not result.get("first_use"):
        return NOT_YET
    rows = ["| cell | cache | kernels made, CPU s | kernels found, CPU s | first use, CPU s |",
            "|---|---|---|---|---|"]  # fmt: skip
    for line in result["first_use"]:
        rows.append(
            f"| {line['cell']} | {line['cache']} | {line['made_cpu_seconds']:.2f} "
            f"| {line['found_cpu_seconds']:.2f} | {line['first_use_cpu_seconds']:.2f} |"
        )
    return rows
