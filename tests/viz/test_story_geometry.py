"""Look at `draw_story` at 800 pixels: legible, aligned, to scale, nothing on top of anything."""

import math
import re
import time
from dataclasses import replace
from functools import cache
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import crossed, first
from tests.viz.picture_checks import faults, read
from tests.viz.story_cases import PICTURES, dead, every_loss, last_loss, padded, turning
from viz.labels import number
from viz.rendering.placing import Room, crosses
from viz.scene import Line, Rect, Words
from viz.story.lines import spread, thinned
from viz.story.marks import BARB, placed
from viz.story.measuring import measured
from viz.story.picture import LEAST
from viz.style import FILLS, Scale

SMALLEST = 9.0
BOX = FILLS["state"][0]


@cache
def drawn(name, **options):
    return viz.draw_story(PICTURES[name](), **options)


def lines_of(diagram):
    return [s for s in diagram.scene.shapes if isinstance(s, Line)]


def words_of(diagram):
    return [s for s in diagram.scene.shapes if isinstance(s, Words)]


def middle(points):
    xs = [x for x, _ in points]
    return (min(xs) + max(xs)) / 2


def tall(points):
    ys = [y for _, y in points]
    return max(ys) - min(ys)


def boxes(diagram):
    """Return the middle of each box by its text."""
    found = {}
    for line in lines_of(diagram):
        if line.fill == BOX:
            x = middle(line.points)
            y = sum(y for _, y in line.points) / len(line.points)
            name = next(w.text for w in words_of(diagram)
                        if abs(w.x - x) < 0.1 and abs(w.y - y) < 6)  # fmt: skip
            found[name] = x
    return found


def ribbons(diagram):
    """Return (norm at the tail, norm at the head) -> (width at the tail, width at the neck)."""
    found = {}
    for line in lines_of(diagram):
        told = re.fullmatch(r"‖dL/d.+?‖ = (\S+) to ‖dL/d.+?‖ = (\S+)", line.title)
        if told and line.fill:
            (_, a), (_, b), *_, (_, c), (_, d) = line.points
            found[float(told[1]), float(told[2])] = d - a, c - b
    return found


@pytest.mark.parametrize(
    ("name", "width"), first(14, crossed(reversed(PICTURES), [800, 640, LEAST]))
)
def test_nothing_lies_on_anything_and_all_of_it_is_on_the_sheet(name, width):
    diagram = drawn(name, width=width)
    assert faults(diagram.svg()) == []
    assert diagram.scene.width == width


@pytest.mark.parametrize(
    "name", first(10, [name for name in reversed(PICTURES) if name != "two long ones"])
)
def test_no_words_are_cut_at_the_smallest_width(name):
    # But for a network that its user gives a longer name than fits.
    diagram = drawn(name, width=LEAST)
    words = [diagram.scene.title, *(w.text for w in words_of(diagram))]
    assert [text for text in words if "…" in text] == []


@pytest.mark.parametrize("width", [0, -5, 479, math.nan, math.inf, "800", None, True])
def test_other_widths_are_refused(width):
    error = ValueError if isinstance(width, int | float) and width is not True else TypeError
    with pytest.raises(error, match="draw_story: expected a width in pixels, 480 or more, got"):
        viz.draw_story(last_loss(), width=width)


@pytest.mark.parametrize("name", first(14, reversed(PICTURES)))
def test_no_text_is_smaller_than_nine_pixels(name):
    svg = drawn(name).svg()
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)"', svg)]
    assert min(sizes) >= SMALLEST
    assert read(svg).sheet.x1 == 800


@pytest.mark.parametrize("name", first(14, reversed(PICTURES)))
def test_numbers_at_points_lie_on_no_line_and_no_dot(name):
    # The curves, their dots and the bars: a number may stand on faint rules only.
    diagram = drawn(name)
    words = [w for w in read(diagram.svg()).words if w.kind == "chart"]
    strokes = [s for s in lines_of(diagram)
               if not s.fill and s.width == 2.0 and s.color != "#8e1212"]  # fmt: skip
    dots = [s for s in lines_of(diagram) if s.color == "#ffffff" and s.fill and len(s.points) == 16]
    bars = [s for s in diagram.scene.shapes if isinstance(s, Rect)]
    for word in words:
        area = (word.x0 + 0.5, word.y0 + 0.5, word.x1 - 0.5, word.y1 - 0.5)
        for line in [*strokes, *dots]:
            pairs = pairwise(line.points)
            assert not any(crosses(a, b, area) for a, b in pairs), (word, line.title)
        for bar in bars:
            inside = bar.x < area[2] and area[0] < bar.x + bar.w
            assert not (inside and bar.y < area[3] and area[1] < bar.y + bar.h), (word, bar)


