"""PNG and PDF by matplotlib: colours in their places, the look of the SVG, the same bytes."""

import re
import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import viz
from tests.pictures import network
from tests.sketches import color_at, pixels, sketch
from viz.scene import Box, Scene, Words
from viz.writers import raster, strokes, svg


def test_the_png_has_the_colours_of_the_scene_in_their_places():
    image = pixels(raster.write(sketch(), "png"))
    assert image.shape[:2] == (round(strokes.height(sketch()) * 2), 590 * 2)
    assert color_at(image, 5, 5) == "#ffffff"
    assert color_at(image, 40, 60) == "#f4f6f8"  # a band
    assert color_at(image, 50, 84) == "#dbe9f8"  # a box
    assert color_at(image, 465, 190) == "#c0ffee"  # a box with a fill of its own
    assert color_at(image, 465, 90) == strokes.pale("#fde8e2")  # a dim one
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


def test_what_no_font_has_is_shown_as_missing():
    assert raster._drawable("a\U0001093fb") == "a□b"  # a Lydian letter
    assert raster._drawable("∂ θ é я") == "∂ θ é я"
    assert raster._drawable("\u2067a\ufe0f\U000e0100") == "a" or "□" not in raster._drawable(
        "\u2067"
    )


def test_the_same_scene_is_the_same_file_whatever_the_style_of_the_caller(monkeypatch):
    import matplotlib

    for kind in ("png", "pdf"):
        plain = raster.write(sketch(), kind)
        with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "savefig.bbox": "tight",
                                    "axes.facecolor": "red", "pdf.compression": 0}):  # fmt: skip
            assert raster.write(sketch(), kind) == plain
            assert matplotlib.rcParams["font.size"] == 40
        assert b"20" + b"26-" not in plain  # no date


def test_the_pdf_has_one_page_of_the_size_of_the_scene():
    pdf = raster.write(sketch(), "pdf")
    assert pdf.startswith(b"%PDF")
    box = [float(n) for n in re.search(rb"/MediaBox \[([^]]*)\]", pdf)[1].split()]
    assert box == pytest.approx([0, 0, 590, strokes.height(sketch())])


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
    raster._families.cache_clear()
    raster._font.cache_clear()
    raster.write(sketch(), "png")
    assert caplog.records == []
    assert "DejaVu Sans" in raster._families()
