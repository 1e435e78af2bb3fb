"""Test axes with round ticks, colour scales, bars under a time grid, and the curves of training."""

import math
import random
from itertools import pairwise

import pytest

from tests.draws import covering
from viz.analysis.sampling import chosen_steps, tile_label, tiles
from viz.axes import Axis, fitted, nice_step, power, tick_label, whole_ticks
from viz.charts.curves import draw_curves
from viz.charts.estimators import draw_estimators
from viz.charts.parts import bars, color_bar, even_columns, running_means, step_labels
from viz.colors import ZERO, Colors, ink_on, mixed, norm_colors, paler, shades, value_colors
from viz.labels import figure, width, wrapped
from viz.scene import Columns, Line, Rect, Words
from viz.style import BROKEN

NAN, INF = math.nan, math.inf


def rects(shapes):
    return [shape for shape in shapes if isinstance(shape, Rect)]


def words(shapes):
    return [shape.text for shape in shapes if isinstance(shape, Words)]


# --- axes ---


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-1, 1, [-1, -0.5, 0, 0.5, 1]),
     (0, 7000, [0, 2000, 4000, 6000]), (0.1, 0.3, [0.1, 0.15, 0.2, 0.25, 0.3])],
)  # fmt: skip
def test_linear_ticks_are_round(low, high, ticks):
    assert Axis(low, high, 0, 100).ticks(5) == ticks


@pytest.mark.parametrize("seed", range(40))
def test_axes_span_their_values_with_few_ticks_on_them(seed):
    rng = random.Random(seed)
    scale = 10 ** rng.uniform(-30, 30)
    values = [scale * rng.uniform(-1, 1) for _ in range(rng.randint(1, 5))]
    axis = Axis.of(values, 0, 100)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert 2 <= len(axis.ticks(6)) <= 8
    assert all(axis.low - 1e-9 * scale <= t <= axis.high + 1e-9 * scale for t in axis.ticks())
    positive = [abs(v) for v in values if v]
    log = Axis.of(positive, 0, 100, log=True)
    assert log.low <= min(positive) * (1 + 1e-9)
    assert max(positive) <= log.high * (1 + 1e-9)
    assert len(log.ticks(6)) >= 2


def test_places_are_linear_or_logarithmic_and_stay_on_the_axis():
    assert Axis(-1, 1, 200, 100).at(0.5) == 125
    assert Axis(0.01, 100, 0, 100, log=True).at(0.1) == pytest.approx(25)
    assert Axis(0, 1, 0, 100).at(7) == 100
    assert Axis(0.1, 1, 0, 100, log=True).at(0) == 0
    assert Axis.of([1e308, -1e308], 0, 1).at(0) == pytest.approx(0.5)


def test_axes_of_nothing_or_one_value_still_have_a_length():
    for values in ([], [NAN, INF], [0.0], [5.0, 5.0], [-3.0]):
        axis = Axis.of(values, 0, 1)
        assert axis.low < axis.high
        assert all(axis.low <= v <= axis.high for v in values if math.isfinite(v))
    for values in ([], [0.0, -1.0], [5.0]):
        axis = Axis.of(values, 0, 1, log=True)
        assert 0 < axis.low < axis.high
    assert Axis.of([3.0, 4.0], 0, 1, zero=True).low == 0
    assert Axis.of([5e-324, 1.7e308], 0, 1, log=True).share(1.0) == pytest.approx(0.5, abs=0.01)


def test_log_ticks_are_powers_of_ten_and_finer_in_a_short_span():
    assert Axis(1e-6, 1, 0, 1, log=True).ticks(4) == pytest.approx([1e-6, 1e-4, 1e-2, 1])
    assert Axis(0.2, 2, 0, 1, log=True).ticks(6) == pytest.approx([0.2, 0.5, 1, 2])
    assert Axis(0.1, 10, 0, 1, log=True).ticks(5) == pytest.approx([0.1, 1, 10])
    assert Axis(0.1, 10, 0, 1, log=True).ticks(9) == pytest.approx([0.1, 1, 10])


def test_ticks_in_words():
    assert [tick_label(v) for v in (0.0, 1000.0, -0.5, 2.5e7, 0.25)] == [
        "0", "1,000", "−0.5", "2.5×10⁷", "0.25"]  # fmt: skip
    assert [power(v) for v in (0.001, 1.0, 1000.0, 1e-6, 1e12, 2e-9)] == [
        "0.001", "1", "1,000", "10⁻⁶", "10¹²", "2×10⁻⁹"]  # fmt: skip
    assert Axis(1e-6, 1, 0, 1, log=True).label(1e-5) == "10⁻⁵"
    assert Axis(0, 1, 0, 1).label(0.5) == "0.5"


