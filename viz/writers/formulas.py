"""Write formulas in SVG, and the rules of style that light up what belongs together.

Nothing here is a script: a rule asks which part the pointer is over, as browsers of 2023 and later
know it; in others nothing lights up, and the titles tell the same. Below `svg.py`.
"""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from viz.labels import clean
from viz.scene import Group, Link, Run, Scene, Words
from viz.writers.paths import digits as _n
from viz.writers.primitives import rise, size_of

FAMILY = "'STIX Two Text', 'Latin Modern Roman', 'Times New Roman', 'Liberation Serif', serif"
LIT = "#d9480f"  # of what the pointer is over; it can be seen on white and on black
BASE = ".hidden{pointer-events:stroke}"


def formula(words: Words) -> str:
    """Return a formula as one line of text, each run with its shift, its title and its links."""
    parts = [_run(run, words) for run in words.runs]
    return (
        f'<text class="formula" x="{_n(words.x)}" y="{_n(words.y)}" font-size="{_n(words.size)}" '
        f'font-family="{FAMILY}" fill="{words.color}" text-anchor="{words.anchor}" '
        f'xml:space="preserve">{"".join(parts)}</text>'
    )


def _run(run: Run, words: Words) -> str:
    """Return a run with a place of its own: programs disagree on what `dy` is relative to."""
    given = [f'y="{_n(words.y - rise(run, words.size))}"']
    given += [f'font-size="{_n(size_of(run, words.size))}"'] if run.level else []
    given += ['font-style="italic"'] if run.italic else []
    if run.part >= 0:
        given += ['class="part"', f'data-part="{run.part}"']
    if run.within:
        given.append(f'data-within="{" ".join(map(str, run.within))}"')
    title = f"<title>{escape(clean(run.title))}</title>" if run.title else ""
    return f"<tspan {' '.join(given)}>{title}{escape(clean(run.text))}</tspan>"


def links(scene: Scene) -> Iterator[str]:
    """Yield the style sheet of a scene with links: a rule for each of them."""
    if scene.links:
        yield f"<style>{''.join([BASE, *map(_rule, scene.links)])}</style>"


def _rule(link: Link) -> str:
    asked = [*_boxes(link.by), *_wires(link.by), *(f'[data-part="{n}"]' for n in link.by.parts)]
    here = f"svg:has({','.join(f'{one}:hover' for one in asked)})"
    parts = [f'[data-within~="{n}"]' for n in link.lit.parts]
    wires = _wires(link.lit)
    lines, tips = "path:nth-of-type(1)", "path:nth-of-type(2)"
    found = [
        (parts, f"fill:{LIT}"),
        ([f"{one} rect" for one in _boxes(link.lit)], f"stroke:{LIT};stroke-width:2.4"),
        ([f"{one} {lines}" for one in wires], f"stroke:{LIT}"),
        ([f"{one} {tips}" for one in wires], f"fill:{LIT}"),
    ]
    return "".join(f"{here} :is({','.join(what)}){{{how}}}" for what, how in found if what)


def _boxes(group: Group) -> list[str]:
    return [f'.node[data-id="{key}"]' for key in group.boxes]


def _wires(group: Group) -> list[str]:
    return [f'.edge[data-source="{a}"][data-target="{b}"]' for a, b in group.wires]
