"""Measure charts at 800 pixels: width, words of 9 pixels or more, none on others or cut off."""

import math
import random
import xml.etree.ElementTree as ET
from functools import partial

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import crossed, first
from tests.viz import picture_checks
from tests.viz.picture_cases import attention
from tests.viz.picture_checks import Area
from tests.viz.pictures import SVG, per_step
from tests.viz.test_draw_attention import looking
from viz.charts.parts import NARROWEST
from viz.scene import Scene, Words
from viz.writers.svg import write

WIDTH, LEAST = 800, 9.0


def gates(cell=rnn.LSTMCell, hidden=4, steps=12, broken=False, layers=1, **options):
    engine.seed(4)
    x = np.random.default_rng(0).normal(size=(steps, 2, 3)).astype("float32")
    if broken:
        x[steps // 2] = math.nan
    if layers > 1:
        net = rnn.GRU(3, hidden, num_layers=layers, bidirectional=True)
    else:
        net = rnn.Recurrent(cell(3, hidden))
    return viz.draw_gates(net(engine.asarray(x))[0], **options)


def contributions(steps=8, shrink=1.0, last=False, scale=1.0, **options):
    engine.seed(3)
    cell = rnn.ElmanCell(3, 8)
    cell.weight_hh.data[...] *= shrink
    losses = [loss * scale for loss in per_step(cell, steps)]
    return viz.draw_contributions(losses[-1:] if last else losses, cell.weight_hh, **options)


def heat(cell=rnn.LSTMCell, steps=12, **options):
    engine.seed(5)
    net = rnn.Recurrent(cell(3, 8, dtype="float64"))
    x = engine.asarray(np.random.default_rng(0).normal(size=(steps, 1, 3)))
    return viz.draw_jacobian_heatmap(net(x)[0], **options)


def curves(updates, names=(), spoil=False, **options):
    rng = random.Random(updates)
    losses = [3 * math.exp(-k / 100) + rng.random() for k in range(updates)]
    norms = [10 ** rng.gauss(0, 1) for _ in range(updates)]
    if spoil:
        losses[updates // 2] = math.nan
        norms[updates // 3 :: 7] = [math.inf] * len(norms[updates // 3 :: 7])
    if names:
        return viz.draw_curves(dict.fromkeys(names, losses), dict.fromkeys(names, norms), **options)
    return viz.draw_curves(losses, norms, **options)


def matrix(source, target, names=False, **options):
    if names:
        options |= {"sources": [f"word {i}" for i in range(source)],
                    "targets": [f"some longer word {i}" for i in range(target)]}  # fmt: skip
    return viz.draw_attention(looking(source, target)[0], **options)


def estimators(steps, names=("bptt", "rtrl", "eprop", "tbptt:8"), costs=True, spoil=False):
    """Return cosines that fall, each at its own rate."""
    cosines = {name: [math.exp(-k * t / 40) for t in range(steps)] for k, name in enumerate(names)}
    if spoil:
        for own in cosines.values():
            own[: steps // 3] = [math.nan] * (steps // 3)
    given = {name: 0.3 + 0.01 * k for k, name in enumerate(names)} if costs else None
    return viz.draw_estimators(cosines, given)


CASES = {
    "estimators": partial(estimators, 40),
    "estimators of one step": partial(estimators, 1),
    "estimators of many steps": partial(estimators, 5000),
    "estimators without costs": partial(estimators, 12, costs=False),
    "estimators that begin late": partial(estimators, 30, spoil=True),
    "many estimators at one place": partial(
        estimators, 3, [f"an estimator of a longer name {k}" for k in range(9)]
    ),
    "gates": gates,
    "gates of a wide layer": partial(gates, rnn.GRUCell, 300, 130),
    "gates of a wide layer, every unit's own": partial(gates, rnn.GRUCell, 40, 20, kind="strip"),
    "gates as lines": partial(gates, kind="line"),
    "gates of one unit": partial(gates, unit=2),
    "gates of some units": partial(gates, unit=[2, 0]),
    "gates of one step": partial(gates, steps=1),
    "gates of many layers": partial(gates, steps=9, layers=2),
    "gates that break": partial(gates, broken=True),
    "contributions": contributions,
    "contributions of one step": partial(contributions, 2),
    "contributions of many steps": partial(contributions, 150),
    "contributions that fade": partial(contributions, 30, 0.6, last=True),
    "contributions on decades": partial(contributions, 30, 0.6, log=True),
    "norms of contributions": partial(contributions, 20, measure="norm"),
    "norms of contributions on decades": partial(contributions, 30, 0.6, measure="norm", log=True),
    "tiny contributions": partial(contributions, 9, scale=1e-9),
    "huge contributions": partial(contributions, 9, scale=1e9),
    "Jacobians": heat,
    "Jacobians of many steps": partial(heat, rnn.ElmanCell, 60),
    "Jacobians of two steps": partial(heat, steps=2),
    "curves": partial(curves, 400),
    "a clipped curve": partial(curves, 50, threshold=1234.5),
    "one update": partial(curves, 1),
    "two updates": partial(curves, 2, threshold=1.0),
    "three updates": partial(curves, 3, spoil=True),
    "twelve updates": partial(curves, 12),
    "many updates": partial(curves, 200_000, log=True),
    "curves that break": partial(curves, 90, spoil=True),
    "curves by name": partial(curves, 90, [f"a network of some longer name {k}" for k in range(4)]),
    "attention": partial(matrix, 6, 4),
    "attention of one step": partial(matrix, 2, 1),
    "much attention": partial(matrix, 60, 60),
    "attention to many": partial(matrix, 200, 9),
    "attention of many": partial(matrix, 5, 90),
    "attention between words": partial(matrix, 12, 9, names=True),
    "attention between many words": partial(matrix, 40, 30, names=True),
    "attention of a decoder": lambda: viz.draw_attention(attention(7, 6)),
}


def words(svg):
    """Return all lines of text of a picture, turned ones too."""
    texts = ET.fromstring(svg).iter(f"{SVG}text")
    return [picture_checks._words(part, "chart") for part in texts]


@pytest.mark.parametrize("name", first(len(CASES) // 2, [*list(CASES)[::2], *list(CASES)[1::2]]))
def test_charts_are_legible_at_800_pixels(name):
    diagram = CASES[name]()
    svg = diagram.svg()
    picture = picture_checks.read(svg)
    assert picture.sheet.x1 <= WIDTH
    sizes = [float(part.get("font-size")) for part in ET.fromstring(svg).iter(f"{SVG}text")]
    assert min(sizes) >= LEAST
    own = words(svg)
    found = picture_checks.Picture(picture.sheet, (), (), (), tuple(own))
    assert not picture_checks.words_on_words(found)
    assert not picture_checks.beyond_the_sheet(found)
    assert "e-" not in " ".join(word.what for word in own)  # 10⁻⁵, not 1e-05


@pytest.mark.parametrize(("name", "wide"), first(6, crossed(
    ["gates of many layers", "contributions that fade", "Jacobians", "a clipped curve",
     "twelve updates", "attention", "many updates"], [NARROWEST, 1200]
)))  # fmt: skip
def test_charts_take_the_width_that_they_are_given(name, wide):
    case = CASES[name]
    if isinstance(case, partial):
        case = partial(case.func, *case.args, **case.keywords, width=wide)
    else:
        case = partial(case, width=wide)
    diagram = case()
    assert "…" not in diagram.scene.title
    svg = diagram.svg()
    picture = picture_checks.read(svg)
    assert picture.sheet.x1 <= wide
    found = picture_checks.Picture(picture.sheet, (), (), (), tuple(words(svg)))
    assert not picture_checks.words_on_words(found)
    assert not picture_checks.beyond_the_sheet(found)


def test_the_ruler_sees_words_on_words_and_small_ones():
    shapes = (Words(100, 50, "one", 8), Words(104, 52, "two", 11),
              Words(104, 52, "turned", 11, angle=-90.0))  # fmt: skip
    scene = Scene("", 200, 100, (), (), shapes=shapes)
    own = words(write(scene))
    found = picture_checks.Picture(Area("", 0, 0, 200, 100), (), (), (), tuple(own))
    assert len(picture_checks.words_on_words(found)) == 3
