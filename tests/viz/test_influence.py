"""Shade a text by influence: norms against Jacobians and differences, the picture, the page."""

import math
import xml.etree.ElementTree as ET

import networkx as nx
import numpy as np
import pytest

import engine
import rnn
import viz
from rnn.data import Vocabulary
from rnn.models import CRF, Classifier, LanguageModel, Tagger
from tests.draws import first
from tests.viz.influences import TEXT, V, made, model
from viz.influence.looks import SHADES, shade, spoken, visible
from viz.influence.scene import headline
from viz.labels import figure


def inputs(net: LanguageModel, text: str = TEXT) -> engine.Tensor:
    """Return the embedded text (T, 1, I)."""
    return net.embedding(V.encode(text)[:, None]).detach()


def logits(net: LanguageModel, x: engine.Tensor) -> engine.Tensor:
    return net.head(net.recurrent(x)[0])


@pytest.mark.parametrize("cell", first(1, ["lstm", "gru", "rnn"]))
def test_norms_are_those_of_the_jacobian(cell):
    net = model(cell)
    found = viz.draw_influence(net, TEXT, vocabulary=V).influence
    J = engine.jacobian(lambda x: logits(net, x))(inputs(net)).numpy()[:, 0, :, :, 0]
    ids = V.encode(TEXT)
    values = logits(net, inputs(net)).numpy()[:, 0]
    assert found.times == tuple(range(len(TEXT)))
    for t, (output, row) in enumerate(zip(found.outputs, found.norms, strict=True)):
        last = t == len(TEXT) - 1
        index = values[t].argmax() if last else ids[t + 1]
        assert (output.place, output.follows) == (index, not last)
        assert output.logit == values[t, index]
        share = np.exp(values[t] - values[t].max())
        assert math.isclose(output.probability, share[index] / share.sum(), rel_tol=1e-12)
        expected = np.linalg.norm(J[t, index], axis=-1)
        np.testing.assert_allclose(row, expected, rtol=1e-10, atol=1e-300)
        assert min(row[: t + 1]) > 0
        assert set(row[t + 1 :]) <= {0.0}


def test_norms_are_those_of_finite_differences():
    net, h = model(), 1e-6
    found = viz.draw_influence(net, TEXT, 9, vocabulary=V).influence
    x, index = inputs(net).numpy(), found.outputs[9].place
    for k in (0, 4, 9, 10):
        slopes = []
        for i in range(x.shape[-1]):
            ends = []
            for sign in (h, -h):
                moved = x.copy()
                moved[k, 0, i] += sign
                ends.append(logits(net, engine.asarray(moved)).numpy()[9, 0, index])
            slopes.append((ends[0] - ends[1]) / (2 * h))
        assert abs(found.norms[9][k] - np.linalg.norm(slopes)) < 1e-8


def test_a_tagger_that_reads_both_ways_looks_ahead():
    engine.seed(1)
    net = Tagger(len(V), 2, embedding=3, hidden=4, crf=CRF(2))
    words = ["t", "o", "e"]
    diagram = viz.draw_influence(net, words, 1, vocabulary=V, names=["noun", "verb"])
    found = diagram.influence
    assert (found.unit, found.predicts) == ("token", False)
    assert {output.token for output in found.outputs} <= {"noun", "verb"}
    assert all(value > 0 for row in found.norms for value in row)
    best = net(V.encode(words)[:, None]).numpy()[:, 0].argmax(-1)
    assert [output.place for output in found.outputs] == best.tolist()
    assert "exactly zero" not in " ".join(diagram.scene.notes)


class Loop(rnn.Module):
    """Embed a step at a time in a loop written by hand; the embedding is frozen."""

    def __init__(self) -> None:
        self.letters = rnn.Embedding(len(V), 3)
        self.letters.weight.requires_grad = False
        self.cell, self.head = rnn.GRUCell(3, 5), rnn.Linear(5, len(V))
        self.dropout = rnn.Dropout(0.5)

    def forward(self, ids) -> engine.Tensor:
        h, out = None, []
        for t in range(ids.shape[0]):
            y, h = self.cell(self.letters(ids[t]), h)
            out.append(self.head(self.dropout(y)))
        return engine.stack(out)


