"""Draw wires to weights as wide as what they carry: each use its norm, each trunk that of the sum.

Above the layout and `analysis/trunks.py`, below `scene_builder.py`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from viz.analysis.trunks import Parts, running_norms
from viz.labels import count
from viz.model.elements import Model
from viz.scene import Line, Point
from viz.style import FULL, Scale, backward_line


def trunks(
    model: Model, parts: Mapping[int, Parts], wires: Mapping[int, Sequence[Point]], scale: Scale
) -> Iterator[Line]:
    """Yield the stretches of the wires of weights, from the rail up to what uses them.

    `wires` are the points of the gradients on these edges, from their target back to the weight:
    the last stretch is the trunk, which each joins where it turns. `parts` are what they add.
    """
    boxes: dict[int, list[int]] = defaultdict(list)
    for i in parts:
        if i in wires and len(wires[i]) > 2:
            boxes[model.links[i].source].append(i)
    for n, own in boxes.items():
        own.sort(key=lambda i: -wires[i][-2][0])  # the way of the gradient: from the right
        sums = running_norms(parts[i] for i in own)
        ends = [*(wires[i][-2][0] for i in own[1:]), wires[own[-1]][-1][0]]
        name = model.items[n].full
        for k, (i, total, end) in enumerate(zip(own, sums, ends, strict=True), 1):
            x, y = wires[i][-2]
            (alone,) = running_norms([parts[i]])
            yield _stretch(wires[i][:-1], alone, scale, f"{name}: one use adds {alone:.6g}")
            summed = f"{name}: {count(k)} of {count(len(own))} uses sum to {total:.6g}"
            yield _stretch(((x, y), (end, y)), total, scale, summed)


def _stretch(points: Sequence[Point], norm: float, scale: Scale, title: str) -> Line:
    color, wide, dash, _ = backward_line(norm, scale, FULL)
    return Line(tuple(points), color, wide, dash, title=title)
