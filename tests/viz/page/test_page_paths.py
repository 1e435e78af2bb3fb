"""Test the list of paths of the page: its products are those of Jacobian norms in Python."""

import re
from decimal import Context, Decimal
from functools import reduce

import pytest

import engine
import rnn
import viz
from tests.browser import visit
from tests.draws import covering, normal
from tests.viz.pictures import network
from viz.analysis.paths import k_strongest_paths
from viz.model.box_names import box
from viz.page.document import page

EXACT = Context(prec=200)


def strongest(diagram, browser, tmp_path, a, b):
    """Return what the list says of the paths between two boxes, and the end boxes by position."""
    index = {one.key: i for i, one in enumerate(diagram.scene.boxes)}
    with visit(browser, page(diagram.scene, diagram.graph), tmp_path) as v:
        v(f"() => app.pathPanel.set({index[a]}, {index[b]})")
        return v.page.text_content("#path-panel .strongest")


def equation(said):
    """Return the printed factors and the printed product, exactly."""
    left, right = re.search(r"carry: (.+) = (\S+) along", said).groups()
    found = [re.search(r"([\d.e−]+)\)?$", one)[1].replace("−", "-") for one in left.split(" × ")]
    return [Decimal(one) for one in found], Decimal(right.replace("−", "-"))


@pytest.mark.parametrize(
    ("kind", "target"), covering(["elman", "lstm", "gru"], ["h1", "weight_hh"])
)
def test_products_of_the_list_are_those_of_jacobian_norms(browser, tmp_path, kind, target):
    diagram = viz.draw_gradients(network(kind, 5), max_steps=5)
    (path,) = k_strongest_paths(diagram.graph, target, "L")
    said = strongest(diagram, browser, tmp_path, path.nodes[0], path.nodes[-1])
    factors, product = equation(said)
    assert float(product) == pytest.approx(path.value, rel=5.1e-3)
    assert len(factors) == len(path.edges)
    assert Context(prec=3).plus(reduce(EXACT.multiply, factors)) == product
    assert "no product" not in said


def test_the_list_says_which_paths_have_no_product(browser, tmp_path):
    engine.seed(1)
    y, _ = rnn.LSTM(4, 80)(engine.asarray(normal(4, 2, 4).astype("float32")))
    diagram = viz.draw_gradients(engine.sum(y * y))
    graph = diagram.graph
    lacking = [d for *_, d in graph.edges(data=True)
               if "grad_norm" in d and "jacobian_norm" not in d]  # fmt: skip
    assert lacking  # weights of this size are not measured
    weights = next(n for n, d in graph.nodes(data=True) if d["kind"] == "parameter")
    end = box(graph, "L")
    said = strongest(diagram, browser, tmp_path, weights, end)
    assert "no path has a product" in said
    assert re.search(r"\d+ of the \d+ edges on paths have no measured Jacobian", said)


def test_pictures_without_gradients_have_no_products(browser, tmp_path):
    diagram = viz.draw_unrolled(network("gru", 3))
    order = list(diagram.graph)
    said = strongest(diagram, browser, tmp_path, order[0], order[-1])
    assert said == "" or "no path has a product" in said


def test_factors_of_long_paths_are_joined_in_the_middle_and_multiply(browser, tmp_path):
    diagram = viz.draw_gradients(network("elman", 30), max_steps=30)
    (path,) = k_strongest_paths(diagram.graph, "h0", "L29")
    said = strongest(diagram, browser, tmp_path, path.nodes[0], path.nodes[-1])
    factors, product = equation(said)
    assert re.search(r"\(20 edges: [\d.e−]+\)", said)
    assert len(factors) == 12
    assert float(product) == pytest.approx(path.value, rel=5.1e-3)
    assert Context(prec=3).plus(reduce(EXACT.multiply, factors)) == product