def test_any_model_will_do_and_is_left_as_it_was():
    net = Loop()
    with engine.no_grad():
        one = viz.draw_influence(net, TEXT, vocabulary=V, embedding=net.letters)
    assert [module.training for module in net.modules()] == [True] * 5
    assert "_forward_hooks" not in vars(net.letters)
    assert all(x.grad is None for x in net.parameters())
    two = viz.draw_influence(net, TEXT, vocabulary=V, embedding=net.letters)
    assert one.influence == two.influence  # without dropout
    assert all(row[t] > 0 for t, row in zip(one.influence.times, one.influence.norms, strict=True))
    with pytest.raises(TypeError, match="Loop has no `embedding` that is a module"):
        viz.draw_influence(net, TEXT, vocabulary=V)
    assert viz.draw_influence(net, TEXT, vocabulary=V, embedding=net.letters).svg() == one.svg()


def test_what_does_not_fit_is_refused():
    net = model()
    with pytest.raises(ValueError, match="the text has no tokens"):
        viz.draw_influence(net, "", vocabulary=V)
    with pytest.raises(IndexError, match="outside of a text of 18 tokens; give one from -18 to 17"):
        viz.draw_influence(net, TEXT, 18, vocabulary=V)
    with pytest.raises(TypeError, match="t must be a whole number"):
        viz.draw_influence(net, TEXT, 1.5, vocabulary=V)
    with pytest.raises(ValueError, match="max_positions must be at least 1"):
        viz.draw_influence(net, TEXT, vocabulary=V, max_positions=0)
    with pytest.raises(TypeError, match="a vocabulary with `encode` and `token`, got None"):
        viz.draw_influence(net, TEXT, vocabulary=None)
    with pytest.raises(ValueError, match=f"expected a name for each of {len(V)} logits, got 1"):
        viz.draw_influence(net, TEXT, vocabulary=V, names=["a"])
    with pytest.raises(TypeError, match="expected names as a sequence of texts, got 3"):
        viz.draw_influence(net, TEXT, vocabulary=V, names=3)
    with pytest.raises(TypeError, match="expected a title as text, got 3"):
        viz.draw_influence(net, TEXT, vocabulary=V, title=3)
    for width, error in ((0, ValueError), (math.nan, ValueError), (None, TypeError)):
        with pytest.raises(error, match="expected a width in pixels, 680 or more, got"):
            viz.draw_influence(net, TEXT, vocabulary=V, width=width)
    many = Classifier(len(V), 2, embedding=3, hidden=4)
    with pytest.raises(ValueError, match=r"gave logits \(1, 2\); expected"):
        viz.draw_influence(many, TEXT, vocabulary=V)
    more = Vocabulary([*V.ordinary, *"xyz"], specials=["unk"])
    with pytest.raises(ValueError, match=f"{len(V)} logits for a vocabulary of"):
        viz.draw_influence(model(), TEXT, vocabulary=more, follows=True)


def test_of_a_long_text_some_steps_are_computed_and_the_selected_one_is_among_them():
    net = model()
    diagram = viz.draw_influence(net, TEXT * 3, -2, vocabulary=V, max_positions=7)
    times = diagram.influence.times
    assert len(times) == 7
    assert diagram.t == 52
    assert 52 in times
    assert list(times) == sorted(set(times))
    whole = viz.draw_influence(net, TEXT * 3, vocabulary=V).influence
    for t, row in zip(times, diagram.influence.norms, strict=True):
        assert row == whole.norms[t]
    assert "computed for 7 of 54 t" in " ".join(diagram.scene.notes)
    assert "7 of 54 characters can be chosen as t" in diagram.page()
    assert viz.draw_influence(net, TEXT, 4, vocabulary=V, max_positions=1).influence.times == (4,)


def test_the_graph_has_an_edge_for_each_norm():
    diagram = viz.draw_influence(model(), TEXT, vocabulary=V)
    graph, n = diagram.graph, len(TEXT)
    assert graph.number_of_nodes() == n
    assert graph.number_of_edges() == n * (n + 1) // 2
    for k, t, norm in graph.edges(data="norm"):
        assert norm == diagram.influence.norms[t][k]
    assert graph.nodes[2] == {"kind": "character", "name": " ", "t": 2, "of": "b",
                              "logit": diagram.influence.outputs[2].logit}  # fmt: skip


def test_files_of_every_kind(tmp_path):
    diagram = viz.draw_influence(model(), TEXT, vocabulary=V)
    for suffix in (".svg", ".png", ".html", ".json", ".graphml", ".dot"):
        assert diagram.render(tmp_path / f"x{suffix}").stat().st_size > 500
    assert diagram.to_html(tmp_path / "y.html").read_text() == diagram.page()
    assert (tmp_path / "x.html").read_text() == diagram.page()
    assert diagram._repr_html_().startswith("<iframe srcdoc=")
    read = nx.read_graphml(tmp_path / "x.graphml", node_type=int, force_multigraph=True)
    assert read.number_of_edges() == diagram.graph.number_of_edges()


