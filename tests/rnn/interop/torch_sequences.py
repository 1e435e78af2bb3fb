"""List encoder-decoders and CTC losses that were recorded with torch: sizes, and all inputs."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tests.draws import normal

T, B, U, V, W, E, H = 5, 3, 4, 8, 9, 4, 6
START, PAD = 1, 0
LENGTHS = [5, 2, 4]
X = np.random.default_rng(1).integers(2, V, (T, B))
Y = np.array([[2, 3, 4], [5, 1, 6], [7, 0, 8], [1, 0, 1]])
RECORDED = Path(__file__).parent / "data" / "torch_sequences.safetensors"

Case = dict[str, Any]

# The score of the attention, the number of layers, the ratio of teacher forcing.
AXES: tuple[tuple[Any, ...], ...] = ((None, "dot", "general", "additive"), (1, 2), (1.0, 0.0))

# Rows of CTC: frames (12, 5, 6), the last row with more labels than its frames can spell.
FRAMES, COUNTS = [12, 9, 11, 12, 4], [5, 2, 0, 4, 5]
LOGITS = normal(12, 5, 6)
TARGETS = np.random.default_rng(1).integers(1, 6, (5, 5))


def written(score: str | None, layers: int, ratio: float) -> str:
    return f"write {score}, {layers} layers, ratio {ratio}"


def writers() -> dict[str, Case]:
    """Return encoder-decoders by name: layers, score of their attention, and ratio."""
    return {
        written(score, layers, ratio): {"score": score, "layers": layers, "ratio": ratio}
        for score, layers, ratio in product(*AXES)
    }


def losses() -> dict[str, Case]:
    """Return losses by name: the reduction, and the flag for rows that cannot be spelled."""
    return {
        f"ctc {reduction}, {zero}": {"reduction": reduction, "zero_infinity": zero}
        for reduction, zero in product(("none", "sum", "mean"), (False, True))
    }


def weights(case: Case) -> dict[str, Any]:
    """Return the weights of an encoder-decoder by name."""
    layers, score = case["layers"], case["score"]
    shapes: dict[str, tuple[int, ...]] = {"encoder.embedding.weight": (V, E),
                                          "decoder.embedding.weight": (W, E),
                                          "decoder.head.weight": (W, H),
                                          "decoder.head.bias": (W,)}  # fmt: skip
    for n in range(layers):
        fed = E + (H if score else 0)
        for path, end, width in (("encoder.recurrent.", f"_l{n}", E),
                                 (f"decoder.cells.{n}.", "", fed)):  # fmt: skip
            shapes[f"{path}weight_ih{end}"] = (3 * H, H if n else width)
            shapes[f"{path}weight_hh{end}"] = (3 * H, H)
            shapes[f"{path}bias_ih{end}"] = shapes[f"{path}bias_hh{end}"] = (3 * H,)
    if score:
        shapes["decoder.combine.weight"] = (H, 2 * H)
    if score == "general":
        shapes["decoder.attention.weight"] = (H, H)
    if score == "additive":
        shapes["decoder.attention.weight_query"] = (H, H)
        shapes["decoder.attention.weight_memory"] = (H, H)
        shapes["decoder.attention.v"] = (H,)
    return {name: 0.5 * normal(*shape, salt=n) for n, (name, shape) in enumerate(shapes.items())}
