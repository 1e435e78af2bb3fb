"""Plot results of the benchmarks for the docs, the same bytes for the same results."""

from itertools import cycle
from pathlib import Path
from typing import Any

ACROSS = 4  # panels beside each other
COLORS = ("#1f5fa8", "#d55e00", "#3d8b52")  # of the seeds, in turn
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def plot_ratios(result: dict[str, Any]) -> Path:
    """Plot best peer / bptt of every cell and shape: a dot for each number of threads, 1 marked."""
    plt = _pyplot()
    lines = [line for line in result["rows"] if line["ratio"]]
    cells = list(dict.fromkeys(line["cell"] for line in lines))
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    for threads, color, shift in ((1, "#1f5fa8", -0.12), (2, "#d55e00", 0.12)):
        own = [line for line in lines if line["threads"] == threads]
        places = [cells.index(line["cell"]) + shift for line in own]
        name = f"{threads} thread{'s' if threads > 1 else ''}"
        axes.scatter(places, [line["ratio"] for line in own], color=color, s=22, label=name)
    axes.axhline(1, color="#5f6368", linewidth=1)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xticks(range(len(cells)), [cell.replace("_", "\n") for cell in cells])
    axes.set_ylabel("best peer / bptt (above 1: bptt is faster)")
    axes.legend()
    return _written(figure, "recurrence")


def plot_tasks(result: dict[str, Any], curves: dict[str, str]) -> Path:
    """Plot what was measured while each task was trained: a line a seed. `curves` name it by task.

    Tasks that are other figures of the same runs have one panel, with the name of the first.
    """
    plt = _pyplot()
    rows = list({(row["example"], *row["arguments"]): row for row in result["rows"][::-1]}.values())
    rows.reverse()
    figure, grid = plt.subplots(
        -(-len(rows) // ACROSS), ACROSS, figsize=(11, 1.9 * -(-len(rows) // ACROSS)),
        layout="constrained",
    )  # fmt: skip
    for axes, row in zip(grid.flat, rows, strict=False):
        for run, color in zip(row["runs"], cycle(COLORS), strict=False):
            known = [(step, value) for step, value in run["curve"] if value is not None]
            label = f"seed {run['seed']}"
            axes.plot(*zip(*known, strict=True), color=color, linewidth=1.2, label=label)
        axes.set_title(row["name"], fontsize=8)
        axes.set_ylabel(curves[row["name"]], fontsize=7)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(plt.MaxNLocator(4, integer=True))
    for axes in grid.flat[len(rows) :]:
        axes.axis("off")
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="lower right", fontsize=8)
    figure.supxlabel("updates", fontsize=8)
    return _written(figure, "tasks")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "bptt"
    return plt


def _written(figure: Any, name: str) -> Path:
    path = PICTURES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    _pyplot().close(figure)
    return path
