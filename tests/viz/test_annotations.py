"""Test that annotations refuse bad colours, notes wrap at the left, and words fit their widths."""

import re
import string

import pytest

import viz
from tests.viz.picture_checks import extent, read
from tests.viz.pictures import network
from viz.labels import fit, width, wrapped
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing
from viz.scene import Scene, Swatch
from viz.writers import primitives, svg


@pytest.mark.parametrize("annotations", [
    lambda c: Annotations(fills={0: ("#fff", c)}),
    lambda c: Annotations(link_colors={0: c}),
    lambda c: Annotations(legend=(Swatch("a", c),)),
    lambda c: Annotations(legend=(Swatch("a", "#ffffff", box=c),)),
])  # fmt: skip
@pytest.mark.parametrize("color", ['red" onload="x', "red", "#12345", "#ggg", "", "#fff\n"])
def test_what_is_no_colour_is_refused(annotations, color):
    if color == "" and annotations("#fff").legend:
        return  # a swatch without a box
    with pytest.raises(ValueError, match=r"has the colour .*; expected #rgb, #rrggbb or none"):
        annotations(color)


def test_colours_of_every_form_can_be_drawn_and_be_pale():
    model = Drawing(network("elman", 2))
    annotations = Annotations(fills={0: ("none", "#1b2")}, link_colors={0: "#a1B2c3"},
                dim_items=frozenset({0}), dim_links=frozenset({0}))  # fmt: skip
    written = model.diagram("x", annotations).svg()
    assert f'stroke="{primitives.pale("#11bb22")}"' in written
    assert primitives.pale("#1b2") == primitives.pale("#11bb22")
    assert primitives.pale("none") == "none"


def test_notes_stand_left_under_the_legend_and_whole():
    long = "a note of many words that no picture of so few steps has the room for on one line " * 2
    drawing = Drawing(network("elman", 1))
    diagram = drawing.diagram("x", Annotations(notes=(long.strip(), "short")))
    notes = [word for word in read(diagram.svg()).words if word.kind == "note"]
    assert " ".join(note.what for note in notes) == f"{long.strip()} short"
    assert len(notes) > 2
    legend = [word for word in read(diagram.svg()).words if word.kind == "legend"]
    assert {round(note.x0) for note in notes} == {20}
    assert max(note.x1 for note in notes) < diagram.scene.width
    assert min(note.y0 for note in notes) > max(word.y1 for word in legend)


def test_all_writers_put_notes_at_the_same_place():
    scene = Scene("t", 300, 100, (), (), legend=(Swatch("a", "#000000"),), notes=("one", "two"))
    drawn = [mark for mark in primitives.caption(scene) if getattr(mark, "text", "") in scene.notes]
    assert [(mark.x, mark.anchor) for mark in drawn] == [(20.0, "start")] * 2
    for mark in drawn:
        assert f'x="20" y="{mark.y:g}" font-size="11" fill="#5f6368" text-anchor="start">' \
               f"{mark.text}<" in svg.write(scene)  # fmt: skip
    assert drawn[-1].y < primitives.height(scene)


def test_widths_are_at_least_those_of_dejavu():
    letters = string.printable[:95] + "×←→−…—∂‖θΣ·²¹⁻"
    for c in letters:
        for bold in (False, True):
            real = extent(f"x{c * 10}x", 10, bold)[0] - extent("xx", 10, bold)[0]
            assert width(c * 10, 10, bold=bold) >= real - 0.6, (c, bold)
            assert width(c * 10, 10, bold=bold) <= 1.45 * real + 10


def test_bold_titles_of_any_letter_fit():
    for letter in "tfrWm@%MiI":
        diagram = viz.draw_unrolled(network("elman", 2), title=letter * 500)
        (title,) = (word for word in read(diagram.svg()).words if word.kind == "title")
        assert title.within(read(diagram.svg()).sheet)
    assert len(fit("t" * 100, 200, 15, bold=True)) < len(fit("t" * 100, 200, 15))


def test_lines_are_cut_between_words():
    assert wrapped(["a b", "c"], 5) == ("a", "b", "c")


def test_pictures_with_notes_are_higher_by_them():
    plain, noted = (Scene("t", 300, 100, (), (), notes=own) for own in ((), ("n",)))
    assert primitives.height(noted) - primitives.height(plain) == 22
    assert re.search(r'height="122"', svg.write(noted))
