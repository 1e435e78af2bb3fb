"""Plot the losses of `char_rnn.py` by matplotlib without a screen. Below it."""

import math
from pathlib import Path

import numpy as np


def plot_loss(losses: list[float], held_out: float, baseline: float, path: Path) -> None:
    """Plot the training loss in bits per character, its running mean and two lines to compare."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bits = np.array(losses) / math.log(2)
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    if len(bits):
        span = max(1, len(bits) // 40)
        mean = np.convolve(bits, np.ones(span) / span, mode="valid")
        axes.plot(bits, color="#9dbfe3", linewidth=0.8, label="a chunk")
        axes.plot(np.arange(span - 1, len(bits)), mean, color="#1f5fa8", label="running mean")
    axes.axhline(held_out, color="#8e1212", linestyle="--", label=f"held out: {held_out:.2f}")
    axes.axhline(baseline, color="#5f6368", linestyle=":",
                 label=f"character frequencies: {baseline:.2f}")  # fmt: skip
    axes.set(xlabel="update", ylabel="bits per character", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
