"""Write a scene as an SVG in which the gradient travels back, wire by wire, again and again.

It is the picture of `svg.py` with a style sheet: no script, so that it moves in an `img` too. Where
a reader asks for less motion, or a program knows no animations, it is that picture, still.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

import networkx as nx

from viz.scene import Scene, Wire
from viz.writers import svg

STEP, SHORTEST, LONGEST = 0.5, 2.0, 9.0  # seconds: of one stage; of all of them together
BEFORE, REST, FADE = 0.7, 3.0, 0.4  # seconds: still at the start and at the end, and to go back
EDGE = re.compile(r'<g class="edge backward"(.*?)<path d=', re.DOTALL)
WORDS = re.compile(r'<text class="(wire-label|wire-mark)"')


def write(scene: Scene) -> str:
    """Return the scene as an animated SVG. Raises ValueError for one without gradients.

    A wire begins to grow when the whole gradient of the box that it comes from is there: its stage
    is the longest way back from the loss. Widths, colours and dashes are those of the still
    picture, which stands at the end of each round. The numbers in boxes stand from the start.
    """
    backward = [wire for wire in scene.wires if wire.kind == "backward"]
    if not backward:
        raise ValueError("animate: this picture shows no gradients; take draw_gradients(loss)")
    stages = stages_of(backward)
    text = _marked(svg.write(scene), scene.wires, stages)
    head, rest = text.split(">", 1)
    return f"{head}>\n<style>\n{_style(max(stages) + 1)}\n</style>{rest}"


def stages_of(wires: Sequence[Wire]) -> list[int]:
    """Return when each wire starts: the length of the longest way of wires that leads to it.

    Wires on a circle, of which there are none where time is unrolled, start last.

    >>> from viz.writers.animation import stages_of
    >>> way = ((0.0, 0.0), (1.0, 0.0))
    >>> stages_of([Wire(a, b, way, "backward", "#8e1212") for a, b in ((2, 1), (1, 0), (2, 0))])
    [0, 1, 0]
    """
    level: dict[int, int] = {}
    with suppress(nx.NetworkXUnfeasible):  # a circle, of which no box is in a generation
        graph = nx.DiGraph((wire.source, wire.target) for wire in wires)
        for stage, boxes in enumerate(nx.topological_generations(graph)):
            level |= dict.fromkeys(boxes, stage)
    last = max((level[wire.source] + 1 for wire in wires if wire.source in level), default=0)
    return [level.get(wire.source, last) for wire in wires]


def _marked(text: str, wires: Sequence[Wire], stages: Sequence[int]) -> str:
    """Return an SVG with the class of their stage on backward wires and their words."""
    numbers = iter(stages)
    own = [next(numbers) if wire.kind == "backward" else None for wire in wires]
    lines = iter([(wire, stage) for wire, stage in zip(wires, own, strict=True)
                  if stage is not None])  # fmt: skip
    words = iter([stage for wire, stage in zip(wires, own, strict=True) for _ in _written(wire)])

    def line(found: re.Match[str]) -> str:
        wire, stage = next(lines)
        whole = "" if wire.dash else ' pathLength="1"'  # dashes of its own cannot grow
        return f'<g class="edge backward back b{stage}"{found[1]}<path{whole} d='

    def word(found: re.Match[str]) -> str:
        stage = next(words)
        return found[0] if stage is None else f'<text class="{found[1]} back b{stage}"'

    text = WORDS.sub(word, EDGE.sub(line, text))
    assert next(lines, None) is None  # the writer has drawn every wire once
    assert next(words, "none") == "none"
    return text


def _written(wire: Wire) -> Iterator[str]:
    """Yield the words of a wire that the writer draws."""
    if wire.label and wire.label_at:
        yield wire.label
    if wire.mark and wire.mark_at:
        yield wire.mark


def _style(stages: int) -> str:
    """Return the rules: for each stage when its lines grow, and when heads and words appear."""
    moving = min(max(STEP * stages, SHORTEST), LONGEST)
    period = BEFORE + moving + REST + FADE
    rules = [f".back>path,text.back{{animation:{period:.2f}s linear infinite}}"]
    frames = []
    for stage in range(stages):
        begin, end = (BEFORE + moving * part / stages for part in (stage, stage + 1))
        a, b = _share(begin, period), _share(end, period)
        near, last = _share(end - 0.2 * (end - begin), period), _share(period - FADE, period)
        rules.append(f".b{stage}>path,text.b{stage}{{animation-name:e{stage}}}")
        rules.append(f".b{stage}>path[pathLength]{{stroke-dasharray:1 1;animation-name:g{stage}}}")
        frames.append(
            f"@keyframes e{stage}{{0%,{near}{{opacity:0}}{b},{last}{{opacity:1}}to{{opacity:0}}}}"
        )
        frames.append(
            f"@keyframes g{stage}{{0%,{a}{{opacity:0;stroke-dashoffset:1}}"
            f"{_share(begin + 0.01, period)}{{opacity:1;stroke-dashoffset:1}}"
            f"{b},{last}{{opacity:1;stroke-dashoffset:0}}to{{opacity:0;stroke-dashoffset:0}}}}"
        )
    still = "@media (prefers-reduced-motion:no-preference){"
    return "\n".join([still, *rules, "}", *frames])


def _share(seconds: float, period: float) -> str:
    return f"{100 * seconds / period:.3f}".rstrip("0").rstrip(".") + "%"