@pytest.mark.parametrize("radius", [0.1, 0.01, 0.3])
def test_ribbons_are_six_tenths_as_wide_a_decade(radius):
    # The norms are 1, radius, radius², …: the widths have one ratio, that of the scale.
    found = ribbons(viz.draw_story(turning(radius)))
    kept = [(a, b) for a, b in found if b > 1e-6]
    assert len(kept) >= 2
    for a, b in kept:
        start, end = found[a, b]
        assert start == pytest.approx(26.0 * 0.6 ** -math.log10(a), rel=1e-5)
        assert end / start == pytest.approx(0.6 ** -math.log10(radius), rel=1e-5)
    assert any(line.dash and line.width < 2 for line in lines_of(viz.draw_story(turning(0.01))))


def test_where_gradients_explode_the_largest_is_the_widest_and_fits_its_box():
    diagram = viz.draw_story(turning(30.0))
    found = ribbons(diagram)
    widths = [end for _, end in found.values()]
    box = next(tall(s.points) for s in lines_of(diagram) if s.fill == BOX)
    assert max(widths) + 2 * BARB <= box + 2 * BARB
    assert all(start <= end for start, end in found.values())
    assert "10¹¹" in [w.text for w in words_of(diagram)]  # the scale begins there


def test_the_wedge_of_the_legend_is_as_wide_as_the_ribbons():
    diagram = viz.draw_story(turning(0.1))
    foot = max(line.points[0][1] for line in lines_of(diagram) if line.width == 1.0)
    wedge = [line for line in lines_of(diagram) if line.fill and line.points[0][1] > foot]
    assert len(wedge) == 6
    for k, piece in enumerate(wedge):
        (_, a), (_, b), (_, c), (_, d) = piece.points
        assert d - a == pytest.approx(26.0 * 0.6**k)
        assert c - b == pytest.approx(26.0 * 0.6 ** (k + 1))
    beside = words_of(diagram)
    assert any("(log scale)" in word.text for word in beside)


@pytest.mark.parametrize("name", ["elman", "letters", "T = 16", "lstm", "all losses", "weights"])
def test_boxes_points_bars_and_steps_stand_in_columns(name):
    diagram = drawn(name)
    columns = sorted({round(x, 3) for x in boxes(diagram).values()})
    steps = [w.x for w in words_of(diagram) if w.text.startswith("t = ")]
    assert sorted(round(x, 3) for x in steps) == columns
    dots = [middle(s.points) for s in lines_of(diagram)
            if s.color == "#ffffff" and len(s.points) == 16]  # fmt: skip
    assert {min(abs(x - c) for c in columns) < 0.01 for x in dots} == {True}
    bars = [s.x + s.w / 2 for s in diagram.scene.shapes if isinstance(s, Rect)]
    assert {min(abs(x - c) for c in columns) < 0.01 for x in bars} == {True}
    assert len(bars) % len(columns) == 0