def test_steps_and_whole_ticks():
    assert nice_step(0, 100, 5) == 20
    assert whole_ticks(0, 9, 4) == [0, 5]
    assert whole_ticks(0, 3, 8) == [0, 1, 2, 3]
    assert whole_ticks(1, 2000, 8) == [250, 500, 750, 1000, 1250, 1500, 1750, 2000]
    assert whole_ticks(3, 3, 5) == [3]


def test_labels_are_left_out_until_they_fit():
    placed = [(10.0 * i, str(i)) for i in range(200)]
    kept = fitted(placed, 10)
    assert kept[0] == 0
    assert 1 < len(kept) < 200
    assert (kept[1] - kept[0]) * 10 >= width("199", 10)
    assert fitted([(0.0, "a long label")], 10) == [0]
    assert fitted([(40.0 * i, "9") for i in range(3)], 10) == [0, 1, 2]


# --- colours ---


def test_a_scale_without_a_middle_goes_from_white_to_dark():
    colors = Colors(0, 2)
    assert colors.of(0) == "#ffffff"
    assert colors.of(5) == colors.of(2) != colors.of(1)
    assert colors.of(NAN) == colors.of(-INF) == BROKEN


def test_norms_are_blue_below_one_and_red_above():
    colors = norm_colors([1e-3, 20.0, 0.0, NAN])
    assert (colors.low, colors.high) == (pytest.approx(1e-3), pytest.approx(100))
    assert colors.of(1.0) == "#ffffff"
    assert colors.of(0.0) == ZERO
    assert colors.of(INF) == BROKEN

    def rgb(value):
        text = colors.of(value)
        return [int(text[i : i + 2], 16) for i in (1, 3, 5)]

    assert rgb(0.01)[2] > rgb(0.01)[0]
    assert rgb(20.0)[0] > rgb(20.0)[2]
    lightness = [sum(rgb(v)) for v in (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)]
    assert lightness[:4] == sorted(lightness[:4])
    assert lightness[3:] == sorted(lightness[3:], reverse=True)


def test_scales_of_norms_have_room_at_both_sides_only_where_it_is_needed():
    assert norm_colors([0.5, 0.9]).high == 1
    assert norm_colors([1.5, 9.0]).low == 1
    assert norm_colors([1e-30]).low == pytest.approx(1e-8)
    assert norm_colors([1.0]).low < 1 < norm_colors([1.0]).high
    assert norm_colors([]).of(1.0) == "#ffffff"


def test_scales_of_values():
    assert value_colors([0.2, 0.9]) == Colors(0, 1)
    assert value_colors([-0.2, 0.9]) == Colors(-1, 1, 0.0)
    assert value_colors([0.2], signed=True) == Colors(-1, 1, 0.0)
    assert value_colors([-3.2, NAN]) == Colors(-5, 5, 0.0)
    assert value_colors([12.0]) == Colors(0, 20)
    assert value_colors([]) == Colors(0, 1)


def test_small_helpers_of_colours():
    assert mixed(((0, 0, 0), (200, 100, 50)), 0.5) == "#643219"
    assert ink_on("#ffffff") == "#202124"
    assert ink_on("#08285c") == "#ffffff"
    assert paler("#000000") == "#bfbfbf"
    assert len(set(shades(((255, 255, 255), (0, 0, 0)), 5))) == 5
    assert len(shades(((255, 255, 255), (0, 0, 0)), 1)) == 1
    assert Colors(2, 2, 2).of(2) == "#ffffff"


def test_a_colour_bar_covers_its_height_from_the_largest_down():
    for log in (False, True):
        colors = Colors(0.01, 1, log=log)
        found = rects(color_bar(colors, 10, 20, 150))
        assert found[0].y == 20
        assert all(a.y < b.y <= a.y + a.h for a, b in pairwise(found))
        assert [r.y + r.h for r in found] == pytest.approx([170] * len(found))
        assert sum(int(c, 16) for c in found[0].fill[1:]) < sum(
            int(c, 16) for c in found[-1].fill[1:])  # fmt: skip


# --- pieces ---


