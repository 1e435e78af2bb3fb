"""Predict steps of training and scans over more ranks than were measured. Below `tables.py`.

Run `python -m benchmarks.scaling_predicted --latency 2e-6 --bandwidth 1e10` for a network of its
own. Compute comes from the measurements of one machine, messages from `scaling_model.py`: every
figure is a prediction, none is measured, and none knows of contention or of ranks that wait.
"""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from benchmarks.measuring import RESULTS
from benchmarks.scaling_model import (
    NETWORKS,
    RANKS,
    Network,
    line,
    scan_pass,
    training_step,
)

EACH, TOGETHER, STEPS = 32, 1024, 1 << 20  # rows of a rank, rows of all, steps of all


def predicted(networks: Mapping[str, Network] = NETWORKS) -> list[str]:
    """Return the predictions for some networks, in rows of a table."""
    results = {}
    for part in ("fit", "scan"):
        path = RESULTS / f"scaling_{part}.json"
        if not path.exists():
            return ["Not run yet: `python -m benchmarks.scaling`."]
        results[part] = json.loads(path.read_text(encoding="utf-8"))
    training, scan = trained(results["fit"]), scanned(results["scan"])
    rows = [
        f"| predicted for | ranks | step, {EACH} rows a rank, ms | efficiency "
        f"| step, {TOGETHER:,} rows, ms | speed-up | scan of {STEPS:,} steps, ms | speed-up |",
        "|---|---|---|---|---|---|---|---|",
    ]
    alone = training["fixed"] + training["each"] * EACH
    whole = training["fixed"] + training["each"] * TOGETHER
    one = scan.pop("alone") * STEPS
    for name, network in networks.items():
        for ranks in RANKS:
            weak = training_step(EACH, ranks, network, **training)
            strong = training_step(TOGETHER / ranks, ranks, network, **training)
            long = scan_pass(STEPS / ranks, ranks, network, **scan)
            rows.append(
                f"| {name} | {ranks:,} | {weak * 1e3:.1f} | {alone / weak:.0%} "
                f"| {strong * 1e3:.1f} | {whole / strong:.1f} | {long * 1e3:.1f} "
                f"| {one / long:.1f} |"
            )
    return rows


def trained(result: dict[str, Any]) -> dict[str, float]:
    """Return seconds of a step, fixed and for each row, gradient bytes, and messages to agree."""
    alone = [row for row in result["rows"] if row["ranks"] == 1]
    fixed, each = line([row["B"] for row in alone], [row["seconds"] for row in alone])
    two = next(row for row in result["rows"] if row["ranks"] == 2)
    return {"fixed": max(fixed, 0.0), "each": each, "size": two["gradient_bytes"],
            "agreements": two["calls"]["agreement"]}  # fmt: skip


def scanned(result: dict[str, Any]) -> dict[str, float]:
    """Return seconds of a time step, of one process and of two ranks, and the bytes of a state."""
    alone = max((row for row in result["rows"] if row["ranks"] == 1), key=lambda row: row["T"])
    two = next(row for row in result["rows"] if row["ranks"] == 2)
    return {
        "alone": alone["seconds"] / alone["T"],
        "each": two["milliseconds"]["compute"] / 1e3 / (two["T"] / 2),
        "size": 4.0 * two["B"] * two["H"],
        "agreements": two["calls"]["agreement"],
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the predictions for a network."""
    parser = argparse.ArgumentParser("scaling_predicted", description=__doc__)
    parser.add_argument("--latency", type=float, help="seconds of a small message")
    parser.add_argument("--bandwidth", type=float, help="bytes a second, in one direction")
    given = parser.parse_args(arguments)
    if (given.latency is None) != (given.bandwidth is None):
        parser.error("give both --latency and --bandwidth, or neither")
    own = given.latency is not None
    networks = {"this network": Network(given.latency, given.bandwidth)} if own else NETWORKS
    print("\n".join(predicted(networks)))


if __name__ == "__main__":
    main()
