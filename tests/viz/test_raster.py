"""Write PNG and PDF by matplotlib: colours in their places, the look of the SVG, the same bytes."""

import re
import shutil
import struct
import subprocess
import warnings
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

import viz
from tests.viz.pictures import network
from tests.viz.sketches import color_at, pixels, sketch
from viz.scene import Box, Scene, Words
from viz.writers import fonts, primitives, raster, svg


def test_the_png_has_the_colours_of_the_scene_in_their_places():
    image = pixels(raster.write(sketch(), "png"))
    assert image.shape[:2] == (round(primitives.height(sketch()) * 2), 590 * 2)
    assert color_at(image, 5, 5) == "#ffffff"
    assert color_at(image, 40, 60) == "#f4f6f8"  # a band
    assert color_at(image, 50, 84) == "#dbe9f8"  # a box
    assert color_at(image, 465, 190) == "#c0ffee"  # a box with a fill of its own
    assert color_at(image, 465, 90) == primitives.pale("#fde8e2")  # a dim one
    assert color_at(image, 260, 115) == "#8e1212"  # a wire, then its arrow head
    assert color_at(image, 176, 115) == "#8e1212"
    assert color_at(image, 178, 112.5) == "#8e1212"
    assert color_at(image, 172, 110.5) == "#f4f6f8"  # beside its tip
    assert color_at(image, 85, 300) == "#2b6cb0"  # a bar
    assert color_at(image, 300, 360) == "#fde8e2"  # an area
    assert color_at(image, 30, 450) == "#dbe9f8"  # the legend