def test_bars_stand_on_zero_and_reach_their_values():
    columns = even_columns([3, 4, 5, 9], 50, 40, 100)
    shapes, height = bars(columns, [1.0, -2.0, 0.0, 4.0], "#c0281c", "norm of dh")
    up, down, top = rects(shapes)
    assert up.y + up.h == pytest.approx(down.y)
    assert down.h == pytest.approx(2 * up.h)
    assert top.h == pytest.approx(4 * up.h)
    assert all(r.y > 100 and r.y + r.h < 100 + height for r in (up, down, top))
    assert [r.x + r.w / 2 for r in (up, down, top)] == [70, 110, 190]
    assert up.title == "t = 3: 1"
    assert "norm of dh" in words(shapes)


def test_bars_mark_what_has_no_place():
    columns = even_columns(range(4), 0, 30, 0)
    shapes, _ = bars(columns, [1e-4, 1.0, NAN, INF], "#c0281c", "norm")
    low, high = rects(shapes)
    assert low.h < high.h
    assert {"!", "∞"} <= set(words(shapes))
    narrow, _ = bars(even_columns(range(3), 0, 4, 0), [1.0, 2.0, 3.0], "#c0281c", "norm")
    assert "1" not in [w.text for w in narrow if isinstance(w, Words) and w.size == 9]


def test_bars_refuse_what_does_not_fit():
    columns = even_columns(range(2), 0, 30, 0)
    with pytest.raises(ValueError, match="each of 2 columns, got 3"):
        bars(columns, [1, 2, 3], "#c0281c", "norm")
    assert bars(Columns((), (), 0, 100, 0), [], "#c0281c", "norm")[1] > 0


def test_time_axes_say_what_fits():
    columns = even_columns(range(1000, 1040), 0, 10, 0)
    shown = words(step_labels(columns, 0, [str(t) for t in columns.times], title="t"))
    assert shown[0] == "1000"
    assert shown[-1] == "t"
    assert len(shown) < 20