def test_bars_are_as_high_as_what_their_steps_add():
    diagram = drawn("all losses")
    adds = {d["t"]: d["adds"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "use"}
    bars = {float(s.title.split(": ")[1]): s.h for s in diagram.scene.shapes if isinstance(s, Rect)}
    largest = max(adds.values())
    for value in adds.values():
        if value > largest / 50:
            shown = next(h for own, h in bars.items() if own == pytest.approx(value, rel=1e-5))
            assert shown / bars[max(bars)] == pytest.approx(value / largest, rel=1e-4)


def test_points_stand_at_the_logarithms_of_their_norms():
    diagram = viz.draw_story(turning(0.1, 5))
    dots = [s for s in lines_of(diagram) if s.color == "#ffffff" and len(s.points) == 16]
    heights = [sum(y for _, y in s.points) / 16 for s in dots]
    steps = [a - b for a, b in pairwise(heights)]
    assert len(steps) == 4
    assert steps == pytest.approx([steps[0]] * 4)
    assert steps[0] > 5


def test_a_gradient_that_holds_is_a_level_line():
    found = [s for s in lines_of(viz.draw_story(turning(1.0))) if s.width == 2.0 and not s.fill]
    assert max(tall(s.points) for s in found if len(s.points) == 8) < 0.01


@pytest.mark.parametrize("name", ["dead", "padded", "no gradient"])
def test_no_ribbon_leads_to_what_is_zero_and_a_cross_stands_there(name):
    diagram = drawn(name)
    graph = diagram.graph.nodes
    alive = [graph[f"h{t}"]["norm"] > 0 for t in range(8)]
    pairs = sum(a and b for a, b in pairwise(alive))
    assert len(ribbons(diagram)) == pairs
    crosses_drawn = [w for w in words_of(diagram) if w.text == "×"]
    assert len(crosses_drawn) == (7 - pairs) + alive.count(False)  # of the chain, and of the line
    assert any("×: 0 in float64: zero" in w.text for w in words_of(diagram))


def test_what_is_not_finite_is_black_and_says_so():
    diagram = drawn("broken")
    black = [s for s in lines_of(diagram) if s.color == "#111111"]
    assert len(black) == 4
    assert len([w for w in words_of(diagram) if w.text == "NaN"]) == 4 + 4
    assert not any(isinstance(s, Rect) for s in diagram.scene.shapes)
    assert any("No bars: the gradient of weight_hh is not finite" in w.text
               for w in words_of(diagram))  # fmt: skip


@pytest.mark.parametrize("name", ["elman", "lstm", "letters", "T = 16"])
def test_no_number_is_written_twice(name):
    # Each norm once, at its point; not in the title, beside a stub or at the chain.
    diagram = drawn(name)
    shown = [w.text for w in words_of(diagram)]
    black = [w.text for w in words_of(diagram) if w.color == "#202124"]
    states = [d for _, d in diagram.graph.nodes(data=True) if d["kind"] == "state"]
    texts = [number(d["norm"]) for d in states]
    for text in texts:
        assert black.count(text) <= texts.count(text)
    assert len([text for text in black if text in texts]) >= len(texts) - 2  # nearly all are there
    title = re.sub("×[\\d.]+ a step", "", diagram.scene.title)  # a factor is no norm
    said = set(re.findall(r"\d[\d.,×⁻⁰-⁹]*", title))
    assert not said & set(texts)
    assert sum("‖dL/dh" in text for text in shown) <= 2  # the panel, and what it means
    assert shown.count("loss") == 1


def test_stubs_stand_at_every_step_with_a_loss_and_say_so_once():
    diagram = viz.draw_story(every_loss())
    stubs = [s for s in lines_of(diagram) if "what enters here alone" in s.title]
    assert sorted(middle(s.points) for s in stubs) == pytest.approx(sorted(boxes(diagram).values()))
    wide = {round(s.points[1][0] - s.points[0][0], 6) for s in stubs}
    enters = [d["enters"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "state"]
    scale = Scale.of(d["norm"] for _, d in diagram.graph.nodes(data=True) if "norm" in d)
    assert wide == {round(scale.width(norm, 26.0), 6) for norm in enters}
    assert [w.text for w in words_of(diagram) if "loss at" in w.text] == ["loss at every step"]
    some = viz.draw_story(padded())
    assert [w.text for w in words_of(some) if "loss at" in w.text] == ["loss at 5 of 8 steps"]


def test_the_gradient_of_a_reverse_direction_runs_to_the_right():
    diagram = drawn("directions")
    ways = set()
    for line in lines_of(diagram):
        if " to ‖dL/d" in line.title and line.fill:
            tip, tail = line.points[3], line.points[0]
            ways.add((line.points[0][1] < 100, tip[0] > tail[0]))
    first = {right for top, right in ways if top}
    assert first == {False}
    assert {right for _, right in ways} == {False, True}
    assert "its gradient runs right" in " ".join(w.text for w in words_of(diagram))


@pytest.mark.parametrize("steps", first(5, [1, 2, 8, 30, 200, 2000]))
def test_any_number_of_steps_fits(steps):
    loss = last_loss("gru", steps)
    began = time.process_time()
    diagram = viz.draw_story(loss)
    assert time.process_time() - began < 10  # about one on an idle machine
    assert diagram.scene.width == 800
    assert diagram.scene.height < 600
    assert len(words_of(diagram)) < 70
    assert faults(diagram.svg()) == []


def test_a_long_ribbon_follows_every_step():
    # At 200 steps its outline has a point at each of them, as wide as the norm there.
    loss = every_loss("gru", 200)
    (row,) = measured(loss, "", None)
    norms = row.tracks[0].norms
    scale = Scale.of(norms)
    diagram = viz.draw_story(loss)
    pieces = [s for s in lines_of(diagram) if " … " in s.title and s.fill]
    widths = {}
    for piece in pieces:
        half = len(piece.points) // 2
        for (x, top), (other, foot) in zip(
            piece.points[:half], reversed(piece.points[half:]), strict=True
        ):
            assert x == other
            widths.setdefault(round(x, 2), foot - top)
    marked = sorted(widths)
    full = max(widths.values()) / scale.width(max(norms), 1.0)
    wanted = {round(scale.width(norm, full), 4) for norm in norms}
    assert wanted <= {round(w, 4) for w in widths.values()}
    assert len(marked) >= 200


def random_loss(rng):
    """Return a loss of a random stack of layers, and the arguments that made it."""
    kind = str(rng.choice(["RNN", "LSTM", "GRU"]))
    layers, both, steps = int(rng.integers(1, 4)), bool(rng.random() < 0.3), int(rng.choice(STEPS))
    batch, hidden = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    net = getattr(rnn, kind)(4, hidden, layers, bidirectional=both, dtype="float64")
    for name, weight in net.named_parameters():
        if "weight_hh" in name:
            weight.data = weight.data * 10 ** rng.uniform(-3, 2.5)
    x = engine.asarray(rng.normal(size=(steps, batch, 4)) * 10 ** rng.uniform(-9, 1))
    over = [int(n) for n in rng.integers(1, steps + 1, size=batch)] if rng.random() < 0.3 else None
    y, final = net(x, lengths=over)
    seen = [y[-1], y**2, y[int(rng.integers(steps))], final[1] if kind == "LSTM" else final]
    size = float(10 ** rng.uniform(-12, 8))
    return engine.sum(seen[int(rng.integers(4))]) * size, (kind, layers, both, steps, batch, over)


STEPS = (1, 2, 3, 5, 8, 12, 16, 17, 20, 40, 90)


@pytest.mark.parametrize("seed", first(2, range(16)))
def test_pictures_of_random_networks_are_legible_and_their_bars_sum(seed):
    rng = np.random.default_rng(seed)
    made = [random_loss(rng) for _ in range(1 if rng.random() < 0.6 else 2)]
    losses = {f"network {i}": loss for i, (loss, _) in enumerate(made)}
    diagram = viz.draw_story(losses, width=int(rng.choice([800, 640])))
    assert faults(diagram.svg()) == [], made
    uses = [d for _, d in diagram.graph.nodes(data=True) if d["kind"] == "use"]
    for own in diagram.graph.graph["cells"]:
        where = ("network", "layer", "direction", "block")
        parts = [d["adds"] for d in uses if all(d[key] == own[key] for key in where)]
        if math.isfinite(own["weight_norm"]):
            whole = math.fsum(parts) + own["elsewhere"]
            assert whole == pytest.approx(own["weight_norm"], rel=1e-8, abs=1e-300), made


def test_labels_move_apart_as_little_as_needed():
    assert spread([10.0, 11.0, 40.0], 12.0) == [4.5, 16.5, 40.0]
    many = spread([5.0] * 4 + [20.0], 10.0)
    assert all(b - a >= 10.0 - 1e-9 for a, b in pairwise(many))
    assert sum(many) / 5 == pytest.approx((4 * 5 + 20) / 5)


def test_a_label_finds_another_place_or_none():
    room = Room((0.0, 0.0, 100.0, 100.0))
    (first,) = placed(room, 50, 50, "0.5", "#000000")
    (second,) = placed(room, 50, 50, "0.6", "#000000")
    assert first.y < 50 < second.y
    (under,) = placed(Room((0.0, 0.0, 100.0, 100.0)), 50, 50, "0.5", "#000000", under=True)
    assert under.y == second.y
    room.path([(0, 40), (100, 40), (0, 60), (100, 60), (0, 30), (100, 30), (0, 70), (100, 70)])
    assert placed(room, 50, 50, "a long label over it all", "#000000") == []


def test_thinned_lines_keep_their_extremes():
    points = [(i / 100, math.sin(i) * (50 if i == 12_345 else 1)) for i in range(40_000)]
    kept = thinned(points)
    assert len(kept) < 6_000
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert min(y for _, y in kept) == min(y for _, y in points)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]


def test_these_checks_can_fail():
    scene = viz.draw_story(dead()).scene
    word = next(shape for shape in scene.shapes if isinstance(shape, Words))
    twice = replace(scene, shapes=(*scene.shapes, word._replace(x=word.x + 3)))
    assert len(faults(viz.Diagram(twice, nx.MultiDiGraph()).svg())) == 1
    beyond = replace(scene, shapes=(*scene.shapes, word._replace(x=795.0, y=300.0, text="beyond")))
    assert len(faults(viz.Diagram(beyond, nx.MultiDiGraph()).svg())) >= 1