def test_dashes_have_gaps():
    image = pixels(raster.write(sketch(), "png"))
    row = [color_at(image, x / 2, 208) for x in range(822, 900)]
    assert "#111111" in row
    assert "#fafbfc" in row


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="needs a second reader of SVG")
def test_the_png_looks_like_the_svg():
    scene = viz.draw_gradients(network("gru", 3)).scene
    other = subprocess.run(
        ["rsvg-convert", "-w", f"{2 * scene.width:.0f}"],
        input=svg.write(scene).encode(),
        capture_output=True,
        check=True,
    ).stdout
    a, b = pixels(raster.write(scene, "png")), pixels(other)
    high, wide = (min(x, y) // 8 * 8 for x, y in zip(a.shape[:2], b.shape[:2], strict=True))

    def coarse(image):
        return image[:high, :wide].reshape(high // 8, 8, wide // 8, 8, 3).mean((1, 3))

    assert np.abs(coarse(a) - coarse(b)).mean() < 1.5
    assert np.abs(coarse(a) - 255).mean() > 5  # and it is no empty sheet


def test_words_keep_to_the_room_that_was_reckoned():
    from matplotlib.textpath import text_to_path

    from viz.labels import width

    for text in ("GRUCell", "∂WWW 0.00000", "‖∂L/∂h‖"):
        artist = raster._text(Words(0, 0, text, 13), 1.0)
        wide, _, _ = text_to_path.get_text_width_height_descent(
            text, artist.get_fontproperties(), False
        )
        assert wide <= width(text, 13) * 1.02


NOWHERE = "\U000f0abc"  # for private use: no font gives it a shape


def written(text):
    return Scene("title", 300, 80, (), (), shapes=(Words(20, 60, text, 16, anchor="start"),))


@pytest.fixture
def font_of(tmp_path):
    """Add a font to those at hand that has a square for each of some letters."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    before = list(fontManager.ttflist)

    def forget():
        for known in (fonts.families, fonts.family_of, fonts._others, fonts._file, fonts._opened):
            known.cache_clear()

    def add(letters, family="Squares of a Test"):
        pen = TTGlyphPen(None)
        for k, point in enumerate([(0, 0), (0, 700), (700, 700), (700, 0)]):
            (pen.lineTo if k else pen.moveTo)(point)
        pen.closePath()
        square, names = pen.glyph(), [f"g{k}" for k in range(len(letters))]
        made = FontBuilder(1000, isTTF=True)
        made.setupGlyphOrder([".notdef", *names])
        made.setupCharacterMap(dict(zip(map(ord, letters), names, strict=True)))
        made.setupGlyf(dict.fromkeys((".notdef", *names), square))
        made.setupHorizontalMetrics(dict.fromkeys((".notdef", *names), (800, 0)))
        made.setupHorizontalHeader(ascent=800, descent=-200)
        made.setupNameTable({"familyName": family, "styleName": "Regular",
                             "psName": family.replace(" ", "")})  # fmt: skip
        made.setupOS2()
        made.setupPost()
        made.save(tmp_path / f"{family}.ttf")
        fontManager.addfont(tmp_path / f"{family}.ttf")
        forget()

    yield add
    fontManager.ttflist[:] = before
    forget()


def test_what_no_font_has_is_shown_as_missing():
    assert fonts.drawable(f"a{NOWHERE}b") == "a□b"
    assert fonts.drawable("∂ θ é я") == "∂ θ é я"
    assert "□" not in fonts.drawable("\u2067a\ufe0f\U000e0100")  # marks that are not seen


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_letter_that_no_font_has_is_warned_of(kind):
    with pytest.warns(
        UserWarning, match=rf"can draw {NOWHERE} \(U\+F0ABC\); each .* in the .{kind}"
    ):
        raster.write(written(f"a {NOWHERE} b"), kind)
    many = "".join(chr(0xF0000 + k) for k in range(20))
    with pytest.warns(UserWarning, match=r"U\+F000B\) and 8 more; each is"):
        raster.write(written(many), kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raster.write(written("∂ θ é я"), kind)


def test_the_warning_names_the_line_that_renders(tmp_path):
    # Pictures with words on their side are matplotlib's, others Graphviz's where it is there.
    letter = "\U0001093f"  # Lydian; what is for private use is a space in diagrams
    if not fonts.missing([letter]) or fonts._listed(letter):
        pytest.skip("a font at hand is Lydian")
    for angle in (0.0, 90.0):
        scene = written(letter)
        scene = replace(scene, shapes=(scene.shapes[0]._replace(angle=angle),))
        with pytest.warns(UserWarning, match=r"U\+1093F LYDIAN") as found:
            viz.Diagram(scene, nx.MultiDiGraph()).render(tmp_path / "a.png")
        assert [one.filename for one in found] == [__file__]


def test_any_font_at_hand_is_used_for_the_letters_that_it_has(font_of):
    assert fonts.missing([f"a{NOWHERE}"]) == [NOWHERE]
    font_of(NOWHERE)
    assert fonts.family_of(NOWHERE) == "Squares of a Test"
    assert fonts.families_of(f"a{NOWHERE}")[-1] == "Squares of a Test"
    assert "Squares of a Test" not in fonts.families_of("a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = pixels(raster.write(written(NOWHERE), "png"))
        pdf = raster.write(written(NOWHERE), "pdf")
    assert color_at(image, 25, 54) == "#202124"  # inside of the square
    assert b"SquaresofaTest" in pdf


def test_a_font_with_a_box_for_any_letter_does_not_count(font_of):
    font_of(NOWHERE, family="Last Resort of a Test")
    assert fonts.missing([NOWHERE]) == [NOWHERE]


@pytest.mark.parametrize(
    "text", ["漢字", "مرحبا", "नमस्ते", "😀", "𝄞"], ids=["CJK", "Arabic", "Hindi", "emoji", "music"]
)
def test_every_script_is_drawn_or_warned_of(text, font_of):
    lost = fonts.missing([text])
    assert fonts.drawable(text).count("□") == sum(c in lost for c in text)
    if lost:
        with pytest.warns(UserWarning, match="no font at hand can draw"):
            raster.write(written(text), "png")
    font_of("".join(dict.fromkeys(text)))
    assert fonts.missing([text]) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert raster.write(written(text), "pdf").startswith(b"%PDF")


def test_of_the_letters_that_graphviz_lacks_usual_ones_are_not_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(fonts, "missing", lambda texts: asked.append(list(texts)) or [])
    assert fonts.unknown_to_graphviz(written("∂ θ é я ⊙ ℝ")) == []
    assert asked == []
    assert fonts.unknown_to_graphviz(written(f"a 漢 {NOWHERE}")) == []
    assert asked == [[f"漢{NOWHERE}"]]


def test_the_same_scene_is_the_same_file_under_any_style_of_the_caller(monkeypatch):
    import matplotlib

    for kind in ("png", "pdf"):
        plain = raster.write(sketch(), kind)
        with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "savefig.bbox": "tight",
                                    "axes.facecolor": "red", "pdf.compression": 0}):  # fmt: skip
            assert raster.write(sketch(), kind) == plain
            assert matplotlib.rcParams["font.size"] == 40
        assert b"20" + b"26-" not in plain  # no date


def test_a_pdf_is_as_wide_as_the_picture_is_shown():
    scene = replace(sketch(), shown=sketch().width / 2)
    box = re.search(rb"/MediaBox \[([^]]*)\]", raster.write(scene, "pdf"))[1].split()
    whole = re.search(rb"/MediaBox \[([^]]*)\]", raster.write(sketch(), "pdf"))[1].split()
    assert float(box[2]) == pytest.approx(scene.shown, abs=0.01)
    assert float(box[3]) == pytest.approx(float(whole[3]) / 2, abs=0.01)


def test_the_pdf_has_one_page_of_the_size_of_the_scene():
    pdf = raster.write(sketch(), "pdf")
    assert pdf.startswith(b"%PDF")
    box = [float(n) for n in re.search(rb"/MediaBox \[([^]]*)\]", pdf)[1].split()]
    assert box == pytest.approx([0, 0, 590, primitives.height(sketch())])


def test_what_is_very_large_is_scaled_down_whole():
    box = Box(0, 99_000, 20, 800, 60, "cell", ("last",))
    scene = Scene("wide", 100_000, 100, (box,), ())
    png = raster.write(scene, "png")
    wide, high = struct.unpack(">II", png[16:24])
    assert (wide, high) == (32_000, 32)
    assert color_at(pixels(png), 99_100, 50, 0.32) == "#dbe9f8"
    pdf = raster.write(scene, "pdf")
    assert re.search(rb"/MediaBox \[ 0 0 14400 14.4 \]", pdf)
    square = replace(scene, width=9_000, height=9_000, boxes=())
    assert raster._dots(square.width, square.height) ** 2 * 9_000**2 == pytest.approx(6e7)


def test_a_scene_with_nothing_in_it_is_drawn():
    assert raster.write(Scene("", 0, 0, (), ()), "png").startswith(b"\x89PNG")
    assert raster.write(Scene("", 0, 0, (), ()), "pdf").startswith(b"%PDF")


def test_fonts_are_looked_for_without_a_word(caplog):
    fonts.families.cache_clear()
    fonts.family_of.cache_clear()
    raster._font.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raster.write(written(f"{NOWHERE} ∂"), "png")
    assert caplog.records == []
    assert "DejaVu Sans" in fonts.families()