def test_steps_are_selected_and_tiled():
    assert chosen_steps(range(5), 9) == [0, 1, 2, 3, 4]
    assert chosen_steps(range(101), 5) == [0, 25, 50, 75, 100]
    assert [list(t) for t in tiles(7, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(tiles(7, 9)) == 7
    assert tile_label([5, 6, 7, 9], range(1, 4)) == "6–9"
    assert tile_label([5, 6], range(1)) == "5"


def test_notes_are_cut_between_words():
    lines = wrapped(["one two three four five six seven eight", "nine"], 60)
    assert " ".join(lines) == "one two three four five six seven eight nine"
    assert all(width(line, 11) <= 60 for line in lines)
    assert wrapped(["unbreakablyverylong"], 10) == ("unbreakablyverylong",)


@pytest.mark.parametrize("window", [1, 2, 3, 7, 50])
def test_running_means_are_those_of_the_windows(window):
    rng = random.Random(window)
    values = [rng.choice([NAN, INF, rng.gauss(0, 1), rng.gauss(0, 1)]) for _ in range(40)]
    values[4] = 1e25  # would spoil what is added and taken away again
    for i, mean in enumerate(running_means(values, window)):
        start = max(0, i - (window - 1) // 2)
        own = [v for v in values[start : i + window // 2 + 1] if math.isfinite(v)]
        expected = math.fsum(own) / len(own) if own else NAN
        assert mean == pytest.approx(expected, rel=1e-12, nan_ok=True)


# --- curves ---


def test_curves_are_where_their_values_are():
    losses = [4.0, 2.0, 1.0, 0.0]
    diagram = draw_curves(losses, window=1)
    (line,) = [s for s in diagram.scene.shapes if isinstance(s, Line) and s.width == 2.0]
    xs, ys = zip(*line.points, strict=True)
    assert [b - a for a, b in pairwise(xs)] == pytest.approx([xs[1] - xs[0]] * 3)
    drop = [(y - ys[0]) / (ys[3] - ys[0]) for y in ys]
    assert drop == pytest.approx([0, 0.5, 0.75, 1])
    values = [d["value"] for _, d in diagram.graph.nodes(data=True)]
    assert values == losses
    assert list(diagram.graph.edges()) == [(0, 1), (1, 2), (2, 3)]


def test_norms_are_on_a_log_axis_with_the_threshold():
    diagram = draw_curves([1.0] * 3, [0.01, 1.0, 100.0], threshold=1.0, window=1)
    lines = [s for s in diagram.scene.shapes if isinstance(s, Line)]
    (norms,) = [s for s in lines if s.title == "norm"]
    ys = [y for _, y in norms.points]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2])
    (limit,) = [s for s in lines if s.dash == "6 4"]
    assert limit.points[0][1] == pytest.approx(ys[1])
    beside = [
        s for s in diagram.scene.shapes if isinstance(s, Words) and s.text in ("clipped", "to 1")
    ]
    assert len(beside) == 2
    right = max(x for x, _ in norms.points)
    assert all(s.x > right and s.anchor == "start" for s in beside)
    assert all(s.x + width(s.text, s.size) < diagram.scene.width for s in beside)
    assert diagram.scene.title == "Training: loss and norm of the gradient"


def test_what_is_not_finite_is_marked_and_breaks_the_line():
    diagram = draw_curves([1.0, NAN, 2.0, 3.0], [0.0, INF, 1.0, 2.0], window=1)
    assert words(diagram.scene.shapes).count("!") == 1
    assert words(diagram.scene.shapes).count("∞") == 1
    assert words(diagram.scene.shapes).count("×") == 1
    assert len([s for s in diagram.scene.shapes if isinstance(s, Line) and s.title == "loss"]) == 2
    assert [s.text for s in diagram.scene.legend] == ["loss", "norm", "NaN", "infinite", "zero"]
    assert "NaN or infinite: 1 of 4 of loss, 1 of 4 of norm" in diagram.scene.notes
    assert diagram.svg() == draw_curves([1.0, NAN, 2.0, 3.0], [0, INF, 1, 2], window=1).svg()


def test_long_runs_are_areas_that_leave_no_extreme_out():
    rng = random.Random(0)
    losses = [rng.random() for _ in range(5000)]
    losses[1234] = 9.0
    diagram = draw_curves(losses, max_points=100)
    (area,) = [s for s in diagram.scene.shapes if isinstance(s, Line) and s.fill]
    axis_top = min(s.points[0][1] for s in diagram.scene.shapes if isinstance(s, Line))
    assert min(y for _, y in area.points) == pytest.approx(axis_top + (10 - 9) / 10 * 200, abs=0.5)
    assert len(area.points) == 200
    assert len(diagram.svg()) < 20_000
    assert diagram.graph.number_of_nodes() == 5000
    assert "5,000 updates" in diagram.scene.notes[0]
    assert diagram.graph.nodes[999]["mean"] == pytest.approx(sum(losses[899:1100]) / 201)


def test_several_curves_have_names_and_lengths_of_their_own():
    diagram = draw_curves(
        {"train": [3.0, 2.0, 1.0], "held out": [2.0]}, {"W": [1.0], "U": [2.0]}, log=True, title="x"
    )
    texts = [s.text for s in diagram.scene.legend]
    assert texts == ["loss: train", "loss: held out", "norm of the gradient: W",
                     "norm of the gradient: U"]  # fmt: skip
    assert len({s.color for s in diagram.scene.legend[:2]}) == 2
    assert diagram.scene.legend[1].dash
    assert diagram.scene.title == "x"
    titles = [r.title for r in rects(diagram.scene.shapes)]
    assert "held out, update 1: 2" in titles


def test_a_curve_of_both_panels_is_in_the_legend_once():
    own = {"plain": [3.0, 2.0], "clipped": [3.0, 1.0]}
    legend = draw_curves(own, own).scene.legend
    assert [s.text for s in legend] == ["plain", "clipped"]
    other = draw_curves(own, {"plain": [3.0, 2.0]}).scene.legend  # drawn in another colour there
    assert [s.text for s in other] == ["loss: plain", "loss: clipped", "plain"]


def test_the_running_mean_does_not_lag():
    diagram = draw_curves([1.0, 1.0, 1.0, 4.0, 1.0, 1.0, 1.0], window=3)
    assert [d["mean"] for _, d in diagram.graph.nodes(data=True)] == [1, 1, 2, 2, 2, 1, 1]
    assert diagram.scene.legend[0].text == "loss, mean of the 3 around"
    slope = draw_curves([float(k) for k in range(1, 4001)], window=101, max_points=100)
    (line,) = [s for s in slope.scene.shapes if isinstance(s, Line) and s.width == 2.0]
    (x0, y0), (x1, y1) = line.points[20], line.points[60]
    for x, y in line.points[2:-2]:  # a straight line, drawn where it was given
        assert y == pytest.approx(y0 + (x - x0) * (y1 - y0) / (x1 - x0), abs=0.05)
    (area,) = [s for s in slope.scene.shapes if isinstance(s, Line) and s.fill]
    upper, lower = area.points[50], area.points[-51]
    (at,) = [y for x, y in line.points if abs(x - upper[0]) < 0.2]
    assert at == pytest.approx((upper[1] + lower[1]) / 2, abs=0.1)


@pytest.mark.parametrize(("updates", "window"), [(50, None), (100, None), (90, 4), (90, 5), (7, 2)])
def test_a_window_has_as_many_before_as_after(updates, window):
    # A single large value moves the means of as many updates before it as after it.
    values = [0.0] * updates
    middle = updates // 2
    values[middle] = 1.0
    diagram = draw_curves(values, window=window)
    means = [diagram.graph.nodes[i]["mean"] for i in range(updates)]
    moved = [i - middle for i, mean in enumerate(means) if mean > 0]
    assert moved == [-i for i in reversed(moved)]
    used = len(moved)
    assert used == diagram.graph.graph["window"]
    assert used % 2 == 1
    assert used >= (window or updates // 25)
    if used > 1:
        assert any(f"mean of the {used} around" in s.text for s in diagram.scene.legend)


@pytest.mark.parametrize("width", [0, -5, math.nan, math.inf])
def test_widths_that_are_too_small_are_refused(width):
    with pytest.raises(ValueError, match="draw_curves: expected a width in pixels, 480 or more"):
        draw_curves([1.0, 2.0], width=width)


@pytest.mark.parametrize("width", ["800", None, True])
def test_widths_that_are_no_numbers_are_refused(width):
    with pytest.raises(TypeError, match="draw_curves: expected a width in pixels, 480 or more"):
        draw_curves([1.0, 2.0], width=width)


def test_curves_refuse_bad_input():
    for wrong in (3, "loss", {"a": None}):
        with pytest.raises(TypeError, match="draw_curves: expected a list of numbers, got"):
            draw_curves(wrong)
    with pytest.raises(ValueError, match="no losses to draw"):
        draw_curves([])
    with pytest.raises(ValueError, match=r"'norm' is -1.0 at update 2; a norm is not negative"):
        draw_curves([1.0], [1.0, -1.0])
    with pytest.raises(ValueError, match=r"'loss' is 0.0 at update 2.*leave out log=True"):
        draw_curves([1.0, 0.0], log=True)
    with pytest.raises(ValueError, match="window must be a whole number from 1 on, got 0"):
        draw_curves([1.0], window=0)
    with pytest.raises(ValueError, match="max_points must be at least 2, got 1"):
        draw_curves([1.0], max_points=1)
    with pytest.raises(ValueError, match="a threshold above 0, got 0"):
        draw_curves([1.0], [1.0], threshold=0)


@pytest.mark.parametrize(("updates", "near"), covering(
    [1, 2, 3, 4, 7, 12, 13, 100, 12345], [0.0, 1e-3, 1e-7, 1e-11]
))  # fmt: skip
def test_no_tick_stands_twice(updates, near):
    losses = [0.693147180559 * (1 + near * k / max(updates - 1, 1)) for k in range(updates)]
    diagram = draw_curves(losses, [1.0] * updates, window=1)
    at = [w for w in diagram.scene.shapes if isinstance(w, Words)]
    left = min(w.x for w in at if w.anchor == "end" and not w.angle)
    for panel in (losses, [1.0]):
        axis = Axis.of(panel, 0, 100)
        labels = [axis.label(v) for v in axis.ticks(5)]
        assert len({*labels}) == len(labels) >= 2
    ticks = [w for w in at if w.anchor == "end" and w.x == left and not w.angle]
    assert len({(w.text, w.y > 270) for w in ticks}) == len(ticks)
    steps = [w.text for w in at if w.y > diagram.scene.height - 40 and w.text[0].isdigit()]
    assert steps[0] == "1"
    assert len({*steps}) == len(steps) <= 9


def test_values_of_few_updates_are_written_at_their_points():
    diagram = draw_curves([2.5, 2.25, 2.125], [0.3, NAN, 12345.0], threshold=1.0)
    size = [w.text for w in diagram.scene.shapes if isinstance(w, Words) and w.halo
            and w.text not in "!∞"]  # fmt: skip
    assert size == ["2.5", "2.25", "2.125", "0.3", "12,345"]
    points = {r.title.rpartition(": ")[2]: r for r in rects(diagram.scene.shapes)}
    for word in diagram.scene.shapes:
        if isinstance(word, Words) and word.text in points and word.halo:
            assert word.x == pytest.approx(points[word.text].x + 2)
            assert abs(word.y - points[word.text].y) < 20
    many = draw_curves([1.0 / k for k in range(1, 20)])
    assert not [w for w in many.scene.shapes if isinstance(w, Words) and w.halo]


def test_charts_of_training_keep_to_their_width():
    for width_of in (480.0, 800.0, 1200.0):
        scene = draw_curves([2.0, 1.0], [1.0, 2.0], threshold=1.5, width=width_of).scene
        assert scene.width == width_of
        assert max(x for s in scene.shapes if isinstance(s, Line) for x, _ in s.points) < width_of
    with pytest.raises(ValueError, match="expected a width in pixels, 480 or more, got 100"):
        draw_curves([1.0], width=100)


def test_numbers_are_written_as_people_write_them():
    assert [figure(v) for v in (170.0, 0.00123, 123456.0, 1e6, 0.0, 99.96, -2.5e-9)] == [
        "170", "0.00123", "123,456", "10⁶", "0", "100", "−2.5×10⁻⁹"]  # fmt: skip
    assert [figure(v, 6) for v in (math.pi, 1234567.0, NAN, -INF)] == [
        "3.14159", "1.23457×10⁶", "NaN", "−inf"]  # fmt: skip


# --- estimators of a gradient ---


def test_estimators_stand_at_their_cost_and_mean_cosine():
    diagram = draw_estimators({"a": [1.0, 0.5], "b": [1.0, NAN]}, {"a": 2.0, "b": 20.0})
    methods = {own["method"]: own for _, own in diagram.graph.nodes(data=True)
               if own["kind"] == "method"}  # fmt: skip
    assert (methods["a"]["cosine"], methods["a"]["cost"]) == (0.75, 2.0)
    assert methods["b"]["cosine"] == 1.0
    squares = {shape.title.partition(":")[0]: shape for shape in diagram.scene.shapes
               if isinstance(shape, Rect) and "mean cosine" in shape.title}  # fmt: skip
    assert squares["a"].x < squares["b"].x
    assert squares["a"].y > squares["b"].y
    assert {"a", "b", "ms a step", "step", "mean cosine"} <= set(words(diagram.scene.shapes))
    assert [one.text for one in diagram.scene.legend] == ["a, mean 0.75", "b, mean 1"]
    assert diagram.scene.notes == ("Steps without a cosine, where a gradient is zero: 1 of 2 of b",)
    steps = [own["cosine"] for _, own in diagram.graph.nodes(data=True) if own["kind"] == "step"]
    assert steps[:3] == [1.0, 0.5, 1.0]


def test_a_line_of_cosines_breaks_where_there_is_none():
    values = [NAN, 1.0, 0.9, NAN, 0.8, *[0.7] * 1000]
    shapes = draw_estimators({"a": values}, max_points=100).scene.shapes
    first, second = [one.points for one in shapes if isinstance(one, Line) and one.title == "a"]
    assert len(first) == 2
    assert 90 < len(second) < 110
    assert first[-1][0] < second[0][0]


def test_the_panel_of_costs_is_left_out_without_costs():
    with_costs, without = (draw_estimators({"a": [1.0, 0.9]}, costs)
                           for costs in ({"a": 1.0}, None))  # fmt: skip
    assert without.scene.height < with_costs.scene.height
    assert "mean cosine" not in words(without.scene.shapes)


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [(({},), ValueError, "there are no cosines to draw"),
     (([1.0],), TypeError, "expected a list of cosines for each method, got list"),
     (({"a": [1.5]},), ValueError, "'a' is 1.5 at step 1; a cosine lies between -1 and 1"),
     (({"a": [1.0]}, {"b": 1.0}), ValueError, "there is a cost of 'b' and no cosines"),
     (({"a": [1.0]}, {"a": 0.0}), ValueError, "the cost of 'a' is 0.0, expected above 0")],
)  # fmt: skip
def test_estimators_that_cannot_be_drawn_are_refused(given, kind, told):
    with pytest.raises(kind, match=told):
        draw_estimators(*given)