def test_shades_go_by_decades_from_the_largest():
    assert [shade(3.0 * 10.0**-d, 3.0) for d in range(7)] == [24, 20, 16, 12, 8, 4, 0]
    assert shade(2.9e-6, 3.0) == "faint"
    assert shade(5e-324, 1e308) == "faint"
    assert shade(0.0, 3.0) == "lost"
    assert shade(0.0, 3.0, later=True) == "zero"
    assert shade(math.nan, 3.0) == shade(math.inf, 3.0) == "broken"
    light = [sum(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in SHADES]
    assert light == sorted(light, reverse=True)
    assert len(set(SHADES)) == 25


def test_a_gradient_that_its_dtype_cannot_hold_is_not_called_exactly_zero():
    net = model("rnn")
    with engine.no_grad():
        for x in net.recurrent.parameters():
            x.data = x.data * 1e-4  # the state fades by 10⁻⁴ a step, and more
    net = net.to(dtype=engine.float32)
    diagram = viz.draw_influence(net, TEXT, vocabulary=V)
    last = diagram.influence.norms[-1]
    assert 0.0 in last[: len(TEXT) // 2]
    assert diagram.influence.smallest == float(np.finfo(np.float32).smallest_subnormal)
    notes = " ".join(diagram.scene.notes)
    assert "exactly zero" not in notes
    assert "0, or under 1.401×10⁻⁴⁵" in notes


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_models_of_every_dtype_say_what_their_dtype_can_hold(name):
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    net = model().to(dtype=getattr(engine, name))
    least = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149,
             "float64": 2.0**-1074}  # fmt: skip
    found = viz.draw_influence(net, TEXT, vocabulary=V).influence
    assert found.smallest == least[name]
    assert found.norms[-1][-1] > 0


def test_every_character_can_be_seen():
    assert [visible(c) for c in " \n\t\r\u00a0\u200d\ud800é長"] == [
        "", "⏎", "⇥", "␍", "", "U+200D", "U+D800", "é", "長"]  # fmt: skip
    assert visible("\u0301") == "◌\u0301"
    assert visible("Ġ the\n") == "Ġ␣the⏎"
    assert len(visible("x" * 1000)) == 24
    assert [spoken(c) for c in (" ", "\n", "\u00a0", "e", "")] == [
        "space", "newline", "no-break space", "“e”", "nothing"]  # fmt: skip


@pytest.mark.parametrize("length", [3, 60, 900])
def test_the_picture_keeps_its_width_and_no_text_is_small(length):
    text = (TEXT + " ") * 60
    diagram = viz.draw_influence(model(), text[:length], vocabulary=V, max_positions=3)
    root = ET.fromstring(diagram.svg())
    assert float(root.get("width")) <= 800
    space = "{http://www.w3.org/2000/svg}"
    assert min(float(x.get("font-size")) for x in root.iter(f"{space}text")) >= 9
    for rect in root.iter(f"{space}rect"):
        assert float(rect.get("x", 0)) + float(rect.get("width")) <= 800
    titles = [x.text for x in root.iter(f"{space}title") if x.text.startswith("k = ")]
    assert len(titles) == length


def test_the_picture_has_the_shade_of_every_norm():
    net = model()
    diagram = viz.draw_influence(net, TEXT, 9, vocabulary=V)
    rects = [s for s in diagram.scene.shapes if getattr(s, "title", "").startswith("k = ")]
    found = diagram.influence
    for k, (rect, norm) in enumerate(zip(rects, found.norms[9], strict=True)):
        tone = shade(norm, found.largest, later=k > 9)
        assert rect.fill == (SHADES[tone] if isinstance(tone, int) else "#ffffff")
        assert rect.title.endswith("0: it comes later" if k > 9 else figure(norm, 4))
    assert "grey: after t, exactly zero" in diagram.scene.notes


def test_the_title_says_how_far_back_the_logit_looks():
    title = headline
    assert title(made([1e-3, 0.02, 0.5, 2.0]), 3) == (
        "The logit of “a” looks back 3 characters (to 1% of its largest norm)")  # fmt: skip
    assert title(made([0.03, 0.02, 0.5, 2.0]), 3) == "The logit of “a” looks back 4 characters"
    assert title(made([0.0] * 4), 3) == "The logit of “a” depends on no character of the text"
