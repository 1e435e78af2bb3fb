"""Plots of the benchmarks for the docs, the same bytes for the same results."""

from pathlib import Path
from typing import Any

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def plot_ratios(result: dict[str, Any]) -> Path:
    """best peer / bptt of every cell and shape: a dot for each number of threads, 1 marked."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "bptt"
    cells = list(dict.fromkeys(line["cell"] for line in result["rows"]))
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    for threads, color, shift in ((1, "#1f5fa8", -0.12), (2, "#d55e00", 0.12)):
        own = [line for line in result["rows"] if line["threads"] == threads]
        places = [cells.index(line["cell"]) + shift for line in own]
        name = f"{threads} thread{'s' if threads > 1 else ''}"
        axes.scatter(places, [line["ratio"] for line in own], color=color, s=22, label=name)
    axes.axhline(1, color="#5f6368", linewidth=1)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks(range(len(cells)), [cell.replace("_", " ") for cell in cells])
    axes.set_ylabel("best peer / bptt (above 1: bptt is faster)")
    axes.legend()
    path = PICTURES / "recurrence.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
